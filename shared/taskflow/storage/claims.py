"""Claims: which consumer has had the effect of which event; what makes a redelivery harmless."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY, insert

from taskflow.domain.events import Event
from taskflow.storage import events
from taskflow.storage.tables import CLAIMS, DEAD_LETTERS, EVENTS, REDELIVERIES
from taskflow.storage.transactions import Transaction

KEPT = timedelta(days=90)
"""At least as long as dead letters, which may be sent again as late."""


_CLAIM = insert(CLAIMS).on_conflict_do_nothing().returning(CLAIMS.c.event_id)


def claim(tx: Transaction, consumer: str, event_id: UUID, *, now: datetime) -> bool:
    """Claim an event for a consumer, in the transaction of its effect; False if it had it before.

    Where another transaction is claiming it, this waits for its end.
    """
    claimed = tx.connection.execute(
        _CLAIM, {"consumer": consumer, "event_id": event_id, "claimed_at": now}
    ).scalar_one_or_none()
    return claimed is not None


def forget_old(tx: Transaction, *, now: datetime) -> None:
    """Forget claims that no redelivery can ask for any more."""
    tx.connection.execute(CLAIMS.delete().where(CLAIMS.c.claimed_at <= now - KEPT))


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
