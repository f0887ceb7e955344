"""PUT /api/{user_id}/tasks/{task_id}/due-date: move a task's due date, or clear it."""

from uuid import UUID

from flask import Response

from taskflow import clock
from taskflow.domain import tasks
from taskflow.domain.tasks import DueDate
from taskflow.serving import Caller, Conditions, http_function, shown
from taskflow.storage import Transaction, task_changes, task_store


@http_function("PUT /api/{user_id}/tasks/{task_id}/due-date", permission="tasks:write")
def change_due_date(
    caller: Caller, task_id: UUID, wanted: DueDate, conditions: Conditions, tx: Transaction
) -> Response:
    task = task_store.lock(tx, caller.user_id, task_id)
    conditions.check(task)
    changed = task_changes.save(
        tx, task, tasks.set_due_date(task, wanted.due_date, now=clock.now())
    )
    return shown(changed)
