"""GET /api/{user_id}/tasks/{task_id}/recurrence: show the series of a task."""

from uuid import UUID

from taskflow.domain import recurring
from taskflow.domain.errors import NoRecurrence, TaskNotFound
from taskflow.domain.recurring import SeriesRepresentation
from taskflow.serving import Caller, Ok, http_function
from taskflow.storage import Transaction, task_store


@http_function(
    "GET /api/{user_id}/tasks/{task_id}/recurrence",
    permission="tasks:read",
    raises=[TaskNotFound, NoRecurrence],
)
def get_recurrence(caller: Caller, task_id: UUID, tx: Transaction) -> Ok[SeriesRepresentation]:
    return Ok(recurring.represent(task_store.get(tx, caller.user_id, task_id)))
