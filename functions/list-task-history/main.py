"""GET /api/{user_id}/tasks/{task_id}/history: a task's events, also after its deletion."""

from uuid import UUID

from flask import Request

from taskflow.domain.errors import TaskNotFound
from taskflow.domain.events import EventRepresentation
from taskflow.serving import (
    Caller,
    Page,
    PageQuery,
    http_function,
    page_of_json,
    read_cursor,
    write_cursor,
)
from taskflow.storage import Transaction, events, task_store


@http_function(
    "GET /api/{user_id}/tasks/{task_id}/history", permission="tasks:read", raises=[TaskNotFound]
)
def list_task_history(
    caller: Caller, task_id: UUID, request: Request, query: PageQuery, tx: Transaction
) -> Page[EventRepresentation]:
    [after_seq] = [0] if query.cursor is None else read_cursor(query.cursor, "history", int)
    if task_store.owner(tx, task_id) != caller.user_id:
        raise TaskNotFound
    found = events.history(
        tx, caller.user_id, str(task_id), after_seq=after_seq, limit=query.limit + 1
    )
    return page_of_json(
        request,
        found,
        query.limit,
        as_json=lambda event: event.record_json(),
        cursor=lambda event: write_cursor("history", event.seq),
        more=events.may_have_more(found, limit=query.limit + 1),
    )
