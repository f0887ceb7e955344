"""DELETE /api/{user_id}/reminders/{reminder_id}: take a reminder away."""

from uuid import UUID

from flask import Response

from taskflow import clock
from taskflow.domain import reminders
from taskflow.serving import Caller, http_function, no_content
from taskflow.storage import Transaction, events, reminder_store, task_store


@http_function("DELETE /api/{user_id}/reminders/{reminder_id}", permission="tasks:write")
def remove_reminder(caller: Caller, reminder_id: UUID, tx: Transaction) -> Response:
    reminder, task = reminder_store.lock(tx, caller.user_id, reminder_id)
    now = clock.now()
    reminder, happened = reminders.remove(reminder, now=now)
    reminder_store.save_all(tx, [reminder])
    task_store.set_lead(tx, task, reminders.lead_of(reminder_store.of_task(tx, task.id)), now=now)
    events.append(tx, [happened])
    return no_content()
