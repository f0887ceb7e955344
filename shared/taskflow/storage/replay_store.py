"""Replays in PostgreSQL: how far each has come, the tasks that it rebuilt, what differs.

Whoever advances a replay holds it for a while, which each step renews. So two do not do the same
work, and one that was killed is followed by another soon after. The tasks of each replay are kept
apart from those of others, and all of them from the live ones.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Self
from uuid import UUID

from sqlalchemy import Interval, RowMapping, Text, Uuid, bindparam, func, or_, select, text, tuple_
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import ARRAY, insert

from taskflow.domain.errors import ReplayIsOver, ReplayNotFound, TooManyReplays
from taskflow.domain.identifiers import new_id
from taskflow.domain.replay import ReplayRequest, Target, TaskState
from taskflow.storage import bulk, events
from taskflow.storage.tables import ERASURES, REPLAY_DIFFERENCES, REPLAYS, SHADOW_TASKS, TASKS
from taskflow.storage.transactions import Transaction

KEPT = timedelta(days=7)
"""How long after its end a replay is kept, with the tasks that it rebuilt."""

HELD_FOR = timedelta(seconds=60)
"""Longer than a step takes, the slowest of its statements included."""

RUNNING_MAX = 100
"""How many replays may wait for their turn, or be under way."""

DIFFERENCES_MAX = 1_000
"""How many tasks that differ are named; the others are counted."""

State = Literal["running", "done", "cancelled"]
Phase = Literal["events", "rebuilt-tasks", "live-tasks"]
"""What is gone through: the events, and then, to compare them, the tasks that were rebuilt, and the
live ones for those that were not."""

DifferenceKind = Literal["differs", "only-live", "only-rebuilt"]

_NO_TASK = UUID(int=0)


class ReplayNotHeld(Exception):
    """Somebody else advances the replay by now, or it was cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedReplay:
    """A replay that was asked for, and how far it has come.

    `events_newer` were refused: their `schema_version` is newer than this code. `advanced_at` is
    when its last step was done, or its first one begun; None before that.
    """

    id: UUID
    target: Target
    user_id: str | None
    from_seq: int
    events_per_s: int
    requested_by: str
    state: State
    phase: Phase
    created_at: datetime
    advanced_at: datetime | None
    ended_at: datetime | None
    events_total: int
    events_done: int
    events_newer: int
    tasks_same: int
    tasks_differing: int
    tasks_only_live: int
    tasks_only_rebuilt: int
    after_user: str
    after_seq: int
    after_task: UUID

    @property
    def differences(self) -> int:
        """How many tasks differ."""
        return self.tasks_differing + self.tasks_only_live + self.tasks_only_rebuilt

    @property
    def is_equal(self) -> bool | None:
        """Whether all events gave the live tasks; None before that is known, and to the topic."""
        if self.target == "topic" or self.state != "done":
            return None
        return not (self.differences or self.events_newer)

    def in_phase(self, phase: Phase) -> Self:
        """Return it at the beginning of a phase."""
        return replace(self, phase=phase, after_task=_NO_TASK)

    def done(self, *, now: datetime) -> Self:
        """Return it as one that has come to its end."""
        return replace(self, state="done", ended_at=now)


@dataclass(frozen=True, slots=True)
class RebuiltTask:
    """A task as a replay has rebuilt it, and the `seq` of the event that it is from."""

    task_id: UUID
    user_id: str
    seq: int
    state: TaskState


@dataclass(frozen=True, slots=True)
class Difference:
    """A task that is not what its events say: the names of the fields, unless one is missing."""

    task_id: UUID
    user_id: str
    kind: DifferenceKind
    fields: Sequence[str] = ()


_COLUMNS = [REPLAYS.c[field.name] for field in fields(RequestedReplay)]
_MOVING = (
    *("state", "phase", "ended_at", "events_done", "events_newer", "tasks_same"),
    *("tasks_differing", "tasks_only_live", "tasks_only_rebuilt"),
    *("after_user", "after_seq", "after_task"),
)

