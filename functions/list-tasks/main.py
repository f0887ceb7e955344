"""GET /api/{user_id}/tasks: list one's tasks, filtered, sorted, in pages."""

from typing import Annotated, Literal
from uuid import UUID

from flask import Request
from pydantic import Field

from taskflow.domain import tasks
from taskflow.domain.representations import TaskRepresentation
from taskflow.domain.tasks import Priority, Status
from taskflow.domain.text import Text
from taskflow.domain.times import Time
from taskflow.serving import Caller, Page, PageQuery, http_function, page, read_cursor, write_cursor
from taskflow.storage import Transaction, task_lists
from taskflow.storage.task_lists import Position, TaskFilter

Sort = Literal[
    "created_at",
    "due_date",
    "priority",
    "updated_at",
    "title",
    "-created_at",
    "-due_date",
    "-priority",
    "-updated_at",
    "-title",
]


class TaskQuery(PageQuery):
    """How to narrow and sort the list; `tag` may be repeated, and then all must be there."""

    status: Annotated[list[Status], Field(description="Of one of these.")] = []
    completed: Annotated[bool | None, Field(description="Completed, or not.")] = None
    priority: Annotated[list[Priority], Field(description="Of one of these.")] = []
    tag: Annotated[
        list[Text], Field(max_length=tasks.TAGS_MAX, description="With all of these tags.")
    ] = []
    due_before: Annotated[Time | None, Field(description="Due before this.")] = None
    due_after: Annotated[Time | None, Field(description="Due after this.")] = None
    recurring: Annotated[bool | None, Field(description="With a series, or without.")] = None
    sort: Annotated[Sort, Field(description="By what; with `-`, the last one first.")] = (
        "-created_at"
    )


@http_function("GET /api/{user_id}/tasks", permission="tasks:read", scale="often")
def list_tasks(
    caller: Caller, request: Request, query: TaskQuery, tx: Transaction
) -> Page[TaskRepresentation]:
    found = task_lists.list_of(
        tx,
        caller.user_id,
        TaskFilter(
            status=query.status,
            completed=query.completed,
            priority=query.priority,
            tags=query.tag,
            due_before=query.due_before,
            due_after=query.due_after,
            recurring=query.recurring,
        ),
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
