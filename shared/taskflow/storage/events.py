"""The event log: append inside the transaction of the change, read by `seq`, verify the chain.

One statement raises the user's `seq`, extends the hash chain and inserts the event. It locks the
user's stream row until the commit, so per user commit order is `seq` order, without gaps.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import (
    DateTime,
    Integer,
    LargeBinary,
    Select,
    SmallInteger,
    Text,
    Uuid,
    bindparam,
    cast,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from taskflow.domain.errors import AccountNotFound
from taskflow.domain.events import SCHEMA_VERSION, Event, NewEvent
from taskflow.domain.identifiers import new_id
from taskflow.domain.text import compact_json
from taskflow.domain.times import rfc3339
from taskflow.storage.tables import EVENTS, STREAMS
from taskflow.storage.transactions import Transaction

CHAIN_START = bytes(32)
"""The hash before a user's first event."""

READ_MAX = 1000
"""How many events one read takes at the most: some megabytes at their largest."""

_APPEND = text(
    """
    WITH head AS (
        UPDATE streams
        SET seq = seq + 1, hash = sha256(hash || int8send(seq + 1) || :digest)
        WHERE user_id = :user_id
        RETURNING seq, hash
    )
    INSERT INTO events (
        user_id, seq, event_id, event_type, aggregate_id, version, schema_version, timestamp,
        correlation_id, traceparent, actor, origin, data, hash
    )
    SELECT :user_id, seq, :event_id, :event_type, :aggregate_id, :version, :schema_version,
        :timestamp, :correlation_id, :traceparent, :actor, :origin, CAST(:data AS json), hash
    FROM head
    RETURNING seq
    """
).bindparams(
    bindparam("digest", type_=LargeBinary),
    bindparam("user_id", type_=Text),
    bindparam("event_id", type_=Uuid),
    bindparam("event_type", type_=Text),
    bindparam("aggregate_id", type_=Text),
    bindparam("version", type_=Integer),
    bindparam("schema_version", type_=SmallInteger),
    bindparam("timestamp", type_=DateTime(timezone=True)),
    bindparam("correlation_id", type_=Text),
    bindparam("traceparent", type_=Text),
    bindparam("actor", type_=Text),
    bindparam("origin", type_=Text),
    bindparam("data", type_=Text),
)

_COLUMNS = [
    *(
        EVENTS.c[name]
        for name in (
            "event_id",
            "event_type",
            "user_id",
            "aggregate_id",
            "seq",
            "version",
            "schema_version",
            "timestamp",
            "correlation_id",
            "traceparent",
            "actor",
            "origin",
        )
    ),
    cast(EVENTS.c.data, Text).label("data_json"),
]


def open_stream(tx: Transaction, user_id: str) -> None:
    """Give a new user an empty stream; nothing can be appended before."""
    tx.connection.execute(STREAMS.insert().values(user_id=user_id, seq=0, hash=CHAIN_START))


def append(tx: Transaction, happened: Sequence[NewEvent]) -> None:
    """Append what has happened to the log, in order.

    Raises AccountNotFound where the user has no stream.
    """
    cause = tx.cause
    for new in happened:
        event = Event(
            event_id=new_id(new.timestamp),
            event_type=new.event_type.value,
            user_id=new.user_id,
            aggregate_id=new.aggregate_id,
            seq=0,
            version=new.version,
            schema_version=SCHEMA_VERSION,
            timestamp=new.timestamp,
            correlation_id=cause.correlation_id,
            traceparent=cause.traceparent,
            actor=cause.actor,
            origin=cause.origin,
            data_json=compact_json(new.data),
        )
        seq = tx.connection.execute(
            _APPEND,
            {
                "digest": _digest(event),
                "user_id": event.user_id,
                "event_id": event.event_id,
                "event_type": event.event_type,
                "aggregate_id": event.aggregate_id,
                "version": event.version,
                "schema_version": event.schema_version,
                "timestamp": event.timestamp,
                "correlation_id": event.correlation_id,
                "traceparent": event.traceparent,
                "actor": event.actor,
                "origin": event.origin,
                "data": event.data_json,
            },
        ).scalar_one_or_none()
        if seq is None:
            raise AccountNotFound
        tx.appended[event.user_id] = seq


def newest_seq(tx: Transaction, user_id: str) -> int:
    """Return the `seq` of the user's newest event, 0 where there is none yet.

    Raises AccountNotFound.
    """
    seq = tx.connection.execute(
        select(STREAMS.c.seq).where(STREAMS.c.user_id == user_id)
    ).scalar_one_or_none()
    if seq is None:
        raise AccountNotFound
    return seq


