"""Claims: which consumer has had the effect of which event; what makes a redelivery harmless."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Text,
    Uuid,
    bindparam,
    cast,
    exists,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from taskflow.storage import bulk
from taskflow.storage.tables import CLAIMS, DEAD_LETTERS, ERASURES, EVENTS, REDELIVERIES
from taskflow.storage.transactions import Transaction

_CONSUMER = bindparam("name", type_=Text)

KEPT = timedelta(days=90)
"""At least as long as dead letters, which may be sent again as late."""


_BROUGHT = (
    func.unnest(
        bindparam("event_ids", type_=ARRAY(Uuid)),
        bindparam("users", type_=ARRAY(Text)),
        bindparam("seqs", type_=ARRAY(BigInteger)),
    )
    .table_valued("event_id", "user_id", "seq")
    .render_derived("brought")
)
_CLAIM = (
    insert(CLAIMS)
    .from_select(
        ["consumer", "event_id", "claimed_at"],
        select(
            bindparam("consumer", type_=Text),
            _BROUGHT.c.event_id,
            bindparam("now", type_=CLAIMS.c.claimed_at.type),
        ).where(
            ~exists().where(
                ERASURES.c.user_id == _BROUGHT.c.user_id, ERASURES.c.seq > _BROUGHT.c.seq
            )
        ),
    )
    .on_conflict_do_nothing()
    .returning(CLAIMS.c.event_id)
)


def claim(
    tx: Transaction, consumer: str, places: Mapping[UUID, tuple[str, int]], *, now: datetime
) -> set[UUID]:
    """Claim events for a consumer, in the transaction of their effect; return those that are new.

    Each is given by its id with its user and `seq`: those of an erased account are never claimed.
    Where another transaction is claiming one, this waits for its end.
    """
    # In one order, or two transactions with the same events could wait for each other.
    ids = sorted(places)
    values = {
        "consumer": consumer,
        "event_ids": ids,
        "users": [places[event_id][0] for event_id in ids],
        "seqs": [places[event_id][1] for event_id in ids],
        "now": now,
    }
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
