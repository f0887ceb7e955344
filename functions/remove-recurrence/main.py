"""DELETE /api/{user_id}/tasks/{task_id}/recurrence: end a series; its occurrences stay."""

from uuid import UUID

from flask import Response

from taskflow import clock
from taskflow.domain import recurring
from taskflow.serving import Caller, Conditions, http_function, no_content
from taskflow.storage import Transaction, task_changes, task_store


@http_function("DELETE /api/{user_id}/tasks/{task_id}/recurrence", permission="tasks:write")
def remove_recurrence(
    caller: Caller, task_id: UUID, conditions: Conditions, tx: Transaction
) -> Response:
    task = task_store.lock(tx, caller.user_id, task_id)
    conditions.check(task)
    task_changes.save(tx, task, recurring.remove_recurrence(task, now=clock.now()))
    return no_content()
