"""Changes of tasks are written in one way: with the reminders that follow, and with the events."""

import ast
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

import taskflow.storage
from taskflow.domain import recurring, reminders, tasks
from taskflow.domain.reminders import Reminder, ReminderStatus
from taskflow.domain.tasks import Changed, Task, TaskChanges
from taskflow.domain.times import rfc3339
from taskflow.storage import reminder_store, task_changes, task_store, transaction
from taskflow.storage.transactions import engine
from tests.support.data.accounts import A_CAUSE, SignedIn
from tests.support.data.builders import A_TIME, a_recurring_task, a_reminder, a_task, log_of
from tests.support.paths import ROOT

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DUE = A_TIME + 10 * DAY


def _stored(user: SignedIn, count: int) -> list[tuple[Task, Reminder]]:
    """Store tasks, each with a reminder an hour before it is due, without their events."""
    stored = [a_task(user_id=user.user_id, due_date=rfc3339(DUE)) for _ in range(count)]
    theirs = [a_reminder(task, before_due="PT1H") for task in stored]
    with transaction(A_CAUSE) as tx:
        task_changes.save_all(tx, new_tasks=stored, new_reminders=theirs, events=[])
    return list(zip(stored, theirs, strict=True))


def _saved(*changes: tuple[Task, Changed]) -> list[str]:
    """Save changes of tasks in one transaction; return the statements that it sent."""
    with transaction(A_CAUSE) as tx, _statements() as sent:
        task_changes.save_all(
            tx,
            tasks=[(before, after) for before, (after, _) in changes],
            events=[each for _, (_, happened) in changes for each in happened],
        )
    return sent


@contextmanager
def _statements() -> Generator[list[str]]:
    sent: list[str] = []

    def keep(_connection: object, _cursor: object, statement: str, *_others: object) -> None:
        sent.append(statement)

    event.listen(engine(), "before_cursor_execute", keep)
    try:
        yield sent
    finally:
        event.remove(engine(), "before_cursor_execute", keep)


def _types(user: SignedIn) -> list[str]:
    return [each.event_type for each in log_of(user.user_id)]


def _reminder_of(task: Task) -> Reminder:
    with transaction(A_CAUSE) as tx:
        [found] = reminder_store.of_task(tx, task.id)
    return found


def test_a_due_date_moves_the_reminders_whose_events_come_after_those_of_the_task(
    user: SignedIn,
) -> None:
    [(task, reminder)] = _stored(user, 1)

    with transaction(A_CAUSE) as tx:
        moved = tasks.set_due_date(task, DUE + DAY, now=A_TIME)
        after = task_changes.save(tx, task, moved)

    with transaction(A_CAUSE) as tx:
        assert task_store.get(tx, user.user_id, task.id) == after == moved[0]
    followed, _ = reminders.reschedule(task, after, [reminder], now=A_TIME)
    assert [_reminder_of(task)] == followed
    assert _types(user)[1:] == ["task.due_date_changed", "reminder.rescheduled"]


def test_a_change_that_concerns_no_reminders_reads_none(user: SignedIn) -> None:
    [(task, _)] = _stored(user, 1)

    sent = _saved((task, tasks.update(task, TaskChanges(title="x"), now=A_TIME)))

    assert len(sent) == 2, "the task and its event"
    assert not any("reminders" in statement for statement in sent)


def test_an_unchanged_task_sends_no_statement(user: SignedIn) -> None:
    [(task, _)] = _stored(user, 1)

    assert _saved((task, (task, []))) == []


def test_many_tasks_are_changed_by_as_few_statements_as_two(user: SignedIn) -> None:
    stored = _stored(user, 20)

    def completed(places: slice) -> list[tuple[Task, Changed]]:
        return [
            (task, tasks.set_completed(task, True, now=A_TIME))  # noqa: FBT003 - the domain's own
            for task, _ in stored[places]
        ]

    of_two, of_many = _saved(*completed(slice(2))), _saved(*completed(slice(2, None)))

    assert len(of_many) == len(of_two) == 6, "tasks, two for reminders, three for their events"
    assert {_reminder_of(task).status for task, _ in stored} == {ReminderStatus.CANCELLED}
    assert sorted(_types(user)[1:]) == ["reminder.cancelled"] * 20 + ["task.completed"] * 20


def test_a_lead_time_is_stored_although_it_raises_no_version(user: SignedIn) -> None:
    task = a_recurring_task(user_id=user.user_id)
    with transaction(A_CAUSE) as tx:
        task_changes.save_all(tx, new_tasks=[task], events=[])

    with transaction(A_CAUSE) as tx:
        led = task_changes.save(tx, task, (recurring.set_lead_time(task, HOUR, now=A_TIME), []))

    with transaction(A_CAUSE) as tx:
        assert task_store.get(tx, user.user_id, task.id) == led != task


