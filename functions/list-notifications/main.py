"""GET /api/{user_id}/notifications: list what is in one's inbox, newest first, in pages."""

from typing import Annotated

from flask import Request
from pydantic import Field

from taskflow.domain import notifications
from taskflow.domain.representations import NotificationRepresentation
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
from taskflow.storage import Transaction, notification_store

OF = "notifications"


class NotificationQuery(PageQuery):
    """How to narrow the list: `unread` leaves out what was read."""

    unread: Annotated[bool, Field(description="Only those that were not read.")] = False


@http_function("GET /api/{user_id}/notifications", permission="tasks:read")
def list_notifications(
    caller: Caller, request: Request, query: NotificationQuery, tx: Transaction
) -> Page[NotificationRepresentation]:
    after = None if query.cursor is None else read_position(query.cursor, OF)
    found = notification_store.list_of(
        tx, caller.user_id, unread=query.unread, after=after, limit=query.limit + 1
    )
    return page(
        request,
        found,
        query.limit,
        represent=notifications.represent,
        cursor=lambda one: write_cursor(OF, rfc3339(one.created_at), str(one.id)),
    )