# What is held for longer than anybody holds is from before the clock was set back.
_HELD_FOR = bindparam("held_for", HELD_FOR, type_=Interval)
_IS_HELD = REPLAYS.c.held_until.between(func.now(), func.clock_timestamp() + _HELD_FOR)
_RUNNING = REPLAYS.c.state == "running"

_SAVE_REBUILT = text(
    """
    INSERT INTO shadow_tasks (replay_id, task_id, user_id, seq, version, fields)
    SELECT :replay_id, rebuilt.*
    FROM json_to_recordset(CAST(:rows AS json))
        AS rebuilt (task_id uuid, user_id text, seq bigint, version integer, fields json)
    ON CONFLICT (replay_id, task_id) DO UPDATE
    SET seq = excluded.seq, version = excluded.version, fields = excluded.fields
    WHERE shadow_tasks.version < excluded.version
    """
).bindparams(bindparam("replay_id", type_=Uuid), bindparam("rows", type_=Text))


def add(
    tx: Transaction, wanted: ReplayRequest, *, requested_by: str, now: datetime
) -> RequestedReplay:
    """Store a new replay, which is advanced when its turn comes.

    Raises TooManyReplays, and AccountNotFound where the user it names never had an event.
    """
    if wanted.user_id is not None:
        events.newest_seq(tx, wanted.user_id)
    running = select(func.count()).select_from(REPLAYS).where(_RUNNING)
    if tx.connection.execute(running).scalar_one() >= RUNNING_MAX:
        raise TooManyReplays
    replay = RequestedReplay(
        id=new_id(now),
        target=wanted.to,
        user_id=wanted.user_id,
        from_seq=wanted.from_seq,
        events_per_s=wanted.events_per_s,
        requested_by=requested_by,
        state="running",
        phase="events",
        created_at=now,
        advanced_at=None,
        ended_at=None,
        events_total=events.count(tx, wanted.user_id, from_seq=wanted.from_seq),
        events_done=0,
        events_newer=0,
        tasks_same=0,
        tasks_differing=0,
        tasks_only_live=0,
        tasks_only_rebuilt=0,
        after_user="",
        after_seq=wanted.from_seq - 1,
        after_task=_NO_TASK,
    )
    tx.connection.execute(REPLAYS.insert().values(_row_of(replay)))
    return replay


def get(tx: Transaction, replay_id: UUID) -> RequestedReplay:
    """Return a replay. Raises ReplayNotFound."""
    query = select(*_COLUMNS).where(REPLAYS.c.id == replay_id)
    row = tx.connection.execute(query).mappings().one_or_none()
    if row is None:
        raise ReplayNotFound
    return _replay(row)


def list_of(
    tx: Transaction, *, after: tuple[datetime, UUID] | None, limit: int
) -> list[RequestedReplay]:
    """Return replays, newest first, after the one of this time and id."""
    query = select(*_COLUMNS)
    if after is not None:
        query = query.where(tuple_(REPLAYS.c.created_at, REPLAYS.c.id) < tuple_(*after))
    query = query.order_by(REPLAYS.c.created_at.desc(), REPLAYS.c.id.desc()).limit(limit)
    return [_replay(row) for row in tx.connection.execute(query).mappings()]


def cancel(tx: Transaction, replay_id: UUID, *, now: datetime) -> None:
    """End a replay where it is: no further step of it is taken.

    Raises ReplayNotFound, and ReplayIsOver.
    """
    ended = tx.connection.execute(
        REPLAYS.update()
        .where(REPLAYS.c.id == replay_id, _RUNNING)
        .values(state="cancelled", ended_at=now)
    )
    if not ended.rowcount:
        get(tx, replay_id)
        raise ReplayIsOver


# Whoever advances one


