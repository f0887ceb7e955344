"""Destinations in PostgreSQL: where users have messages sent, and who sends there at present."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    DateTime,
    Integer,
    Interval,
    RowMapping,
    Text,
    Uuid,
    bindparam,
    func,
    select,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import ARRAY, insert

from taskflow.domain.destinations import Channel, Destination, State
from taskflow.domain.errors import DestinationNotFound
from taskflow.storage.tables import DESTINATIONS
from taskflow.storage.transactions import Transaction

HELD_FOR = timedelta(minutes=2)
"""How long who sends to a destination keeps others from it, should it end without a word."""

HELD_OF_USER_MAX = 2
"""To how many destinations of a user messages are sent at once, in each channel."""

LOOKED_AT_MAX = 200
"""How many destinations of a kind, those due first, are looked at for whose turn it is."""

PENDING_MAX = 1_000
"""How many messages of a webhook wait at most; its events beyond wait in the log."""

_COLUMNS = [DESTINATIONS.c[field.name] for field in fields(Destination)]

_IS_FREE = "(held_until IS NULL OR held_until <= now())"


def _near(kind: int, is_quick: str, condition: str = "true") -> str:
    """Return a query for those due first of a kind: by whether they are quick, or not known."""
    return f"""(
        SELECT id, user_id, due_at, {kind} AS kind FROM destinations
        WHERE channel = :channel AND is_quick {is_quick} AND due_at <= :now AND {_IS_FREE}
            AND {condition}
        ORDER BY due_at LIMIT {LOOKED_AT_MAX}
    )"""  # noqa: S608 - our own words and numbers


_HOLD = sql(
    f"""
    WITH near AS (
        {_near(0, "= true")} UNION ALL {_near(1, "IS NULL")}
        UNION ALL {_near(2, "= false", ":takes_all")}
    ),
    held AS (
        SELECT d.user_id, count(*) AS number FROM destinations d
        WHERE d.user_id IN (SELECT user_id FROM near) AND d.channel = :channel
            AND d.held_until > now()
        GROUP BY d.user_id
    ),
    ranked AS (
        SELECT near.id, near.due_at, CASE WHEN :takes_all THEN 0 ELSE near.kind END AS kind,
            coalesce(held.number, 0) + row_number()
                OVER (PARTITION BY near.user_id ORDER BY near.due_at, near.id) AS rank
        FROM near LEFT JOIN held USING (user_id)
    ),
    chosen AS (
        SELECT d.id FROM destinations d JOIN ranked ON ranked.id = d.id
        WHERE ranked.rank <= {HELD_OF_USER_MAX} AND d.due_at <= :now
            AND (d.held_until IS NULL OR d.held_until <= now())
        ORDER BY ranked.kind, ranked.rank, ranked.due_at LIMIT :most
        FOR UPDATE OF d SKIP LOCKED
    )
    UPDATE destinations SET held_by = :holder, held_until = now() + :held_for
    WHERE id IN (SELECT id FROM chosen)
    RETURNING {", ".join(column.name for column in _COLUMNS)}
    """  # noqa: S608 - our own names and numbers
).bindparams(
    bindparam("channel", type_=Text),
    bindparam("now", type_=DateTime(timezone=True)),
    bindparam("most", type_=Integer),
    bindparam("holder", type_=Uuid),
    bindparam("held_for", HELD_FOR, type_=Interval),
    bindparam("takes_all", type_=Boolean),
)
# After the row was locked: by a snapshot that shows what others added before they let it go. What
# is due already waits for its turn from now on: whoever has had one comes after all who have not.
_RELEASE = sql(
    """
    UPDATE destinations d SET held_by = NULL, held_until = NULL,
        due_at = (
            SELECT greatest(m.due_at, :now, d.rests_until) FROM outbound_messages m
            WHERE m.destination_id = d.id AND m.state = 'pending'
            ORDER BY m.due_at LIMIT 1
        ),
        is_full = CASE WHEN d.is_full THEN :pending_max <= (
            SELECT count(*) FROM (
                SELECT FROM outbound_messages m
                WHERE m.destination_id = d.id AND m.state = 'pending' LIMIT :pending_max
            ) AS waiting
        ) ELSE false END
    WHERE d.id = :id AND d.held_by = :holder
    """
).bindparams(
    bindparam("id", type_=Uuid),
    bindparam("holder", type_=Uuid),
    bindparam("now", type_=DateTime(timezone=True)),
    bindparam("pending_max", type_=Integer),
)
_ADDRESSES = 1
"""The first number of the advisory locks of addresses; a migrator's has one number alone."""

