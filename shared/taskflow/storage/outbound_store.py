"""Outbound messages in PostgreSQL: what is to be sent to a destination, and what became of it."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    DateTime,
    Integer,
    RowMapping,
    Select,
    Text,
    Uuid,
    bindparam,
    cast,
    func,
    literal,
    select,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import ARRAY

from taskflow.domain import quiet_hours
from taskflow.domain.accounts import Account
from taskflow.domain.destinations import TELLS, Destination
from taskflow.domain.errors import OutboundMessageNotFound
from taskflow.domain.events import Event
from taskflow.domain.identifiers import new_id
from taskflow.domain.tasks import Status
from taskflow.domain.times import kept_zone
from taskflow.storage import bulk, destination_store, events
from taskflow.storage.dead_letter_store import DeadLetter
from taskflow.storage.tables import DESTINATIONS, EVENTS, OUTBOUND_MESSAGES, TASKS, USERS
from taskflow.storage.transactions import Transaction

KEPT = timedelta(days=30)
"""How long it is known what became of a message."""

SENDER = "deliver-notifications"
"""Who the dead letters of messages name as their consumer."""

_MESSAGE = "outboundmessage"
"""The attribute of such a letter that names the message."""

FOLLOWED_MAX = 200
"""How many events of a webhook's user become messages in one transaction."""

FOLLOWING_MAX = 50
"""How many webhooks are brought their users' news in one transaction."""

_NOW = bindparam("now", type_=DateTime(timezone=True))

