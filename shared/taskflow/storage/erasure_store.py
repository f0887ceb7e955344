"""Erasures in PostgreSQL: an account is closed at once, and what was its user's goes in batches.

Of each event the link of its chain is left, so that the chain can still be verified (decision
0026). Nothing can be added meanwhile: whatever writes a task appends an event, which a closed
stream refuses.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Text, Uuid, bindparam, exists, func, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY, insert

from taskflow.domain.events import Event, EventType, NewEvent
from taskflow.storage import bulk, events
from taskflow.storage.tables import (
    AUDIT_ENTRIES,
    CALENDAR_FEEDS,
    CLAIMS,
    CONSUMERS,
    DEAD_LETTERS,
    DESTINATIONS,
    ERASURES,
    IDEMPOTENCY_KEYS,
    IMPORTS,
    LOGIN_PLACES,
    NOTIFICATIONS,
    REDELIVERIES,
    REMINDERS,
    REPLAY_DIFFERENCES,
    REPLAYS,
    SHADOW_TASKS,
    SOCKET_TICKETS,
    TASKS,
    USERS,
)
from taskflow.storage.transactions import Transaction

EVENTS_MAX = 500
"""How many events one transaction erases, with the tasks that they created."""

KEPT = frozenset(
    {
        "deliveries",
        "erased_events",
        "erasures",
        "events",
        "publications",
        "replays",
        "streams",
    }
)
"""The tables that go on naming an erased user by their id. Each says how far a stream has come,
what the chain needs, or what an administrator asked for. Of the events the one is left that tells
of the erasure."""

_WITH_ACCOUNT = (SOCKET_TICKETS, LOGIN_PLACES, CALENDAR_FEEDS, IMPORTS, DESTINATIONS)
"""The tables that are emptied as the account goes. Its sessions and tokens go with its row, the
messages to its destinations with these."""

ERASED = frozenset(
    {
        "audit_entries",
        "calendar_feeds",
        "dead_letters",
        "destinations",
        "idempotency_keys",
        "imports",
        "login_places",
        "notifications",
        "outbound_messages",
        "redeliveries",
        "reminders",
        "replay_differences",
        "sessions",
        "shadow_tasks",
        "socket_tickets",
        "tasks",
    }
)
"""The tables that do not: a table that is added has its place here or in KEPT."""

_UNFINISHED = (
    select(ERASURES)
    .where(ERASURES.c.finished_at.is_(None))
    .order_by(ERASURES.c.requested_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_UNFINISHED_OF = _UNFINISHED.where(ERASURES.c.user_id == bindparam("user"))
_IDS = bindparam("ids", type_=ARRAY(Uuid))
# Those that were made of them first: whatever a task refers to is older, unless a clock was set
# back between the two.
_TASKS_AND_THEIRS = or_(
    TASKS.c.id == func.any(_IDS),
    TASKS.c.recurring_task_id == func.any(_IDS),
    TASKS.c.predecessor_id == func.any(_IDS),
)
_REMINDERS_OF_TASKS = REMINDERS.delete().where(
    REMINDERS.c.task_id.in_(select(TASKS.c.id).where(_TASKS_AND_THEIRS))
)
_TASKS = TASKS.delete().where(_TASKS_AND_THEIRS)
_REBUILT = tuple(
    table.delete().where(
        table.c.replay_id.in_(select(REPLAYS.c.id)), table.c.task_id == func.any(_IDS)
    )
    for table in (SHADOW_TASKS, REPLAY_DIFFERENCES)
)
_CLAIMS = CLAIMS.delete().where(
    CLAIMS.c.consumer.in_(select(CONSUMERS.c.name)), CLAIMS.c.event_id == func.any(_IDS)
)
_SERIES_TO_SPAWN = (
    select(TASKS.c.id)
    .where(
        TASKS.c.user_id == bindparam("user"),
        TASKS.c.recurrence.is_not(None),
        TASKS.c.spawn_at.is_not(None),
    )
    .order_by(TASKS.c.id)
    .limit(bulk.DELETE_BATCH_MAX)
    .with_for_update()
)
_END_SERIES = (
    TASKS.update()
    .where(TASKS.c.id.in_(_SERIES_TO_SPAWN))
    .values(spawn_at=None, next_occurrence=None)
)
# Nobody brings to Kafka what is erased; the event that tells of it continues what is there.
_PASS_OVER = text(
    """
    INSERT INTO publications AS p (user_id, seq) VALUES (:user, :seq)
    ON CONFLICT (user_id) DO UPDATE SET seq = greatest(p.seq, excluded.seq)
    """
).bindparams(bindparam("user", type_=Text))


def begin(tx: Transaction, deleted: NewEvent, *, now: datetime) -> None:
    """Delete an account that this transaction has locked, and close its user's stream.

    `deleted` is the event that tells of it, the last of the stream. The rest of what is the user's
    goes by `erase_some`.
    """
    user_id = deleted.user_id
    for table in _WITH_ACCOUNT:
        tx.connection.execute(table.delete().where(table.c.user_id == user_id))
    tx.connection.execute(USERS.delete().where(USERS.c.id == user_id))
    events.append(tx, [deleted])
    events.close_stream(tx, user_id, now=now)
    noted = {"seq": tx.appended[user_id], "requested_at": now, "finished_at": None}
    tx.connection.execute(
        insert(ERASURES)
        .values(user_id=user_id, **noted)
        .on_conflict_do_update(index_elements=[ERASURES.c.user_id], set_=noted)
    )


def erase_some(tx: Transaction, of: str | None = None, *, now: datetime) -> int:
    """Erase the next batch of a user's data, or of whose erasure was requested first.

    First goes what would be due. Return how many rows; 0 where nothing is left, or others are at
    it.
    """
    unfinished = _UNFINISHED if of is None else _UNFINISHED_OF
    row = tx.connection.execute(unfinished, {"user": of}).mappings().one_or_none()
    if row is None:
        return 0
    user_id = row["user_id"]
    for erase in _STEPS:
        erased = erase(tx, user_id, row["seq"])
        if erased:
            return erased
    tx.connection.execute(
        ERASURES.update().where(ERASURES.c.user_id == user_id).values(finished_at=now)
    )
    return 1


def requested_since(tx: Transaction, since: datetime) -> frozenset[str]:
    """Return the ids of the users whose accounts were deleted after `since`."""
    query = select(ERASURES.c.user_id).where(ERASURES.c.requested_at > since)
    return frozenset(tx.connection.execute(query).scalars())


def is_erased(tx: Transaction, user_id: str, seq: int) -> bool:
    """Say whether an event at this place of a user's stream is erased, or is about to be."""
    found = select(exists().where(ERASURES.c.user_id == user_id, ERASURES.c.seq > seq))
    return tx.connection.execute(found).scalar_one()