def newest_seqs(tx: Transaction, user_ids: Sequence[str]) -> dict[str, int]:
    """Return the `seq` of the newest event of each of the users that have a stream."""
    rows = tx.connection.execute(
        select(STREAMS.c.user_id, STREAMS.c.seq).where(
            STREAMS.c.user_id == func.any(bindparam("user_ids", list(user_ids), ARRAY(Text)))
        )
    )
    return {user_id: seq for user_id, seq in rows}  # noqa: C416 - a Row is no pair to pyright


def after(tx: Transaction, user_id: str, seq: int, *, limit: int = READ_MAX) -> list[Event]:
    """Return the user's events after `seq`, ascending, at most `limit`."""
    return _read(
        tx, select(*_COLUMNS).where(EVENTS.c.user_id == user_id, EVENTS.c.seq > seq), limit
    )


def after_each(
    tx: Transaction, positions: Mapping[str, int], *, limit: int = READ_MAX
) -> list[Event]:
    """Return the events of several users, of each those after its `seq` in `positions`.

    Ascending by `seq` within a user; at most `limit` in all, so that a user's may be cut short.
    """
    wanted = (
        func.unnest(
            bindparam("user_ids", list(positions), ARRAY(Text)),
            bindparam("seqs", list(positions.values()), ARRAY(EVENTS.c.seq.type)),
        )
        .table_valued("user_id", "seq")
        .render_derived("wanted")
    )
    return _read(
        tx,
        select(*_COLUMNS).join(
            wanted,
            (EVENTS.c.user_id == wanted.c.user_id) & (EVENTS.c.seq > wanted.c.seq),
        ),
        limit,
    )


def history(
    tx: Transaction, user_id: str, aggregate_id: str, *, after_seq: int, limit: int
) -> list[Event]:
    """Return the events of one aggregate after `after_seq`, ascending, also after its deletion."""
    return _read(
        tx,
        select(*_COLUMNS).where(
            EVENTS.c.user_id == user_id,
            EVENTS.c.aggregate_id == aggregate_id,
            EVENTS.c.seq > after_seq,
        ),
        limit,
    )


def broken_link(tx: Transaction, user_id: str) -> int | None:
    """Verify a user's chain: return the first `seq` that is missing or was tampered with, or None.

    The chain's end is held against the stream's, so that a cut-off tail is found too.
    """
    previous, expected = CHAIN_START, 1
    for event, stored in _with_hashes(tx, user_id):
        link = hashlib.sha256(previous + expected.to_bytes(8, "big") + _digest(event)).digest()
        if event.seq != expected or stored != link:
            return expected
        previous, expected = link, expected + 1
    end = tx.connection.execute(
        select(STREAMS.c.seq, STREAMS.c.hash).where(STREAMS.c.user_id == user_id)
    ).one()
    return None if (end.seq, end.hash) == (expected - 1, previous) else expected


def _digest(event: Event) -> bytes:
    # None of the parts holds a line break: JSON escapes it, and the frame admits it nowhere else.
    parts = (
        str(event.event_id),
        event.event_type,
        event.user_id,
        event.aggregate_id,
        str(event.version),
        str(event.schema_version),
        rfc3339(event.timestamp),
        event.correlation_id,
        event.traceparent,
        event.actor,
        event.origin,
        event.data_json,
    )
    return hashlib.sha256("\n".join(parts).encode()).digest()


def _read(tx: Transaction, query: Select[*tuple[object, ...]], limit: int) -> list[Event]:
    rows = tx.connection.execute(query.order_by(EVENTS.c.user_id, EVENTS.c.seq).limit(limit))
    return [Event(**row) for row in rows.mappings()]


def _with_hashes(tx: Transaction, user_id: str) -> Iterator[tuple[Event, bytes]]:
    seq = 0
    while True:
        rows = tx.connection.execute(
            select(*_COLUMNS, EVENTS.c.hash)
            .where(EVENTS.c.user_id == user_id, EVENTS.c.seq > seq)
            .order_by(EVENTS.c.seq)
            .limit(READ_MAX)
        ).mappings()
        page = [dict(row) for row in rows]
        for row in page:
            stored = row.pop("hash")
            event = Event(**row)
            seq = event.seq
            yield event, stored
        if len(page) < READ_MAX:
            return
