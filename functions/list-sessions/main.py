"""GET /api/{user_id}/sessions: list where one is signed in, the newest first, in pages."""

from flask import Request

from taskflow import clock
from taskflow.domain import sessions
from taskflow.domain.sessions import SessionRepresentation
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
from taskflow.storage import Transaction, session_store

OF = "sessions"


@http_function("GET /api/{user_id}/sessions", permission="tasks:read", scale="seldom")
def list_sessions(
    caller: Caller, request: Request, query: PageQuery, tx: Transaction
) -> Page[SessionRepresentation]:
    after = None if query.cursor is None else read_position(query.cursor, OF)
    found = session_store.list_of(
        tx, caller.user_id, after=after, limit=query.limit + 1, now=clock.now()
    )
    return page(
        request,
        found,
        query.limit,
        represent=lambda one: sessions.represent(one, current_id=caller.session_id),
        cursor=lambda one: write_cursor(OF, rfc3339(one.created_at), str(one.id)),
    )
