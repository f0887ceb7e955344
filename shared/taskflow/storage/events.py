"""The event log: append inside the transaction of the change, read by `seq`, verify the chain.

One statement raises the user's `seq`, extends the hash chain and inserts the event; for several
events three do. The user's stream row is locked until the commit, so per user commit order is `seq`
order, without gaps.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from typing import cast as cast_type
from uuid import UUID

from sqlalchemy import (
    DateTime,
    Integer,
    LargeBinary,
    RowMapping,
    Select,
    SmallInteger,
    Text,
    Uuid,
    asc,
    bindparam,
    cast,
    desc,
    func,
    null,
    select,
    text,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from taskflow.domain.errors import AccountNotFound, NotAnEventOfOurs
from taskflow.domain.events import SCHEMA_VERSION, Cause, Event, EventType, NewEvent
from taskflow.domain.identifiers import new_id
from taskflow.domain.text import compact_json
from taskflow.domain.times import rfc3339
from taskflow.storage import bulk
from taskflow.storage.tables import ERASED_EVENTS, ERASURES, EVENTS, STREAMS
from taskflow.storage.transactions import Transaction

CHAIN_START = bytes(32)
"""The hash before a user's first event."""

READ_MAX = 1000
READ_MAX_BYTES = 1024 * 1024
"""How many events one read takes at the most, and of how many bytes of `data`; one always. An event
with a long description before and after a change takes more than a hundred kilobytes."""

