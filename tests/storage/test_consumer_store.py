"""The start of a consumer in the log: written once, and the same for all its processes."""

import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from taskflow import clock
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import consumer_store, delivery_store, events, transaction
from taskflow.storage.consumer_store import REMOVED_AFTER, Start, Starts
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.data.builders import a_settings_event, a_stored_task, append, log_of
from tests.support.database.temporary import a_database
from tests.support.polling import eventually

CONSUMER = "send-mail"
SOON_S = 10


@pytest.fixture(autouse=True)
def _own_database(database: EmbeddedPostgres) -> Generator[None]:
    with a_database(database):
        yield


def started(starts: Starts, *, now: datetime | None = None) -> Start:
    with transaction(A_CAUSE) as tx:
        return consumer_store.start(tx, CONSUMER, starts, now=now or clock.now())


def behind() -> dict[str, int]:
    """Return the users with events that the database queue has to bring, and after which `seq`."""
    with transaction(A_CAUSE) as tx:
        return delivery_store.behind(tx, CONSUMER, limit=100)


def from_before(start: Start, user: SignedIn) -> list[int]:
    """Return the `seq` of the events from before the start of a consumer."""
    logged = log_of(user.user_id)
    with transaction(A_CAUSE) as tx:
        found = events.up_to(tx, start.position, [(user.user_id, event.seq) for event in logged])
    return [event.seq for event in logged if event.event_id in found]


def test_a_consumer_that_starts_now_is_brought_later_events_and_all_of_new_users() -> None:
    old, idle = a_user(), a_user()
    a_stored_task(old.user_id)

    start = started("now")

    assert behind() == {}
    a_stored_task(old.user_id)
    new = a_user()
    assert behind() == {old.user_id: 2, new.user_id: 0}
    assert [from_before(start, user) for user in (old, idle, new)] == [[1, 2], [1], []]


def test_a_consumer_that_starts_at_the_beginning_is_brought_all_events() -> None:
    user = a_user()

    start = started("beginning")

    assert start.position == 0
    assert behind() == {user.user_id: 0}
    assert from_before(start, user) == []


def test_a_consumer_that_starts_on_an_empty_log_is_brought_all_events() -> None:
    start = started("now")
    user = a_user()

    assert from_before(start, user) == []
    assert behind() == {user.user_id: 0}


@pytest.mark.parametrize("again", ["now", "beginning"])
def test_the_start_of_a_consumer_stays_whatever_it_declares_later(again: Starts) -> None:
    user = a_user()
    first = started("now")
    a_stored_task(user.user_id)

    second = started(again, now=clock.now() + timedelta(days=400))

    assert second == first
    assert behind() == {user.user_id: 1}


def test_one_of_several_processes_sets_the_start_and_the_others_wait_for_it() -> None:
    user, together = a_user(), threading.Barrier(2)

    def start() -> Start:
        together.wait(SOON_S)
        return started("now")

    with ThreadPoolExecutor(3) as pool, transaction(A_CAUSE) as first:
        begun = consumer_store.start(first, CONSUMER, "now", now=clock.now())
        others = [pool.submit(start) for _ in range(2)]
        a_stored_task(user.user_id)
        eventually(lambda: _assert_waiting(2))
        first.connection.commit()

        assert [other.result(SOON_S) for other in others] == [begun, begun]
    assert from_before(begun, user) == [1]
    assert behind() == {user.user_id: 1}


def _assert_waiting(count: int) -> None:
    with transaction(A_CAUSE) as tx:
        waiting = tx.connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))
        assert waiting.scalar_one() == count


def test_an_event_with_an_older_timestamp_appended_after_the_start_comes_after_it() -> None:
    user = a_user()
    start = started("now")

    append(a_settings_event(user.user_id, version=2, at=clock.now() - timedelta(hours=1)))

    assert from_before(start, user) == [1]


def test_an_event_committed_late_stays_on_one_side_of_the_start() -> None:
    """An event is before the start if a later one was committed when the consumer began."""
    earlier, later, between = a_user(), a_user(), a_user()
    with transaction(A_CAUSE) as in_flight:
        events.append(in_flight, [a_settings_event(earlier.user_id, version=2, at=clock.now())])
        a_stored_task(between.user_id)
        with transaction(A_CAUSE) as newest:
            events.append(newest, [a_settings_event(later.user_id, version=2, at=clock.now())])

            start = started("now")

            newest.connection.commit()
        in_flight.connection.commit()

    assert from_before(start, earlier) == [1, 2]
    assert from_before(start, later) == [1]
    # The queue offers both; the consumer refuses the one that is too old.
    assert behind() == {earlier.user_id: 1, later.user_id: 1}


def note_absent(*declared: str, at: datetime) -> None:
    with transaction(A_CAUSE) as tx:
        consumer_store.note_absent(tx, declared, now=at)


def test_a_removed_consumer_that_is_added_again_begins_anew() -> None:
    user, now = a_user(), clock.now()
    started("now")
    a_stored_task(user.user_id)
    note_absent("another", at=now)
    note_absent("another", at=now + REMOVED_AFTER)

    again = started("now", now=now + REMOVED_AFTER)

    assert again.at == now + REMOVED_AFTER
    assert from_before(again, user) == [1, 2]
    assert behind() == {}


def test_a_consumer_that_is_missing_during_a_deploy_goes_on() -> None:
    user, now = a_user(), clock.now()
    first = started("now")
    a_stored_task(user.user_id)
    note_absent("another", at=now)

    back = started("now", now=now + REMOVED_AFTER / 2)
    note_absent(CONSUMER, at=now + REMOVED_AFTER)
    later = started("now", now=now + 2 * REMOVED_AFTER)

    assert (back, later) == (first, first)
    assert behind() == {user.user_id: 1}


def test_a_consumer_of_all_events_is_brought_those_from_while_it_was_removed() -> None:
    user, now = a_user(), clock.now()
    first = started("beginning")
    note_absent(at=now)

    again = started("beginning", now=now + 2 * REMOVED_AFTER)

    assert again == first
    assert behind() == {user.user_id: 0}
