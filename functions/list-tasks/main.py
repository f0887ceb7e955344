"""GET /api/{user_id}/tasks: list one's tasks, filtered, sorted, in pages."""

from typing import Annotated
from uuid import UUID

from flask import Request
from pydantic import Field

from taskflow.domain import tasks
from taskflow.domain.representations import TaskRepresentation
from taskflow.serving import (
    Caller,
    Page,
    TaskFilterQuery,
    TaskSort,
    http_function,
    page,
    read_cursor,
    write_cursor,
)
from taskflow.storage import Transaction, task_lists
from taskflow.storage.task_lists import Position


class TaskQuery(TaskFilterQuery):
    """How to narrow and sort the list; `tag` may be repeated, and then all must be there."""

    sort: Annotated[TaskSort, Field(description="By what; with `-`, the last one first.")] = (
        "-created_at"
    )


@http_function("GET /api/{user_id}/tasks", permission="tasks:read", scale="often")
def list_tasks(
    caller: Caller, request: Request, query: TaskQuery, tx: Transaction
) -> Page[TaskRepresentation]:
    found = task_lists.list_of(
        tx,
        caller.user_id,
        query.wanted(),
        sort=query.sort,
        after=_position(query),
        limit=query.limit + 1,
    )

    def cursor(position: Position) -> str:
        return write_cursor(query.sort, position.key, str(position.id))

    return page(
        request,
        found.tasks,
        query.limit,
        represent=lambda row: tasks.represent(row[0]),
        cursor=lambda row: cursor(row[1]),
        then=found.then and cursor(found.then),
    )


def _position(query: TaskQuery) -> Position | None:
    if query.cursor is None:
        return None
    key, task_id = read_cursor(query.cursor, query.sort, str, UUID)
    return Position(key, task_id)