_APPEND = text(
    """
    WITH head AS (
        UPDATE streams
        SET seq = seq + 1, hash = sha256(hash || int8send(seq + 1) || :digest)
        WHERE user_id = :user_id AND closed_at IS NULL
        RETURNING seq, hash
    )
    INSERT INTO events (
        user_id, seq, event_id, event_type, aggregate_id, version, schema_version, timestamp,
        correlation_id, traceparent, actor, origin, data, data_bytes, hash
    )
    SELECT :user_id, seq, :event_id, :event_type, :aggregate_id, :version, :schema_version,
        :timestamp, :correlation_id, :traceparent, :actor, :origin, CAST(:data AS json),
        :data_bytes, hash
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
    bindparam("data_bytes", type_=Integer),
)

_ENVELOPE = (
    "event_id",
    "event_type",
    "user_id",
    "aggregate_id",
    "version",
    "schema_version",
    "timestamp",
    "correlation_id",
    "traceparent",
    "actor",
    "origin",
)
_APPENDED = (*_ENVELOPE, "seq", "hash", "data_bytes", "data")

COLUMNS = [
    *(EVENTS.c[name] for name in (*_ENVELOPE, "seq")),
    cast(EVENTS.c.data, Text).label("data_json"),
]


_ORDER = (EVENTS.c.user_id, EVENTS.c.seq)

# Made once, and given their values as parameters: building one costs more than sending it.
_LOCK = (
    select(STREAMS)
    .where(
        STREAMS.c.user_id == func.any(bindparam("users", type_=ARRAY(Text))),
        STREAMS.c.closed_at.is_(None),
    )
    .order_by(STREAMS.c.user_id)
    .with_for_update()
)
_NEWEST_SEQ = select(STREAMS.c.seq).where(STREAMS.c.user_id == bindparam("user"))
_NEWEST_SEQS = select(STREAMS.c.user_id, STREAMS.c.seq).where(
    STREAMS.c.user_id == func.any(bindparam("users", type_=ARRAY(Text)))
)
_STORED = (*(EVENTS.c[name] for name in (*_ENVELOPE, "seq")), EVENTS.c.data, EVENTS.c.data_bytes)


def _bounded(
    query: Select[*tuple[Any, ...]], *, descending: bool = False, more: Sequence[str] = ()
) -> Select[*tuple[Any, ...]]:
    """Return a query for the first events that a query of _STORED finds: so many rows and bytes.

    The last ones where it is `descending`; with `more` of the columns than an event has. The size
    is known beside the event, so that what is beyond the bound is not even unpacked.
    """
    direction = desc if descending else asc
    found = query.order_by(*map(direction, _ORDER)).limit(bindparam("most")).subquery("found")
    # Code from before the column leaves it out.
    size = func.coalesce(found.c.data_bytes, func.octet_length(cast(found.c.data, Text)))
    order = (direction(found.c.user_id), direction(found.c.seq))
    through = func.sum(size).over(order_by=order, rows=(None, 0))
    sized = select(*found.c, size.label("size"), through.label("through")).subquery("sized")
    return (
        select(
            *(sized.c[name] for name in (*_ENVELOPE, "seq", *more)),
            cast(sized.c.data, Text).label("data_json"),
        )
        .where(sized.c.through - sized.c.size < bindparam("most_bytes"))
        .order_by(direction(sized.c.user_id), direction(sized.c.seq))
    )


_AFTER = _bounded(
    select(*_STORED).where(EVENTS.c.user_id == bindparam("user"), EVENTS.c.seq > bindparam("since"))
)
_LAST_BEFORE = _bounded(
    select(*_STORED, EVENTS.c.hash).where(
        EVENTS.c.user_id == bindparam("user"), EVENTS.c.seq < bindparam("before")
    ),
    descending=True,
    more=["hash"],
)
_HISTORY = _bounded(
    select(*_STORED).where(
        EVENTS.c.user_id == bindparam("user"),
        EVENTS.c.aggregate_id == bindparam("aggregate"),
        EVENTS.c.seq > bindparam("since"),
    )
)
_PAGE = _bounded(
    select(*_STORED).where(
        tuple_(EVENTS.c.user_id, EVENTS.c.seq)
        > tuple_(bindparam("user", type_=Text), bindparam("since", type_=EVENTS.c.seq.type)),
        EVENTS.c.seq >= bindparam("first"),
    )
)
_COUNT = select(
    func.coalesce(
        func.sum(
            func.greatest(STREAMS.c.seq - bindparam("first", type_=STREAMS.c.seq.type) + 1, 0)
        ),
        0,
    )
)
_COUNT_ERASED = (
    select(func.count()).select_from(ERASED_EVENTS).where(ERASED_EVENTS.c.seq >= bindparam("first"))
)
_WANTED = (
    func.unnest(
        bindparam("users", type_=ARRAY(Text)), bindparam("seqs", type_=ARRAY(EVENTS.c.seq.type))
    )
    .table_valued("user_id", "seq")
    .render_derived("wanted")
)
_AFTER_EACH = _bounded(
    select(*_STORED).join(
        _WANTED, (EVENTS.c.user_id == _WANTED.c.user_id) & (EVENTS.c.seq > _WANTED.c.seq)
    )
)
_ONE = select(*COLUMNS).where(
    EVENTS.c.user_id == bindparam("user"),
    EVENTS.c.seq == bindparam("place"),
    EVENTS.c.event_id == bindparam("id"),
)


_UP_TO = (
    select(EVENTS.c.event_id)
    .join(_WANTED, (EVENTS.c.user_id == _WANTED.c.user_id) & (EVENTS.c.seq == _WANTED.c.seq))
    .where(EVENTS.c.position <= bindparam("position"))
)
_NEXT_POSITIONS = (
    select(EVENTS.c.position)
    .where(EVENTS.c.position > bindparam("after"), EVENTS.c.position <= bindparam("to"))
    .order_by(EVENTS.c.position)
    .limit(bindparam("most"))
    .subquery()
)
_POSITION_BEHIND = select(func.max(_NEXT_POSITIONS.c.position))


def open_stream(tx: Transaction, user_id: str) -> None:
    """Give a new user an empty stream; nothing can be appended before."""
    tx.connection.execute(STREAMS.insert().values(user_id=user_id, seq=0, hash=CHAIN_START))


def close_stream(tx: Transaction, user_id: str, *, now: datetime) -> None:
    """Have nothing be appended to a user's stream any more; who waits for it finds it closed."""
    tx.connection.execute(
        STREAMS.update().where(STREAMS.c.user_id == user_id).values(closed_at=now)
    )


def append(tx: Transaction, happened: Sequence[NewEvent]) -> None:
    """Append what has happened to the log, in order; of one user or of several.

    Raises AccountNotFound where a user has no stream, or a closed one.
    """
    appended = [_event(new, tx.cause) for new in happened]
    if len(appended) == 1:
        [event] = appended
        values = {
            **_values(event),
            "digest": _digest(event),
            "data": event.data_json,
            "data_bytes": len(event.data_json.encode()),
        }
        seq = tx.connection.execute(_APPEND, values).scalar_one_or_none()
        if seq is None:
            raise AccountNotFound
        tx.appended[event.user_id] = seq
    elif appended:
        _append_many(tx, appended)


def _append_many(tx: Transaction, appended: Sequence[Event]) -> None:
    """Append with three statements, however many there are, and chain the hashes here."""
    # In one order whoever locks them, so that two never wait for each other.
    users = sorted({event.user_id for event in appended})
    heads = {
        row.user_id: (row.seq, row.hash) for row in tx.connection.execute(_LOCK, {"users": users})
    }
    if len(heads) < len(users):
        raise AccountNotFound
    rows: list[str] = []
    for event in appended:
        seq, previous = heads[event.user_id]
        link = _link(previous, seq + 1, event)
        heads[event.user_id] = (seq + 1, link)
        size = len(event.data_json.encode())
        values = {**_values(event), "seq": seq + 1, "hash": link, "data_bytes": size}
        rows.append(f'{bulk.encode(values)[:-1]},"data":{event.data_json}}}')
    bulk.update(
        tx,
        STREAMS,
        [{"user_id": user, "seq": seq, "hash": link} for user, (seq, link) in heads.items()],
        key="user_id",
    )
    # Spliced, for the log keeps the very text of `data` that was hashed.
    bulk.insert_json(tx, EVENTS, _APPENDED, f"[{','.join(rows)}]")
    tx.appended.update({user: seq for user, (seq, _) in heads.items()})


def _event(new: NewEvent, cause: Cause) -> Event:
    return Event(
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


def _values(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in _ENVELOPE}


def newest_seq(tx: Transaction, user_id: str) -> int:
    """Return the `seq` of the user's newest event, 0 where there is none yet.

    Raises AccountNotFound.
    """
    seq = tx.connection.execute(_NEWEST_SEQ, {"user": user_id}).scalar_one_or_none()
    if seq is None:
        raise AccountNotFound
    return seq


def newest_seqs(tx: Transaction, user_ids: Sequence[str]) -> dict[str, int]:
    """Return the `seq` of the newest event of each of the users that have a stream."""
    rows = tx.connection.execute(_NEWEST_SEQS, {"users": list(user_ids)})
    return {user_id: seq for user_id, seq in rows}  # noqa: C416 - a Row is no pair to pyright


def after(tx: Transaction, user_id: str, seq: int, *, limit: int = READ_MAX) -> list[Event]:
    """Return the user's events after `seq`, ascending: at most `limit`, and READ_MAX_BYTES."""
    parameters = {"user": user_id, "since": seq, "most": limit, "most_bytes": READ_MAX_BYTES}
    return _events(tx, _AFTER, parameters)


def after_each(
    tx: Transaction, positions: Mapping[str, int], *, limit: int = READ_MAX
) -> list[Event]:
    """Return the events of several users, of each those after its `seq` in `positions`.

    Ascending by `seq` within a user; at most `limit` and READ_MAX_BYTES in all, so that a user's
    may be cut short: `may_have_more` says when.
    """
    parameters = {
        "users": list(positions),
        "seqs": list(positions.values()),
        "most": limit,
        "most_bytes": READ_MAX_BYTES,
    }
    return _events(tx, _AFTER_EACH, parameters)


def page(
    tx: Transaction, after_user: str, after_seq: int, *, from_seq: int, limit: int = READ_MAX
) -> list[Event]:
    """Return the next events of all users, ascending by user and within it by `seq`.

    Behind the place that a user and a `seq` name, and of each user those from `from_seq` on; at
    most `limit`, and READ_MAX_BYTES.
    """
    parameters = {
        "user": after_user,
        "since": after_seq,
        "first": from_seq,
        "most": limit,
        "most_bytes": READ_MAX_BYTES,
    }
    return _events(tx, _PAGE, parameters)


def count(tx: Transaction, user_id: str | None, *, from_seq: int) -> int:
    """Return how many events a user has from a `seq` on, or all users together.

    Those that were erased are none.
    """
    there, erased = _COUNT, _COUNT_ERASED
    if user_id is not None:
        there = there.where(STREAMS.c.user_id == user_id)
        erased = erased.where(ERASED_EVENTS.c.user_id == user_id)
    counted = select(there.scalar_subquery() - erased.scalar_subquery())
    return int(tx.connection.execute(counted, {"first": from_seq}).scalar_one())


def may_have_more(found: Sequence[Event], *, limit: int = READ_MAX) -> bool:
    """Say whether a bound ended a read, so that there may be more; at most once too often."""
    return len(found) >= limit or (
        sum(len(event.data_json.encode()) for event in found) >= READ_MAX_BYTES
    )


def get(tx: Transaction, user_id: str, seq: int, *, event_id: UUID) -> Event:
    """Return one event. Raises NotAnEventOfOurs where the log has another there, or none."""
    found = _events(tx, _ONE, {"user": user_id, "place": seq, "id": event_id})
    if not found:
        raise NotAnEventOfOurs
    return found[0]


def newest_position(tx: Transaction) -> int:
    """Return the highest position in the log so far; one below it may still be on its way."""
    return tx.connection.execute(select(func.max(EVENTS.c.position))).scalar_one_or_none() or 0


def position_behind(tx: Transaction, position: int, *, to: int, limit: int) -> int:
    """Return the position of the last of the `limit` events behind `position`, at most `to`."""
    values = {"after": position, "to": to, "most": limit}
    return tx.connection.execute(_POSITION_BEHIND, values).scalar_one() or to


def up_to(tx: Transaction, position: int, places: Sequence[tuple[str, int]]) -> set[UUID]:
    """Return the ids of those events, each given as (user id, seq), that are up to `position`."""
    values = {
        "users": [user_id for user_id, _ in places],
        "seqs": [seq for _, seq in places],
        "position": position,
    }
    return set(tx.connection.execute(_UP_TO, values).scalars())


def grown_since(tx: Transaction, position: int) -> tuple[int, dict[str, int]]:
    """Return the newest position, and the newest `seq` of each user with an event after `position`.

    Some may be missing: rows commit out of the order of their positions.
    """
    rows = tx.connection.execute(
        select(EVENTS.c.user_id, func.max(EVENTS.c.seq), func.max(EVENTS.c.position))
        .where(EVENTS.c.position > position)
        .group_by(EVENTS.c.user_id)
    ).all()
    return max((row[2] for row in rows), default=position), {row[0]: row[1] for row in rows}


def history(
    tx: Transaction, user_id: str, aggregate_id: str, *, after_seq: int, limit: int
) -> list[Event]:
    """Return the events of one aggregate after `after_seq`, ascending, also after its deletion.

    At most `limit`, and READ_MAX_BYTES.
    """
    parameters = {
        "user": user_id,
        "aggregate": aggregate_id,
        "since": after_seq,
        "most": limit,
        "most_bytes": READ_MAX_BYTES,
    }
    return _events(tx, _HISTORY, parameters)


def broken_link(tx: Transaction, user_id: str) -> int | None:
    """Verify a user's chain: return the first `seq` that is missing or tampered with, or None."""
    return verify(tx, user_id).broken.get(user_id)


@dataclass(frozen=True, slots=True)
class Verification:
    """What the chains say: the first `seq` of each user whose chain is broken.

    `erased_events` counts the links whose events are erased as they may be: of a user whose account
    was deleted, and before the event that says so. Any other is broken.
    """

    broken: Mapping[str, int]
    erased_events: int
    erased_users: int


def verify(tx: Transaction, user_id: str | None = None) -> Verification:
    """Verify the chains of all users, or of one.

    A chain's end is held against its stream's, so that a cut-off tail is found too. The log must
    not change meanwhile: the transaction sees it as of its first statement.
    """
    tx.connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
    erasures = _erasures(tx, user_id)
    broken: dict[str, int] = {}
    ends: dict[str, tuple[int, bytes]] = {}
    erased = 0
    for link in _links(tx, user_id):
        seq, previous = ends.get(link.user_id, (0, CHAIN_START))
        erased_before = erasures.get(link.user_id, 0)
        if link.event is None:
            is_right = link.seq < erased_before
            erased += is_right
        else:
            is_right = link.seq != erased_before or link.event.event_type == EventType.USER_DELETED
        computed = _chained(previous, seq + 1, link.digest)
        if not is_right or link.seq != seq + 1 or link.hash != computed:
            broken.setdefault(link.user_id, seq + 1)
        ends[link.user_id] = (link.seq, link.hash)
    streams = select(STREAMS.c.user_id, STREAMS.c.seq, STREAMS.c.hash)
    if user_id is not None:
        streams = streams.where(STREAMS.c.user_id == user_id)
    for row in tx.connection.execute(streams):
        seq, end = ends.pop(row.user_id, (0, CHAIN_START))
        if (seq, end) != (row.seq, row.hash) or seq < erasures.get(row.user_id, 0):
            broken.setdefault(row.user_id, seq + 1)
    # What is left are events of users who have no stream.
    return Verification({**broken, **dict.fromkeys(ends, 1)}, erased, len(erasures))


def erase_last(tx: Transaction, user_id: str, *, before: int, limit: int) -> list[Event]:
    """Put their links in place of the last of a user's events before `before`; return the events.

    At most `limit`, and READ_MAX_BYTES; none where there are none left. Raises IntegrityError where
    no erasure of the user has been noted.
    """
    parameters = {
        "user": user_id,
        "before": before,
        "most": limit,
        "most_bytes": READ_MAX_BYTES,
    }
    found = tx.connection.execute(_LAST_BEFORE, parameters).mappings().all()
    stored = [_hashed(row) for row in found]
    if not stored:
        return []
    links = [
        {"user_id": user_id, "seq": event.seq, "digest": _digest(event), "hash": kept}
        for event, kept in stored
    ]
    bulk.insert(tx, ERASED_EVENTS, links)
    seqs = [event.seq for event, _ in stored]
    tx.connection.execute(
        EVENTS.delete().where(EVENTS.c.user_id == user_id, EVENTS.c.seq.in_(seqs))
    )
    return [event for event, _ in stored]


def _link(previous: bytes, seq: int, event: Event) -> bytes:
    return _chained(previous, seq, _digest(event))


def _chained(previous: bytes, seq: int, digest: bytes) -> bytes:
    return hashlib.sha256(previous + seq.to_bytes(8, "big") + digest).digest()


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


def read(tx: Transaction, query: Select[*tuple[object, ...]], limit: int) -> list[Event]:
    """Return the events that a query of COLUMNS finds, ascending within a user, at most `limit`."""
    return _events(tx, query.order_by(*_ORDER).limit(limit), {})


def _events(
    tx: Transaction, query: Select[*tuple[object, ...]], parameters: Mapping[str, object]
) -> list[Event]:
    found = tx.connection.execute(query, parameters)
    names = tuple(found.keys())
    # By SQLAlchemy's mappings an event takes half as long again.
    rows = (dict(zip(names, row, strict=True)) for row in found)
    return [Event(**cast_type("dict[str, Any]", row)) for row in rows]


@dataclass(frozen=True, slots=True)
class _Link:
    """A link of a chain as it is stored; its event is None where that is erased."""

    user_id: str
    seq: int
    event: Event | None
    digest: bytes
    hash: bytes


def _links(tx: Transaction, user_id: str | None) -> Iterator[_Link]:
    """Yield all links, of a user or of all, by user and `seq`."""
    after: tuple[str, int] | None = None
    while page := tx.connection.execute(_page_of_links(user_id, after)).mappings().all():
        for row in page:
            if row["erased_digest"] is not None:
                yield _Link(row["user_id"], row["seq"], None, row["erased_digest"], row["hash"])
            else:
                event, kept = _hashed(row)
                yield _Link(event.user_id, event.seq, event, _digest(event), kept)
        after = page[-1]["user_id"], page[-1]["seq"]


def _page_of_links(user_id: str | None, after: tuple[str, int] | None) -> Select[*tuple[Any, ...]]:
    """Return a query for the next links, of events and of erased ones, in one order."""
    nothing = [null().cast(column.type).label(column.name) for column in _NOT_KEPT]
    of_events = select(*COLUMNS, EVENTS.c.hash, null().cast(LargeBinary).label("erased_digest"))
    erased = select(
        *nothing,
        ERASED_EVENTS.c.user_id,
        ERASED_EVENTS.c.seq,
        null().cast(Text).label("data_json"),
        ERASED_EVENTS.c.hash,
        ERASED_EVENTS.c.digest.label("erased_digest"),
    )
    pages: list[Any] = []
    for table, query in ((EVENTS, of_events), (ERASED_EVENTS, erased)):
        if user_id is not None:
            query = query.where(table.c.user_id == user_id)  # noqa: PLW2901 - narrowed
        if after is not None:
            query = query.where(tuple_(table.c.user_id, table.c.seq) > tuple_(*after))  # noqa: PLW2901 - as above
        narrowed = query.order_by(table.c.user_id, table.c.seq).limit(READ_MAX).subquery()
        pages.append(select(*(narrowed.c[name] for name in _LINK_COLUMNS)))
    both = union_all(*pages).subquery()
    return select(both).order_by(both.c.user_id, both.c.seq).limit(READ_MAX)


_NOT_KEPT = [EVENTS.c[name] for name in _ENVELOPE if name != "user_id"]
_LINK_COLUMNS = (*_ENVELOPE, "seq", "data_json", "hash", "erased_digest")


def _erasures(tx: Transaction, user_id: str | None) -> dict[str, int]:
    query = select(ERASURES.c.user_id, ERASURES.c.seq)
    if user_id is not None:
        query = query.where(ERASURES.c.user_id == user_id)
    return {row.user_id: row.seq for row in tx.connection.execute(query)}


def _hashed(row: RowMapping) -> tuple[Event, bytes]:
    """Return the event of a row, and the hash that is stored with it."""
    fields = {name: row[name] for name in (*_ENVELOPE, "seq", "data_json")}
    return Event(**fields), row["hash"]
