"""POST /api/{user_id}/tasks: create a task."""

from flask import Response

from taskflow import clock
from taskflow.domain import tasks
from taskflow.domain.tasks import TaskDraft
from taskflow.serving import Caller, created, http_function
from taskflow.storage import Transaction, events, task_store


@http_function("POST /api/{user_id}/tasks", permission="tasks:write")
def create_task(caller: Caller, draft: TaskDraft, tx: Transaction) -> Response:
    task, happened = tasks.create(draft, user_id=caller.user_id, now=clock.now())
    task_store.add(tx, task)
    events.append(tx, happened)
    return created(task)
