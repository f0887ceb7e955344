"""Due items: found by their time, locked by one run, each occurrence and reminder stored once."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from taskflow.domain import notifications, recurring, reminders, tasks
from taskflow.domain.errors import NotificationNotFound, ReminderNotFound
from taskflow.domain.notifications import Notification
from taskflow.domain.reminders import Reminder, ReminderStatus, Snooze
from taskflow.domain.tasks import Task
from taskflow.domain.times import rfc3339
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import (
    DueQuery,
    Transaction,
    events,
    notification_store,
    reminder_store,
    run,
    task_changes,
    task_store,
    transaction,
)
from taskflow.storage.due_items import BATCH_MAX_BYTES
from tests.support.data.accounts import A_CAUSE
from tests.support.data.builders import A_TIME, a_recurring_task, a_reminder, a_task
from tests.support.database.temporary import a_database
from tests.support.polling import eventually

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
WAIT_S = 10
ME, OTHER = "somebody", "somebody else"


@pytest.fixture(scope="module")
def _own_database(database: EmbeddedPostgres) -> Generator[None]:
    # What is due is due for all users, and other tests leave theirs.
    with a_database(database):
        with transaction(A_CAUSE) as tx:
            events.open_stream(tx, ME)
        yield


@pytest.fixture(autouse=True)
def _clean(_own_database: None) -> None:
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text("TRUNCATE notifications, reminders, tasks"))


def _store(*stored: Task | Reminder | Notification) -> None:
    with transaction(A_CAUSE) as tx:
        task_changes.save_all(
            tx,
            new_tasks=[one for one in stored if isinstance(one, Task)],
            new_reminders=[one for one in stored if isinstance(one, Reminder)],
            notifications=[one for one in stored if isinstance(one, Notification)],
            events=[],
        )


def _save(*changed: tuple[Task, Task] | Reminder) -> None:
    """Store tasks, each before and after, and reminders, without the events that say so."""
    with transaction(A_CAUSE) as tx:
        _save_in(tx, *changed)


def _save_in(tx: Transaction, *changed: tuple[Task, Task] | Reminder) -> None:
    reminders_changed = [one for one in changed if isinstance(one, Reminder)]
    tasks_changed = [one for one in changed if not isinstance(one, Reminder)]
    task_changes.save_all(tx, tasks=tasks_changed, reminders=reminders_changed, events=[])


def _a_series(
    due_in: timedelta = DAY,
    *,
    lead: timedelta = timedelta(0),
    user_id: str = ME,
    **series: Any,  # noqa: ANN401 - any field of a series
) -> Task:
    """Make a daily series whose next occurrence is due so long after A_TIME."""
    return a_recurring_task(
        "FREQ=DAILY", user_id=user_id, now=A_TIME + due_in - DAY, lead=lead, **series
    )


def _due(now: datetime, limit: int = 100, without: Sequence[UUID] = ()) -> list[Task]:
    with transaction(A_CAUSE) as tx:
        return _take_series(tx, now=now, limit=limit, without=without)


def _take_series(
    tx: Transaction, *, now: datetime, limit: int, without: Sequence[UUID] = ()
) -> list[Task]:
    query = DueQuery(limit, frozenset(without))
    ids = [item.id for item in task_store.lock_due(tx, query, now=now)]
    found = {task.id: task for task in task_store.with_ids(tx, ids)}
    return [found[one] for one in ids]


def _due_reminders(
    now: datetime, limit: int = 100, without: Sequence[UUID] = ()
) -> list[tuple[Reminder, Task]]:
    with transaction(A_CAUSE) as tx:
        return _take_reminders(tx, now=now, limit=limit, without=without)


def _take_reminders(
    tx: Transaction, *, now: datetime, limit: int, without: Sequence[UUID] = ()
) -> list[tuple[Reminder, Task]]:
    query = DueQuery(limit, frozenset(without))
    ids = [item.id for item in reminder_store.lock_due(tx, query, now=now)]
    return reminder_store.due(tx, ids, now=now)


def _an_occurrence(series: Task, at: datetime, **fields: Any) -> Task:  # noqa: ANN401 - any field of a task
    return replace(
        a_task(user_id=series.user_id), recurring_task_id=series.id, occurrence_at=at, **fields
    )


@contextmanager
def _held(task: Task) -> Generator[Transaction]:
    """Hold the lock of a task for the length of the block."""
    with transaction(A_CAUSE) as tx:
        task_store.lock(tx, task.user_id, task.id, deleted=True)
        yield tx


# Tasks as they are stored


@pytest.mark.parametrize("is_new", [False, True])
def test_a_recurring_task_is_read_back_as_it_was_stored(is_new: bool) -> None:  # noqa: FBT001 - a parameter of the test
    plain = a_task(title="Zażółć 🐘 :name %s \\ '", tags=['"', "{}"], metadata={"a": None})
    task, _ = recurring.set_recurrence(
        plain,
        recurring.RecurrenceDraft.model_validate(
            {
                "recurrence_rule": "FREQ=MONTHLY;BYMONTHDAY=-1",
                "start": "2026-03-06T09:00:00.000001+09:00",
                "timezone": "Asia/Tokyo",
                "missed": "latest",
                "skip": "forward",
            }
        ),
        "UTC",
        lead=DAY,
        now=A_TIME,
    )
    occurrence = _an_occurrence(task, A_TIME, predecessor_id=task.id)

    if is_new:
        _store(task, occurrence)
    else:
        _store(plain)
        with transaction(A_CAUSE) as tx:
            task_changes.save_all(tx, tasks=[(plain, task)], new_tasks=[occurrence], events=[])

    with transaction(A_CAUSE) as tx:
        found = task_store.with_ids(tx, [task.id, occurrence.id])
    assert {one.id: one for one in found} == {task.id: task, occurrence.id: occurrence}


def test_many_tasks_are_saved_together_each_with_its_own_series() -> None:
    series = [_a_series() for _ in range(3)]
    _store(*series)
    ended, _ = recurring.remove_recurrence(series[0], now=A_TIME)
    deleted, _ = tasks.delete(series[1], now=A_TIME)

    _save((series[0], ended), (series[1], deleted))

    with transaction(A_CAUSE) as tx:
        found = task_store.with_ids(tx, [one.id for one in series])
    assert {one.id: one for one in found} == {one.id: one for one in (ended, deleted, series[2])}
    assert _due(A_TIME + DAY) == [series[2]]


def test_a_new_lead_time_is_kept_and_moves_the_time_of_creation_by_as_much() -> None:
    task, plain = _a_series(), a_task()
    _store(task, plain)

    with transaction(A_CAUSE) as tx:
        for each in (task, plain):
            task_changes.save(tx, each, (recurring.set_lead_time(each, 2 * HOUR, now=A_TIME), []))

    [due] = _due(A_TIME + DAY - 2 * HOUR)
    assert due.recurrence is not None
    assert (due.id, due.recurrence.lead, due.version) == (task.id, 2 * HOUR, task.version)
    assert _due(A_TIME + DAY - 2 * HOUR - timedelta.resolution) == []


# Series that are due


def test_series_are_due_at_their_time_minus_lead_time_the_longest_due_first() -> None:
    late, early, soon = _a_series(3 * HOUR), _a_series(DAY, lead=22 * HOUR), _a_series(HOUR)
    never, _ = tasks.delete(_a_series(HOUR), now=A_TIME)
    _store(late, early, soon, never, a_task(), _a_series(mode="after_completion"))

    assert _due(A_TIME + HOUR - timedelta.resolution) == []
    assert _due(A_TIME + HOUR) == [soon]
    assert _due(A_TIME + 3 * HOUR) == [soon, early, late]
    assert _due(A_TIME + 3 * HOUR, limit=2) == [soon, early]
    assert _due(A_TIME + 3 * HOUR, without=[soon.id, late.id]) == [early]


def test_the_next_due_series_is_the_first_of_all_users() -> None:
    with transaction(A_CAUSE) as tx:
        nothing = task_store.next_due(tx)
    _store(_a_series(3 * HOUR), _a_series(DAY, lead=22 * HOUR, user_id=OTHER), a_task())

    with transaction(A_CAUSE) as tx:
        assert (nothing, task_store.next_due(tx)) == (None, A_TIME + 2 * HOUR)


def test_two_simultaneous_runs_never_take_the_same_series() -> None:
    series = [_a_series(number * HOUR) for number in range(1, 5)]
    _store(*series)

    with transaction(A_CAUSE) as tx, transaction(A_CAUSE) as other:
        mine = _take_series(tx, now=A_TIME + DAY, limit=2)
        theirs = _take_series(other, now=A_TIME + DAY, limit=10)
        nobodys = _due(A_TIME + DAY)

    assert (mine, theirs, nobodys) == (series[:2], series[2:], [])


def test_a_series_that_another_run_has_carried_out_meanwhile_is_not_taken() -> None:
    task = _a_series(HOUR)
    _store(task)
    later, _ = tasks.delete(task, now=A_TIME)

    with _held(task) as tx:
        while_held = _due(A_TIME + HOUR)
        _save_in(tx, (task, later))

    assert (while_held, _due(A_TIME + HOUR)) == ([], [])


def test_all_recurring_tasks_of_a_user_are_locked_and_no_others() -> None:
    live, gone = _a_series(), tasks.delete(_a_series(), now=A_TIME)[0]
    _store(live, gone, a_task(), _a_series(user_id=OTHER))

    with transaction(A_CAUSE) as tx:
        locked = task_store.lock_recurring(tx, ME)
        taken_by_others = _due(A_TIME + DAY)

    assert locked == sorted([live, gone], key=lambda task: task.id)
    assert [task.user_id for task in taken_by_others] == [OTHER]


# Occurrences, each once


def test_existing_occurrences_are_found_by_their_series_and_time() -> None:
    one, two = _a_series(), _a_series()
    at, later = A_TIME, A_TIME + timedelta.resolution
    deleted, _ = tasks.delete(_an_occurrence(two, at), now=A_TIME)
    _store(one, two, _an_occurrence(one, at), deleted)

    with transaction(A_CAUSE) as tx:
        found = task_store.occurrences_at(
            tx, {one.id: [at, later], two.id: [later, at], uuid4(): [at]}
        )
        none = task_store.occurrences_at(tx, {one.id: [later], two.id: []})
        nothing = task_store.occurrences_at(tx, {})

    assert found == {(one.id, at), (two.id, at)}
    assert none == nothing == set()


def test_a_deleted_successor_of_a_task_is_found() -> None:
    task, other = _a_series(mode="after_completion"), a_task()
    successor, _ = tasks.delete(_an_occurrence(task, A_TIME, predecessor_id=task.id), now=A_TIME)
    _store(task, other, successor)

    with transaction(A_CAUSE) as tx:
        assert task_store.has_successor(tx, task.id)
        assert not task_store.has_successor(tx, other.id)
        assert not task_store.has_successor(tx, successor.id)


def test_the_database_refuses_a_second_occurrence_of_the_same_time() -> None:
    task, other = _a_series(), _a_series()
    _store(task, other, _an_occurrence(task, A_TIME), _an_occurrence(other, A_TIME))

    with pytest.raises(DBAPIError, match="tasks_of_series"):
        _store(_an_occurrence(task, A_TIME + DAY), _an_occurrence(task, A_TIME))
    with pytest.raises(DBAPIError, match="tasks_of_series"):
        _store(_an_occurrence(task, A_TIME))

    with transaction(A_CAUSE) as tx:
        assert task_store.occurrences_at(tx, {task.id: [A_TIME + DAY]}) == set()


def test_the_database_refuses_a_second_successor_of_the_same_task() -> None:
    task = _a_series()
    _store(task, _an_occurrence(task, A_TIME, predecessor_id=task.id))

    with pytest.raises(DBAPIError, match="tasks_after_predecessor"):
        _store(_an_occurrence(task, A_TIME + DAY, predecessor_id=task.id))


@pytest.mark.parametrize(
    "fields",
    [
        {"recurring_task_id": None},
        {"occurrence_at": None},
        {"recurring_task_id": UUID(int=1)},
        {"predecessor_id": UUID(int=1)},
    ],
    ids=str,
)
def test_the_database_refuses_half_an_occurrence(fields: dict[str, Any]) -> None:
    task = _a_series()
    _store(task)

    with pytest.raises(DBAPIError, match="tasks_"):
        _store(replace(_an_occurrence(task, A_TIME), **fields))


# Reminders as they are stored


def _a_due_task(due_in: timedelta = DAY, user_id: str = ME) -> Task:
    return a_task(user_id=user_id, due_date=rfc3339(A_TIME + due_in))


def _a_reminder_at(task: Task, due_in: timedelta, **fields: Any) -> Reminder:  # noqa: ANN401 - what JSON may hold
    """Make a reminder so long after A_TIME, which may be past."""
    fields["remind_at"] = rfc3339(A_TIME + due_in)
    return a_reminder(task, now=A_TIME - 999 * DAY, **fields)


def test_reminders_are_read_back_as_they_were_stored_and_changed() -> None:
    task, other = _a_due_task(), _a_due_task(user_id=OTHER)
    one = a_reminder(task, before_due="P1DT1S", message="'Zażółć' :rows %s \\ 🐘\n")
    two = a_reminder(task, remind_at="2026-05-01T00:00:00.000001Z", now=A_TIME + HOUR)
    theirs = a_reminder(other, before_due="PT0S")
    _store(task, other, two, one, theirs)
    gone, _ = reminders.remove(one, now=A_TIME)
    snoozed, _ = reminders.snooze(two, task, Snooze(until=A_TIME + DAY), now=A_TIME)

    with transaction(A_CAUSE) as tx:
        before = reminder_store.of_task(tx, task.id)
        task_changes.save_reminders(tx, task, changed=[gone, snoozed], events=[], now=A_TIME)
        after = reminder_store.of_task(tx, task.id)
        of_both = reminder_store.of_tasks(tx, [task.id, other.id])
        of_me, of_none = reminder_store.all_of(tx, ME), reminder_store.of_tasks(tx, [])

    assert before == [one, two]
    assert after == [gone, snoozed]
    assert {each.id for each in of_both} == {one.id, two.id, theirs.id}
    assert [each for each in of_both if each.user_id == OTHER] == [theirs]
    assert sorted(of_me, key=lambda each: each.created_at) == [gone, snoozed]
    assert of_none == []


def test_a_reminder_is_locked_with_its_task_and_for_its_own_user_alone() -> None:
    task = _a_due_task()
    deleted, _ = tasks.delete(task, now=A_TIME)
    reminder, removed = _a_reminder_at(task, HOUR), _a_reminder_at(task, 2 * HOUR)
    removed, _ = reminders.remove(removed, now=A_TIME)
    _store(deleted, reminder, removed)

    with transaction(A_CAUSE) as tx:
        assert reminder_store.lock(tx, ME, reminder.id) == (reminder, deleted)
        assert _due_reminders(A_TIME + DAY) == [], "the task is locked"
        for user_id, reminder_id in ((OTHER, reminder.id), (ME, removed.id), (ME, uuid4())):
            with pytest.raises(ReminderNotFound):
                reminder_store.lock(tx, user_id, reminder_id)


def test_a_reminder_removed_during_the_wait_for_its_task_is_not_found() -> None:
    task = _a_due_task()
    reminder = _a_reminder_at(task, HOUR)
    _store(task, reminder)
    gone, _ = reminders.remove(reminder, now=A_TIME)

    with ThreadPoolExecutor(1) as pool:
        with _held(task) as tx:
            waiting = pool.submit(run, lambda it: reminder_store.lock(it, ME, reminder.id), A_CAUSE)
            eventually(_assert_someone_waits)
            task_changes.save_reminders(tx, task, changed=[gone], events=[], now=A_TIME)

        with pytest.raises(ReminderNotFound):
            waiting.result(WAIT_S)


def _assert_someone_waits() -> None:
    with transaction(A_CAUSE) as tx:
        statement = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        assert tx.connection.execute(statement).scalar_one() > 0


def test_the_pending_list_has_the_scheduled_reminders_of_a_user_in_pages_by_time() -> None:
    task, other = _a_due_task(), _a_due_task(user_id=OTHER)
    mine = [_a_reminder_at(task, hours * HOUR) for hours in (3, 1, 2, 1)]
    sent = reminders.trigger(_a_reminder_at(task, HOUR), task, now=A_TIME).reminder
    gone, _ = reminders.remove(_a_reminder_at(task, HOUR), now=A_TIME)
    _store(task, other, *mine, sent, gone, _a_reminder_at(other, HOUR))
    wanted = sorted(mine, key=lambda one: (one.remind_at, one.id))

    found: list[Reminder] = []
    with transaction(A_CAUSE) as tx:
        while True:
            after = (found[-1].remind_at, found[-1].id) if found else None
            page = reminder_store.pending(tx, ME, after=after, limit=1)
            if not page:
                break
            found += page

    assert found == wanted


# Reminders that are due


def test_reminders_are_due_at_their_time_with_their_tasks() -> None:
    one, two = _a_due_task(), _a_due_task(user_id=OTHER)
    first, second, third = (
        _a_reminder_at(one, HOUR),
        _a_reminder_at(two, 2 * HOUR),
        _a_reminder_at(one, 3 * HOUR),
    )
    sent = reminders.trigger(_a_reminder_at(one, HOUR), one, now=A_TIME).reminder
    gone, _ = reminders.remove(_a_reminder_at(one, HOUR), now=A_TIME)
    _store(one, two, third, second, first, sent, gone)

    assert _due_reminders(A_TIME + HOUR - timedelta.resolution) == []
    assert _due_reminders(A_TIME + HOUR) == [(first, one)]
    assert _by_id(_due_reminders(A_TIME + 3 * HOUR)) == {
        first.id: (first, one),
        second.id: (second, two),
        third.id: (third, one),
    }
    assert _by_id(_due_reminders(A_TIME + 3 * HOUR, limit=2)).keys() == {first.id, second.id}
    assert _due_reminders(A_TIME + 3 * HOUR, without=[first.id, second.id]) == [(third, one)]


def _by_id(found: Sequence[tuple[Reminder, Task]]) -> dict[UUID, tuple[Reminder, Task]]:
    return {reminder.id: (reminder, task) for reminder, task in found}


def test_the_longest_due_reminder_comes_first() -> None:
    task = _a_due_task()
    set_first, due_first = (
        _a_reminder_at(task, 2 * HOUR),
        replace(_a_reminder_at(task, HOUR), created_at=A_TIME),
    )
    _store(task, set_first, due_first)

    found = _due_reminders(A_TIME + DAY)

    assert [reminder.id for reminder, _ in found] == [due_first.id, set_first.id]


def test_the_next_reminder_is_the_first_of_all_users() -> None:
    task, other = _a_due_task(), _a_due_task(user_id=OTHER)
    with transaction(A_CAUSE) as tx:
        nothing = reminder_store.next_due(tx)
    sent = reminders.trigger(_a_reminder_at(task, HOUR), task, now=A_TIME).reminder
    _store(task, other, _a_reminder_at(task, 3 * HOUR), _a_reminder_at(other, 2 * HOUR), sent)

    with transaction(A_CAUSE) as tx:
        assert (nothing, reminder_store.next_due(tx)) == (None, A_TIME + 2 * HOUR)


def test_reminders_of_a_locked_task_are_passed_over() -> None:
    held, free = _a_due_task(), _a_due_task()
    theirs, mine = _a_reminder_at(held, HOUR), _a_reminder_at(free, 2 * HOUR)
    _store(held, free, theirs, mine)

    with _held(held):
        meanwhile = _due_reminders(A_TIME + DAY, limit=1)

    assert meanwhile == [(mine, free)]
    assert len(_due_reminders(A_TIME + DAY)) == 2


def test_two_simultaneous_runs_never_take_the_same_reminder() -> None:
    stored = [_a_due_task() for _ in range(4)]
    due = [_a_reminder_at(task, number * HOUR) for number, task in enumerate(stored)]
    _store(*stored, *due)

    with transaction(A_CAUSE) as tx, transaction(A_CAUSE) as other:
        mine = _by_id(_take_reminders(tx, now=A_TIME + DAY, limit=2))
        theirs = _by_id(_take_reminders(other, now=A_TIME + DAY, limit=9))

    assert (mine.keys(), theirs.keys()) == (
        {one.id for one in due[:2]},
        {one.id for one in due[2:]},
    )


def _complete(task: Task, reminder: Reminder) -> tuple[Task, Reminder]:
    completed, _ = tasks.set_completed(task, True, now=A_TIME)  # noqa: FBT003 - the domain's own
    [cancelled], _ = reminders.reschedule(task, completed, [reminder], now=A_TIME)
    return completed, cancelled


def _move(task: Task, reminder: Reminder) -> tuple[Task, Reminder]:
    moved, _ = tasks.set_due_date(task, A_TIME + 9 * DAY, now=A_TIME)
    [later], _ = reminders.reschedule(task, moved, [reminder], now=A_TIME)
    return moved, later


def _send(task: Task, reminder: Reminder) -> tuple[Task, Reminder]:
    return task, reminders.trigger(reminder, task, now=A_TIME + DAY).reminder


CHANGES = pytest.mark.parametrize("change", [_complete, _move, _send])
Change = Callable[[Task, Reminder], tuple[Task, Reminder]]


@CHANGES
def test_a_reminder_in_change_is_not_taken_and_is_then_as_the_change_left_it(
    change: Change,
) -> None:
    task, other = _a_due_task(), _a_due_task()
    reminder, untouched = a_reminder(task, before_due="PT1H"), _a_reminder_at(other, HOUR)
    _store(task, other, reminder, untouched)
    now = A_TIME + DAY

    with _held(task) as tx:
        after, changed = change(task, reminder)
        _save_in(tx, (task, after), changed)
        while_held = _due_reminders(now)

    assert while_held == _due_reminders(now) == [(untouched, other)]


HOLD = """
ALTER TABLE reminders RENAME TO all_reminders;
CREATE FUNCTION hold() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF current_setting('test.hold', true) = 'yes' THEN
        PERFORM pg_advisory_xact_lock_shared(77);
    END IF;
    RETURN true;
