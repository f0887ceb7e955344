"""GET /api/{user_id}/tasks/recurring: list one's recurring tasks, newest first, in pages."""

from uuid import UUID

from flask import Request

from taskflow.domain import tasks
from taskflow.domain.representations import TaskRepresentation
from taskflow.serving import Caller, Page, PageQuery, http_function, page, read_cursor, write_cursor
from taskflow.storage import Transaction, task_lists
from taskflow.storage.task_lists import Position, TaskFilter

OF = "recurring"


@http_function("GET /api/{user_id}/tasks/recurring", permission="tasks:read")
def list_recurring_tasks(
    caller: Caller, request: Request, query: PageQuery, tx: Transaction
) -> Page[TaskRepresentation]:
    after = None if query.cursor is None else Position(*read_cursor(query.cursor, OF, str, UUID))
    found = task_lists.list_of(
        tx,
        caller.user_id,
        TaskFilter(recurring=True),
        sort="-created_at",
        after=after,
        limit=query.limit + 1,
    )

    def cursor(position: Position) -> str:
        return write_cursor(OF, position.key, str(position.id))

    return page(
        request,
        found.tasks,
        query.limit,
        represent=lambda row: tasks.represent(row[0]),
        cursor=lambda row: cursor(row[1]),
        then=found.then and cursor(found.then),
    )
