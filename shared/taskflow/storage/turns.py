"""What is due, of all users: each one's first before anybody's second, and each locked by one."""

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

WITHIN = 100
"""How many of the longest due, and how many of the newest, users take turns among."""

TAKEN_BYTES = 2 * 1024 * 1024
"""Of the tasks that one look takes; one always."""


@dataclass(frozen=True, slots=True)
class Look:
    """A look for at most `limit` due items, but none with these ids and none of these users.

    With `among_all`, users are looked for too who have nothing among the longest due and the
    newest; that reads all that is due, if need be.
    """

    limit: int
    without: frozenset[UUID] = field(default_factory=frozenset[UUID])
    without_users: frozenset[str] = field(default_factory=frozenset[str])
    among_all: bool = True


class DueItem(NamedTuple):
    """An item that is due and locked: its id, whose it is, and the bytes of its task."""

    id: UUID
    user_id: str
    size: int


Lock = Callable[[Transaction, Look], Sequence[DueItem]]
"""Locks what a look finds, and reads no more than whose it is: a bad row is known by its own id.

What others hold is passed over.
"""


class Turns:
    """The due items of one kind, whose tasks are locked for whoever takes them."""

    def __init__(
        self,
        item: Column[UUID],
        task: Column[UUID],
        at: Column[datetime],
        pending: ColumnElement[bool],
    ) -> None:
        """Find items by their id, their task's and their time, of those that are `pending`."""
        table = item.table
        due = select(
            item.label("id"), task.label("task_id"), table.c.user_id, at.label("at")
        ).where(
            pending,
            at <= bindparam("now"),
            item != func.all(bindparam("without", type_=ARRAY(Uuid))),
            table.c.user_id != func.all(bindparam("without_users", type_=ARRAY(Text))),
        )
        # Not as a parameter: PostgreSQL would plan for a tenth of all that is due.
        most = literal_column(str(WITHIN), Integer)
        ends = union_all(
            select(due.order_by(at).limit(most).subquery()),
            # What is due at the other end only: the newest are looked at too, for another user's
            # backlog may be all that is older.
            select(due.order_by(at.desc()).limit(most).subquery()),
        ).cte("ends")
        is_full = select(func.count()).select_from(ends).scalar_subquery() >= 2 * most
        others = (
            due.where(
                bindparam("among_all", type_=Boolean),
                is_full,
                table.c.user_id.not_in(select(ends.c.user_id)),
            )
            .order_by(at)
            .limit(most)
            .subquery("others")
        )
        looked = union_all(select(ends).distinct(), select(others)).subquery("looked")
        turn = func.row_number().over(
            partition_by=looked.c.user_id, order_by=(looked.c.at, looked.c.id)
        )
        turns = select(looked, turn.label("turn")).subquery("turns")
        size: ColumnElement[int] = func.coalesce(
            func.octet_length(TASKS.c.description), 0
        ) + func.pg_column_size(TASKS.c.metadata)
        found = select(turns.c.id, turns.c.user_id, size.label("size")).join(
            TASKS, TASKS.c.id == turns.c.task_id
        )
        self._statement = (
            # PostgreSQL reads this again of what another has changed before the lock was had.
            found.where(at <= bindparam("now") if table is TASKS else true())
            .order_by(turns.c.turn, turns.c.at)
            .limit(bindparam("most"))
            .with_for_update(of=TASKS, skip_locked=True)
        )

    def lock(self, tx: Transaction, look: Look, *, now: datetime) -> list[DueItem]:
        """Lock the tasks of items that are due by `now`, and return the items in turn.

        Those whose task another transaction holds are passed over.
        """
        values = {
            "now": now,
            "most": look.limit,
            "without": list(look.without),
            "without_users": list(look.without_users),
            "among_all": look.among_all,
        }
        return _within_bytes(
            [DueItem(*row) for row in tx.connection.execute(self._statement, values)]
        )


def _within_bytes(items: Sequence[DueItem]) -> list[DueItem]:
    taken: list[DueItem] = []
    left = TAKEN_BYTES
    for item in items:
        left -= item.size
        if taken and left < 0:
            break
        taken.append(item)
    return taken
