"""Tasks in PostgreSQL: found, read and locked. `task_changes` writes them."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    RowMapping,
    Uuid,
    bindparam,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from taskflow.domain.errors import TaskNotFound
from taskflow.domain.recurrence import Missed, Mode, Recurrence, Series, Skip
from taskflow.domain.tasks import Priority, Status, Task
from taskflow.domain.times import kept_zone, rfc3339
from taskflow.storage.collation import sort_key
from taskflow.storage.due_items import DueItem, DueItems, DueQuery
from taskflow.storage.search_words import search_words_of
from taskflow.storage.tables import EVENTS, TASKS
from taskflow.storage.transactions import Transaction

PAGE_MAX = 1000
"""How many tasks of all users one query reads; some megabytes at their largest."""

RANK = {priority: rank for rank, priority in enumerate(Priority, start=1)}
PRIORITY = {rank: priority for priority, rank in RANK.items()}

# Made once, and given their values as parameters: building one costs as much as sending it.
_DUE_ITEMS = DueItems(TASKS.c.id, TASKS.c.id, TASKS.c.spawn_at, TASKS.c.spawn_at.is_not(None))
_NEXT_DUE = (
    select(TASKS.c.spawn_at)
    .where(TASKS.c.spawn_at.is_not(None))
    .order_by(TASKS.c.spawn_at)
    .limit(1)
)
_WANTED = (
    func.unnest(
        bindparam("task_ids", type_=ARRAY(TASKS.c.id.type)),
        bindparam("times", type_=ARRAY(TASKS.c.occurrence_at.type)),
    )
    .table_valued("task_id", "at")
    .render_derived("wanted")
)
_EXISTING = select(TASKS.c.recurring_task_id, TASKS.c.occurrence_at).join(
    _WANTED,
    (TASKS.c.recurring_task_id == _WANTED.c.task_id) & (TASKS.c.occurrence_at == _WANTED.c.at),
)

Occurrence = tuple[UUID, datetime]
"""Which task recurs, and when."""

_WITH_IDS = (
    select(TASKS)
    .where(TASKS.c.id == func.any(bindparam("ids", type_=ARRAY(TASKS.c.id.type))))
    .order_by(TASKS.c.id)
)
_SECOND = timedelta(seconds=1)

# By the log: an index for it would be one more to write with every task.
_SOME_CREATED = (
    select(EVENTS.c.seq, cast(EVENTS.c.aggregate_id, Uuid).label("task_id"))
    .where(
        EVENTS.c.user_id == bindparam("user"),
        EVENTS.c.seq > bindparam("after"),
        EVENTS.c.event_type == literal_column("'task.created'"),
    )
    .order_by(EVENTS.c.seq)
    .limit(bindparam("most"))
    .subquery()
)
_CREATED = (
    select(TASKS, _SOME_CREATED.c.seq)
    .join(_SOME_CREATED, _SOME_CREATED.c.task_id == TASKS.c.id)
    .order_by(_SOME_CREATED.c.seq)
)


def get(tx: Transaction, user_id: str, task_id: UUID) -> Task:
    """Return a user's task. Raises TaskNotFound, also for a deleted one."""
    return _one(tx, user_id, task_id, lock=False, deleted=False)


def lock(tx: Transaction, user_id: str, task_id: UUID, *, deleted: bool = False) -> Task:
    """Return a user's task, locked against other changes until the transaction ends.

    With `deleted`, one that was deleted is found too. Raises TaskNotFound.
    """
    return _one(tx, user_id, task_id, lock=True, deleted=deleted)


def lock_recurring(tx: Transaction, user_id: str) -> list[Task]:
    """Return a user's recurring tasks, the deleted ones too, locked in the order of their ids."""
    query = select(TASKS).where(TASKS.c.user_id == user_id, TASKS.c.recurrence.is_not(None))
    rows = tx.connection.execute(query.order_by(TASKS.c.id).with_for_update())
    return [task_of(row) for row in rows.mappings()]


def lock_due(tx: Transaction, query: DueQuery, *, now: datetime) -> list[DueItem]:
    """Lock recurring tasks with an occurrence due by `now`, in round-robin order of users.

    Tasks that another transaction has locked are skipped.
    """
    return _DUE_ITEMS.lock(tx, query, now=now)


def next_due(tx: Transaction) -> datetime | None:
    """Return when the next occurrence is to be created, of all users'; None where there is none."""
    return tx.connection.execute(_NEXT_DUE).scalar_one_or_none()


def occurrences_at(tx: Transaction, times: Mapping[UUID, Sequence[datetime]]) -> set[Occurrence]:
    """Return which occurrences of recurring tasks there are, of those with one of these times."""
    pairs = [(task_id, at) for task_id, each in times.items() for at in each]
    if not pairs:
        return set()
    task_ids, at = zip(*pairs, strict=True)
    rows = tx.connection.execute(_EXISTING, {"task_ids": list(task_ids), "times": list(at)})
    return {(row.recurring_task_id, row.occurrence_at) for row in rows}


def has_successor(tx: Transaction, task_id: UUID) -> bool:
    """Say whether completing a task has made the next of its series already."""
    query = select(TASKS.c.id).where(TASKS.c.predecessor_id == task_id)
    return tx.connection.execute(query).first() is not None


