"""Due items, locked in round-robin order of users: each one's first before anybody's second."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Integer,
    Text,
    Uuid,
    bindparam,
    func,
    literal_column,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from taskflow.storage.tables import TASKS
from taskflow.storage.transactions import Transaction

WINDOW = 100
"""How many of the longest due items, and of the newest, are searched for users."""

BATCH_MAX_BYTES = 2 * 1024 * 1024
"""The size of the tasks that are locked at once; one of any size always is."""


@dataclass(frozen=True, slots=True)
class DueQuery:
    """Asks for at most `limit` due items, without these ids and without these users.

    With `all_users`, users are found too who have nothing among the longest due and the newest
    items; that reads all due items, if need be.
    """

    limit: int
    excluded_ids: frozenset[UUID] = field(default_factory=frozenset[UUID])
    excluded_users: frozenset[str] = field(default_factory=frozenset[str])
    all_users: bool = True


class DueItem(NamedTuple):
    """An item that is due and locked: its id, its user's, and the size of its task in bytes."""

    id: UUID
    user_id: str
    size_bytes: int


LockDueItems = Callable[[Transaction, DueQuery], Sequence[DueItem]]
"""Locks the items of a query; skips those that another transaction has locked.

It reads ids and sizes alone, so that an item whose row can't be read is known by its id.
"""


class DueItems:
    """The due items of one kind, found in their table and locked by their tasks."""

    def __init__(
        self,
        item: Column[UUID],
        task: Column[UUID],
        at: Column[datetime],
        pending: ColumnElement[bool],
    ) -> None:
        """Take the columns of an item's id, its task's id and its time, of `pending` rows."""
        table = item.table
        due = select(
            item.label("id"), task.label("task_id"), table.c.user_id, at.label("at")
        ).where(
            pending,
            at <= bindparam("now"),
            item != func.all(bindparam("excluded_ids", type_=ARRAY(Uuid))),
            table.c.user_id != func.all(bindparam("excluded_users", type_=ARRAY(Text))),
        )
        # Not as a parameter: PostgreSQL would plan for a tenth of all that is due.
        most = literal_column(str(WINDOW), Integer)
        ends = union_all(
            select(due.order_by(at).limit(most).subquery()),
            # The newest are candidates too, for another user's backlog may be all that is older.
            select(due.order_by(at.desc()).limit(most).subquery()),
        ).cte("ends")
        is_full = select(func.count()).select_from(ends).scalar_subquery() >= 2 * most
        others = (
            due.where(
                bindparam("all_users", type_=Boolean),
                is_full,
                table.c.user_id.not_in(select(ends.c.user_id)),
            )
            .order_by(at)
            .limit(most)
            .subquery("others")
        )
        candidates = union_all(select(ends).distinct(), select(others)).subquery("candidates")
        rank = func.row_number().over(
            partition_by=candidates.c.user_id, order_by=(candidates.c.at, candidates.c.id)
        )
        ranked = select(candidates, rank.label("rank")).subquery("ranked")
        size: ColumnElement[int] = func.coalesce(
            func.octet_length(TASKS.c.description), 0
        ) + func.pg_column_size(TASKS.c.metadata)
        found = select(ranked.c.id, ranked.c.user_id, size.label("size")).join(
            TASKS, TASKS.c.id == ranked.c.task_id
        )
        self._statement = (
            # PostgreSQL reads this again of what another has changed before the lock was had.
            found.where(at <= bindparam("now") if table is TASKS else true())
            .order_by(ranked.c.rank, ranked.c.at)
            .limit(bindparam("most"))
            .with_for_update(of=TASKS, skip_locked=True)
        )

    def lock(self, tx: Transaction, query: DueQuery, *, now: datetime) -> list[DueItem]:
        """Lock the tasks of items that are due by `now`; return the items in round-robin order.

        Items whose task another transaction has locked are skipped.
        """
        values = {
            "now": now,
            "most": query.limit,
            "excluded_ids": list(query.excluded_ids),
            "excluded_users": list(query.excluded_users),
            "all_users": query.all_users,
        }
        return _within_bytes(
            [DueItem(*row) for row in tx.connection.execute(self._statement, values)]
        )


def _within_bytes(items: Sequence[DueItem]) -> list[DueItem]:
    taken: list[DueItem] = []
    left = BATCH_MAX_BYTES
    for item in items:
        left -= item.size_bytes
        if taken and left < 0:
            break
        taken.append(item)
    return taken