# The row of the destination first: who lets it go meanwhile looks for messages once it has that.
_ENQUEUE = sql(
    """
    WITH there AS (
        SELECT id FROM destinations
        WHERE user_id = :user_id AND state = 'active' AND channel = ANY(:channels)
        ORDER BY id FOR UPDATE
    ),
    woken AS (
        UPDATE destinations d
        SET due_at = greatest(least(coalesce(due_at, :now), :now), rests_until)
        FROM there WHERE d.id = there.id RETURNING d.id
    )
    INSERT INTO outbound_messages
        (id, destination_id, user_id, seq, event_id, state, created_at, due_at, failures)
    SELECT gen_random_uuid(), id, :user_id, :seq, :event_id, 'pending', :now, :now, 0 FROM woken
    ON CONFLICT (destination_id, event_id) DO NOTHING
    """
).bindparams(
    bindparam("user_id", type_=Text),
    bindparam("channels", type_=ARRAY(Text)),
    bindparam("now", type_=DateTime(timezone=True)),
    bindparam("seq", type_=BigInteger),
    bindparam("event_id", type_=Uuid),
)
_WOKEN = func.least(func.coalesce(DESTINATIONS.c.due_at, _NOW), _NOW)
_WAKE = DESTINATIONS.update().where(DESTINATIONS.c.id == bindparam("destination"))
_LOCK_TOLD = (
    select(DESTINATIONS.c.id)
    .where(
        DESTINATIONS.c.user_id == bindparam("user_id"),
        DESTINATIONS.c.channel == func.any(bindparam("channels", type_=ARRAY(Text))),
    )
    .order_by(DESTINATIONS.c.id)
    .with_for_update()
)
# By a revision more, whoever has read them in quiet hours does not put them off.
_WAKE_QUIET = sql(
    """
    WITH woken AS (
        UPDATE outbound_messages SET due_at = :now
        WHERE destination_id = ANY(:ids) AND state = 'pending' AND due_at > :now
            AND (failures = 0 OR due_at = :ended_at)
        RETURNING destination_id
    )
    UPDATE destinations SET revision = revision + 1,
        due_at = CASE WHEN id IN (SELECT destination_id FROM woken)
            THEN greatest(least(coalesce(due_at, :now), :now), rests_until) ELSE due_at END
    WHERE id = ANY(:ids)
    """
).bindparams(
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("now", type_=DateTime(timezone=True)),
    bindparam("ended_at", type_=DateTime(timezone=True)),
)
# One by one, so that a webhook costs a look into an index, however many users there are.
_BEHIND = sql(
    """
    SELECT d.id, d.user_id, d.seq, least(s.seq, d.seq + :followed) AS newest
    FROM destinations d, LATERAL (
        SELECT seq FROM streams WHERE streams.user_id = d.user_id OFFSET 0
    ) AS s
    WHERE d.channel = 'webhook' AND d.state = 'active' AND (NOT d.is_full OR d.due_at IS NULL)
        AND s.seq > d.seq
    ORDER BY s.seq - d.seq, d.id LIMIT :most
    FOR UPDATE OF d SKIP LOCKED
    """
).bindparams(bindparam("followed", type_=Integer), bindparam("most", type_=Integer))
_FOLLOW = sql(
    """
    WITH added AS (
        INSERT INTO outbound_messages
            (id, destination_id, user_id, seq, event_id, state, created_at, due_at, failures)
        SELECT gen_random_uuid(), d.id, d.user_id, e.seq, e.event_id, 'pending', :now, :now, 0
        FROM destinations d
            JOIN unnest(CAST(:ids AS uuid[]), CAST(:newest AS bigint[])) AS to_(id, newest)
                ON to_.id = d.id
            JOIN events e ON e.user_id = d.user_id AND e.seq > d.seq AND e.seq <= to_.newest
        WHERE d.details->'event_types' IS NULL OR json_typeof(d.details->'event_types') = 'null'
            OR e.event_type IN (SELECT json_array_elements_text(d.details->'event_types'))
        ON CONFLICT (destination_id, event_id) DO NOTHING
        RETURNING destination_id
    ),
    new AS (SELECT destination_id, count(*) AS number FROM added GROUP BY destination_id)
    UPDATE destinations d SET seq = to_.newest,
        due_at = CASE WHEN new.number > 0
            THEN greatest(least(coalesce(d.due_at, :now), :now), d.rests_until) ELSE d.due_at END,
        is_full = :pending_max <= coalesce(new.number, 0) + (
            SELECT count(*) FROM (
                SELECT FROM outbound_messages m
                WHERE m.destination_id = d.id AND m.state = 'pending' LIMIT :pending_max
            ) AS waiting
        )
    FROM unnest(CAST(:ids AS uuid[]), CAST(:newest AS bigint[])) AS to_(id, newest)
        LEFT JOIN new ON new.destination_id = to_.id
    WHERE to_.id = d.id
    """
).bindparams(
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("newest", type_=ARRAY(BigInteger)),
    bindparam("now", type_=DateTime(timezone=True)),
    bindparam("pending_max", type_=Integer),
)

_SETTLED = (
    "state",
    "due_at",
    "failures",
    "first_failed_at",
    "unsure",
    "settled_at",
    "reason",
    "provider_id",
)
_SETTLE = sql(
    f"""
    UPDATE outbound_messages m SET {", ".join(f"{name} = after.{name}" for name in _SETTLED)}
    FROM json_populate_recordset(NULL::outbound_messages, CAST(:rows AS json)) AS after
    WHERE m.id = after.id AND m.state = 'pending'
    """  # noqa: S608 - our own names
).bindparams(bindparam("rows", type_=Text))

