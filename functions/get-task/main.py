"""GET /api/{user_id}/tasks/{task_id}: show a task."""

from uuid import UUID

from taskflow.domain.errors import TaskNotFound
from taskflow.serving import (
    Caller,
    Conditions,
    NotModified,
    TaskShown,
    http_function,
    shown_unless_known,
)
from taskflow.storage import Transaction, task_store


@http_function(
    "GET /api/{user_id}/tasks/{task_id}",
    permission="tasks:read",
    raises=[TaskNotFound],
    scale="often",
)
def get_task(
    caller: Caller, task_id: UUID, conditions: Conditions, tx: Transaction
) -> TaskShown | NotModified:
    return shown_unless_known(task_store.get(tx, caller.user_id, task_id), conditions)
