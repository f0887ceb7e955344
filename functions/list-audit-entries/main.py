"""GET /api/admin/audit: list audit entries by user, task, type and time, newest first."""

from typing import Annotated
from uuid import UUID

from flask import Request
from pydantic import Field
from typing_extensions import TypedDict

from taskflow.domain.events import EventType
from taskflow.domain.identifiers import IdText
from taskflow.domain.text import Text
from taskflow.domain.times import Time, TimeText, rfc3339
from taskflow.serving import Page, PageQuery, http_function, page, read_position, write_cursor
from taskflow.storage import Transaction, audit_store
from taskflow.storage.audit_store import AuditEntry, AuditFilter


class AuditQuery(PageQuery):
    """Which entries to list: `since` is included, `until` is not."""

    user_id: Annotated[Text | None, Field(description="Of this user.")] = None
    task_id: Annotated[UUID | None, Field(description="Of this task.")] = None
    type: Annotated[EventType | None, Field(description="Of events of this type.")] = None
    since: Annotated[Time | None, Field(description="From then on.")] = None
    until: Annotated[Time | None, Field(description="Before then.")] = None


class AuditEntryRepresentation(TypedDict):
    """Who did what, when, from where, and as part of which request."""

    event_id: Annotated[IdText, Field(description="The event's id.")]
    event_type: Annotated[str, Field(description="The event's type.")]
    user_id: Annotated[str, Field(description="Whose event it is.")]
    aggregate_id: Annotated[str, Field(description="What it is of: a task, an account, …")]
    task_id: Annotated[IdText | None, Field(description="The task that it is about, if any.")]
    timestamp: Annotated[TimeText, Field(description="When it happened.")]
    correlation_id: Annotated[str, Field(description="As part of which request.")]
    version: Annotated[int, Field(description="Of the aggregate: 1, 2, 3, …")]
    seq: Annotated[int, Field(description="Its place in the user's stream.")]
    actor: Annotated[str, Field(description="The user id of who asked.")]
    origin: Annotated[str, Field(description="From which address and program.")]


@http_function("GET /api/admin/audit", permission="audit:read", scale="seldom")
def list_audit_entries(
    request: Request, query: AuditQuery, tx: Transaction
) -> Page[AuditEntryRepresentation]:
    wanted = AuditFilter(
        user_id=query.user_id,
        task_id=query.task_id,
        event_type=query.type,
        since=query.since,
        until=query.until,
    )
    after = None if query.cursor is None else read_position(query.cursor, "audit")
    found = audit_store.list_of(tx, wanted, after=after, limit=query.limit + 1)
    return page(request, found, query.limit, represent=_represent, cursor=_cursor)


def _cursor(entry: AuditEntry) -> str:
    return write_cursor("audit", rfc3339(entry.timestamp), str(entry.event_id))


def _represent(entry: AuditEntry) -> AuditEntryRepresentation:
    return {
        "event_id": str(entry.event_id),
        "event_type": entry.event_type,
        "user_id": entry.user_id,
        "aggregate_id": entry.aggregate_id,
        "task_id": str(entry.task_id) if entry.task_id else None,
        "timestamp": rfc3339(entry.timestamp),
        "correlation_id": entry.correlation_id,
        "version": entry.version,
        "seq": entry.seq,
        "actor": entry.actor,
        "origin": entry.origin,
    }
