"""GET /api/{user_id}/tasks/{task_id}/recurrence: show the series of a task."""

from uuid import UUID

from flask import Response

from taskflow.domain import recurring
from taskflow.serving import Caller, as_json, http_function
from taskflow.storage import Transaction, task_store


@http_function("GET /api/{user_id}/tasks/{task_id}/recurrence", permission="tasks:read")
def get_recurrence(caller: Caller, task_id: UUID, tx: Transaction) -> Response:
    return as_json(recurring.represent(task_store.get(tx, caller.user_id, task_id)))
