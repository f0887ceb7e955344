"""GET /api/{user_id}/tasks/recurring: list one's recurring tasks, newest first, in pages."""

from uuid import UUID

from flask import Request, Response

from taskflow.domain import tasks
from taskflow.domain.text import compact_json
from taskflow.serving import Caller, PageQuery, http_function, page, read_cursor, write_cursor
from taskflow.storage import Transaction, task_store
from taskflow.storage.task_store import Position, TaskFilter

OF = "recurring"


@http_function("GET /api/{user_id}/tasks/recurring", permission="tasks:read")
def list_recurring_tasks(
    caller: Caller, request: Request, query: PageQuery, tx: Transaction
) -> Response:
    after = None if query.cursor is None else Position(*read_cursor(query.cursor, OF, str, UUID))
    found = task_store.list_of(
        tx,
        caller.user_id,
        TaskFilter(recurring=True),
        sort="-created_at",
        after=after,
        limit=query.limit + 1,
    )
    return page(
        request,
        found,
        query.limit,
        as_json=lambda row: compact_json(tasks.represent(row[0])),
        cursor=lambda row: write_cursor(OF, row[1].key, str(row[1].id)),
    )
