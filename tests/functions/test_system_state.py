"""The state of the system, for administrators: events that come, and those that wait."""

from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import backlog, publication_store, transaction
from taskflow.storage.transactions import engine
from tests.support.data.accounts import A_CAUSE, a_user, an_administrator
from tests.support.data.builders import a_stored_task, log_of
from tests.support.data.bulk_events import add_events
from tests.support.database.plans import counted_reads
from tests.support.database.temporary import a_database
from tests.support.delivery.dead_letters import give_up
from tests.support.delivery.subscribers import assert_taken, deliver, reconcile, tick
from tests.support.functions.client import Api, content
from tests.support.functions.problems import assert_refused

NOON = datetime(2026, 3, 30, 12, tzinfo=UTC)
CONSUMER = "record-audit-entry"
A_MINUTE, A_SECOND = timedelta(minutes=1), timedelta(seconds=1)

SetClock = Callable[[datetime], None]


@pytest.fixture(autouse=True)
def own_database(database: EmbeddedPostgres) -> Generator[None]:
    """Have a log without the events of other tests."""
    with a_database(database):
        yield


def _state(admin: Api) -> dict[str, Any]:
    answer = admin.get("/api/admin/state")
    assert answer.status_code == 200, answer.text
    return content(answer)


def _consumer(admin: Api, name: str = CONSUMER) -> dict[str, Any]:
    [found] = [each for each in _state(admin)["consumers"] if each["name"] == name]
    return found


def _registered(at: datetime, set_clock: SetClock, *, count: int) -> None:
    set_clock(at)
    for _ in range(count):
        a_user()


def test_events_are_counted_by_the_minute_that_they_happened_in(set_clock: SetClock) -> None:
    # Before what is looked back to, in the first minute of it, and later.
    for minutes, count in ((31, 5), (30, 1), (4, 2), (3, 4)):
        _registered(NOON - minutes * A_MINUTE + A_SECOND, set_clock, count=count)
    set_clock(NOON - A_SECOND)
    admin = Api(an_administrator())
    set_clock(NOON)

    state = _state(admin)

    # The last one is the administrator's account.
    assert state["events_per_minute"] == [1, *[0] * 25, 2, 4, 0, 1]
    assert state["counted_at"] == "2026-03-30T12:00:00.000000Z"


def test_an_empty_log_has_no_events_in_any_minute(set_clock: SetClock) -> None:
    set_clock(NOON)
    with transaction(A_CAUSE) as tx:
        found = backlog.per_minute(tx, minutes=30, now=NOON)

    assert found == [0] * 30


def test_an_event_waits_for_a_consumer_until_that_has_had_it(set_clock: SetClock) -> None:
    set_clock(NOON)
    admin = Api(an_administrator())
    reconcile(set_clock)
    before = _consumer(admin)
    user = a_user()
    a_stored_task(user.user_id)

    waiting = _consumer(admin)
    [registered, created] = log_of(user.user_id)
    deliver(CONSUMER, created)
    had_one = _consumer(admin)
    reconcile(set_clock)
    asked_for = _consumer(admin)

    assert before["waiting"] == 0
    assert waiting["waiting"] == 2
    assert had_one["waiting"] == 1
    assert (asked_for["waiting"], asked_for["redeliveries"]) == (0, before["redeliveries"] + 1)
    deliver(CONSUMER, registered)
    assert _consumer(admin)["dead_letters"] == 0


def test_what_was_given_up_counts_for_its_consumer_and_in_all(set_clock: SetClock) -> None:
    set_clock(NOON)
    admin = Api(an_administrator())
    reconcile(set_clock)
    user = a_user()

    give_up(log_of(user.user_id)[0], CONSUMER)
    state = _state(admin)

    assert state["dead_letters"] == 1
    assert _consumer(admin)["dead_letters"] == 1
    assert _consumer(admin)["waiting"] == 0
    assert _consumer(admin, "spawn-next-occurrence")["dead_letters"] == 0
    [letter] = content(admin.get("/api/admin/dead-letters"))["items"]
    admin.delete(f"/api/admin/dead-letters/{letter['id']}")
    assert _state(admin)["dead_letters"] == 0


def test_an_event_is_unpublished_until_kafka_has_confirmed_it() -> None:
    user, another = a_user(), a_user()
    a_stored_task(user.user_id)

    with transaction(A_CAUSE) as tx:
        before = backlog.unpublished(tx)
        publication_store.release(tx, uuid4(), {user.user_id: 1})
        after = backlog.unpublished(tx)
        publication_store.release(tx, uuid4(), {user.user_id: 2, another.user_id: 1})
        at_last = backlog.unpublished(tx)

    assert (before, after, at_last) == (3, 2, 0)


def test_without_kafka_nothing_is_said_of_what_is_unpublished() -> None:
    assert _state(Api(an_administrator()))["unpublished"] is None


def test_nobody_but_an_administrator_sees_it() -> None:
    assert_refused(Api(a_user()).get("/api/admin/state"), 403, "missing-permission")


def test_however_long_the_log_is_little_of_it_is_read() -> None:
    admin = Api(an_administrator())
    assert_taken(tick("reconcile-consumers"))
    add_events(20_000, over=timedelta(days=1), claimed_by=CONSUMER)

    with counted_reads(engine()) as reads:
        state = _state(admin)

    # Fourteen a minute.
    assert sum(state["events_per_minute"]) in range(410, 424)
    assert not [scan for scan in reads.scans if scan.startswith("Seq Scan of events")]
    assert reads.rows < 8_000
