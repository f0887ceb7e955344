"""GET /api/{user_id}/reminders/pending: list the reminders that are to come, the next one first."""

from typing import Annotated
from uuid import UUID

from flask import Request
from pydantic import Field

from taskflow.domain import reminders
from taskflow.domain.representations import ReminderRepresentation
from taskflow.domain.times import rfc3339
from taskflow.serving import (
    Caller,
    Page,
    PageQuery,
    http_function,
    page,
    read_position,
    write_cursor,
)
from taskflow.storage import Transaction, reminder_store

OF = "pending"


class PendingQuery(PageQuery):
    """Of which task, and the query of a list."""

    task_id: Annotated[UUID | None, Field(description="Of this task.")] = None


@http_function("GET /api/{user_id}/reminders/pending", permission="tasks:read")
def list_pending_reminders(
    caller: Caller, request: Request, query: PendingQuery, tx: Transaction
) -> Page[ReminderRepresentation]:
    after = None if query.cursor is None else read_position(query.cursor, OF)
    found = reminder_store.pending(
        tx, caller.user_id, task_id=query.task_id, after=after, limit=query.limit + 1
    )
    return page(
        request,
        found,
        query.limit,
        represent=reminders.represent,
        cursor=lambda one: write_cursor(OF, rfc3339(one.remind_at), str(one.id)),
    )
