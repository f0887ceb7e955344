"""A consumer: waiting deliveries share a transaction, and each is as safe as alone in one."""

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select, text

from taskflow import clock, logs
from taskflow.domain.cloudevents import attributes_of
from taskflow.domain.errors import TaskNotFound
from taskflow.domain.events import Cause, Event, EventType
from taskflow.eventing.consumer import Consumer
from taskflow.eventing.envelope import DeliveredEvent
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import (
    DatabaseUnavailable,
    Transaction,
    audit_store,
    claims,
    consumer_store,
    transaction,
)
from taskflow.storage.consumer_store import REMOVED_AFTER, Starts
from taskflow.storage.tables import AUDIT_ENTRIES, CLAIMS
from taskflow.storage.transactions import LOCK_TIMEOUT_MS
from tests.support.data.accounts import A_CAUSE, a_user
from tests.support.data.builders import a_stored_task, log_of
from tests.support.database.commit_proxy import losing_the_answer_to_commits
from tests.support.database.connection import NOWHERE, database_at
from tests.support.database.temporary import a_database
from tests.support.polling import eventually

SOON_S = 10


@dataclass(frozen=True)
class Effect:
    """One effect, as the handler saw it; what was rolled back is here too."""

    event_id: UUID
    transaction_id: int
    cause: Cause
    logged_as: str | None


class ScriptedConsumer:
    """A consumer that records audit entries, and can be held up and made to misbehave."""

    def __init__(self, starts: Starts = "beginning") -> None:
        self.effects: list[Effect] = []
        self.misbehave: dict[UUID, Callable[[Transaction], object]] = {}
        self.consumer = Consumer(
            self.a_consumer,
            list(EventType),
            starts=starts,
            ordering="unordered",
            scale="often",
        )
        self.gate = an_event()
        self._released = threading.Event()
        self._pool = ThreadPoolExecutor(20)

    def a_consumer(self, event: DeliveredEvent, tx: Transaction) -> None:
        """Record the entry of an event, and then misbehave."""
        number = tx.connection.execute(text("SELECT txid_current()")).scalar_one()
        self.effects.append(Effect(event.event_id, number, tx.cause, logs.correlation_id.get()))
        audit_store.record(tx, event.user_id, event.seq, event_id=event.event_id, task_id=None)
        if event.event_id in self.misbehave:
            self.misbehave[event.event_id](tx)

    def deliver(self, event: Event) -> str:
        """Deliver an event; return what came of it."""
        return self.consumer.receive(attributes_of(event), event.record_json().encode())

    def together(self, happened: Sequence[Event]) -> list[Future[str]]:
        """Deliver events so that they wait at the same time, in this order; they have ended."""
        self.misbehave[self.gate.event_id] = lambda _: self._released.wait(SOON_S)
        first = self._pool.submit(self.deliver, self.gate)

        def gate_is_held() -> None:
            assert self.transactions_of(self.gate)

        eventually(gate_is_held)
        answers = [self._deliver_as(number, event) for number, event in enumerate(happened, 1)]
        self._released.set()
        wait([first, *answers])
        return answers

    def _deliver_as(self, number: int, event: Event) -> Future[str]:
        answer = self._pool.submit(self.deliver, event)

        def check() -> None:
            assert self.consumer.group_commit().waiting == number

        eventually(check)
        return answer

    def transactions_of(self, event: Event) -> list[int]:
        """Return the transactions in which an event was had, also those rolled back."""
        return [
            effect.transaction_id for effect in self.effects if effect.event_id == event.event_id
        ]

    def close(self) -> None:
        """Wait for all deliveries."""
        self._pool.shutdown()


@pytest.fixture
def starting_now(
    _own_database: None, monkeypatch: pytest.MonkeyPatch
) -> Generator[ScriptedConsumer]:
    """Prepare a consumer that begins when it is brought its first event."""
    monkeypatch.setattr("taskflow.eventing.group_commit.WAIT_MAX_S", SOON_S)
    made = ScriptedConsumer(starts="now")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _own_database(database: EmbeddedPostgres) -> Generator[None]:
    with a_database(database):
        yield


