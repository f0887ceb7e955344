"""POST /api/{user_id}/reminders/{reminder_id}/snooze: be reminded again later."""

from uuid import UUID

from taskflow import clock
from taskflow.domain import reminders
from taskflow.domain.errors import ReminderNotFound, TaskIsClosed
from taskflow.domain.reminders import Snooze
from taskflow.domain.representations import ReminderRepresentation
from taskflow.serving import Caller, Ok, http_function
from taskflow.storage import Transaction, reminder_store, task_changes


@http_function(
    "POST /api/{user_id}/reminders/{reminder_id}/snooze",
    permission="tasks:write",
    raises=[ReminderNotFound, TaskIsClosed],
)
def snooze_reminder(
    caller: Caller, reminder_id: UUID, wanted: Snooze, tx: Transaction
) -> Ok[ReminderRepresentation]:
    reminder, task = reminder_store.lock(tx, caller.user_id, reminder_id)
    reminder, happened = reminders.snooze(reminder, task, wanted, now=clock.now())
    task_changes.save_all(tx, reminders=[reminder], events=happened)
    return Ok(reminders.represent(reminder))