_M = OUTBOUND_MESSAGES.c
_OPEN = {Status.PENDING.value, Status.IN_PROGRESS.value}
_HELD = (
    func.unnest(bindparam("ids", type_=ARRAY(Uuid)))
    .table_valued("id", name="held")
    .render_derived()
)
_FIRST = (
    select(OUTBOUND_MESSAGES)
    .where(
        _M.destination_id == cast(_HELD.c.id, Uuid),
        _M.state == "pending",
        _M.due_at <= bindparam("now"),
    )
    .order_by(_M.due_at, _M.seq)
    .limit(bindparam("most"))
    .lateral("first")
)
_TASK_ID = sql(
    "CASE WHEN events.event_type = 'reminder.triggered'"
    " THEN CAST(events.data->>'task_id' AS uuid) END"
)
"""The task that a message tells of, whose present state decides whether it is sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskNow:
    """What of a task decides whether its user is told of it."""

    id: UUID
    is_open: bool
    due_date: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingMessage:
    """A message that is due, with the event that it tells of, tried since `begun_at`.

    Its provider did not say `unsure` times whether it has taken it.

    `event` is None where it asks to confirm an address, and where the event was erased; `task` is
    None where it tells of none. `zone`, `quiet_hours`, `channels` and `wants_digest` are its
    user's at present.
    """

    id: UUID
    destination_id: UUID
    created_at: datetime
    due_at: datetime
    begun_at: datetime
    failures: int
    first_failed_at: datetime | None
    unsure: int
    is_of_event: bool
    event: Event | None
    task: TaskNow | None
    zone: str
    quiet_hours: tuple[str, str] | None
    channels: frozenset[str]
    wants_digest: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundMessage:
    """A message and what became of it, as its user is shown it."""

    id: UUID
    destination_id: UUID
    user_id: str
    seq: int | None
    event_id: UUID | None
    event_type: str | None
    state: str
    created_at: datetime
    due_at: datetime
    failures: int
    settled_at: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of a pending message: `sent`, `failed` or `cancelled`, or `pending` still."""

    id: UUID
    state: str
    due_at: datetime
    failures: int
    first_failed_at: datetime | None
    unsure: int
    settled_at: datetime | None
    reason: str | None = None
    provider_id: str | None = None


def enqueue(
    tx: Transaction,
    user_id: str,
    channels: Collection[str],
    *,
    seq: int,
    event_id: UUID,
    now: datetime,
) -> None:
    """Have an event told to a user's active destinations of these channels, once each."""
    tx.connection.execute(
        _ENQUEUE,
        {
            "user_id": user_id,
            "channels": sorted(channels),
            "seq": seq,
            "event_id": event_id,
            "now": now,
        },
    )


def enqueue_confirmation(
    tx: Transaction, destination_id: UUID, user_id: str, *, now: datetime
) -> UUID:
    """Have the owner of an address asked to confirm it; return the message's id.

    The destination is locked by this transaction.
    """
    message_id = new_id(now)
    tx.connection.execute(
        OUTBOUND_MESSAGES.insert().values(
            id=message_id,
            destination_id=destination_id,
            user_id=user_id,
            state="pending",
            created_at=now,
            due_at=now,
            failures=0,
        )
    )
    wake = _WAKE.values(due_at=func.greatest(_WOKEN, DESTINATIONS.c.rests_until))
    tx.connection.execute(wake, {"destination": destination_id, "now": now})
    return message_id


def wake_quiet(
    tx: Transaction, user_id: str, channels: Collection[str], *, ended_at: datetime, now: datetime
) -> None:
    """Have what waits for the end of a user's quiet hours, `ended_at`, be due in these channels.

    Locks their destinations: what is still put off, by what its sender has read before, is not.
    """
    told = {"user_id": user_id, "channels": sorted(channels)}
    ids = list(tx.connection.execute(_LOCK_TOLD, told).scalars())
    if ids:
        # After they were locked: by a snapshot that shows what was put off until then.
        tx.connection.execute(_WAKE_QUIET, {"ids": ids, "ended_at": ended_at, "now": now})


def end_quiet_hours(tx: Transaction, before: Account, after: Account, *, now: datetime) -> None:
    """Have it looked anew when to send what waits for the end of quiet hours that have changed."""
    ended_at = quiet_hours.ends_at(before.quiet_hours, before.timezone, now)
    is_moved = (before.quiet_hours, before.timezone) != (after.quiet_hours, after.timezone)
    if ended_at is not None and is_moved:
        wake_quiet(tx, after.id, TELLS, ended_at=ended_at, now=now)


def awaits_confirmation(tx: Transaction, destination_id: UUID) -> bool:
    """Say whether a mail waits that asks to confirm an address."""
    waiting = select(_M.id).where(
        _M.destination_id == destination_id, _M.state == "pending", _M.seq.is_(None)
    )
    return tx.connection.execute(waiting.limit(1)).first() is not None