@pytest.fixture
def scripted(_own_database: None, monkeypatch: pytest.MonkeyPatch) -> Generator[ScriptedConsumer]:
    monkeypatch.setattr("taskflow.eventing.group_commit.WAIT_MAX_S", SOON_S)
    made = ScriptedConsumer()
    yield made
    made.close()


def an_event() -> Event:
    """Return the first event of a new user."""
    return log_of(a_user().user_id)[0]


def some_events(count: int = 10) -> list[Event]:
    """Return events of as many users, in an order that is not theirs."""
    return sorted((an_event() for _ in range(count)), key=lambda event: event.user_id[::-1])


def rows_of(event: Event) -> tuple[int, int]:
    """Return how many claims and how many entries there are of an event."""
    with transaction(A_CAUSE) as tx:
        claimed = select(CLAIMS).where(CLAIMS.c.event_id == event.event_id)
        entered = select(AUDIT_ENTRIES).where(AUDIT_ENTRIES.c.event_id == event.event_id)
        return len(tx.connection.execute(claimed).all()), len(tx.connection.execute(entered).all())


def assert_one_effect_of_each(happened: Sequence[Event]) -> None:
    assert [rows_of(event) for event in happened] == [(1, 1)] * len(happened)


def assert_no_effect(event: Event) -> None:
    assert rows_of(event) == (0, 0)


def outcomes(answers: Sequence[Future[str]]) -> list[str]:
    return [answer.result() for answer in answers]


def run_sql(statement: str) -> None:
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text(statement))


def test_waiting_deliveries_share_a_transaction(scripted: ScriptedConsumer) -> None:
    happened = some_events()

    answers = scripted.together(happened)

    assert outcomes(answers) == ["done"] * 10
    assert_one_effect_of_each(happened)
    assert len({number for event in happened for number in scripted.transactions_of(event)}) == 1


def test_a_single_delivery_has_a_transaction_of_its_own(scripted: ScriptedConsumer) -> None:
    happened = some_events(2)

    assert [scripted.deliver(event) for event in happened] == ["done"] * 2

    assert_one_effect_of_each(happened)
    assert scripted.transactions_of(happened[0]) != scripted.transactions_of(happened[1])


def test_each_delivery_of_a_batch_has_the_cause_and_the_logs_of_its_own_event(
    scripted: ScriptedConsumer,
) -> None:
    happened = [
        replace(event, correlation_id=f"request {number}")
        for number, event in enumerate(some_events(5))
    ]

    scripted.together(happened)

    had = {one.event_id: one for one in scripted.effects}
    for event in happened:
        assert had[event.event_id].cause == Cause(
            correlation_id=event.correlation_id,
            traceparent=event.traceparent,
            actor=scripted.consumer.name,
            origin="consumer",
        )
        assert had[event.event_id].logged_as == event.correlation_id


def test_the_events_of_a_user_have_their_effects_in_the_order_they_came(
    scripted: ScriptedConsumer,
) -> None:
    users = [a_user() for _ in range(3)]
    for user in users:
        for _ in range(3):
            a_stored_task(user.user_id)
    logs_ = [log_of(user.user_id) for user in users]
    happened = [event for same_seq in zip(*logs_, strict=True) for event in same_seq]

    scripted.together(happened)

    had = [one.event_id for one in scripted.effects]
    for log in logs_:
        places = [had.index(event.event_id) for event in log]
        assert places == sorted(places)


def test_one_of_several_waiting_deliveries_of_an_event_has_the_effect(
    scripted: ScriptedConsumer,
) -> None:
    event, other = some_events(2)

    answers = scripted.together([event, other, event, event])

    assert outcomes(answers) == ["done", "done", "duplicate", "duplicate"]
    assert_one_effect_of_each([event, other])


def test_an_event_with_an_earlier_effect_is_a_duplicate_in_a_batch(
    scripted: ScriptedConsumer,
) -> None:
    event, *others = some_events(4)
    scripted.deliver(event)

    answers = scripted.together([others[0], event, *others[1:]])

    assert outcomes(answers) == ["done", "duplicate", "done", "done"]
    assert_one_effect_of_each([event, *others])
    assert len(scripted.transactions_of(event)) == 1


