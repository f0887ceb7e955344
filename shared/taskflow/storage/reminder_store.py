"""Reminders in PostgreSQL: found, read and locked with their tasks. `task_changes` writes them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, RowMapping, bindparam, func, literal_column, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY

from taskflow.domain.errors import ReminderNotFound
from taskflow.domain.reminders import Reminder, ReminderStatus
from taskflow.domain.tasks import Task
from taskflow.domain.times import DAY_S, Duration, kept_zone
from taskflow.storage import task_store
from taskflow.storage.due_items import DueItem, DueItems, DueQuery
from taskflow.storage.tables import REMINDERS, TASKS, USERS
from taskflow.storage.transactions import Transaction

PAGE_MAX = 1000
"""How many reminders of a user one query reads; a megabyte or two at their largest."""

_SCHEDULED = REMINDERS.c.status == ReminderStatus.SCHEDULED.value

# A reminder's zone is its user's, as it is when the task is locked: a new one locks it too.
_ALL = select(REMINDERS, USERS.c.timezone).outerjoin(USERS, USERS.c.id == REMINDERS.c.user_id)

# Made once: building a statement costs more than sending it.
_OF_TASKS = _ALL.where(
    REMINDERS.c.task_id == func.any(bindparam("task_ids", type_=ARRAY(TASKS.c.id.type)))
).order_by(REMINDERS.c.created_at, REMINDERS.c.id)
_RELATIVE = (
    _ALL.where(
        REMINDERS.c.task_id == func.any(bindparam("task_ids", type_=ARRAY(TASKS.c.id.type))),
        REMINDERS.c.before_due_s.is_not(None),
        ~REMINDERS.c.is_removed,
    )
    .order_by(REMINDERS.c.task_id, REMINDERS.c.id)
    .limit(bindparam("most"))
)
_DUE = _ALL.where(
    REMINDERS.c.id == func.any(bindparam("ids", type_=ARRAY(REMINDERS.c.id.type))),
    _SCHEDULED,
    REMINDERS.c.remind_at <= bindparam("now"),
).order_by(REMINDERS.c.remind_at, REMINDERS.c.id)
_DUE_ITEMS = DueItems(REMINDERS.c.id, REMINDERS.c.task_id, REMINDERS.c.remind_at, _SCHEDULED)
_NEXT_DUE = select(func.min(REMINDERS.c.remind_at)).where(_SCHEDULED)

# What has days lasts as long as one, and may be from before they were kept; the index knows these.
_HAS_DAYS = (
    (REMINDERS.c.user_id == bindparam("user_id"))
    & (REMINDERS.c.before_due_s >= literal_column(str(DAY_S), Integer))
    & ~REMINDERS.c.is_removed
)
_LOCK_TASKS_WITH_DAYS = (
    select(TASKS.c.id)
    .where(TASKS.c.id.in_(select(REMINDERS.c.task_id).where(_HAS_DAYS)))
    .order_by(TASKS.c.id)
    .with_for_update()
)
_WITH_DAYS = (
    _ALL.add_columns(TASKS.c.due_date)
    .join(TASKS, TASKS.c.id == REMINDERS.c.task_id)
    .where(_HAS_DAYS, _SCHEDULED, REMINDERS.c.id > bindparam("after"))
    .order_by(REMINDERS.c.id)
    .limit(PAGE_MAX)
)


def of_task(tx: Transaction, task_id: UUID) -> list[Reminder]:
    """Return a task's reminders, the removed ones too, oldest first."""
    return of_tasks(tx, [task_id])


def of_tasks(tx: Transaction, task_ids: Sequence[UUID]) -> list[Reminder]:
    """Return the reminders of several tasks, the removed ones too, oldest first."""
    rows = tx.connection.execute(_OF_TASKS, {"task_ids": list(task_ids)})
    return [_reminder(row) for row in rows.mappings()]


def relative_of_tasks(tx: Transaction, task_ids: Sequence[UUID], *, limit: int) -> list[Reminder]:
    """Return at most `limit` of the relative reminders of several tasks, by task."""
    values = {"task_ids": list(task_ids), "most": limit}
    return [_reminder(row) for row in tx.connection.execute(_RELATIVE, values).mappings()]


def all_of(tx: Transaction, user_id: str) -> list[Reminder]:
    """Return all reminders of a user, the removed ones too."""
    rows = tx.connection.execute(_ALL.where(REMINDERS.c.user_id == user_id))
    return [_reminder(row) for row in rows.mappings()]


