"""DELETE /api/{user_id}/tasks/{task_id}/recurrence: end a series; its occurrences stay."""

from uuid import UUID

from taskflow import clock
from taskflow.domain import recurring
from taskflow.domain.errors import NoRecurrence, TaskNotFound
from taskflow.serving import Caller, Conditions, NoContent, http_function
from taskflow.storage import Transaction, task_changes, task_store


@http_function(
    "DELETE /api/{user_id}/tasks/{task_id}/recurrence",
    permission="tasks:write",
    raises=[TaskNotFound, NoRecurrence],
)
def remove_recurrence(
    caller: Caller, task_id: UUID, conditions: Conditions, tx: Transaction
) -> NoContent:
    task = task_store.lock(tx, caller.user_id, task_id)
    conditions.check(task)
    task_changes.save(tx, task, recurring.remove_recurrence(task, now=clock.now()))
    return NoContent()
