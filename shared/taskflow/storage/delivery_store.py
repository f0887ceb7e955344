"""The database queue: what each consumer was brought of each user, and what it needs again.

Each consumer has its own progress, so that one that fails does not hold up another.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import BigInteger, Text, and_, bindparam, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, insert

from taskflow.domain.events import Event
from taskflow.storage import events
from taskflow.storage.tables import DELIVERIES, EVENTS, REDELIVERIES, STREAMS
from taskflow.storage.transactions import Transaction


def behind(
    tx: Transaction, consumer: str, *, user_ids: Sequence[str] | None = None, limit: int
) -> dict[str, int]:
    """Return users with events that the consumer was not brought, and how far it was.

    Of all users, or of `user_ids` alone; at most `limit`.
    """
    progress = func.coalesce(DELIVERIES.c.seq, 0, type_=BigInteger)
    query = (
        select(STREAMS.c.user_id, progress.label("seq"))
        .outerjoin(
            DELIVERIES,
            and_(DELIVERIES.c.consumer == consumer, DELIVERIES.c.user_id == STREAMS.c.user_id),
        )
        .where(STREAMS.c.seq > progress)
        .limit(limit)
    )
    if user_ids is not None:
        query = query.where(
            STREAMS.c.user_id == func.any(bindparam("user_ids", list(user_ids), ARRAY(Text)))
        )
    return {row.user_id: row.seq for row in tx.connection.execute(query)}


def advance(tx: Transaction, consumer: str, user_id: str, seq: int) -> None:
    """Record that the consumer was brought the user's events up to `seq`; never goes back."""
    tx.connection.execute(
        insert(DELIVERIES)
        .values(consumer=consumer, user_id=user_id, seq=seq)
        .on_conflict_do_update(
            index_elements=[DELIVERIES.c.consumer, DELIVERIES.c.user_id],
            set_={"seq": seq},
            where=DELIVERIES.c.seq < seq,
        )
    )


def ask_again(
    tx: Transaction, consumer: str, wanted: Sequence[tuple[str, int]], *, now: datetime
) -> None:
    """Have events, each as (user id, seq), brought to the consumer again."""
    if wanted:
        tx.connection.execute(
            insert(REDELIVERIES).on_conflict_do_nothing(),
            [
                {"consumer": consumer, "user_id": user_id, "seq": seq, "requested_at": now}
                for user_id, seq in wanted
            ],
        )


def asked_again(tx: Transaction, consumer: str, *, limit: int) -> list[Event]:
    """Return events that the consumer is to be brought again."""
    query = select(*events.COLUMNS).join(
        REDELIVERIES,
        and_(
            REDELIVERIES.c.consumer == literal(consumer),
            REDELIVERIES.c.user_id == EVENTS.c.user_id,
            REDELIVERIES.c.seq == EVENTS.c.seq,
        ),
    )
    return events.read(tx, query, limit)


def brought_again(tx: Transaction, consumer: str, user_id: str, seq: int) -> None:
    """Record that an event that was asked for again has been brought."""
    tx.connection.execute(
        REDELIVERIES.delete().where(
            REDELIVERIES.c.consumer == consumer,
            REDELIVERIES.c.user_id == user_id,
            REDELIVERIES.c.seq == seq,
        )
    )
