"""POST /api/admin/tasks/{task_id}/correct: an administrator's correction of anyone's task."""

from uuid import UUID

from taskflow import clock
from taskflow.domain import tasks
from taskflow.domain.errors import AccountNotFound, TaskNotFound
from taskflow.domain.tasks import TaskChanges
from taskflow.serving import Conditions, TaskShown, http_function
from taskflow.storage import Transaction, account_store, task_changes, task_store


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
    owner = task_store.owner(tx, task_id)
    try:
        # It stays until the correction is stored.
        account_store.zone_of(tx, owner)
    except AccountNotFound:
        # What is left of a deleted account is erased bit by bit.
        raise TaskNotFound from None
    task = task_store.lock(tx, owner, task_id)
    conditions.check(task)
    changed = task_changes.save(tx, task, tasks.correct(task, changes, now=clock.now()))
    return TaskShown(changed)
