"""POST /api/admin/tasks/{task_id}/correct: an administrator's correction of anyone's task."""

from uuid import UUID

from flask import Response

from taskflow import clock
from taskflow.domain import tasks
from taskflow.domain.tasks import TaskChanges
from taskflow.serving import Conditions, http_function, shown
from taskflow.storage import Transaction, task_changes, task_store


@http_function("POST /api/admin/tasks/{task_id}/correct", permission="tasks:write", role="admin")
def correct_task(
    task_id: UUID, changes: TaskChanges, conditions: Conditions, tx: Transaction
) -> Response:
    task = task_store.lock(tx, task_store.owner(tx, task_id), task_id)
    conditions.check(task)
    changed = task_changes.save(tx, task, tasks.correct(task, changes, now=clock.now()))
    return shown(changed)