def lock_with_days(tx: Transaction, user_id: str) -> list[tuple[Reminder, datetime | None]]:
    """Lock a user's tasks with reminders of days; return those to come, with their due dates.

    They are what another zone can move. The account and the recurring tasks are locked, so that
    nobody makes more of them meanwhile.
    """
    # Those too that have none to come: whoever locked one first may bring it back in the old zone.
    tx.connection.execute(_LOCK_TASKS_WITH_DAYS, {"user_id": user_id})
    found: list[tuple[Reminder, datetime | None]] = []
    values = {"user_id": user_id, "after": UUID(int=0)}
    while rows := tx.connection.execute(_WITH_DAYS, values).mappings().all():
        values["after"] = rows[-1]["id"]
        found += [(_reminder(row), row["due_date"]) for row in rows]
    return found


def lock(tx: Transaction, user_id: str, reminder_id: UUID) -> tuple[Reminder, Task]:
    """Return a user's reminder and its task, maybe deleted, which is locked.

    Raises ReminderNotFound, also for one that was removed.
    """
    query = _ALL.where(
        REMINDERS.c.id == reminder_id, REMINDERS.c.user_id == user_id, ~REMINDERS.c.is_removed
    )
    found = tx.connection.execute(query).mappings().one_or_none()
    if found is None:
        raise ReminderNotFound
    task = task_store.lock(tx, user_id, found["task_id"], deleted=True)
    # As it stands now that nobody else can change it.
    row = tx.connection.execute(query).mappings().one_or_none()
    if row is None:
        raise ReminderNotFound
    return _reminder(row), task


def pending(
    tx: Transaction,
    user_id: str,
    *,
    after: tuple[datetime, UUID] | None,
    limit: int,
    task_id: UUID | None = None,
) -> list[Reminder]:
    """Return a user's scheduled reminders in the order of their time, from a position on.

    With `task_id`, those of this task alone.
    """
    query = _ALL.where(REMINDERS.c.user_id == user_id, _SCHEDULED)
    if task_id is not None:
        query = query.where(REMINDERS.c.task_id == task_id)
    if after is not None:
        query = query.where(tuple_(REMINDERS.c.remind_at, REMINDERS.c.id) > tuple_(*after))
    query = query.order_by(REMINDERS.c.remind_at, REMINDERS.c.id).limit(limit)
    return [_reminder(row) for row in tx.connection.execute(query).mappings()]


def lock_due(tx: Transaction, query: DueQuery, *, now: datetime) -> list[DueItem]:
    """Lock the tasks of reminders that are due by `now`, in round-robin order of users.

    Reminders whose task another transaction has locked are skipped.
    """
    return _DUE_ITEMS.lock(tx, query, now=now)


def due(tx: Transaction, ids: Sequence[UUID], *, now: datetime) -> list[tuple[Reminder, Task]]:
    """Return the reminders among `ids` that are due, the longest due first, with their tasks.

    Until their lock was had, another may have sent them, moved them or closed the task.
    """
    rows = tx.connection.execute(_DUE, {"ids": list(ids), "now": now})
    found = [_reminder(row) for row in rows.mappings()]
    tasks = task_store.with_ids(tx, [reminder.task_id for reminder in found])
    by_id = {task.id: task for task in tasks}
    return [(reminder, by_id[reminder.task_id]) for reminder in found]


def next_due(tx: Transaction) -> datetime | None:
    """Return when the next reminder is due, of all users'; None where there is none."""
    return tx.connection.execute(_NEXT_DUE).scalar_one_or_none()


def row_of(reminder: Reminder) -> dict[str, Any]:
    """Return the row of the table that holds a reminder."""
    before_due = reminder.before_due
    return {
        "id": reminder.id,
        "task_id": reminder.task_id,
        "user_id": reminder.user_id,
        "remind_at": reminder.remind_at,
        "before_due_s": before_due and before_due.nominal_s,
        "before_due_days": before_due and before_due.days,
        "message": reminder.message,
        "status": reminder.status.value,
        "created_at": reminder.created_at,
        "version": reminder.version,
        "is_snoozed": reminder.is_snoozed,
        "is_removed": reminder.is_removed,
    }


def _reminder(row: RowMapping) -> Reminder:
    return Reminder(
        id=row["id"],
        task_id=row["task_id"],
        user_id=row["user_id"],
        remind_at=row["remind_at"],
        before_due=_duration(row["before_due_s"], row["before_due_days"]),
        # Without an account there is no other zone.
        zone=kept_zone(row["timezone"] or "UTC"),
        message=row["message"],
        status=ReminderStatus(row["status"]),
        created_at=row["created_at"],
        version=row["version"],
        is_snoozed=row["is_snoozed"],
        is_removed=row["is_removed"],
    )


def _duration(nominal_s: int | None, days: int | None) -> Duration | None:
    if nominal_s is None:
        return None
    # What was stored before days were told from hours was shown in as many days as fit.
    days = nominal_s // DAY_S if days is None else days
    return Duration(days, nominal_s - days * DAY_S)
