"""On task.completed: create the next occurrence of a series that repeats after completion."""

from uuid import UUID

from taskflow import clock
from taskflow.domain import recurring
from taskflow.domain.errors import TaskNotFound
from taskflow.domain.events import EventType
from taskflow.eventing import event_function
from taskflow.eventing.envelope import DeliveredEvent
from taskflow.storage import Transaction, reminder_store, task_changes, task_store


# Each occurrence has one successor, and they are looked up in the database, not told by the event.
@event_function(EventType.TASK_COMPLETED, starts="beginning", ordering="unordered")
def spawn_next_occurrence(delivered: DeliveredEvent, tx: Transaction) -> None:
    # Its own series comes before the one that it is an occurrence of.
    own = delivered.aggregate_id if delivered.data.get("is_recurring") else None
    for task_id in (own, delivered.data.get("recurring_task_id")):
        if task_id is not None and _spawn(
            tx, delivered.user_id, UUID(task_id), UUID(delivered.aggregate_id)
        ):
            return


def _spawn(tx: Transaction, user_id: str, task_id: UUID, completed_id: UUID) -> bool:
    """Create the occurrence after the completed one in a series; say whether it exists now."""
    try:
        task = task_store.lock(tx, user_id, task_id)
        completed = task_store.get(tx, user_id, completed_id)
    except TaskNotFound:
        # Deleted since then, which ends the series or leaves it at this.
        return False
    if task_store.has_successor(tx, completed_id):
        return True
    templates = reminder_store.of_task(tx, task.id)
    spawned = recurring.spawn_after(task, completed, templates, now=clock.now())
    times = {task.id: [one.occurrence_at for one in spawned.occurrences if one.occurrence_at]}
    if not spawned.occurrences or task_store.occurrences_at(tx, times):
        return False
    task_changes.save_all(
        tx,
        tasks=[(task, spawned.task)],
        new_tasks=spawned.occurrences,
        new_reminders=spawned.reminders,
        events=spawned.happened,
    )
    return True
