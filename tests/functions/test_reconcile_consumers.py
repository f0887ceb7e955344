"""Events that a consumer never claimed are found, at a cost that is not that of the log (E5)."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from taskflow import clock
from taskflow.domain import tasks
from taskflow.domain.events import NewEvent
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import consumer_store, delivery_store, events, transaction
from taskflow.storage.log_marks import SETTLED_AFTER
from taskflow.storage.tables import CONSUMERS, LOG_MARKS, REDELIVERIES
from taskflow.storage.transactions import engine
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.data.builders import a_draft, a_stored_task, append
from tests.support.data.bulk_events import add_events
from tests.support.database.plans import counted_reads
from tests.support.database.temporary import a_database
from tests.support.delivery.subscribers import assert_taken, reconcile, tick
from tests.support.settings import changed_settings

SetClock = Callable[[datetime], None]

CONSUMER = "send-mail"
A_CONSUMER = '''
"""On task.created: do nothing."""

from taskflow.domain.events import EventType
from taskflow.eventing import event_function
from taskflow.eventing.envelope import DeliveredEvent
from taskflow.storage import Transaction


@event_function(EventType.TASK_CREATED, starts="{starts}", ordering="unordered")
def {entry_point}(event: DeliveredEvent, tx: Transaction):
    pass
'''


@pytest.fixture(autouse=True)
def _own_database(database: EmbeddedPostgres) -> Generator[None]:
    with a_database(database):
        yield


@contextmanager
def consumers(folder: Path, **starts: str) -> Generator[None]:
    """Replace all consumers by these: for each entry point, where it starts."""
    functions = folder / "-".join(["functions", *starts])
    for entry_point, where in starts.items():
        source = functions / entry_point.replace("_", "-") / "main.py"
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(A_CONSUMER.format(entry_point=entry_point, starts=where))
    with changed_settings(functions_dir=functions):
        yield


@pytest.fixture
def one_consumer(tmp_path: Path, _own_database: None) -> Generator[None]:
    """Replace all consumers by one that starts at the beginning."""
    with consumers(tmp_path, send_mail="beginning"):
        yield


def requested_redeliveries(consumer: str = CONSUMER) -> list[tuple[str, int]]:
    with transaction(A_CAUSE) as tx:
        query = select(REDELIVERIES.c.user_id, REDELIVERIES.c.seq).where(
            REDELIVERIES.c.consumer == consumer
        )
        return sorted((row.user_id, row.seq) for row in tx.connection.execute(query))


def reconciled_position(consumer: str = CONSUMER) -> int:
    with transaction(A_CAUSE) as tx:
        return consumer_store.lock_reconciled_position(tx, consumer)


def run_after(set_clock: SetClock, by: timedelta) -> None:
    """Set the clock forward and run."""
    set_clock(clock.now() + by)
    assert_taken(tick("reconcile-consumers"))


def created(user: SignedIn, at: datetime) -> NewEvent:
    _, [happened] = tasks.create(a_draft(), user_id=user.user_id, now=at)
    return happened


# Where a consumer begins


def test_no_event_from_before_the_start_of_a_consumer_that_starts_now_is_asked_for(
    tmp_path: Path, set_clock: SetClock
) -> None:
    user = a_user()
    with consumers(tmp_path, send_mail="beginning"):
        a_stored_task(user.user_id)
        reconcile(set_clock)

    with consumers(tmp_path, send_mail="beginning", call_webhook="now"):
        assert_taken(tick("reconcile-consumers"))
        a_stored_task(user.user_id)
        reconcile(set_clock)

    assert requested_redeliveries() == [(user.user_id, 2), (user.user_id, 3)]
    assert requested_redeliveries("call-webhook") == [(user.user_id, 3)]


def test_no_event_from_while_a_consumer_was_removed_is_asked_for(
    tmp_path: Path, set_clock: SetClock
) -> None:
    user = a_user()
    with consumers(tmp_path, send_mail="now"):
        assert_taken(tick("reconcile-consumers"))
    with consumers(tmp_path, another="now"):
        assert_taken(tick("reconcile-consumers"))
        a_stored_task(user.user_id)
        run_after(set_clock, consumer_store.REMOVED_AFTER)

    with consumers(tmp_path, send_mail="now"):
        assert_taken(tick("reconcile-consumers"))
        a_stored_task(user.user_id)
        reconcile(set_clock)

    assert requested_redeliveries() == [(user.user_id, 3)]


# What is found


@pytest.mark.usefixtures("one_consumer")
def test_an_event_that_is_committed_long_after_those_behind_it_is_found(
    set_clock: SetClock,
) -> None:
    user, other = a_user(), a_user()
    with transaction(A_CAUSE) as in_flight:
        events.append(in_flight, [created(user, clock.now())])
        a_stored_task(other.user_id)
        reconcile(set_clock)
        meanwhile = requested_redeliveries()
        in_flight.connection.commit()

    reconcile(set_clock)

    assert meanwhile == []
    assert requested_redeliveries() == sorted([(user.user_id, 2), (other.user_id, 2)])


@pytest.mark.usefixtures("one_consumer")
def test_a_transaction_that_never_ends_holds_up_no_event_for_ever(set_clock: SetClock) -> None:
    user = a_user()
    with transaction(A_CAUSE) as endless:
        events.append(endless, [created(user, clock.now())])
        other = a_user()
        a_stored_task(other.user_id)
        reconcile(set_clock)

        run_after(set_clock, SETTLED_AFTER)

        assert requested_redeliveries() == [(other.user_id, 2)]
        endless.connection.rollback()


@pytest.mark.usefixtures("one_consumer")
def test_a_reconciled_event_is_not_read_again(set_clock: SetClock) -> None:
    user = a_user()
    a_stored_task(user.user_id)
    reconcile(set_clock)
    with transaction(A_CAUSE) as tx:
        delivery_store.remove_redelivery(tx, CONSUMER, user.user_id, 2)

    reconcile(set_clock)

    assert requested_redeliveries() == []


@pytest.mark.usefixtures("one_consumer")
def test_events_older_than_the_kept_claims_are_not_asked_for(
    set_clock: SetClock,
) -> None:
    user, now = a_user(), clock.now()
    append(created(user, now - timedelta(days=91)), created(user, now - timedelta(days=89)))

    reconcile(set_clock)

    assert requested_redeliveries() == [(user.user_id, 3)]


# What it costs


@pytest.mark.usefixtures("one_consumer", "long_runs")
def test_a_run_reads_the_new_events_and_not_the_whole_log(set_clock: SetClock) -> None:
    add_events(20_000, over=timedelta(days=80), claimed_by=CONSUMER)
    reconcile(set_clock)
    user = a_user()
    for _ in range(5):
        a_stored_task(user.user_id)
    assert_taken(tick("reconcile-consumers"))
    set_clock(clock.now() + timedelta(minutes=6))

    with counted_reads(engine()) as reads:
        assert_taken(tick("reconcile-consumers"))

    assert requested_redeliveries() == [(user.user_id, seq) for seq in range(2, 7)]
    assert 0 < reads.rows < 100


@pytest.mark.usefixtures("one_consumer")
def test_one_transaction_reads_a_part_and_the_next_run_goes_on(set_clock: SetClock) -> None:
    add_events(52_000, over=timedelta(days=80), claimed_by=CONSUMER)
    with transaction(A_CAUSE) as tx:
        consumer_store.start(tx, CONSUMER, "beginning", now=clock.now())
        consumer_store.set_reconciled_position(tx, CONSUMER, 40_000)
    assert_taken(tick("reconcile-consumers"))
    set_clock(clock.now() + timedelta(minutes=6))

    reached: list[int] = []
    for _ in range(4):
        with counted_reads(engine()) as reads:
            assert_taken(tick("reconcile-consumers"))
        reached.append(reconciled_position())
        # An event's place in the index, itself, and its claim.
        assert reads.rows < 3.1 * 5_000

    assert reached == [45_000, 50_000, 52_000, 52_000]
    assert requested_redeliveries() == []


@pytest.mark.usefixtures("one_consumer", "long_runs")
def test_no_more_events_are_asked_for_while_many_wait_to_be_brought_again(
    set_clock: SetClock,
) -> None:
    add_events(25_000, over=timedelta(days=80), claimed_by="another")

    reconcile(set_clock)
    first = len(requested_redeliveries())
    reconcile(set_clock)
    second = len(requested_redeliveries())
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(REDELIVERIES.delete())
    reconcile(set_clock)
    third = len(requested_redeliveries())

    # Nine in ten are of the type that it takes, and 5,000 are looked at in one go.
    assert first == second == 13_500
    assert third == 9_000


@pytest.mark.usefixtures("one_consumer")
def test_marks_are_deleted_as_the_log_is_reconciled(set_clock: SetClock) -> None:
    user = a_user()
    for _ in range(20):
        a_stored_task(user.user_id)
        run_after(set_clock, timedelta(minutes=5))

    with transaction(A_CAUSE) as tx:
        marks = tx.connection.execute(select(LOG_MARKS)).all()
        [consumer] = tx.connection.execute(select(CONSUMERS)).all()
    assert len(marks) == 2
    assert consumer.reconciled_position == 20
