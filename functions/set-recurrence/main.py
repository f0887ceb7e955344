"""POST /api/{user_id}/tasks/{task_id}/recurrence: make a task recur, or otherwise than before."""

from uuid import UUID

from taskflow import clock
from taskflow.domain import recurring, reminders
from taskflow.domain.errors import AccountNotFound, TaskNotFound
from taskflow.domain.recurring import RecurrenceDraft, SeriesRepresentation
from taskflow.serving import Caller, Conditions, Ok, http_function
from taskflow.storage import (
    Transaction,
    account_store,
    reminder_store,
    task_changes,
    task_store,
)


@http_function(
    "POST /api/{user_id}/tasks/{task_id}/recurrence",
    permission="tasks:write",
    raises=[TaskNotFound, AccountNotFound],
)
def set_recurrence(
    caller: Caller, task_id: UUID, draft: RecurrenceDraft, conditions: Conditions, tx: Transaction
) -> Ok[SeriesRepresentation]:
    zone = account_store.zone_of(tx, caller.user_id)
    task = task_store.lock(tx, caller.user_id, task_id)
    conditions.check(task)
    lead = reminders.lead_time_of(reminder_store.of_task(tx, task_id))
    changed = task_changes.save(
        tx, task, recurring.set_recurrence(task, draft, zone, lead=lead, now=clock.now())
    )
    return Ok(recurring.represent(changed))
