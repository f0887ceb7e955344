"""Marks in the log: up to which position nothing is still to be committed.

Positions are given as events are inserted, so one may be committed long after those behind it. A
mark is the newest committed position, and the number of a transaction that began after it was read:
once no transaction up to that number is running, everything up to the position has been committed
or never will be.
"""

from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Text, bindparam, cast, func, literal, or_, select

from taskflow.storage import events
from taskflow.storage.tables import LOG_MARKS
from taskflow.storage.transactions import Transaction

SETTLED_AFTER = timedelta(hours=1)
"""A mark so old is settled whatever is running: our own transactions end within minutes, and one of
another database of the server, or a number from before a restore, must not hold it up for ever."""

_TRANSACTION = cast(cast(func.pg_current_xact_id(), Text), BigInteger)
_OLDEST_RUNNING = cast(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text), BigInteger)
_SETTLED = select(func.max(LOG_MARKS.c.position)).where(
    LOG_MARKS.c.marked_at <= bindparam("before"),
    or_(
        LOG_MARKS.c.transaction_id < _OLDEST_RUNNING,
        LOG_MARKS.c.marked_at <= bindparam("settled"),
    ),
)


def mark(tx: Transaction, *, now: datetime) -> None:
    """Mark the end of the log, if it is not; before the transaction has written anything."""
    position = events.newest_position(tx)
    values = select(
        literal(position, BigInteger), _TRANSACTION, literal(now, LOG_MARKS.c.marked_at.type)
    )
    there = select(LOG_MARKS.c.position).where(LOG_MARKS.c.position == position)
    tx.connection.execute(
        LOG_MARKS.insert().from_select(
            ["position", "transaction_id", "marked_at"], values.where(~there.exists())
        )
    )


def settled_position(tx: Transaction, *, before: datetime, now: datetime) -> int:
    """Return the newest mark of `before` that is settled, 0 without one; forget those behind it."""
    values = {"before": before, "settled": now - SETTLED_AFTER}
    position = tx.connection.execute(_SETTLED, values).scalar_one() or 0
    tx.connection.execute(LOG_MARKS.delete().where(LOG_MARKS.c.position < position))
    return position
