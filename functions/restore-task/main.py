"""POST /api/{user_id}/tasks/{task_id}/restore: bring a deleted task back."""

from uuid import UUID

from taskflow import clock
from taskflow.domain import tasks
from taskflow.domain.errors import TaskNotFound
from taskflow.serving import Caller, Conditions, TaskShown, http_function
from taskflow.storage import Transaction, task_changes, task_store


@http_function(
    "POST /api/{user_id}/tasks/{task_id}/restore", permission="tasks:write", raises=[TaskNotFound]
)
def restore_task(
    caller: Caller, task_id: UUID, conditions: Conditions, tx: Transaction
) -> TaskShown:
    task = task_store.lock(tx, caller.user_id, task_id, deleted=True)
    conditions.check(task)
    changed = task_changes.save(tx, task, tasks.restore(task, now=clock.now()))
    return TaskShown(changed)
