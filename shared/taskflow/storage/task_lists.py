"""Lists of a user's tasks: filtered, sorted, in pages, each at the cost of what it shows.

PostgreSQL can't know how the filters of a user go together with the order. So no statement here
leaves to the planner how much is read: each reads one index in its order, and a bounded part of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from unicodedata import normalize
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    Text,
    cast,
    func,
    literal,
    literal_column,
    select,
    text,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError

from taskflow.domain.errors import FieldError, InvalidContent
from taskflow.domain.tasks import Priority, Status, Task
from taskflow.storage.tables import TASKS
from taskflow.storage.task_store import RANK, task_of
from taskflow.storage.transactions import Transaction, is_data_error

SORTABLE = ("created_at", "due_date", "priority", "updated_at", "title")

LOOKED_AT_FIRST = 1_000
"""How many tasks are looked at in the order of a list before it is asked whether few are wanted."""

FEW = 2_000
"""Fewer than so many that one filter leaves over are all read and sorted."""

LOOKED_AT_MOST = 5_000
"""How many tasks are looked at in the order of a list for one page, which ends with them."""

Tasks = Select[*tuple[Any, ...]]
Condition = ColumnElement[bool]

_TEXTS = ARRAY(Text)

_BY_INDEX = text("SET LOCAL enable_sort = off; SET LOCAL enable_seqscan = off")
"""For the transaction: of a user whom the statistics do not know yet, the planner expects a row or
two, and would take any index and sort what it finds: all."""


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


@dataclass(frozen=True, slots=True)
class Found:
    """A part of a list, each task with the position of what comes after it.

    Where `then` is not None, no further was looked, and the list may go on from there.
    """

    tasks: list[tuple[Task, Position]]
    then: Position | None = None


def list_of(
    tx: Transaction,
    user_id: str,
    wanted: TaskFilter,
    *,
    sort: str,
    after: Position | None,
    limit: int,
) -> Found:
    """Return a user's tasks, at most `limit`: fewer where the list ends, or `then` goes on.

    `sort` is one of SORTABLE, with `-` in front for descending; tasks without a due date come
    last either way. Raises InvalidContent where `after` is no position in this order.
    """
    listed = _List(
        tx, user_id, wanted, sort.removeprefix("-"), descending=sort.startswith("-"), after=after
    )
    try:
        return listed.read(limit)
    except DBAPIError as failed:
        if after is not None and is_data_error(failed):
            raise InvalidContent(FieldError("/cursor", "is not a cursor of this list")) from failed
        raise


@dataclass(frozen=True, slots=True)
class _List:
    tx: Transaction
    user_id: str
    wanted: TaskFilter
    by: str
    descending: bool = False
    after: Position | None = None

    def read(self, limit: int) -> Found:
        if not self._statuses:
            return Found([])
        self.tx.connection.execute(_BY_INDEX)
        if not self._filters(TASKS, besides=self.by):
            return self._read_in_order(None, limit)
        found = self._read_in_order(LOOKED_AT_FIRST, limit)
        if found.then is None:
            return found
        for few in self._selections():
            some = few.limit(FEW).subquery()
            count = select(func.count()).select_from(some)
            if self.tx.connection.execute(count).scalar_one() < FEW:
                return Found(self._rows(some, self._key(some), self._all_conditions(some), limit))
        return self._read_in_order(LOOKED_AT_MOST, limit)

    def _read_in_order(self, most: int | None, limit: int) -> Found:
        looked_at = self.in_order(most or limit).subquery()
        filters = self._filters(looked_at, besides=self.by)
        tasks = self._rows(looked_at, looked_at.c.sort_key, filters, limit)
        if most is None or len(tasks) == limit:
            return Found(tasks)
        last = self.in_order(most).offset(most - 1).limit(1).subquery()
        query = select(cast(last.c.sort_key, Text).label("key"), last.c.id)
        row = self.tx.connection.execute(query).one_or_none()
        return Found(tasks, Position(row.key, row.id) if row else None)

    def _rows(
        self,
        looked_at: FromClause,
        key: ColumnElement[Any],
        conditions: Sequence[Condition],
        limit: int,
    ) -> list[tuple[Task, Position]]:
        columns = [looked_at.c[column.name] for column in TASKS.c]
        query = select(*columns, cast(key, Text).label("position")).where(*conditions)
        query = query.order_by(*self._directed(key, looked_at.c.id)).limit(limit)
        rows = self.tx.connection.execute(query).mappings()
        return [(task_of(row), Position(row["position"], row["id"])) for row in rows]

    @property
    def _statuses(self) -> list[Status]:
        completed = self.wanted.completed
        return [
            status
            for status in Status
            if (not self.wanted.status or status in self.wanted.status)
            and (completed is None or completed == (status is Status.COMPLETED))
        ]

    def _key(self, tasks: FromClause) -> ColumnElement[Any]:
        """Return what the list is sorted by, in the words of its index."""
        match self.by:
            case "title":
                return tasks.c.title_key
            case "due_date":
                kind = TASKS.c.due_date.type
                return func.coalesce(
                    tasks.c.due_date, _no_due_date("-" if self.descending else ""), type_=kind
                )
            case _:
                return tasks.c[self.by]

    def _directed(self, *columns: ColumnElement[Any]) -> list[ColumnElement[Any]]:
        return [each.desc() if self.descending else each.asc() for each in columns]

    def _behind(self, key: ColumnElement[Any], task_id: ColumnElement[Any]) -> list[Condition]:
        if self.after is None:
            return []
        here = tuple_(key, task_id)
        there = tuple_(cast(literal(self.after.key, Text), key.type), literal(self.after.id))
        return [here < there if self.descending else here > there]

    def in_order(self, most: int) -> Tasks:
        """Return the first tasks of the wanted statuses in the list's order, with their `sort_key`.

        They come from one index; the filter that goes with the order is met too.
        """
        key = self._key(TASKS)
        kinds: list[list[Condition]] = [[]]
        if self.by != "created_at" or len(self._statuses) < len(Status):
            kinds = [[TASKS.c.status == status.value] for status in self._statuses]
        if self.by == "priority" and self.wanted.priority:
            # Not as an equation: PostgreSQL would make this the order of ids, and read all of them.
            kinds = [
                [*kind, TASKS.c.priority.between(rank, rank)]
                for kind in kinds
                for rank in _ranks(self.wanted)
            ]
        bounds = _due_between(self.wanted, key) if self.by == "due_date" else []
        every = select(TASKS, key.label("sort_key")).where(
            TASKS.c.user_id == self.user_id,
            TASKS.c.deleted_at.is_(None),
            *bounds,
            *self._behind(key, TASKS.c.id),
        )
        every = every.order_by(*self._directed(key, TASKS.c.id)).limit(most)
        # PostgreSQL merges them as they are read: the first of each, and then one for one.
        each = [every.where(*kind) for kind in kinds]
        if len(each) == 1:
            return each[0]
        merged = union_all(*each).subquery()
        in_order = select(merged).order_by(*self._directed(merged.c.sort_key, merged.c.id))
        return in_order.limit(most)

    def _all_conditions(self, tasks: FromClause) -> list[Condition]:
        return [
            tasks.c.user_id == self.user_id,
            tasks.c.deleted_at.is_(None),
            tasks.c.status.in_([status.value for status in self._statuses]),
            *self._filters(tasks),
            *self._behind(self._key(tasks), tasks.c.id),
        ]

    def _selections(self) -> Iterator[Tasks]:
        """Yield, for each filter with an index, the tasks that it leaves over, few or many."""
        wanted = self.wanted
        if wanted.tags:
            # Without a condition on user_id: for that the planner might read all tasks of theirs.
            elements = func.array_prepend(TASKS.c.user_id, TASKS.c.tags, type_=_TEXTS)
            tagged = select(TASKS).where(
                TASKS.c.deleted_at.is_(None),
                elements.contains(literal([self.user_id], _TEXTS)),
                func.cardinality(TASKS.c.tags) > 0,
                *_tagged(wanted.tags, elements),
            )
            # Planned as a whole, that is by this index, though few of them are read.
            yield select(tagged.cte("tagged").prefix_with("MATERIALIZED"))
        if wanted.recurring:
            recurring = TASKS.c.recurrence.is_not(None)
            yield (
                select(TASKS).where(TASKS.c.user_id == self.user_id, recurring).order_by(TASKS.c.id)
            )
        for by, is_wanted in (
            ("due_date", wanted.due_after or wanted.due_before),
            ("priority", wanted.priority),
        ):
            if is_wanted and by != self.by:
                yield _List(self.tx, self.user_id, wanted, by).in_order(FEW)

    def _filters(self, tasks: FromClause, *, besides: str = "") -> list[Condition]:
        """Return the filters other than that by status, and than one that goes with an order."""
        wanted = self.wanted
        conditions = _tagged(wanted.tags, tasks.c.tags)
        if wanted.recurring is not None:
            recurs = tasks.c.recurrence.is_not(None)
            conditions.append(recurs if wanted.recurring else ~recurs)
        if besides != "due_date":
            conditions += _due_between(wanted, tasks.c.due_date)
        if besides != "priority" and wanted.priority:
            conditions.append(tasks.c.priority.in_(_ranks(wanted)))
        return conditions


def _due_between(wanted: TaskFilter, due: ColumnElement[Any]) -> list[Condition]:
    if wanted.due_after is None and wanted.due_before is None:
        return []
    # Without a due date a task has its place at the one end, or at the other.
    after = _no_due_date("-") if wanted.due_after is None else literal(wanted.due_after)
    before = _no_due_date() if wanted.due_before is None else literal(wanted.due_before)
    return [due > after, due < before]


def _no_due_date(sign: str = "") -> ColumnElement[Any]:
    # Not a parameter, for the indexes have none.
    return literal_column(f"'{sign}infinity'::timestamptz", TASKS.c.due_date.type)


def _tagged(tags: Sequence[str], elements: ColumnElement[Any]) -> list[Condition]:
    # Tasks have kept tags as they were typed, and events that tell so can't be changed.
    alike = [sorted({tag, *(normalize(form, tag) for form in ("NFC", "NFD"))}) for tag in tags]
    return [elements.overlap(literal(forms, _TEXTS)) for forms in alike]


def _ranks(wanted: TaskFilter) -> list[int]:
    return sorted({RANK[priority] for priority in wanted.priority})
