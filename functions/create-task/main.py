"""POST /api/{user_id}/tasks: create a task, with its series and its reminders if it has any."""

from taskflow import clock
from taskflow.domain import creation
from taskflow.domain.creation import NewTask
from taskflow.domain.errors import AccountNotFound
from taskflow.serving import Caller, TaskCreated, http_function
from taskflow.storage import Transaction, account_store, task_changes


@http_function(
    "POST /api/{user_id}/tasks", permission="tasks:write", raises=[AccountNotFound], scale="often"
)
def create_task(caller: Caller, draft: NewTask, tx: Transaction) -> TaskCreated:
    zone = account_store.zone_of(tx, caller.user_id) if draft.needs_zone else ""
    made = creation.create(draft, user_id=caller.user_id, user_zone=zone, now=clock.now())
    task_changes.save_all(
        tx,
        new_tasks=[made.task],
        new_reminders=made.reminders,
        notifications=made.notifications,
        events=made.happened,
    )
    return TaskCreated(made.task)