def follow(tx: Transaction, *, now: datetime) -> int:
    """Make messages of what has happened to the users of some webhooks; return how many webhooks.

    Each is locked, and remembers up to which event it has messages.
    """
    bounds = {"followed": FOLLOWED_MAX, "most": FOLLOWING_MAX}
    behind = tx.connection.execute(_BEHIND, bounds).all()
    if behind:
        values = {
            "ids": [row.id for row in behind],
            "newest": [row.newest for row in behind],
            "now": now,
            "pending_max": destination_store.PENDING_MAX,
        }
        tx.connection.execute(_FOLLOW, values)
    return len(behind)


def due(
    tx: Transaction, destination_ids: Sequence[UUID], *, now: datetime, limit: int
) -> list[PendingMessage]:
    """Return the first messages of these destinations that are due, at most `limit` of each."""
    query = (
        select(
            _FIRST,
            *(column.label(f"event__{column.name}") for column in events.COLUMNS),
            TASKS.c.id.label("task_id"),
            TASKS.c.status.label("task_status"),
            TASKS.c.deleted_at.label("task_deleted_at"),
            TASKS.c.due_date.label("task_due_date"),
            USERS.c.timezone,
            USERS.c.quiet_from,
            USERS.c.quiet_until,
            USERS.c.notification_channels,
            USERS.c.email_digest,
        )
        .select_from(_HELD)
        .join(_FIRST, literal(value=True))
        .join(USERS, USERS.c.id == _FIRST.c.user_id)
        .outerjoin(
            EVENTS,
            (EVENTS.c.user_id == _FIRST.c.user_id)
            & (EVENTS.c.seq == _FIRST.c.seq)
            & (EVENTS.c.event_id == _FIRST.c.event_id),
        )
        .outerjoin(TASKS, (TASKS.c.id == _TASK_ID) & (TASKS.c.user_id == EVENTS.c.user_id))
        .order_by(_FIRST.c.destination_id, _FIRST.c.due_at, _FIRST.c.seq)
    )
    values = {"ids": list(destination_ids), "now": now, "most": limit}
    return [_pending(row) for row in tx.connection.execute(query, values).mappings()]


def settle(tx: Transaction, changes: Sequence[Change]) -> None:
    """Record what became of messages; one that was settled meanwhile stays as it is."""
    rows = bulk.encode([asdict(change) for change in changes])
    tx.connection.execute(_SETTLE, {"rows": rows})


def retry(tx: Transaction, message_id: UUID, *, now: datetime) -> None:
    """Have a message that is settled sent once more, now. Raises OutboundMessageNotFound."""
    query = select(_M.destination_id).where(_M.id == message_id)
    destination_id = tx.connection.execute(query).scalar_one_or_none()
    if destination_id is None:
        raise OutboundMessageNotFound
    wake = _WAKE.values(due_at=_WOKEN, rests_until=None)
    tx.connection.execute(wake, {"destination": destination_id, "now": now})
    tx.connection.execute(
        OUTBOUND_MESSAGES.update()
        .where(_M.id == message_id, _M.state != "pending")
        .values(
            state="pending",
            due_at=now,
            failures=0,
            first_failed_at=None,
            unsure=0,
            begun_at=now,
            settled_at=None,
            reason=None,
        )
    )


def dead_letter_of(
    destination: Destination, message: PendingMessage, reason: str, *, now: datetime
) -> DeadLetter:
    """Return the dead letter of a message that was given up, without what it says and to whom."""
    event = message.event
    assert event is not None  # noqa: S101 - as its sender knows
    return DeadLetter(
        id=new_id(now),
        consumer=SENDER,
        # An event may fail to reach several destinations.
        event_id=f"{event.event_id} to {destination.id}",
        event_type=event.event_type,
        user_id=event.user_id,
        seq=event.seq,
        attributes={
            _MESSAGE: str(message.id),
            "channel": destination.channel.value,
            "destination": str(destination.id),
        },
        body=b"",
        error_code=None,
        error_text=reason,
        state="dead",
        received_at=now,
        deaths=1,
    )