def _stored_series(user: SignedIn, before_due: str) -> tuple[Task, Reminder]:
    task = replace(a_recurring_task(user_id=user.user_id), due_date=DUE)
    reminder = a_reminder(task, before_due=before_due)
    task = recurring.fit_lead_time(task, [reminder], now=A_TIME)
    with transaction(A_CAUSE) as tx:
        task_changes.save_all(tx, new_tasks=[task], new_reminders=[reminder], events=[])
    return task, reminder


def _lead_time_of(task: Task) -> timedelta:
    with transaction(A_CAUSE) as tx:
        found = task_store.get(tx, task.user_id, task.id)
    assert found.recurrence is not None
    return found.recurrence.lead


def test_the_lead_time_is_that_of_the_reminders_a_series_has_after_their_change(
    user: SignedIn,
) -> None:
    task, hour = _stored_series(user, "PT1H")
    longer, shorter = (a_reminder(task, before_due=text) for text in ("PT3H", "PT2H"))
    leads: list[timedelta] = []

    with transaction(A_CAUSE) as tx, _statements() as sent:
        task_changes.save_reminders(tx, task, added=[longer, shorter], events=[], now=A_TIME)
    leads.append(_lead_time_of(task))
    for one in (longer, hour, shorter):
        removed, _ = reminders.remove(one, now=A_TIME)
        with transaction(A_CAUSE) as tx:
            task = task_store.lock(tx, user.user_id, task.id)
            task_changes.save_reminders(tx, task, changed=[removed], events=[], now=A_TIME)
        leads.append(_lead_time_of(task))

    assert leads == [3 * HOUR, 2 * HOUR, 2 * HOUR, timedelta(0)]
    assert len(sent) == 2, "the reminders, and the task"


def test_a_reminder_is_not_added_to_a_stored_task_nor_removed_without_its_lead_time(
    user: SignedIn,
) -> None:
    task, reminder = _stored_series(user, "PT1H")
    removed, _ = reminders.remove(reminder, now=A_TIME)

    with transaction(A_CAUSE) as tx, _statements() as sent:
        with pytest.raises(ValueError, match="lead time"):
            task_changes.save_all(tx, reminders=[removed], events=[])
        with pytest.raises(ValueError, match="lead time"):
            task_changes.save_all(tx, new_reminders=[a_reminder(task, before_due="P1D")], events=[])

    assert sent == []


# Nothing else writes them

MODULES = sorted(Path(taskflow.storage.__file__).parent.glob("*.py"))
FUNCTIONS = sorted((ROOT / "functions").glob("*/main.py"))
WRITTEN = {"TASKS", "REMINDERS"}
WRITING = {"insert", "update", "delete", "insert_json", "delete_batch", "take_batch"}
WRITING_SQL = re.compile(
    rf"\b(insert\s+into|update|delete\s+from)\s+({'|'.join(WRITTEN)})\b", re.IGNORECASE
)


def _writes(source: str) -> bool:
    """Say whether a module has a statement, or makes one, that writes tasks or reminders."""
    return any(
        _is_writing_call(node)
        if isinstance(node, ast.Call)
        else isinstance(node, ast.Constant) and bool(WRITING_SQL.search(str(node.value)))
        for node in ast.walk(ast.parse(source))
    )


def _is_writing_call(call: ast.Call) -> bool:
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    match call.func:
        case ast.Attribute(value=receiver, attr=name):
            operands = [receiver, *given]
        case ast.Name(id=name):
            operands = given
        case _:
            return False
    tables = {each.id for each in operands if isinstance(each, ast.Name)} & WRITTEN
    return name in WRITING and bool(tables)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_other_module_of_storage_writes_tasks_or_reminders(path: Path) -> None:
    # What an erasure deletes goes with the events that it came of.
    assert _writes(path.read_text()) == (path.stem in {"task_changes", "erasure_store"})


@pytest.mark.parametrize("path", FUNCTIONS, ids=lambda path: path.parent.name)
def test_no_function_writes_tasks_or_reminders_by_itself(path: Path) -> None:
    assert not _writes(path.read_text())


@pytest.mark.parametrize(
    "source",
    [
        "TASKS.update().where(True)",
        "insert(REMINDERS)",
        "bulk.update(tx, TASKS, rows)",
        "bulk.update(tx, table=TASKS, rows=rows)",
        "delete(table=REMINDERS)",
        "text('UPDATE tasks SET title = 1')",
    ],
)
def test_the_check_finds_each_way_to_write_tasks_or_reminders(source: str) -> None:
    assert _writes(source)
