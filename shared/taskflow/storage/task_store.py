"""Tasks in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    RowMapping,
    Text,
    bindparam,
    cast,
    func,
    literal,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError

from taskflow.domain.errors import FieldError, InvalidContent, TaskNotFound
from taskflow.domain.tasks import Priority, Status, Task
from taskflow.storage.tables import TASKS
from taskflow.storage.transactions import Transaction, is_data_error

PAGE_MAX = 1000
"""Of tasks of everybody; some megabytes at their largest."""

_RANK = {priority: rank for rank, priority in enumerate(Priority, start=1)}
_PRIORITY = {rank: priority for priority, rank in _RANK.items()}

# Made once, and given their values as parameters: building one costs as much as sending it.
_INSERT = TASKS.insert()
_UPDATE = TASKS.update().where(
    TASKS.c.id == bindparam("saved_id"), TASKS.c.version < bindparam("saved_version")
)

SORTABLE = ("created_at", "due_date", "priority", "updated_at", "title")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Which of a user's tasks to list; what is None does not narrow, `tags` must all be there."""

    status: Sequence[Status] = ()
    completed: bool | None = None
    priority: Sequence[Priority] = ()
    tags: Sequence[str] = ()
    due_before: datetime | None = None
    due_after: datetime | None = None
    recurring: bool | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page of a list ended: the last row's sort key, as text, and its id."""

    key: str | None
    id: UUID


def add(tx: Transaction, task: Task) -> None:
    """Store a new task."""
    tx.connection.execute(_INSERT, _row(task))


def save(tx: Transaction, task: Task) -> None:
    """Store a task over the one that this transaction locked; an unchanged one is not written."""
    row = _row(task)
    row["saved_id"] = row.pop("id")
    tx.connection.execute(_UPDATE, {**row, "saved_version": task.version})


def get(tx: Transaction, user_id: str, task_id: UUID) -> Task:
    """Return a user's task. Raises TaskNotFound, also for a deleted one."""
    return _one(tx, user_id, task_id, lock=False, deleted=False)


def lock(tx: Transaction, user_id: str, task_id: UUID, *, deleted: bool = False) -> Task:
    """Return a user's task, locked against other changes until the transaction ends.

    With `deleted`, one that was deleted is found too. Raises TaskNotFound.
    """
    return _one(tx, user_id, task_id, lock=True, deleted=deleted)


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
    return [_task(row) for row in tx.connection.execute(query).mappings()]


def page_of_all(tx: Transaction, *, after: UUID | None) -> list[Task]:
    """Return the next PAGE_MAX tasks of all users, the deleted ones too, by id."""
    query = select(TASKS).order_by(TASKS.c.id).limit(PAGE_MAX)
    if after is not None:
        query = query.where(TASKS.c.id > after)
    return [_task(row) for row in tx.connection.execute(query).mappings()]


def with_ids(tx: Transaction, ids: Sequence[UUID]) -> list[Task]:
    """Return these tasks, whoever's they are, the deleted ones too."""
    query = select(TASKS).where(TASKS.c.id.in_(ids)).order_by(TASKS.c.id)
    return [_task(row) for row in tx.connection.execute(query).mappings()]


def list_of(
    tx: Transaction,
    user_id: str,
    wanted: TaskFilter,
    *,
    sort: str,
    after: Position | None,
    limit: int,
) -> tuple[list[Task], Position | None]:
    """Return a page of a user's tasks, and where it ended if there are more.

    `sort` is one of SORTABLE, with `-` in front for descending; tasks without a due date come
    last either way. Raises InvalidContent where `after` is no position in this order.
    """
    descending = sort.startswith("-")
    name = sort.removeprefix("-")
    key = _sort_key(name, descending=descending)
    query = select(TASKS, cast(key, Text).label("sort_key")).where(
        TASKS.c.user_id == user_id, TASKS.c.deleted_at.is_(None), *_conditions(wanted)
    )
    if after is not None:
        here = tuple_(key, TASKS.c.id)
        there = tuple_(cast(literal(after.key, Text), key.type), literal(after.id))
        query = query.where(here < there if descending else here > there)
    order = (key.desc(), TASKS.c.id.desc()) if descending else (key.asc(), TASKS.c.id.asc())
    try:
        rows = tx.connection.execute(query.order_by(*order).limit(limit + 1)).mappings().all()
    except DBAPIError as failed:
        if after is not None and is_data_error(failed):
            raise InvalidContent(FieldError("/cursor", "is not a cursor of this list")) from failed
        raise
    page = rows[:limit]
    more = len(rows) > limit
    return (
        [_task(row) for row in page],
        Position(page[-1]["sort_key"], page[-1]["id"]) if more else None,
    )


def _sort_key(name: str, *, descending: bool) -> ColumnElement[Any]:
    match name:
        case "title":
            return func.lower(TASKS.c.title, type_=Text)
        case "due_date":
            last = literal("-infinity" if descending else "infinity", Text)
            return func.coalesce(
                TASKS.c.due_date, cast(last, TASKS.c.due_date.type), type_=TASKS.c.due_date.type
            )
        case _:
            return TASKS.c[name]


def _conditions(wanted: TaskFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.status:
        conditions.append(TASKS.c.status.in_([status.value for status in wanted.status]))
    if wanted.completed is not None:
        is_completed = TASKS.c.status == Status.COMPLETED.value
        conditions.append(is_completed if wanted.completed else ~is_completed)
    if wanted.priority:
        conditions.append(TASKS.c.priority.in_([_RANK[priority] for priority in wanted.priority]))
    if wanted.tags:
        conditions.append(TASKS.c.tags.contains(literal(list(wanted.tags), ARRAY(Text))))
    if wanted.due_before is not None:
        conditions.append(TASKS.c.due_date < wanted.due_before)
    if wanted.due_after is not None:
        conditions.append(TASKS.c.due_date > wanted.due_after)
    if wanted.recurring:
        # No series can be made yet, so none is found.
        conditions.append(literal(value=False))
    return conditions


def _one(tx: Transaction, user_id: str, task_id: UUID, *, lock: bool, deleted: bool) -> Task:
    query = select(TASKS).where(TASKS.c.id == task_id, TASKS.c.user_id == user_id)
    if not deleted:
        query = query.where(TASKS.c.deleted_at.is_(None))
    if lock:
        query = query.with_for_update()
    row = tx.connection.execute(query).mappings().one_or_none()
    if row is None:
        raise TaskNotFound
    return _task(row)


def _row(task: Task) -> dict[str, Any]:
    return {
        "id": task.id,
        "user_id": task.user_id,
        "title": task.title,
        "description": task.description,
        "status": task.status.value,
        "priority": _RANK[task.priority],
        "tags": list(task.tags),
        "metadata": task.metadata,
        "due_date": task.due_date,
        "completed_at": task.completed_at,
        "created_at": task.created_at,
        "updated_at": task.updated_at,
        "version": task.version,
        "deleted_at": task.deleted_at,
    }


def _task(row: RowMapping) -> Task:
    return Task(
        id=row["id"],
        user_id=row["user_id"],
        title=row["title"],
        description=row["description"],
        status=Status(row["status"]),
        priority=_PRIORITY[row["priority"]],
        tags=tuple(row["tags"]),
        metadata=row["metadata"],
        due_date=row["due_date"],
        completed_at=row["completed_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        version=row["version"],
        deleted_at=row["deleted_at"],
    )