_LOCK_ADDRESS = sql("SELECT pg_advisory_xact_lock(:addresses, hashtext(:address))").bindparams(
    bindparam("addresses", _ADDRESSES, type_=Integer), bindparam("address", type_=Text)
)
_DUE = sql(
    f"""
    SELECT channel, due_at FROM unnest(:channels) AS channel, LATERAL (
        SELECT min(due_at) AS due_at FROM destinations
        WHERE destinations.channel = channel.channel AND due_at IS NOT NULL AND {_IS_FREE}
    ) AS first
    WHERE due_at IS NOT NULL
    """  # noqa: S608 - our own words
).bindparams(bindparam("channels", type_=ARRAY(Text)))


def add(tx: Transaction, destination: Destination, *, seq: int | None = None) -> bool:
    """Store a new destination; a webhook's messages begin after `seq`.

    Return whether it was added: a user has an address in a channel once.
    """
    statement = insert(DESTINATIONS).values(**_row_of(destination), seq=seq)
    return bool(tx.connection.execute(statement.on_conflict_do_nothing()).rowcount)


def list_of(
    tx: Transaction, user_id: str, channels: Collection[Channel] = tuple(Channel)
) -> list[Destination]:
    """Return a user's destinations, oldest first."""
    query = select(*_COLUMNS).where(
        DESTINATIONS.c.user_id == user_id,
        DESTINATIONS.c.channel.in_([channel.value for channel in channels]),
    )
    query = query.order_by(DESTINATIONS.c.created_at, DESTINATIONS.c.id)
    return [_destination(row) for row in tx.connection.execute(query).mappings()]


def find(tx: Transaction, user_id: str, channel: Channel, address: str) -> Destination | None:
    """Return a user's destination at an address, locked, if there is one."""
    query = select(*_COLUMNS).where(
        DESTINATIONS.c.user_id == user_id,
        DESTINATIONS.c.channel == channel.value,
        DESTINATIONS.c.address == address,
    )
    row = tx.connection.execute(query.with_for_update()).mappings().one_or_none()
    return None if row is None else _destination(row)


def get(
    tx: Transaction, destination_id: UUID, *, user_id: str, channels: Collection[Channel]
) -> Destination:
    """Return a user's destination of one of these channels. Raises DestinationNotFound."""
    return _one(tx, destination_id, user_id, channels, lock=False)


def lock(
    tx: Transaction,
    destination_id: UUID,
    *,
    user_id: str | None = None,
    channels: Collection[Channel] = tuple(Channel),
) -> Destination:
    """Return a destination, locked; of this user and one of these channels, if they are given.

    Raises DestinationNotFound.
    """
    return _one(tx, destination_id, user_id, channels, lock=True)


def save(tx: Transaction, destination: Destination, *, seq: int | None = None) -> None:
    """Store a destination over the one that this transaction locked.

    Of a webhook that goes on after another `seq`, what happened before is passed over.
    """
    values = _row_of(destination)
    if seq is not None:
        values["seq"] = seq
    if destination.state is State.DISABLED:
        values |= {"due_at": None, "is_full": False}
    tx.connection.execute(
        DESTINATIONS.update().where(DESTINATIONS.c.id == destination.id).values(**values)
    )


def remove(tx: Transaction, destination: Destination) -> None:
    """Delete a destination that this transaction locked, with its messages."""
    tx.connection.execute(DESTINATIONS.delete().where(DESTINATIONS.c.id == destination.id))


