"""The audit: one entry for each event of the log, written by a consumer, and held against it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, Table, Uuid, and_, bindparam, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from taskflow.storage import events
from taskflow.storage.tables import AUDIT_ENTRIES, EVENTS
from taskflow.storage.transactions import Transaction

_COMPARED = (
    "user_id",
    "seq",
    "event_type",
    "aggregate_id",
    "version",
    "timestamp",
    "correlation_id",
    "actor",
    "origin",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who did what, when, from where, and as part of which request."""

    event_id: UUID
    user_id: str
    seq: int
    event_type: str
    aggregate_id: str
    task_id: UUID | None
    version: int
    timestamp: datetime
    correlation_id: str
    actor: str
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries to list; what is None does not narrow."""

    user_id: str | None = None
    task_id: UUID | None = None
    event_type: str | None = None
    since: datetime | None = None
    until: datetime | None = None


_RECORD = (
    insert(AUDIT_ENTRIES)
    .from_select(
        ["event_id", "task_id", *_COMPARED],
        select(
            EVENTS.c.event_id,
            bindparam("about_task", type_=Uuid),
            *(EVENTS.c[name] for name in _COMPARED),
        ).where(
            EVENTS.c.user_id == bindparam("user"),
            EVENTS.c.seq == bindparam("place"),
            EVENTS.c.event_id == bindparam("id"),
        ),
    )
    .on_conflict_do_nothing()
)


def record(
    tx: Transaction, user_id: str, seq: int, *, event_id: UUID, task_id: UUID | None
) -> None:
    """Store the entry of an event of the log, once, even where the claim was lost.

    Raises NotAnEventOfOurs where the log has another event there, or none.
    """
    values = {"user": user_id, "place": seq, "id": event_id, "about_task": task_id}
    if tx.connection.execute(_RECORD, values).rowcount == 0:
        # It has its entry already, or there is no such event.
        events.get(tx, user_id, seq, event_id=event_id)


def list_of(
    tx: Transaction, wanted: AuditFilter, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[AuditEntry]:
    """Return entries, newest first, after the one of this time and id."""
    entries = AUDIT_ENTRIES.c
    query = select(AUDIT_ENTRIES)
    if wanted.user_id is not None:
        query = query.where(entries.user_id == wanted.user_id)
    if wanted.task_id is not None:
        query = query.where(entries.task_id == wanted.task_id)
    if wanted.event_type is not None:
        query = query.where(entries.event_type == wanted.event_type)
    if wanted.since is not None:
        query = query.where(entries.timestamp >= wanted.since)
    if wanted.until is not None:
        query = query.where(entries.timestamp < wanted.until)
    if after is not None:
        query = query.where(tuple_(entries.timestamp, entries.event_id) < tuple_(*after))
    query = query.order_by(entries.timestamp.desc(), entries.event_id.desc()).limit(limit)
    return [AuditEntry(**row) for row in tx.connection.execute(query).mappings()]


def differing(
    tx: Transaction, *, user_id: str | None, before: datetime, limit: int
) -> list[tuple[str, int]]:
    """Return events, as (user id, seq), whose entry is missing or says something else.

    Those appended after `before` may still be on their way. Entries that have no event, which can
    only have been taken out of the log, are returned too.
    """
    same = and_(*(EVENTS.c[name] == AUDIT_ENTRIES.c[name] for name in _COMPARED))
    query = (
        select(EVENTS.c.user_id, EVENTS.c.seq)
        .outerjoin(AUDIT_ENTRIES, AUDIT_ENTRIES.c.event_id == EVENTS.c.event_id)
        .where(EVENTS.c.timestamp <= before)
        .where(or_(AUDIT_ENTRIES.c.event_id.is_(None), ~same))
        .order_by(EVENTS.c.user_id, EVENTS.c.seq)
        .limit(limit)
    )
    recorded = select(EVENTS.c.event_id).where(EVENTS.c.event_id == AUDIT_ENTRIES.c.event_id)
    orphans = (
        select(AUDIT_ENTRIES.c.user_id, AUDIT_ENTRIES.c.seq)
        .where(~recorded.exists())
        .order_by(AUDIT_ENTRIES.c.user_id, AUDIT_ENTRIES.c.seq)
        .limit(limit)
    )
    if user_id is not None:
        query = query.where(EVENTS.c.user_id == user_id)
        orphans = orphans.where(AUDIT_ENTRIES.c.user_id == user_id)
    found = [(row.user_id, row.seq) for row in tx.connection.execute(query)]
    found += [(row.user_id, row.seq) for row in tx.connection.execute(orphans)]
    return sorted(found)[:limit]


def counts(tx: Transaction, *, user_id: str | None) -> tuple[int, int]:
    """Return how many events, and how many entries, there are of everyone or of one user."""

    def counted(table: Table) -> Select[int]:
        query = select(func.count()).select_from(table)
        return query if user_id is None else query.where(table.c.user_id == user_id)

    return (
        tx.connection.execute(counted(EVENTS)).scalar_one(),
        tx.connection.execute(counted(AUDIT_ENTRIES)).scalar_one(),
    )
