"""Changes of tasks: the one way to write tasks and reminders, with the events that record it.

What a task's change does to its reminders goes with it. Whoever changes a task, or a reminder of
it, holds the task's lock.
"""

from collections.abc import Sequence

from taskflow.domain.events import NewEvent
from taskflow.domain.notifications import Notification
from taskflow.domain.reminders import Reminder, concern, follow_all
from taskflow.domain.tasks import Changed, Task
from taskflow.storage import bulk, notification_store, reminder_store, task_store
from taskflow.storage.events import append
from taskflow.storage.tables import REMINDERS, TASKS
from taskflow.storage.transactions import Transaction


def save(tx: Transaction, before: Task, changed: Changed) -> Task:
    """Write what became of a task that this transaction locked; return it as it is now."""
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
    """Write what became of tasks and reminders whose tasks this transaction locked.

    Each of `tasks` is one before and after; where they are equal, it is not written. The events of
    the reminders that follow their tasks come after `events`.
    """
    changed = [(before, after) for before, after in tasks if before != after]
    bulk.insert(tx, TASKS, [task_store.row_of(task) for task in new_tasks])
    bulk.update(tx, TASKS, [task_store.row_of(after) for _, after in changed], version="version")
    bulk.insert(tx, REMINDERS, [reminder_store.row_of(one) for one in new_reminders])
    _update_reminders(tx, reminders)
    followed = _follow(tx, changed)
    notification_store.add_all(tx, notifications)
    append(tx, [*events, *followed])


def _follow(tx: Transaction, changed: Sequence[tuple[Task, Task]]) -> Sequence[NewEvent]:
    """Have the reminders of changed tasks follow them; return the events."""
    concerning = [each for each in changed if concern(*each)]
    if not concerning:
        return []
    found = reminder_store.of_tasks(tx, [after.id for _, after in concerning])
    moved, happened = follow_all(concerning, found)
    _update_reminders(tx, moved)
    return happened


def _update_reminders(tx: Transaction, changed: Sequence[Reminder]) -> None:
    bulk.update(tx, REMINDERS, [reminder_store.row_of(one) for one in changed])