def message_in(letter: DeadLetter) -> UUID | None:
    """Return which message a dead letter is of; None where it is one of a consumer."""
    return UUID(letter.attributes[_MESSAGE]) if letter.consumer == SENDER else None


def get(tx: Transaction, message_id: UUID) -> OutboundMessage:
    """Return a message. Raises OutboundMessageNotFound."""
    row = tx.connection.execute(_shown().where(_M.id == message_id)).mappings().one_or_none()
    if row is None:
        raise OutboundMessageNotFound
    return OutboundMessage(**row)


def list_of(
    tx: Transaction,
    destination_id: UUID,
    *,
    state: str | None,
    before: int | None,
    limit: int,
) -> list[OutboundMessage]:
    """Return what a destination was told of, the newest event first, before the one of this seq."""
    query = _shown().where(_M.destination_id == destination_id, _M.seq.is_not(None))
    if state is not None:
        query = query.where(_M.state == state)
    if before is not None:
        query = query.where(_M.seq < before)
    query = query.order_by(_M.seq.desc()).limit(limit)
    return [OutboundMessage(**row) for row in tx.connection.execute(query).mappings()]


def make_due(tx: Transaction, destination_id: UUID, *, now: datetime) -> None:
    """Have all that waits for a destination, which this transaction has locked, tried now."""
    made_due = tx.connection.execute(
        OUTBOUND_MESSAGES.update()
        .where(_M.destination_id == destination_id, _M.state == "pending")
        .values(due_at=func.least(_M.due_at, now))
    )
    if made_due.rowcount:
        wake = _WAKE.values(due_at=_WOKEN, rests_until=None)
        tx.connection.execute(wake, {"destination": destination_id, "now": now})


def cancel_all(tx: Transaction, destination_id: UUID, reason: str, *, now: datetime) -> None:
    """Cancel what waits for a destination that this transaction has locked."""
    tx.connection.execute(
        OUTBOUND_MESSAGES.update()
        .where(_M.destination_id == destination_id, _M.state == "pending")
        .values(state="cancelled", settled_at=now, reason=reason)
    )


def forget_old(tx: Transaction, *, now: datetime) -> int:
    """Delete a batch of messages that were settled long ago; return how many."""
    return bulk.delete_batch(tx, OUTBOUND_MESSAGES, _M.settled_at <= now - KEPT, by=_M.settled_at)


def _shown() -> Select[*tuple[Any, ...]]:
    columns = [_M[field.name] for field in fields(OutboundMessage) if field.name != "event_type"]
    return select(*columns, EVENTS.c.event_type).outerjoin(
        EVENTS, (EVENTS.c.user_id == _M.user_id) & (EVENTS.c.seq == _M.seq)
    )


def _pending(row: RowMapping) -> PendingMessage:
    event = {
        name.removeprefix("event__"): value
        for name, value in row.items()
        if name.startswith("event__")
    }
    quiet = row["quiet_from"], row["quiet_until"]
    return PendingMessage(
        id=row["id"],
        destination_id=row["destination_id"],
        created_at=row["created_at"],
        due_at=row["due_at"],
        failures=row["failures"],
        begun_at=row["begun_at"] or row["created_at"],
        first_failed_at=row["first_failed_at"],
        unsure=row["unsure"],
        is_of_event=row["seq"] is not None,
        event=None if event["event_id"] is None else Event(**event),
        task=None
        if row["task_id"] is None
        else TaskNow(
            id=row["task_id"],
            is_open=row["task_deleted_at"] is None and row["task_status"] in _OPEN,
            due_date=row["task_due_date"],
        ),
        zone=kept_zone(row["timezone"]),
        quiet_hours=None if None in quiet else quiet,
        channels=frozenset(row["notification_channels"]),
        wants_digest=row["email_digest"],
    )
