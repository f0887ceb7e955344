"""DELETE /api/{user_id}/tasks/{task_id}: put a task away; it can be restored."""

from uuid import UUID

from flask import Response

from taskflow import clock
from taskflow.domain import tasks
from taskflow.serving import Caller, Conditions, http_function, no_content
from taskflow.storage import Transaction, task_changes, task_store


@http_function("DELETE /api/{user_id}/tasks/{task_id}", permission="tasks:write")
def delete_task(caller: Caller, task_id: UUID, conditions: Conditions, tx: Transaction) -> Response:
    task = task_store.lock(tx, caller.user_id, task_id)
    conditions.check(task)
    task_changes.save(tx, task, tasks.delete(task, now=clock.now()))
    return no_content()