END $$;
CREATE VIEW reminders AS SELECT * FROM all_reminders WHERE hold();
"""


@CHANGES
def test_a_reminder_changed_between_the_read_and_the_lock_is_not_taken(
    change: Change, database: EmbeddedPostgres
) -> None:
    task, other = _a_due_task(), _a_due_task()
    reminder, untouched = a_reminder(task, before_due="PT1H"), _a_reminder_at(other, HOUR)

    def take(tx: Transaction) -> list[tuple[Reminder, Task]]:
        tx.connection.execute(text("SET LOCAL test.hold = 'yes'"))
        return _take_reminders(tx, now=A_TIME + DAY, limit=9)

    with a_database(database), ThreadPoolExecutor(1) as pool:
        _store(task, other, reminder, untouched)
        with transaction(A_CAUSE) as tx:
            tx.connection.execute(text(HOLD))
        with transaction(A_CAUSE) as tx:
            tx.connection.execute(text("SELECT pg_advisory_xact_lock(77)"))
            # It has looked, as of before the change, and has no lock yet.
            taking = pool.submit(run, take, A_CAUSE)
            eventually(_assert_someone_waits)
            after, changed = change(task, reminder)
            _save((task, after), changed)
        found = taking.result(WAIT_S)

    assert found == [(untouched, other)]


def test_no_reminder_is_sent_twice_or_too_late_by_simultaneous_runs_and_completions() -> None:
    stored = [_a_due_task() for _ in range(40)]
    due = {task.id: _a_reminder_at(task, HOUR) for task in stored}
    _store(*stored, *due.values())
    now, sent = A_TIME + DAY, list[UUID]()

    def take(_taker: int) -> None:
        def work(tx: Transaction) -> list[UUID]:
            found = _take_reminders(tx, now=now, limit=3)
            assert all(task.is_open for _, task in found)
            fired = [reminders.trigger(one, task, now=now) for one, task in found]
            task_changes.save_all(
                tx,
                reminders=[each.reminder for each in fired],
                notifications=[each.notification for each in fired],
                events=[event for each in fired for event in each.happened],
            )
            return [one.id for one, _ in found]

        while taken := run(work, A_CAUSE):
            sent.extend(taken)

    def complete(task: Task) -> None:
        def work(tx: Transaction) -> None:
            before = task_store.lock(tx, ME, task.id)
            completed = tasks.set_completed(before, True, now=now)  # noqa: FBT003 - the domain's own
            task_changes.save(tx, before, completed)

        run(work, A_CAUSE)

    with ThreadPoolExecutor(6) as pool:
        working = [pool.submit(take, taker) for taker in range(4)]
        working += [pool.submit(complete, task) for task in stored[::-2]]
        for done in working:
            done.result(WAIT_S)

    with transaction(A_CAUSE) as tx:
        after = reminder_store.all_of(tx, ME)
        inbox = notification_store.list_of(tx, ME, unread=False, after=None, limit=200)
    assert len(sent) == len({*sent})
    assert {one.id for one in after if one.status is ReminderStatus.SENT} == {*sent}
    assert {one.reminder_id for one in inbox} == {*sent}
    assert {one.status for one in after} <= {ReminderStatus.SENT, ReminderStatus.CANCELLED}


@pytest.mark.parametrize("after", [-HOUR / 2, timedelta(0), HOUR], ids=["before", "amid", "behind"])
def test_the_backlog_of_one_user_does_not_come_before_the_first_item_of_another(
    after: timedelta,
) -> None:
    backlog = [a_task(now=A_TIME) for _ in range(600)]
    theirs = a_task(user_id=OTHER)
    late = [
        a_reminder(one, remind_at=rfc3339(A_TIME + HOUR + (place - 300) * SECOND))
        for place, one in enumerate(backlog)
    ]
    soon = a_reminder(theirs, remind_at=rfc3339(A_TIME + HOUR + after))
    _store(*backlog, theirs, *late, soon)

    with transaction(A_CAUSE) as tx:
        taken = reminder_store.lock_due(tx, DueQuery(100), now=A_TIME + 3 * HOUR)

    assert len(taken) == 100
    assert soon.id in [item.id for item in taken[:2]]


def test_a_user_in_the_middle_of_the_due_items_is_found_by_a_look_among_all() -> None:
    theirs = _a_series(user_id=OTHER)
    _store(theirs, *(_a_series((place - 300) * SECOND + DAY) for place in range(600)))

    with transaction(A_CAUSE) as tx:
        among_all, at_the_ends = (
            {item.user_id for item in task_store.lock_due(tx, query, now=A_TIME + 2 * DAY)}
            for query in (DueQuery(100), DueQuery(100, all_users=False))
        )

    assert (among_all, at_the_ends) == ({ME, OTHER}, {ME})


def test_one_look_takes_at_least_one_task_and_no_more_than_its_bytes() -> None:
    _store(replace(_a_series(HOUR), description="x" * 2 * BATCH_MAX_BYTES))
    third = "x" * (BATCH_MAX_BYTES // 3 - 100)
    _store(*(replace(_a_series(), description=third) for _ in range(4)))

    with transaction(A_CAUSE) as tx:
        first = task_store.lock_due(tx, DueQuery(100), now=A_TIME + DAY)
        without = frozenset({first[0].id})
        then = task_store.lock_due(tx, DueQuery(100, without), now=A_TIME + DAY)

    assert [len(first), len(then)] == [1, 3]


# The inbox


def _a_notification(task: Task, reminder: Reminder, minutes: int = 0) -> Notification:
    notification, _ = notifications.create(
        user_id=task.user_id,
        task_id=task.id,
        reminder_id=reminder.id,
        title="Zażółć :name %s \\ '🐘'",
        message=None,
        late_by_s=0.0,
        now=A_TIME + timedelta(minutes=minutes),
    )
    return notification


def test_the_inbox_is_newest_first_in_pages_and_can_leave_out_read_notifications() -> None:
    task, other = _a_due_task(), _a_due_task(user_id=OTHER)
    mine, theirs = _a_reminder_at(task, HOUR), _a_reminder_at(other, HOUR)
    inbox = [_a_notification(task, mine, minutes) for minutes in (2, 1, 1, 0)]
    _store(task, other, mine, theirs, *inbox, _a_notification(other, theirs))
    with transaction(A_CAUSE) as tx:
        read, _ = notifications.read(notification_store.lock(tx, ME, inbox[0].id), now=A_TIME)
        notification_store.save(tx, read)
    wanted = sorted([read, *inbox[1:]], key=lambda one: (one.created_at, one.id), reverse=True)

    for unread in (False, True):
        found: list[Notification] = []
        with transaction(A_CAUSE) as tx:
            while True:
                after = (found[-1].created_at, found[-1].id) if found else None
                page = notification_store.list_of(tx, ME, unread=unread, after=after, limit=2)
                if not page:
                    break
                found += page

        assert found == [one for one in wanted if one.read_at is None or not unread]


def test_a_notification_is_shown_to_its_own_user_alone() -> None:
    task = _a_due_task()
    reminder = _a_reminder_at(task, HOUR)
    notification = _a_notification(task, reminder)
    _store(task, reminder, notification)

    with transaction(A_CAUSE) as tx:
        assert notification_store.lock(tx, ME, notification.id) == notification
        for user_id, wanted in ((OTHER, notification.id), (ME, uuid4())):
            with pytest.raises(NotificationNotFound):
                notification_store.lock(tx, user_id, wanted)
