"""DELETE /api/{user_id}/reminders/{reminder_id}: take a reminder away."""

from uuid import UUID

from taskflow import clock
from taskflow.domain import reminders
from taskflow.domain.errors import ReminderNotFound
from taskflow.serving import Caller, NoContent, http_function
from taskflow.storage import Transaction, reminder_store, task_changes


@http_function(
    "DELETE /api/{user_id}/reminders/{reminder_id}",
    permission="tasks:write",
    raises=[ReminderNotFound],
)
def remove_reminder(caller: Caller, reminder_id: UUID, tx: Transaction) -> NoContent:
    reminder, task = reminder_store.lock(tx, caller.user_id, reminder_id)
    now = clock.now()
    removed, happened = reminders.remove(reminder, now=now)
    task_changes.save_reminders(tx, task, changed=[removed], events=[happened], now=now)
    return NoContent()
