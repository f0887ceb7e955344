"""PUT /api/{user_id}/tasks/{task_id}/due-date: move a task's due date, or clear it."""

from uuid import UUID

from taskflow import clock
from taskflow.domain import tasks
from taskflow.domain.errors import TaskNotFound
from taskflow.domain.tasks import DueDate
from taskflow.serving import Caller, Conditions, TaskShown, http_function
from taskflow.storage import Transaction, task_changes, task_store


@http_function(
    "PUT /api/{user_id}/tasks/{task_id}/due-date", permission="tasks:write", raises=[TaskNotFound]
)
def change_due_date(
    caller: Caller, task_id: UUID, wanted: DueDate, conditions: Conditions, tx: Transaction
) -> TaskShown:
    task = task_store.lock(tx, caller.user_id, task_id)
    conditions.check(task)
    changed = task_changes.save(
        tx, task, tasks.set_due_date(task, wanted.due_date, now=clock.now())
    )
    return TaskShown(changed)