def hold(
    tx: Transaction,
    holder: UUID,
    targets: Sequence[Target],
    *,
    now: datetime,
    only: UUID | None = None,
) -> RequestedReplay | None:
    """Hold, for HELD_FOR, the oldest replay that is not done and that nobody else holds.

    Of those to one of `targets`, and `only` that one; None where there is none. With this it has
    begun.
    """
    free = or_(
        REPLAYS.c.held_until.is_(None),
        REPLAYS.c.held_by == holder,
        ~_IS_HELD,
    )
    next_one = select(REPLAYS.c.id).where(_RUNNING, REPLAYS.c.target.in_(targets), free)
    if only is not None:
        next_one = next_one.where(REPLAYS.c.id == only)
    next_one = next_one.order_by(REPLAYS.c.created_at, REPLAYS.c.id).limit(1)
    row = (
        tx.connection.execute(
            REPLAYS.update()
            .where(REPLAYS.c.id == next_one.with_for_update(skip_locked=True).scalar_subquery())
            .values(
                held_by=holder,
                held_until=func.now() + _HELD_FOR,
                advanced_at=func.coalesce(REPLAYS.c.advanced_at, now),
            )
            .returning(*_COLUMNS)
        )
        .mappings()
        .one_or_none()
    )
    return None if row is None else _replay(row)


def is_any_running(tx: Transaction, targets: Sequence[Target]) -> bool:
    """Say whether there is a replay that is not done, to one of `targets`, whoever holds it."""
    query = select(REPLAYS.c.id).where(_RUNNING, REPLAYS.c.target.in_(targets)).limit(1)
    return tx.connection.execute(query).first() is not None


def save(tx: Transaction, replay: RequestedReplay, holder: UUID, *, now: datetime) -> None:
    """Record how far a replay has come by a step, and hold it for HELD_FOR from now.

    Raises ReplayNotHeld, which must undo the step.
    """
    values: dict[str, Any] = {name: getattr(replay, name) for name in _MOVING}
    saved = tx.connection.execute(
        REPLAYS.update()
        .where(REPLAYS.c.id == replay.id, REPLAYS.c.held_by == holder, _RUNNING)
        .values(**values, advanced_at=now, held_until=func.now() + _HELD_FOR)
    )
    if not saved.rowcount:
        raise ReplayNotHeld


def renew(tx: Transaction, holder: UUID) -> None:
    """Hold what a holder holds for HELD_FOR from now."""
    tx.connection.execute(
        REPLAYS.update()
        .where(REPLAYS.c.held_by == holder, _RUNNING)
        .values(held_until=func.now() + _HELD_FOR)
    )


def release(tx: Transaction, holder: UUID) -> None:
    """Release what a holder holds, for others to go on with at once."""
    tx.connection.execute(
        REPLAYS.update().where(REPLAYS.c.held_by == holder).values(held_by=None, held_until=None)
    )


# What it rebuilds


def deletions(tx: Transaction, user_ids: Collection[str]) -> dict[str, int]:
    """Return, of those of these users whose accounts were deleted, the `seq` of the event of it.

    What is theirs from before is erased, or about to be.
    """
    query = select(ERASURES.c.user_id, ERASURES.c.seq).where(
        ERASURES.c.user_id == func.any(bindparam("users", type_=ARRAY(Text)))
    )
    rows = tx.connection.execute(query, {"users": sorted(user_ids)})
    return {row.user_id: row.seq for row in rows}


def save_rebuilt(tx: Transaction, replay_id: UUID, rebuilt: Sequence[RebuiltTask]) -> None:
    """Store tasks that a replay has rebuilt, each once, over those of a lower version."""
    rows: list[str] = []
    for each in rebuilt:
        values = {
            "task_id": each.task_id,
            "user_id": each.user_id,
            "seq": each.seq,
            "version": each.state.version,
        }
        # Spliced, for the text is compared as it was rebuilt.
        rows.append(f'{bulk.encode(values)[:-1]},"fields":{each.state.fields_json}}}')
    if rows:
        rows_json = f"[{','.join(rows)}]"
        tx.connection.execute(_SAVE_REBUILT, {"replay_id": replay_id, "rows": rows_json})