def owner(tx: Transaction, task_id: UUID) -> str:
    """Return the user id of a task's owner, deleted or not. Raises TaskNotFound."""
    user_id = tx.connection.execute(
        select(TASKS.c.user_id).where(TASKS.c.id == task_id)
    ).scalar_one_or_none()
    if user_id is None:
        raise TaskNotFound
    return user_id


def all_of(tx: Transaction, user_id: str) -> list[Task]:
    """Return all tasks of a user, the deleted ones too, oldest first."""
    query = select(TASKS).where(TASKS.c.user_id == user_id).order_by(TASKS.c.created_at, TASKS.c.id)
    return [task_of(row) for row in tx.connection.execute(query).mappings()]


def page_of_all(tx: Transaction, *, after: UUID | None) -> list[Task]:
    """Return the next PAGE_MAX tasks of all users, the deleted ones too, by id."""
    query = select(TASKS).order_by(TASKS.c.id).limit(PAGE_MAX)
    if after is not None:
        query = query.where(TASKS.c.id > after)
    return [task_of(row) for row in tx.connection.execute(query).mappings()]


def page_of_user(
    tx: Transaction, user_id: str, *, after_seq: int, limit: int
) -> tuple[list[Task], int | None]:
    """Return a user's next tasks, the deleted ones too, in the order in which they were created.

    Also the `seq` to go on after, None where there are no more.
    """
    values = {"user": user_id, "after": after_seq, "most": limit}
    rows = tx.connection.execute(_CREATED, values).mappings().all()
    return [task_of(row) for row in rows], rows[-1]["seq"] if len(rows) == limit else None


def with_ids(tx: Transaction, ids: Sequence[UUID]) -> list[Task]:
    """Return the tasks with these ids, of any user, the deleted ones too."""
    rows = tx.connection.execute(_WITH_IDS, {"ids": list(ids)})
    return [task_of(row) for row in rows.mappings()]


def _one(tx: Transaction, user_id: str, task_id: UUID, *, lock: bool, deleted: bool) -> Task:
    query = select(TASKS).where(TASKS.c.id == task_id, TASKS.c.user_id == user_id)
    if not deleted:
        query = query.where(TASKS.c.deleted_at.is_(None))
    if lock:
        query = query.with_for_update()
    row = tx.connection.execute(query).mappings().one_or_none()
    if row is None:
        raise TaskNotFound
    return task_of(row)


def row_of(task: Task) -> dict[str, Any]:
    """Return the row of the table that holds a task."""
    recurrence, next_at = task.recurrence, task.next_occurrence
    words = search_words_of(task)
    return {
        "id": task.id,
        "user_id": task.user_id,
        "title": task.title,
        "title_key": sort_key(task.title),
        "description": task.description,
        "status": task.status.value,
        "priority": RANK[task.priority],
        "tags": list(task.tags),
        "metadata": task.metadata,
        "due_date": task.due_date,
        "completed_at": task.completed_at,
        "created_at": task.created_at,
        "updated_at": task.updated_at,
        "version": task.version,
        "deleted_at": task.deleted_at,
        "recurrence": recurrence and _as_json(recurrence),
        "next_occurrence": next_at,
        "spawn_at": recurrence.made_at(next_at) if recurrence and next_at else None,
        "recurring_task_id": task.recurring_task_id,
        "occurrence_at": task.occurrence_at,
        "predecessor_id": task.predecessor_id,
        "heading": words.heading,
        "body": words.body,
        "words_version": task.version,
    }


def _as_json(recurrence: Recurrence) -> dict[str, Any]:
    series = recurrence.series
    return {
        "recurrence_rule": series.recurrence_rule,
        "start": series.start.isoformat(),
        "timezone": series.timezone,
        "mode": series.mode.value,
        "missed": series.missed.value,
        "skip": series.skip.value,
        "zone": recurrence.zone,
        "lead_s": recurrence.lead // _SECOND,
        "made": recurrence.made,
        "led_since": recurrence.led_since and rfc3339(recurrence.led_since),
    }


def _recurrence(stored: dict[str, Any]) -> Recurrence:
    return Recurrence(
        series=Series(
            recurrence_rule=stored["recurrence_rule"],
            start=datetime.fromisoformat(stored["start"]),
            timezone=stored["timezone"] and kept_zone(stored["timezone"]),
            mode=Mode(stored["mode"]),
            missed=Missed(stored["missed"]),
            skip=Skip(stored["skip"]),
        ),
        zone=kept_zone(stored["zone"]),
        lead=stored["lead_s"] * _SECOND,
        made=stored["made"],
        # What was stored before this was kept goes by its lead alone.
        led_since=datetime.fromisoformat(led_since)
        if (led_since := stored.get("led_since"))
        else None,
    )


def task_of(row: RowMapping | Mapping[str, Any]) -> Task:
    """Return the task that a row of the table holds, whatever query found it."""
    return Task(
        id=row["id"],
        user_id=row["user_id"],
        title=row["title"],
        description=row["description"],
        status=Status(row["status"]),
        priority=PRIORITY[row["priority"]],
        tags=tuple(row["tags"]),
        metadata=row["metadata"],
        due_date=row["due_date"],
        completed_at=row["completed_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        version=row["version"],
        deleted_at=row["deleted_at"],
        recurrence=row["recurrence"] and _recurrence(row["recurrence"]),
        next_occurrence=row["next_occurrence"],
        recurring_task_id=row["recurring_task_id"],
        occurrence_at=row["occurrence_at"],
        predecessor_id=row["predecessor_id"],
    )
