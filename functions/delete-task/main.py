"""DELETE /api/{user_id}/tasks/{task_id}: put a task away; it can be restored."""

from uuid import UUID

from taskflow import clock
from taskflow.domain import tasks
from taskflow.domain.errors import TaskNotFound
from taskflow.serving import Caller, Conditions, NoContent, http_function
from taskflow.storage import Transaction, task_changes, task_store


@http_function(
    "DELETE /api/{user_id}/tasks/{task_id}", permission="tasks:write", raises=[TaskNotFound]
)
def delete_task(
    caller: Caller, task_id: UUID, conditions: Conditions, tx: Transaction
) -> NoContent:
    task = task_store.lock(tx, caller.user_id, task_id)
    conditions.check(task)
    task_changes.save(tx, task, tasks.delete(task, now=clock.now()))
    return NoContent()