def remove_of_others(tx: Transaction, destination: Destination) -> None:
    """Delete what other users have at the address of this one, with its messages.

    Who does so for another user at the same time waits until this transaction has ended.
    """
    tx.connection.execute(_LOCK_ADDRESS, {"address": destination.address})
    others = (
        select(DESTINATIONS.c.id)
        .where(
            DESTINATIONS.c.address == destination.address,
            DESTINATIONS.c.channel == destination.channel.value,
            DESTINATIONS.c.user_id != destination.user_id,
        )
        .order_by(DESTINATIONS.c.id)
        .with_for_update()
    )
    ids = tx.connection.execute(others).scalars().all()
    if ids:
        tx.connection.execute(DESTINATIONS.delete().where(DESTINATIONS.c.id.in_(ids)))


def due(tx: Transaction, channels: Collection[Channel]) -> dict[Channel, datetime]:
    """Return when a destination of each channel that nobody holds is due, if there is one."""
    rows = tx.connection.execute(_DUE, {"channels": [channel.value for channel in channels]})
    return {Channel(channel): at for channel, at in rows}


def hold(
    tx: Transaction,
    channel: Channel,
    holder: UUID,
    *,
    now: datetime,
    limit: int,
    takes_all: bool,
) -> list[Destination]:
    """Hold, for HELD_FOR, destinations that nobody holds and that have a message due by now.

    At most `limit`, those first that wait the longest for their turn; a user's second comes after
    everybody's first, and a third waits for one of them. Those that failed the last time, or were
    slow, only with `takes_all`; without it those that were quick come before new ones.
    """
    values = {
        "channel": channel.value,
        "holder": holder,
        "now": now,
        "most": limit,
        "takes_all": takes_all,
    }
    return [_destination(row) for row in tx.connection.execute(_HOLD, values).mappings()]


def renew(tx: Transaction, destination: Destination, holder: UUID) -> bool:
    """Hold a destination for HELD_FOR from now; say whether this holder holds it, as it was.

    One that its user has changed meanwhile is let go, for others to send to as it is now.
    """
    renewed = tx.connection.execute(
        DESTINATIONS.update()
        .where(
            DESTINATIONS.c.id == destination.id,
            DESTINATIONS.c.held_by == holder,
            DESTINATIONS.c.state == destination.state.value,
            DESTINATIONS.c.revision == destination.revision,
        )
        .values(held_until=func.now() + HELD_FOR)
    )
    if not renewed.rowcount:
        release_all(tx, holder, [destination.id])
    return bool(renewed.rowcount)


def release(tx: Transaction, destination_id: UUID, holder: UUID, *, now: datetime) -> None:
    """Let others send to a destination that this transaction has locked, after all that wait.

    One that this holder does not hold any more stays as it is.
    """
    values = {"id": destination_id, "holder": holder, "now": now, "pending_max": PENDING_MAX}
    tx.connection.execute(_RELEASE, values)


def release_all(tx: Transaction, holder: UUID, destination_ids: Sequence[UUID]) -> None:
    """Let others send to these at once, of which no message was tried."""
    tx.connection.execute(
        DESTINATIONS.update()
        .where(DESTINATIONS.c.id.in_(destination_ids), DESTINATIONS.c.held_by == holder)
        .values(held_by=None, held_until=None)
    )


def _one(
    tx: Transaction,
    destination_id: UUID,
    user_id: str | None,
    channels: Collection[Channel],
    *,
    lock: bool,
) -> Destination:
    query = select(*_COLUMNS).where(
        DESTINATIONS.c.id == destination_id,
        DESTINATIONS.c.channel.in_([channel.value for channel in channels]),
    )
    if user_id is not None:
        query = query.where(DESTINATIONS.c.user_id == user_id)
    if lock:
        query = query.with_for_update()
    row = tx.connection.execute(query).mappings().one_or_none()
    if row is None:
        raise DestinationNotFound
    return _destination(row)


def _row_of(destination: Destination) -> dict[str, Any]:
    return {
        **asdict(destination),
        "channel": destination.channel.value,
        "state": destination.state.value,
    }


def _destination(row: RowMapping) -> Destination:
    stored = dict(row)
    channel, state = Channel(stored.pop("channel")), State(stored.pop("state"))
    return Destination(**stored, channel=channel, state=state)
