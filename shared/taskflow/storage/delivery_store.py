"""The database queue: how far each consumer was brought each user's events, and redeliveries.

Each consumer has its own progress, so that one that fails does not hold up another.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    DateTime,
    Text,
    and_,
    bindparam,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from taskflow.domain.events import Event
from taskflow.storage import bulk, events
from taskflow.storage.tables import (
    CLAIMS,
    CONSUMERS,
    DEAD_LETTERS,
    DELIVERIES,
    EVENTS,
    PUBLICATIONS,
    REDELIVERIES,
    STREAMS,
)
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

_REQUESTED = insert(REDELIVERIES).from_select(
    ["consumer", "user_id", "seq", "requested_at"],
    select(
        bindparam("consumer", type_=Text),
        _REACHED.c.user_id,
        _REACHED.c.seq,
        bindparam("now", type_=REDELIVERIES.c.requested_at.type),
    ),
)
# A request replaces an older one that is still there, whatever came of that.
_REQUEST = _REQUESTED.on_conflict_do_update(
    index_elements=[REDELIVERIES.c.consumer, REDELIVERIES.c.user_id, REDELIVERIES.c.seq],
    set_={"requested_at": _REQUESTED.excluded.requested_at, "published_at": None},
)

_CLAIMED = exists().where(
    CLAIMS.c.consumer == REDELIVERIES.c.consumer, CLAIMS.c.event_id == EVENTS.c.event_id
)
_DIED_SINCE = exists().where(
    DEAD_LETTERS.c.consumer == REDELIVERIES.c.consumer,
    DEAD_LETTERS.c.event_id == cast(EVENTS.c.event_id, Text),
    DEAD_LETTERS.c.state != "resent",
    DEAD_LETTERS.c.received_at >= REDELIVERIES.c.requested_at,
)
_BEFORE_START = exists().where(
    CONSUMERS.c.name == REDELIVERIES.c.consumer, CONSUMERS.c.start_position >= EVENTS.c.position
)
_SETTLED = exists().where(
    EVENTS.c.user_id == REDELIVERIES.c.user_id,
    EVENTS.c.seq == REDELIVERIES.c.seq,
    or_(_CLAIMED, _DIED_SINCE, _BEFORE_START),
)

_PUBLISHED = (
    func.unnest(
        bindparam("consumers", type_=ARRAY(Text)),
        bindparam("users", type_=ARRAY(Text)),
        bindparam("seqs", type_=ARRAY(BigInteger)),
        bindparam("requests", type_=ARRAY(DateTime(timezone=True))),
    )
    .table_valued("consumer", "user_id", "seq", "requested_at")
    .render_derived("published")
)
_MARK_PUBLISHED = (
    REDELIVERIES.update()
    .where(
        REDELIVERIES.c.consumer == _PUBLISHED.c.consumer,
        REDELIVERIES.c.user_id == _PUBLISHED.c.user_id,
        REDELIVERIES.c.seq == _PUBLISHED.c.seq,
        # What was asked for once more meanwhile is published once more.
        REDELIVERIES.c.requested_at == _PUBLISHED.c.requested_at,
    )
    .values(published_at=bindparam("now", type_=REDELIVERIES.c.published_at.type))
)


@dataclass(frozen=True, slots=True)
class Redelivery:
    """An event that is to be delivered to a consumer again, and when that was requested."""

    consumer: str
    event: Event
    requested_at: datetime


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
    """Request that events are delivered to the consumer again.

    Each is given as (user id, seq), and once.
    """
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


def redeliveries_to_publish(
    tx: Transaction,
    consumers: Collection[str],
    *,
    not_since: datetime,
    without: Collection[str],
    limit: int,
) -> list[Redelivery]:
    """Return the redeliveries to publish for these consumers, in the order of each user's `seq`.

    Redeliveries published after `not_since` are left out, and so are the users `without` and events
    that were not published a first time: a topic never has 4 before 3.
    """
    query = (
        select(*events.COLUMNS, REDELIVERIES.c.consumer, REDELIVERIES.c.requested_at)
        .join(
            REDELIVERIES,
            and_(REDELIVERIES.c.user_id == EVENTS.c.user_id, REDELIVERIES.c.seq == EVENTS.c.seq),
        )
        .join(
            PUBLICATIONS,
            and_(
                PUBLICATIONS.c.user_id == REDELIVERIES.c.user_id,
                PUBLICATIONS.c.seq >= REDELIVERIES.c.seq,
            ),
        )
        .where(
            REDELIVERIES.c.consumer == func.any(literal(sorted(consumers), ARRAY(Text))),
            or_(REDELIVERIES.c.published_at.is_(None), REDELIVERIES.c.published_at <= not_since),
            REDELIVERIES.c.user_id != func.all(literal(sorted(without), ARRAY(Text))),
        )
        .order_by(REDELIVERIES.c.user_id, REDELIVERIES.c.seq, REDELIVERIES.c.consumer)
        .limit(limit)
    )
    found: list[Redelivery] = []
    for row in tx.connection.execute(query).mappings():
        fields: dict[str, Any] = dict(row)
        consumer, requested_at = fields.pop("consumer"), fields.pop("requested_at")
        found.append(Redelivery(consumer, Event(**fields), requested_at))
    return found


def mark_redeliveries_published(
    tx: Transaction, published: Sequence[Redelivery], *, now: datetime
) -> None:
    """Record that Kafka has confirmed these; they stay until the consumer has settled them."""
    if published:
        tx.connection.execute(
            _MARK_PUBLISHED,
            {
                "consumers": [each.consumer for each in published],
                "users": [each.event.user_id for each in published],
                "seqs": [each.event.seq for each in published],
                "requests": [each.requested_at for each in published],
                "now": now,
            },
        )


def remove_redeliveries(tx: Transaction, unwanted: Sequence[Redelivery]) -> None:
    """Withdraw the requests for these."""
    places = [(each.consumer, each.event.user_id, each.event.seq) for each in unwanted]
    if places:
        row = tuple_(REDELIVERIES.c.consumer, REDELIVERIES.c.user_id, REDELIVERIES.c.seq)
        tx.connection.execute(REDELIVERIES.delete().where(row.in_(places)))


def remove_settled_redeliveries(tx: Transaction) -> int:
    """Remove some whose consumer has claimed or refused them, or begins later; return how many."""
    return bulk.delete_batch(tx, REDELIVERIES, _SETTLED)
