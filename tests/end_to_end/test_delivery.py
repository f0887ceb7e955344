"""Delivery in the whole system: lost effects are repaired, and kills lose no effect (E5, E8)."""

import random
import sys
from collections.abc import Generator
from datetime import timedelta
from secrets import randbits
from uuid import UUID

import pytest
import requests

from taskflow import clock
from taskflow.domain.cloudevents import attributes_of
from taskflow.domain.events import Event
from taskflow.domain.identifiers import new_id
from taskflow.storage import audit_store, dead_letter_store, log_marks, transaction
from taskflow.storage.audit_store import AuditFilter
from taskflow.storage.dead_letter_store import DeadLetter
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user, an_administrator
from tests.support.data.builders import a_settings_event, append, log_of
from tests.support.database.connection import database_of
from tests.support.database.tampering import tamper
from tests.support.delivery.deliverers import progress_of
from tests.support.load.chaos import JWT_SECRET, VICTIMS, ChaosRun
from tests.support.network.remote_audit import RemoteAudit
from tests.support.polling import eventually
from tests.support.processes.roles import delivery, postgresql, wait_for
from tests.support.processes.system import System

USERS = 20
CONSUMER = "record-audit-entry"
SOON_S = 60


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Generator[System]:
    running = System(
        tmp_path_factory.mktemp("system") / "data", JWT_SECRET=JWT_SECRET, WEB_CONCURRENCY="2"
    )
    running.start()
    yield running
    running.kill()


def _a_user_with_a_log_of_an_hour_ago() -> SignedIn:
    user = a_user()
    append(
        *(
            a_settings_event(user.user_id, version=version, at=clock.now() - timedelta(hours=1))
            for version in (2, 3, 4)
        )
    )
    return user


def _audited(user: SignedIn, *expected: int) -> None:
    with transaction(A_CAUSE) as tx:
        found = audit_store.list_of(tx, AuditFilter(user_id=user.user_id), after=None, limit=100)
    assert sorted(entry.seq for entry in found) == list(expected)


def _brought(user: SignedIn, newest: int) -> None:
    assert progress_of(CONSUMER, user.user_id) == newest


def _mark_log_as_of(ago: timedelta) -> None:
    """Have all that is in the log be overdue, where it was appended so long ago."""
    with transaction(A_CAUSE) as tx:
        log_marks.mark(tx, now=clock.now())
    tamper(
        "UPDATE log_marks SET marked_at = marked_at - CAST(:ago AS interval)"
        " WHERE position = (SELECT max(position) FROM log_marks)",
        ago=ago,
    )


def _lose_effect(event: Event) -> None:
    """Delete the effect of an event, and the claim of it."""
    here = {"event_id": event.event_id}
    tamper("DELETE FROM claims WHERE event_id = CAST(:event_id AS uuid)", **here)
    tamper("DELETE FROM audit_entries WHERE event_id = CAST(:event_id AS uuid)", **here)


def test_lost_effects_of_events_are_had_again_once(system: System) -> None:
    with database_of(system):
        user = _a_user_with_a_log_of_an_hour_ago()
        eventually(lambda: _audited(user, 1, 2, 3, 4), within_s=SOON_S)
        # What is not recorded as brought would be brought again whether or not it is overdue.
        eventually(lambda: _brought(user, 4), within_s=SOON_S)
        _mark_log_as_of(timedelta(minutes=6))
        for event in log_of(user.user_id)[1:3]:
            _lose_effect(event)
        _audited(user, 1, 4)

        # The timer wakes every cron function when it starts.
        [process] = wait_for(delivery, system)
        process.kill()

        eventually(lambda: _audited(user, 1, 2, 3, 4), within_s=SOON_S)


def test_a_resent_dead_letter_has_its_effect(system: System) -> None:
    with database_of(system):
        user, administrator = a_user(), an_administrator()
        eventually(lambda: _audited(user, 1), within_s=SOON_S)
        [event] = log_of(user.user_id)
        _lose_effect(event)
        letter_id = _a_dead_letter(event, error_code=400)

        answer = requests.post(
            f"{system.url}/api/admin/dead-letters/{letter_id}/resend",
            headers=administrator.headers,
            timeout=SOON_S,
        )

        assert answer.status_code == 202, answer.text
        eventually(lambda: _audited(user, 1), within_s=SOON_S)
        _delete_dead_letter(letter_id)


def test_a_dead_letter_of_a_failure_that_passed_is_sent_again_by_itself(system: System) -> None:
    with database_of(system):
        user, audit = a_user(), RemoteAudit(system, an_administrator())
        audit.wait_until_complete(user, 1)
        [event] = log_of(user.user_id)
        _lose_effect(event)
        letter_id = _a_dead_letter(event, error_code=503)

        # The timer wakes every cron function when it starts.
        [process] = wait_for(delivery, system)
        process.kill()

        audit.wait_until_complete(user, 1)
        audit.wait_until_no_letter_is_dead()
        audit.assert_verified(user)
        _delete_dead_letter(letter_id)


def _a_dead_letter(event: Event, *, error_code: int) -> UUID:
    letter_id = new_id(clock.now())
    with transaction(A_CAUSE) as tx:
        dead_letter_store.add(
            tx,
            DeadLetter(
                id=letter_id,
                consumer=CONSUMER,
                event_id=str(event.event_id),
                event_type=event.event_type,
                user_id=event.user_id,
                seq=event.seq,
                attributes=dict(attributes_of(event)),
                body=event.record_json().encode(),
                error_code=error_code,
                error_text="a test",
                state="dead",
                received_at=clock.now(),
                deaths=1,
            ),
        )
    return letter_id


def _delete_dead_letter(letter_id: UUID) -> None:
    """Delete a dead letter, which a later test would count."""
    tamper("DELETE FROM dead_letters WHERE id = CAST(:id AS uuid)", id=letter_id)


@pytest.mark.timeout(600)
def test_acknowledged_writes_reach_the_log_the_audit_and_every_client_once(
    system: System,
) -> None:
    seed = randbits(32)
    sys.stdout.write(f"\nSeed {seed}\n")
    rng = random.Random(seed)
    victims = [*VICTIMS, postgresql, postgresql]
    rng.shuffle(victims)
    chaos = ChaosRun(USERS, [(rng.uniform(0.5, 3), victim) for victim in victims])

    try:
        chaos.run(system, rng)
    finally:
        chaos.show()

    assert system.stop() == 0
