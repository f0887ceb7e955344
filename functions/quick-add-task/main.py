"""POST /api/{user_id}/tasks/quick: create a task out of a line of text."""

from taskflow import clock
from taskflow.domain import creation, quick_add
from taskflow.domain.errors import AccountNotFound
from taskflow.domain.quick_add import QuickAdd
from taskflow.serving import Caller, TaskCreated, http_function
from taskflow.storage import Transaction, account_store, task_changes


@http_function(
    "POST /api/{user_id}/tasks/quick", permission="tasks:write", raises=[AccountNotFound]
)
def quick_add_task(caller: Caller, wanted: QuickAdd, tx: Transaction) -> TaskCreated:
    zone, now = account_store.zone_of(tx, caller.user_id), clock.now()
    understood = quick_add.read(
        wanted.text, default_text=wanted.default_text, user_zone=zone, now=now
    )
    made = creation.create(understood.draft, user_id=caller.user_id, user_zone=zone, now=now)
    task_changes.save_all(
        tx,
        new_tasks=[made.task],
        new_reminders=made.reminders,
        notifications=made.notifications,
        events=made.happened,
    )
    return TaskCreated(made.task)
