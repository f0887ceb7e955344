"""Consumers: where each begins in the log, and up to where the log was reconciled with its claims.

A consumer that starts "now" begins behind the newest event that is committed when the first of its
processes starts; one that starts at the "beginning" is brought all there is. Where it began is
written once and stays, whatever brings it the events.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Select, Text, Update, bindparam, func, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY, insert

from taskflow.storage import events
from taskflow.storage.tables import CONSUMERS, DELIVERIES, STREAMS
from taskflow.storage.transactions import Transaction

Starts = Literal["now", "beginning"]

REMOVED_AFTER = timedelta(days=1)
"""A consumer that is declared nowhere for so long was removed. Longer than versions with it and
without it run side by side, or a version is rolled back."""

# A row for each user is written, which takes seconds for a million of them.
_START_TIMEOUT = text("SET LOCAL statement_timeout = '10min'")

_HERE = insert(DELIVERIES).from_select(
    ["consumer", "user_id", "seq"],
    select(bindparam("consumer", type_=Text), STREAMS.c.user_id, STREAMS.c.seq)
    .where(STREAMS.c.seq > 0)
    .order_by(STREAMS.c.user_id),
)
_SKIP_TO_HERE = _HERE.on_conflict_do_update(
    index_elements=[DELIVERIES.c.consumer, DELIVERIES.c.user_id],
    set_={"seq": _HERE.excluded.seq},
    where=DELIVERIES.c.seq < _HERE.excluded.seq,
)


@dataclass(frozen=True, slots=True)
class Start:
    """Where a consumer begins: behind the event at `position` of the log, 0 for the first one."""

    at: datetime
    position: int


def start(
    tx: Transaction, consumer: str, starts: Starts, *, now: datetime, is_running: bool = False
) -> Start:
    """Return where a consumer begins, which is `starts` for one that is started the first time.

    One that starts "now" and was removed for REMOVED_AFTER begins anew; one that `is_running` was
    not removed, whatever was noted, and goes on. Another process that starts the same consumer is
    waited for.
    """
    row = tx.connection.execute(_by_name(consumer)).one_or_none()
    if row is None:
        first = insert(CONSUMERS).values(
            name=consumer, started_at=now, start_position=0, reconciled_position=0
        )
        added = tx.connection.execute(first.on_conflict_do_nothing()).rowcount
        if added:
            return _start_now(tx, consumer, now) if starts == "now" else Start(now, 0)
    if row is None or row.absent_since is not None:
        row = tx.connection.execute(_by_name(consumer).with_for_update()).one()
    if row.absent_since is not None:
        if starts == "now" and not is_running and row.absent_since <= now - REMOVED_AFTER:
            return _start_now(tx, consumer, now)
        tx.connection.execute(_of(consumer).values(absent_since=None))
    return Start(row.started_at, row.start_position)


def _start_now(tx: Transaction, consumer: str, now: datetime) -> Start:
    tx.connection.execute(_START_TIMEOUT)
    tx.connection.execute(_SKIP_TO_HERE, {"consumer": consumer})
    # Read after the streams, so that no user's progress is ahead of it: what is committed between
    # the two is brought to the consumer, which knows by the position that it is too old.
    position = events.newest_position(tx)
    tx.connection.execute(
        _of(consumer).values(
            started_at=now,
            start_position=position,
            reconciled_position=position,
            absent_since=None,
        )
    )
    return Start(now, position)


def note_absent(tx: Transaction, declared: Collection[str], *, now: datetime) -> None:
    """Note since when consumers are no longer among those that are `declared`."""
    tx.connection.execute(
        CONSUMERS.update()
        .where(
            CONSUMERS.c.absent_since.is_(None),
            CONSUMERS.c.name != func.all(literal(sorted(declared), ARRAY(Text))),
        )
        .values(absent_since=now)
    )


def lock_reconciled_position(tx: Transaction, consumer: str) -> int:
    """Return and lock the position up to which the log was reconciled with a consumer's claims."""
    query = select(CONSUMERS.c.reconciled_position).where(CONSUMERS.c.name == consumer)
    return tx.connection.execute(query.with_for_update()).scalar_one()


def set_reconciled_position(tx: Transaction, consumer: str, position: int) -> None:
    """Record the position up to which the log was reconciled with a consumer's claims."""
    tx.connection.execute(_of(consumer).values(reconciled_position=position))


def _by_name(consumer: str) -> Select[*tuple[Any, ...]]:
    return select(CONSUMERS).where(CONSUMERS.c.name == consumer)


def _of(consumer: str) -> Update:
    return CONSUMERS.update().where(CONSUMERS.c.name == consumer)
