"""Claims: which consumer has had the effect of which event; what makes a redelivery harmless."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Text, Uuid, bindparam, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY, insert

from taskflow.domain.events import Event
from taskflow.storage import events, many
from taskflow.storage.tables import CLAIMS, DEAD_LETTERS, EVENTS, REDELIVERIES
from taskflow.storage.transactions import Transaction

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
    """Forget some claims that no redelivery can ask for any more; return how many."""
    return many.delete_some(tx, CLAIMS, CLAIMS.c.claimed_at <= now - KEPT)


def unclaimed(
    tx: Transaction,
    consumer: str,
    types: Sequence[str],
    *,
    before: datetime,
    since: datetime,
    limit: int,
) -> list[Event]:
    """Return events of these types that the consumer has not claimed and nobody is about to bring.

    Looks at those appended between `since` and `before`. What lies dead or was discarded for the
    consumer is left to an administrator.
    """
    claimed = select(CLAIMS.c.event_id).where(
        CLAIMS.c.consumer == consumer, CLAIMS.c.event_id == EVENTS.c.event_id
    )
    asked_for = select(REDELIVERIES.c.seq).where(
        REDELIVERIES.c.consumer == consumer,
        REDELIVERIES.c.user_id == EVENTS.c.user_id,
        REDELIVERIES.c.seq == EVENTS.c.seq,
    )
    dead = select(DEAD_LETTERS.c.id).where(
        DEAD_LETTERS.c.consumer == consumer,
        DEAD_LETTERS.c.event_id == cast(EVENTS.c.event_id, Text),
        DEAD_LETTERS.c.user_id == EVENTS.c.user_id,
        DEAD_LETTERS.c.seq == EVENTS.c.seq,
    )
    query = select(*events.COLUMNS).where(
        EVENTS.c.event_type == func.any(bindparam("types", list(types), ARRAY(Text))),
        EVENTS.c.timestamp >= since,
        EVENTS.c.timestamp <= before,
        ~claimed.exists(),
        ~asked_for.exists(),
        ~dead.exists(),
    )
    return events.read(tx, query, limit)
