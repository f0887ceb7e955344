"""POST /api/{user_id}/tasks: create a task, with its series and its reminders if it has any."""

from flask import Response

from taskflow import clock
from taskflow.domain import creation
from taskflow.domain.creation import NewTask
from taskflow.serving import Caller, created, http_function
from taskflow.storage import Transaction, account_store, task_changes


@http_function("POST /api/{user_id}/tasks", permission="tasks:write")
def create_task(caller: Caller, draft: NewTask, tx: Transaction) -> Response:
    zone = account_store.zone_of(tx, caller.user_id) if draft.needs_zone else ""
    made = creation.create(draft, user_id=caller.user_id, user_zone=zone, now=clock.now())
    task_changes.save_all(
        tx,
        new_tasks=[made.task],
        new_reminders=made.reminders,
        notifications=made.notifications,
        events=made.happened,
    )
    return created(made.task)