@pytest.mark.parametrize("error", [TaskNotFound(), RuntimeError("a defect")], ids=repr)
def test_a_failing_delivery_changes_nothing_for_the_others_in_its_batch(
    scripted: ScriptedConsumer, error: Exception
) -> None:
    happened = some_events()
    bad = happened.pop(4)

    def fail(_: Transaction) -> None:
        raise error

    scripted.misbehave[bad.event_id] = fail
    answers = scripted.together([*happened[:4], bad, *happened[4:]])

    assert answers.pop(4).exception() is error
    assert outcomes(answers) == ["done"] * 9
    assert_one_effect_of_each(happened)
    assert_no_effect(bad)


def test_all_deliveries_of_a_failing_event_fail(scripted: ScriptedConsumer) -> None:
    bad, other = some_events(2)

    def fail(_: Transaction) -> None:
        raise TaskNotFound

    scripted.misbehave[bad.event_id] = fail
    answers = scripted.together([bad, other, bad])

    assert [type(answer.exception()) for answer in answers] == [
        TaskNotFound,
        type(None),
        TaskNotFound,
    ]
    assert_one_effect_of_each([other])
    assert_no_effect(bad)


def test_a_delivery_that_the_commit_refuses_changes_nothing_for_the_others_in_its_batch(
    scripted: ScriptedConsumer,
) -> None:
    happened = some_events(5)
    bad = happened.pop(2)
    run_sql("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'refused'; END $$
    """)
    run_sql(f"""
        CREATE CONSTRAINT TRIGGER late AFTER INSERT ON audit_entries DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.user_id = '{bad.user_id}') EXECUTE FUNCTION refuse()
    """)

    answers = scripted.together([*happened[:2], bad, *happened[2:]])

    assert "refused" in str(answers.pop(2).exception())
    assert outcomes(answers) == ["done"] * 4
    assert_one_effect_of_each(happened)
    assert_no_effect(bad)


def test_no_delivery_is_done_when_the_answer_to_its_commit_is_lost(
    scripted: ScriptedConsumer, tmp_path: Path
) -> None:
    happened = some_events(5)
    # It has begun, or its start were the first commit to be lost.
    scripted.deliver(an_event())
    with transaction(A_CAUSE) as tx:
        url = tx.connection.engine.url.render_as_string(hide_password=False)
    with losing_the_answer_to_commits(url, tmp_path) as lossy, database_at(lossy):
        answers = scripted.together(happened)

    assert [type(answer.exception()) for answer in answers] == [DatabaseUnavailable] * 5
    assert_one_effect_of_each(happened)
    assert [scripted.deliver(event) for event in happened] == ["duplicate"] * 5


def test_a_connection_lost_in_a_transaction_is_replaced(scripted: ScriptedConsumer) -> None:
    happened = some_events(5)
    once = [True]

    def break_it(tx: Transaction) -> None:
        if once.pop() if once else False:
            tx.connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    scripted.misbehave[happened[3].event_id] = break_it
    answers = scripted.together(happened)

    assert outcomes(answers) == ["done"] * 5
    assert_one_effect_of_each(happened)


def test_no_delivery_is_done_while_the_database_is_away(scripted: ScriptedConsumer) -> None:
    happened = some_events()

    with database_at(NOWHERE), ThreadPoolExecutor(10) as pool:
        answers = [pool.submit(scripted.deliver, event) for event in happened]

    assert [type(answer.exception()) for answer in answers] == [DatabaseUnavailable] * 10
    assert scripted.effects == []
    assert [scripted.deliver(event) for event in happened] == ["done"] * 10


def test_a_delivery_that_waits_for_a_lock_does_not_hold_up_the_others_in_its_batch(
    scripted: ScriptedConsumer,
) -> None:
    happened = some_events(5)
    stuck = happened.pop(2)
    with ThreadPoolExecutor(2) as pool, transaction(A_CAUSE) as holding:
        places = {stuck.event_id: (stuck.user_id, stuck.seq)}
        claims.claim(holding, scripted.consumer.name, places, now=clock.now())
        together = pool.submit(scripted.together, [*happened[:2], stuck, *happened[2:]])
        eventually(lambda: assert_one_effect_of_each(happened), within_s=LOCK_TIMEOUT_MS / 1000 / 2)
        assert not together.done()
        holding.connection.rollback()
        answers = together.result()

    assert outcomes(answers) == ["done"] * 5
    assert_one_effect_of_each([*happened, stuck])


def test_a_consumer_that_starts_now_has_no_effect_of_an_older_event(
    starting_now: ScriptedConsumer,
) -> None:
    old = some_events(2)

    answers = [starting_now.deliver(event) for event in old]

    assert answers == ["before-start"] * 2
    for event in old:
        assert_no_effect(event)


def test_a_consumer_that_starts_now_has_the_effect_of_a_newer_event(
    starting_now: ScriptedConsumer,
) -> None:
    old = an_event()
    starting_now.deliver(old)
    new = some_events(2)

    answers = [starting_now.deliver(event) for event in (new[0], old, new[1], new[0])]

    assert answers == ["done", "before-start", "done", "duplicate"]
    assert_one_effect_of_each(new)
    assert_no_effect(old)


def test_an_older_event_changes_nothing_for_the_newer_ones_in_its_batch(
    starting_now: ScriptedConsumer,
) -> None:
    old = some_events(2)
    starting_now.deliver(old[0])
    new, starting_now.gate = some_events(2), an_event()

    answers = starting_now.together([new[0], old[0], new[1], old[1]])

    assert outcomes(answers) == ["done", "before-start", "done", "before-start"]
    assert_one_effect_of_each(new)


def test_a_delivery_to_a_consumer_that_cannot_begin_yet_is_wanted_again(
    starting_now: ScriptedConsumer,
) -> None:
    event = an_event()

    with database_at(NOWHERE), pytest.raises(DatabaseUnavailable):
        starting_now.deliver(event)

    assert starting_now.deliver(event) == "before-start"


def test_an_older_event_stays_too_old_for_a_consumer_that_is_declared_anew(
    starting_now: ScriptedConsumer, scripted: ScriptedConsumer
) -> None:
    old = an_event()
    assert starting_now.deliver(old) == "before-start"
    new = an_event()

    assert [scripted.deliver(event) for event in (old, new)] == ["before-start", "done"]
    assert_no_effect(old)


def test_a_running_consumer_that_a_reconciliation_does_not_know_loses_no_event(
    starting_now: ScriptedConsumer, set_clock: Callable[[datetime], None]
) -> None:
    starting_now.deliver(an_event())
    began = clock.now()
    missed: list[Event] = []
    for hours in range(0, 48, 12):
        set_clock(began + timedelta(hours=hours))
        reconcile_without(starting_now.consumer)
        set_clock(began + timedelta(hours=hours + 2))
        assert starting_now.deliver(an_event()) == "done"
        missed.append(an_event())

    set_clock(began + REMOVED_AFTER * 2)
    with transaction(A_CAUSE) as tx:
        consumer_store.start(tx, starting_now.consumer.name, "now", now=clock.now())

    assert [starting_now.deliver(event) for event in missed] == ["done"] * 4


def test_the_event_that_wakes_a_consumer_which_was_held_to_be_removed_is_not_lost(
    starting_now: ScriptedConsumer, set_clock: Callable[[datetime], None]
) -> None:
    began = clock.now()
    with transaction(A_CAUSE) as tx:
        consumer_store.start(tx, starting_now.consumer.name, "now", now=began)
    reconcile_without(starting_now.consumer)
    set_clock(began + REMOVED_AFTER * 2)

    assert starting_now.deliver(an_event()) == "done"


def reconcile_without(consumer: Consumer) -> None:
    """Note that a consumer is not declared, as a version without it does."""
    with transaction(A_CAUSE) as tx:
        consumer_store.note_absent(tx, [f"not-{consumer.name}"], now=clock.now())
