"""The database queue: how far each consumer was brought each user's events, and redeliveries.

Each consumer has its own progress, so that one that fails does not hold up another.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import BigInteger, Text, and_, bindparam, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, insert

from taskflow.domain.events import Event
from taskflow.storage import events
from taskflow.storage.tables import DELIVERIES, EVENTS, REDELIVERIES, STREAMS
from taskflow.storage.transactions import Transaction

_PROGRESS = func.coalesce(DELIVERIES.c.seq, 0, type_=BigInteger)
_BEHIND = (
    select(STREAMS.c.user_id, _PROGRESS.label("seq"))
    .outerjoin(
        DELIVERIES,
        and_(
            DELIVERIES.c.consumer == bindparam("consumer"),
            DELIVERIES.c.user_id == STREAMS.c.user_id,
        ),
    )
    .where(STREAMS.c.seq > _PROGRESS)
    .limit(bindparam("most"))
)
_BEHIND_OF = _BEHIND.where(STREAMS.c.user_id == func.any(bindparam("users", type_=ARRAY(Text))))
_REACHED = (
    func.unnest(bindparam("users", type_=ARRAY(Text)), bindparam("seqs", type_=ARRAY(BigInteger)))
    .table_valued("user_id", "seq")
    .render_derived("reached")
)
_NEW = insert(DELIVERIES).from_select(
    ["consumer", "user_id", "seq"],
    select(bindparam("consumer", type_=Text), _REACHED.c.user_id, _REACHED.c.seq),
)
_ADVANCE = _NEW.on_conflict_do_update(
    index_elements=[DELIVERIES.c.consumer, DELIVERIES.c.user_id],
    set_={"seq": _NEW.excluded.seq},
    where=DELIVERIES.c.seq < _NEW.excluded.seq,
)

_REQUEST = (
    insert(REDELIVERIES)
    .from_select(
        ["consumer", "user_id", "seq", "requested_at"],
        select(
            bindparam("consumer", type_=Text),
            _REACHED.c.user_id,
            _REACHED.c.seq,
            bindparam("now", type_=REDELIVERIES.c.requested_at.type),
        ),
    )
    .on_conflict_do_nothing()
)


def behind(
    tx: Transaction, consumer: str, *, user_ids: Sequence[str] | None = None, limit: int
) -> dict[str, int]:
    """Return users with events that the consumer lacks, each with the last `seq` that it has.

    Of all users, or of `user_ids` alone; at most `limit`.
    """
    parameters = {"consumer": consumer, "most": limit}
    if user_ids is None:
        rows = tx.connection.execute(_BEHIND, parameters)
    else:
        rows = tx.connection.execute(_BEHIND_OF, {**parameters, "users": list(user_ids)})
    return {row.user_id: row.seq for row in rows}


def advance(tx: Transaction, consumer: str, reached: Mapping[str, int]) -> None:
    """Record up to which `seq` the consumer has each user's events; a lower one changes nothing."""
    users = sorted(reached)
    tx.connection.execute(
        _ADVANCE,
        {"consumer": consumer, "users": users, "seqs": [reached[user] for user in users]},
    )


def request_redeliveries(
    tx: Transaction, consumer: str, places: Sequence[tuple[str, int]], *, now: datetime
) -> None:
    """Request that events, each given as (user id, seq), are delivered to the consumer again."""
    if places:
        users, seqs = zip(*places, strict=True)
        tx.connection.execute(
            _REQUEST, {"consumer": consumer, "users": users, "seqs": seqs, "now": now}
        )


def has_many_redeliveries(tx: Transaction, consumer: str, *, most: int) -> bool:
    """Say whether `most` events or more wait to be delivered to the consumer again."""
    waiting = select(REDELIVERIES.c.seq).where(REDELIVERIES.c.consumer == consumer).limit(most)
    count = select(func.count()).select_from(waiting.subquery())
    return tx.connection.execute(count).scalar_one() >= most


def redeliveries(tx: Transaction, consumer: str, *, limit: int) -> list[Event]:
    """Return at most `limit` events that are to be delivered to the consumer again."""
    query = select(*events.COLUMNS).join(
        REDELIVERIES,
        and_(
            REDELIVERIES.c.consumer == literal(consumer),
            REDELIVERIES.c.user_id == EVENTS.c.user_id,
            REDELIVERIES.c.seq == EVENTS.c.seq,
        ),
    )
    return events.read(tx, query, limit)


def remove_redelivery(tx: Transaction, consumer: str, user_id: str, seq: int) -> None:
    """Record that an event was delivered again as requested."""
    tx.connection.execute(
        REDELIVERIES.delete().where(
            REDELIVERIES.c.consumer == consumer,
            REDELIVERIES.c.user_id == user_id,
            REDELIVERIES.c.seq == seq,
        )
    )
