"""Claims: which consumer has had the effect of which event; what makes a redelivery harmless."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, Uuid, bindparam, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY, insert

from taskflow.storage import bulk
from taskflow.storage.tables import CLAIMS, DEAD_LETTERS, EVENTS, REDELIVERIES
from taskflow.storage.transactions import Transaction

_CONSUMER = bindparam("name", type_=Text)

KEPT = timedelta(days=90)
"""At least as long as dead letters, which may be sent again as late."""


_CLAIM = (
    insert(CLAIMS)
    .from_select(
        ["consumer", "event_id", "claimed_at"],
        select(
            bindparam("consumer", type_=Text),
            func.unnest(bindparam("event_ids", type_=ARRAY(Uuid))),
            bindparam("now", type_=CLAIMS.c.claimed_at.type),
        ),
    )
    .on_conflict_do_nothing()
    .returning(CLAIMS.c.event_id)
)


def claim(
    tx: Transaction, consumer: str, event_ids: Collection[UUID], *, now: datetime
) -> set[UUID]:
    """Claim events for a consumer, in the transaction of their effect; return those that are new.

    Where another transaction is claiming one, this waits for its end.
    """
    # In one order, or two transactions with the same events could wait for each other.
    values = {"consumer": consumer, "event_ids": sorted(event_ids), "now": now}
    return set(tx.connection.execute(_CLAIM, values).scalars())


def forget_old(tx: Transaction, *, now: datetime) -> int:
    """Delete a batch of claims that no redelivery can need any more; return how many."""
    return bulk.delete_batch(tx, CLAIMS, CLAIMS.c.claimed_at <= now - KEPT, by=CLAIMS.c.claimed_at)


def unclaimed(
    tx: Transaction,
    consumer: str,
    types: Collection[str],
    *,
    after: int,
    to: int,
    now: datetime,
) -> list[tuple[str, int]]:
    """Return events, each as (user id, seq), that the consumer has not claimed.

    Of these types, at the positions of the log behind `after` up to `to`. What somebody is about to
    bring is left out, and what has a dead letter, by which it is seen to; and what is so old that
    its claim may have been forgotten.
    """
    claimed = select(CLAIMS.c.event_id).where(
        CLAIMS.c.consumer == _CONSUMER, CLAIMS.c.event_id == EVENTS.c.event_id
    )
    asked_for = select(REDELIVERIES.c.seq).where(
        REDELIVERIES.c.consumer == _CONSUMER,
        REDELIVERIES.c.user_id == EVENTS.c.user_id,
        REDELIVERIES.c.seq == EVENTS.c.seq,
    )
    dead = select(DEAD_LETTERS.c.id).where(
        DEAD_LETTERS.c.consumer == _CONSUMER,
        DEAD_LETTERS.c.event_id == cast(EVENTS.c.event_id, Text),
        DEAD_LETTERS.c.user_id == EVENTS.c.user_id,
        DEAD_LETTERS.c.seq == EVENTS.c.seq,
    )
    query = select(EVENTS.c.user_id, EVENTS.c.seq).where(
        EVENTS.c.position > after,
        EVENTS.c.position <= to,
        EVENTS.c.event_type == func.any(bindparam("types", sorted(types), ARRAY(Text))),
        EVENTS.c.timestamp >= now - KEPT,
        *(_is_nowhere(there) for there in (claimed, asked_for, dead)),
    )
    return [(row.user_id, row.seq) for row in tx.connection.execute(query, {"name": consumer})]


def _is_nowhere(there: Select[*tuple[Any, ...]]) -> ColumnElement[bool]:
    # Looked up for each event, which LIMIT forces. As an anti-join it might read all claims there
    # are, where PostgreSQL misjudges how many events are asked about.
    return there.limit(1).scalar_subquery().is_(None)
