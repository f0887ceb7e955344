"""POST /api/admin/tasks/{task_id}/correct: an administrator's correction of anyone's task."""

from uuid import UUID

from taskflow import clock
from taskflow.domain import tasks
from taskflow.domain.errors import TaskNotFound
from taskflow.domain.tasks import TaskChanges
from taskflow.serving import Conditions, TaskShown, http_function
from taskflow.storage import Transaction, task_changes, task_store


@http_function(
    "POST /api/admin/tasks/{task_id}/correct",
    permission="tasks:write",
    role="admin",
    raises=[TaskNotFound],
    scale="seldom",
)
def correct_task(
    task_id: UUID, changes: TaskChanges, conditions: Conditions, tx: Transaction
) -> TaskShown:
    task = task_store.lock(tx, task_store.owner(tx, task_id), task_id)
    conditions.check(task)
    changed = task_changes.save(tx, task, tasks.correct(task, changes, now=clock.now()))
    return TaskShown(changed)