def drop_rebuilt(tx: Transaction, replay_id: UUID, ids: Sequence[UUID]) -> None:
    """Delete tasks that a replay has rebuilt."""
    if ids:
        shadow = SHADOW_TASKS.c
        tx.connection.execute(
            SHADOW_TASKS.delete().where(shadow.replay_id == replay_id, shadow.task_id.in_(ids))
        )


def rebuilt_after(
    tx: Transaction, replay_id: UUID, task_id: UUID, *, limit: int
) -> list[RebuiltTask]:
    """Return the next tasks that a replay has rebuilt, by id."""
    shadow = SHADOW_TASKS.c
    query = (
        select(
            shadow.task_id,
            shadow.user_id,
            shadow.seq,
            shadow.version,
            sql_cast(shadow.fields, Text).label("fields_json"),
        )
        .where(shadow.replay_id == replay_id, shadow.task_id > task_id)
        .order_by(shadow.task_id)
        .limit(limit)
    )
    return [
        RebuiltTask(row.task_id, row.user_id, row.seq, TaskState(row.version, row.fields_json))
        for row in tx.connection.execute(query)
    ]


def live_tasks_after(tx: Transaction, task_id: UUID, *, limit: int) -> dict[UUID, str]:
    """Return the ids of the next live tasks of all users, and whose each is, by id."""
    query = (
        select(TASKS.c.id, TASKS.c.user_id)
        .where(TASKS.c.id > task_id)
        .order_by(TASKS.c.id)
        .limit(limit)
    )
    return {row.id: row.user_id for row in tx.connection.execute(query)}


def which_are_rebuilt(tx: Transaction, replay_id: UUID, ids: Sequence[UUID]) -> set[UUID]:
    """Return those of the tasks that a replay has rebuilt."""
    query = select(SHADOW_TASKS.c.task_id).where(
        SHADOW_TASKS.c.replay_id == replay_id,
        SHADOW_TASKS.c.task_id == func.any(bindparam("ids", type_=ARRAY(Uuid))),
    )
    return set(tx.connection.execute(query, {"ids": list(ids)}).scalars())


def add_differences(tx: Transaction, replay: RequestedReplay, found: Sequence[Difference]) -> None:
    """Name tasks that differ, as long as DIFFERENCES_MAX have not been named.

    `replay` is as it was before these were found.
    """
    rows: list[Mapping[str, Any]] = [
        {
            "replay_id": replay.id,
            "task_id": each.task_id,
            "user_id": each.user_id,
            "kind": each.kind,
            "fields": list(each.fields),
        }
        for each in found[: max(0, DIFFERENCES_MAX - replay.differences)]
    ]
    if rows:
        tx.connection.execute(insert(REPLAY_DIFFERENCES).values(rows).on_conflict_do_nothing())


def differences_of(tx: Transaction, replay_id: UUID) -> list[Difference]:
    """Return the tasks that are named as differing, by id."""
    found = REPLAY_DIFFERENCES.c
    query = select(found.task_id, found.user_id, found.kind, found.fields)
    query = query.where(found.replay_id == replay_id).order_by(found.task_id)
    return [Difference(*row) for row in tx.connection.execute(query)]


def forget_old(tx: Transaction, *, now: datetime) -> int:
    """Delete a batch of what replays left that ended KEPT ago; return how many rows.

    A replay itself goes last.
    """
    is_old = REPLAYS.c.ended_at <= now - KEPT
    old = tx.connection.execute(select(REPLAYS.c.id).where(is_old)).scalars().all()
    if not old:
        return 0
    return (
        bulk.delete_batch(tx, SHADOW_TASKS, SHADOW_TASKS.c.replay_id.in_(old))
        or bulk.delete_batch(tx, REPLAY_DIFFERENCES, REPLAY_DIFFERENCES.c.replay_id.in_(old))
        or bulk.delete_batch(tx, REPLAYS, is_old)
    )


def _row_of(replay: RequestedReplay) -> dict[str, Any]:
    return {column.name: getattr(replay, column.name) for column in _COLUMNS}


def _replay(row: RowMapping) -> RequestedReplay:
    return RequestedReplay(**row)
