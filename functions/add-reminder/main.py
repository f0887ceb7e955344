"""POST /api/{user_id}/tasks/{task_id}/reminders: have oneself reminded of a task."""

from uuid import UUID

from taskflow import clock
from taskflow.domain import reminders
from taskflow.domain.errors import AccountNotFound, TaskIsClosed, TaskNotFound
from taskflow.domain.reminders import ReminderDraft
from taskflow.domain.representations import ReminderRepresentation
from taskflow.serving import Caller, Created, Ok, http_function
from taskflow.storage import (
    Transaction,
    account_store,
    reminder_store,
    task_changes,
    task_store,
)


@http_function(
    "POST /api/{user_id}/tasks/{task_id}/reminders",
    permission="tasks:write",
    raises=[TaskNotFound, TaskIsClosed, AccountNotFound],
)
def add_reminder(
    caller: Caller, task_id: UUID, draft: ReminderDraft, tx: Transaction
) -> Ok[ReminderRepresentation] | Created[ReminderRepresentation]:
    zone = account_store.zone_of(tx, caller.user_id)
    task = task_store.lock(tx, caller.user_id, task_id)
    others = reminder_store.of_task(tx, task_id)
    now = clock.now()
    added = reminders.add(task, draft, others, zone, now=now)
    if not added.happened:
        return Ok(reminders.represent(added.reminder))
    fired = [] if added.notification is None else [added.notification]
    task_changes.save_reminders(
        tx, task, added=[added.reminder], notifications=fired, events=added.happened, now=now
    )
    shown = reminders.represent(added.reminder, fires_immediately=bool(fired))
    return Created(shown)
