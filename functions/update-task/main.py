"""PATCH /api/{user_id}/tasks/{task_id}, or PUT: merge changes into a task."""

from uuid import UUID

from taskflow import clock
from taskflow.domain import tasks
from taskflow.domain.errors import TaskNotFound
from taskflow.domain.tasks import TaskChanges
from taskflow.serving import Caller, Conditions, TaskShown, http_function
from taskflow.storage import Transaction, task_changes, task_store


@http_function(
    "PATCH /api/{user_id}/tasks/{task_id}",
    "PUT /api/{user_id}/tasks/{task_id}",
    permission="tasks:write",
    raises=[TaskNotFound],
    scale="often",
)
def update_task(
    caller: Caller, task_id: UUID, changes: TaskChanges, conditions: Conditions, tx: Transaction
) -> TaskShown:
    task = task_store.lock(tx, caller.user_id, task_id)
    conditions.check(task)
    changed = task_changes.save(tx, task, tasks.update(task, changes, now=clock.now()))
    return TaskShown(changed)
