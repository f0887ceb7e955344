"""Changes of tasks: the one way to write tasks and reminders, with the events that record it.

A change of a task reschedules its reminders in the same transaction, and a reminder that is added
or removed changes the lead time of a recurring task. Whoever changes a task, or a reminder of it,
holds the task's lock.
"""

from collections.abc import Sequence
from datetime import datetime

from taskflow.domain import recurring
from taskflow.domain.events import NewEvent
from taskflow.domain.notifications import Notification
from taskflow.domain.reminders import Reminder, are_affected, reschedule_all
from taskflow.domain.tasks import Changed, Task
from taskflow.storage import bulk, notification_store, reminder_store, task_store
from taskflow.storage.events import append
from taskflow.storage.tables import REMINDERS, TASKS
from taskflow.storage.transactions import Transaction


def save(tx: Transaction, before: Task, changed: Changed) -> Task:
    """Write a change of a task that this transaction has locked; return the task after it."""
    after, happened = changed
    save_all(tx, tasks=[(before, after)], events=happened)
    return after


def save_all(
    tx: Transaction,
    *,
    events: Sequence[NewEvent],
    tasks: Sequence[tuple[Task, Task]] = (),
    reminders: Sequence[Reminder] = (),
    new_tasks: Sequence[Task] = (),
    new_reminders: Sequence[Reminder] = (),
    notifications: Sequence[Notification] = (),
) -> None:
    """Write changes of tasks that this transaction has locked, and of their reminders.

    Each of `tasks` is a task before and after; equal ones are not written. The events of reminders
    that are rescheduled with their tasks come after `events`.

    Raises ValueError for a reminder that is removed, and for a new one of a task that is not new:
    `save_reminders` writes these, with the lead time.
    """
    new_ids = {task.id for task in new_tasks}
    are_added = any(one.task_id not in new_ids for one in new_reminders)
    if are_added or any(one.is_removed for one in reminders):
        raise ValueError("save_reminders adds and removes reminders, with the lead time")
    changed = [(before, after) for before, after in tasks if before != after]
    bulk.insert(tx, TASKS, [task_store.row_of(task) for task in new_tasks])
    bulk.update(tx, TASKS, [task_store.row_of(after) for _, after in changed], version="version")
    bulk.insert(tx, REMINDERS, [reminder_store.row_of(one) for one in new_reminders])
    _update_reminders(tx, reminders)
    rescheduled = _reschedule(tx, changed)
    notification_store.add_all(tx, notifications)
    append(tx, [*events, *rescheduled])


def save_reminders(
    tx: Transaction,
    task: Task,
    *,
    events: Sequence[NewEvent],
    now: datetime,
    added: Sequence[Reminder] = (),
    changed: Sequence[Reminder] = (),
    notifications: Sequence[Notification] = (),
) -> None:
    """Write reminders of a task that this transaction has locked: `added`, or changed or removed.

    A recurring task gets the lead time of the reminders that it has then.
    """
    bulk.insert(tx, REMINDERS, [reminder_store.row_of(one) for one in added])
    _update_reminders(tx, changed)
    led = recurring.extend_lead_time(task, added, now=now)
    if changed and task.recurrence is not None:
        led = recurring.fit_lead_time(task, reminder_store.of_task(tx, task.id), now=now)
    save_all(tx, tasks=[(task, led)], notifications=notifications, events=events)


def _reschedule(tx: Transaction, changed: Sequence[tuple[Task, Task]]) -> Sequence[NewEvent]:
    """Reschedule the reminders of changed tasks; return the events."""
    affecting = [each for each in changed if are_affected(*each)]
    if not affecting:
        return []
    found = reminder_store.of_tasks(tx, [after.id for _, after in affecting])
    moved, happened = reschedule_all(affecting, found)
    _update_reminders(tx, moved)
    return happened


def _update_reminders(tx: Transaction, changed: Sequence[Reminder]) -> None:
    bulk.update(tx, REMINDERS, [reminder_store.row_of(one) for one in changed])
