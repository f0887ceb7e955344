"""Imports in PostgreSQL: of which export an account is made, and how far that has come."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import bindparam, exists, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from taskflow.domain.errors import AccountIsNotEmpty
from taskflow.storage.tables import EVENTS, IMPORTS, TASKS
from taskflow.storage.transactions import Transaction

_PRESENT = select(TASKS.c.id, TASKS.c.recurring_task_id, TASKS.c.occurrence_at).where(
    TASKS.c.id == func.any(bindparam("ids", type_=ARRAY(TASKS.c.id.type))),
    TASKS.c.user_id == bindparam("user"),
)


@dataclass(frozen=True, slots=True)
class Source:
    """Which export is imported: of which user, up to which event of their stream."""

    user_id: str
    seq: int


def begin(tx: Transaction, user_id: str, source: Source, *, now: datetime) -> int:
    """Begin an import, or go on with it; return how many tasks it has added so far.

    The account is locked. Raises AccountIsNotEmpty for one that has tasks of its own, deleted or
    not, or of another export.
    """
    row = tx.connection.execute(select(IMPORTS).where(IMPORTS.c.user_id == user_id)).one_or_none()
    if row is not None:
        if (row.source_user_id, row.source_seq) != (source.user_id, source.seq):
            raise AccountIsNotEmpty
        return row.tasks
    # By the log, which knows of the deleted ones too.
    has_tasks = exists().where(EVENTS.c.user_id == user_id, EVENTS.c.event_type == "task.created")
    if tx.connection.execute(select(has_tasks)).scalar_one():
        raise AccountIsNotEmpty
    tx.connection.execute(
        IMPORTS.insert().values(
            user_id=user_id,
            source_user_id=source.user_id,
            source_seq=source.seq,
            tasks=0,
            started_at=now,
        )
    )
    return 0


def present(tx: Transaction, user_id: str, ids: Sequence[UUID]) -> set[UUID]:
    """Return which of these tasks the user has, deleted or not."""
    values = {"ids": list(ids), "user": user_id}
    return {row.id for row in tx.connection.execute(_PRESENT, values)}


def save(tx: Transaction, user_id: str, *, tasks: int, finished_at: datetime | None) -> None:
    """Record how many tasks an import has added, and when it was complete, if it is."""
    tx.connection.execute(
        IMPORTS.update()
        .where(IMPORTS.c.user_id == user_id)
        .values(tasks=tasks, finished_at=func.coalesce(IMPORTS.c.finished_at, finished_at))
    )
