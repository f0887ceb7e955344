"""POST /api/admin/tasks/{task_id}/correct: an administrator's correction of anyone's task."""

from uuid import UUID

from flask import Response

from taskflow import clock
from taskflow.domain import tasks
from taskflow.domain.tasks import TaskChanges
from taskflow.serving import Conditions, http_function, shown
from taskflow.storage import Transaction, events, reminder_store, task_store


@http_function("POST /api/admin/tasks/{task_id}/correct", permission="tasks:write", role="admin")
def correct_task(
    task_id: UUID, changes: TaskChanges, conditions: Conditions, tx: Transaction
) -> Response:
    task = task_store.lock(tx, task_store.owner(tx, task_id), task_id)
    conditions.check(task)
    now = clock.now()
    changed, happened = tasks.correct(task, changes, now=now)
    task_store.save(tx, changed)
    of_reminders = reminder_store.follow(tx, task, changed, now=now)
    events.append(tx, [*happened, *of_reminders])
    return shown(changed)
