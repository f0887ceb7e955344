"""PATCH /api/{user_id}/tasks/{task_id}/complete, or POST: complete a task, or reopen it."""

from uuid import UUID

from taskflow import clock
from taskflow.domain import tasks
from taskflow.domain.errors import TaskNotFound
from taskflow.domain.tasks import Completion
from taskflow.serving import Caller, Conditions, TaskShown, http_function
from taskflow.storage import Transaction, task_changes, task_store


@http_function(
    "PATCH /api/{user_id}/tasks/{task_id}/complete",
    "POST /api/{user_id}/tasks/{task_id}/complete",
    permission="tasks:write",
    raises=[TaskNotFound],
    scale="often",
)
def complete_task(
    caller: Caller, task_id: UUID, wanted: Completion, conditions: Conditions, tx: Transaction
) -> TaskShown:
    task = task_store.lock(tx, caller.user_id, task_id)
    conditions.check(task)
    changed = task_changes.save(
        tx, task, tasks.set_completed(task, wanted.completed, now=clock.now())
    )
    return TaskShown(changed)