def _end_series(tx: Transaction, user_id: str, before: int) -> int:
    del before
    return tx.connection.execute(_END_SERIES, {"user": user_id}).rowcount


def _erase_scheduled_reminders(tx: Transaction, user_id: str, before: int) -> int:
    del before
    scheduled = (REMINDERS.c.user_id == user_id) & (REMINDERS.c.status == "scheduled")
    return bulk.delete_batch(tx, REMINDERS, scheduled, by=REMINDERS.c.remind_at)


def _erase_notifications(tx: Transaction, user_id: str, before: int) -> int:
    del before
    return bulk.delete_batch(tx, NOTIFICATIONS, NOTIFICATIONS.c.user_id == user_id)


def _erase_events(tx: Transaction, user_id: str, before: int) -> int:
    """Erase events from the last one on, with their audit entries, their claims and their tasks."""
    happened = events.erase_last(tx, user_id, before=before, limit=EVENTS_MAX)
    if not happened:
        return 0
    created = _created_tasks(happened)
    if created:
        for statement in (_REMINDERS_OF_TASKS, _TASKS, *_REBUILT):
            tx.connection.execute(statement, {"ids": created})
    tx.connection.execute(_CLAIMS, {"ids": [event.event_id for event in happened]})
    _erase_audit_entries(tx, user_id, [event.seq for event in happened])
    tx.connection.execute(_PASS_OVER, {"user": user_id, "seq": happened[0].seq})
    return len(happened)


def _created_tasks(happened: Sequence[Event]) -> list[UUID]:
    return [
        UUID(event.aggregate_id) for event in happened if event.event_type == EventType.TASK_CREATED
    ]


def _erase_audit_entries(tx: Transaction, user_id: str, seqs: Sequence[int]) -> None:
    entries = AUDIT_ENTRIES.c
    tx.connection.execute(
        AUDIT_ENTRIES.delete().where(entries.user_id == user_id, entries.seq.in_(seqs))
    )


def _erase_late_audit_entries(tx: Transaction, user_id: str, before: int) -> int:
    """Erase the entries that a consumer has written while their events were being erased."""
    entries = AUDIT_ENTRIES.c
    late = (entries.user_id == user_id) & (entries.seq < before)
    return bulk.delete_batch(tx, AUDIT_ENTRIES, late)


def _erase_late_rebuilt(tx: Transaction, user_id: str, before: int) -> int:
    """Erase what a replay has rebuilt while the events were being erased."""
    del before
    tables = (SHADOW_TASKS, REPLAY_DIFFERENCES)
    return sum(bulk.delete_batch(tx, each, each.c.user_id == user_id) for each in tables)


def _erase_dead_letters(tx: Transaction, user_id: str, before: int) -> int:
    letters = DEAD_LETTERS.c
    theirs = (letters.user_id == user_id) & (letters.seq < before)
    return bulk.delete_batch(tx, DEAD_LETTERS, theirs)


def _erase_redeliveries(tx: Transaction, user_id: str, before: int) -> int:
    asked = REDELIVERIES.c
    theirs = (asked.user_id == user_id) & (asked.seq < before)
    return bulk.delete_batch(tx, REDELIVERIES, theirs)


def _erase_idempotency_keys(tx: Transaction, user_id: str, before: int) -> int:
    del before
    return bulk.delete_batch(tx, IDEMPOTENCY_KEYS, IDEMPOTENCY_KEYS.c.user_id == user_id)


Step = Callable[[Transaction, str, int], int]
"""Erases some of a user's, with the `seq` of the event that tells of it; returns how many rows."""

_STEPS: Sequence[Step] = (
    _end_series,
    _erase_scheduled_reminders,
    _erase_idempotency_keys,
    _erase_dead_letters,
    _erase_redeliveries,
    _erase_notifications,
    _erase_events,
    _erase_late_audit_entries,
    _erase_late_rebuilt,
)
