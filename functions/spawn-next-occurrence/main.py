"""On task.completed: create the next occurrence of a series that repeats after completion."""

from uuid import UUID

from taskflow import clock
from taskflow.domain import recurring
from taskflow.domain.errors import TaskNotFound
from taskflow.domain.events import EventType
from taskflow.eventing import event_function
from taskflow.eventing.envelope import DeliveredEvent
from taskflow.kafka.topics import TASKS_TOPIC
from taskflow.storage import Transaction, events, reminder_store, task_store


@event_function(TASKS_TOPIC, types=[EventType.TASK_COMPLETED])
def spawn_next_occurrence(delivered: DeliveredEvent, tx: Transaction) -> None:
    series_id = delivered.data.get("recurring_task_id")
    if series_id is None and not delivered.data.get("is_recurring"):
        return
    completed_id = UUID(delivered.aggregate_id)
    try:
        task = task_store.lock(tx, delivered.user_id, UUID(series_id or delivered.aggregate_id))
        completed = task_store.get(tx, delivered.user_id, completed_id)
    except TaskNotFound:
        # Deleted since then, which ends the series or leaves it at this.
        return
    if task_store.has_successor(tx, completed_id):
        return
    templates = reminder_store.of_task(tx, task.id)
    spawned = recurring.spawn_after(task, completed, templates, now=clock.now())
    times = {task.id: [one.due_date for one in spawned.occurrences if one.due_date]}
    if not spawned.occurrences or task_store.occurrences_at(tx, times):
        return
    task_store.add_all(tx, spawned.occurrences)
    reminder_store.add_all(tx, spawned.reminders)
    task_store.save_all(tx, [spawned.task])
    events.append(tx, spawned.happened)
