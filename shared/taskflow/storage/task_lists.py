"""Lists of a user's tasks: filtered, searched, sorted, in pages; a page reads boundedly many rows.

PostgreSQL can't know how many tasks pass the filters, nor where in the order they lie. So no
statement here leaves to the planner how much is read: each reads a bounded part of one index, in
the order of that index.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from functools import lru_cache
from typing import Any
from unicodedata import normalize
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    or_,
    select,
    text,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY, TSQUERY, TSVECTOR
from sqlalchemy.exc import DBAPIError

from taskflow.domain.errors import FieldError, InvalidContent
from taskflow.domain.tasks import Priority, Status, Task
from taskflow.storage.search_words import Tsqueries
from taskflow.storage.tables import TASKS
from taskflow.storage.task_store import RANK, task_of
from taskflow.storage.transactions import Transaction, is_data_error

SORTABLE = ("created_at", "due_date", "priority", "updated_at", "title")

LOOKED_AT_FIRST = 1_000
"""How many tasks are read in the order of a list before those that pass a filter are counted."""

FEW = 2_000
"""Where fewer tasks than this pass a filter, all of them are read and sorted."""

LOOKED_AT_MOST = 5_000
"""How many tasks are read in the order of a list for one page, which may end before it is full."""

_PLANS_MAX = 512
"""How many kinds of lists have their statements cached; clients ask for some dozens."""

Tasks = Select[*tuple[Any, ...]]
Condition = ColumnElement[bool]

_TEXTS = ARRAY(Text)

_HEADING, _BODY = (literal_column(f"tasks.{name}", TSVECTOR) for name in ("heading", "body"))
"""What tasks are found by (`search_words.py`); not among the columns of TASKS, for no task that is
read needs them."""

_BY_INDEX = text("SET LOCAL enable_sort = off; SET LOCAL enable_seqscan = off")
"""For the transaction: of a user whom the statistics do not know yet, the planner expects a row or
two, and would take any index and sort what it finds: all."""


class Relevance(IntEnum):
    """How well a task matches a text: the words begin words of what, or are the title's own."""

    BODY = 1
    HEADING = 2
    WHOLE_TITLE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Which of a user's tasks to list; None and () do not filter, and a task has all of `tags`.

    `text` finds words; with `relevance`, only those that match it exactly so well.
    """

    status: Sequence[Status] = ()
    completed: bool | None = None
    priority: Sequence[Priority] = ()
    tags: Sequence[str] = ()
    due_before: datetime | None = None
    due_after: datetime | None = None
    recurring: bool | None = None
    text: Tsqueries | None = None
    relevance: Relevance | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page of a list ended: the last row's sort key, as text, and its id.

    In a list by relevance, the key is the time of creation, within the `relevance`.
    """

    key: str | None
    id: UUID
    relevance: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A part of a list, each task with the position at which a next page goes on.

    Where `then` is not None, LOOKED_AT_MOST tasks were read, and the list may go on from there.
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
    by = sort.removeprefix("-")
    plan = _Plan.of(wanted, by, descending=sort.startswith("-"), goes_on=after is not None)
    with _refused_if_no_position(after):
        return _read(tx, plan, _values(user_id, wanted, after), limit)


def list_by_relevance(
    tx: Transaction, user_id: str, wanted: TaskFilter, *, after: Position | None, limit: int
) -> Found:
    """Return a user's tasks that a text finds, as `list_of` does: the best first, then the newest.

    One statement, where no more than FEW tasks have the words that are looked up. Else each
    relevance is a list of its own, and they follow each other. Raises InvalidContent where `after`
    is no position in this order.
    """
    plan = _Plan.of(wanted, "created_at", descending=True, goes_on=after is not None)
    if not plan.statuses:
        return Found([])
    if not plan.has_words:
        # They match by what they have not: all alike.
        return _read_alike(tx, user_id, wanted, Relevance.BODY, after=after, limit=limit)
    if after is not None and not _is_ranked(after):
        raise _no_position()
    with _refused_if_no_position(after):
        tx.connection.execute(_BY_INDEX)
        values = {**_values(user_id, wanted, after), "few": FEW, "most": limit}
        rows = tx.connection.execute(plan.best_of_few(), values).mappings().all()
        if rows[0]["candidates"] <= FEW:
            return Found(
                [
                    (task_of(row), Position(row["position"], row["id"], row["relevance"]))
                    for row in rows
                    if row["relevance"] is not None
                ]
            )
        return _read_by_relevance(tx, user_id, wanted, after, limit)


def _is_ranked(position: Position) -> bool:
    """Say whether a position is one of a list by relevance."""
    try:
        datetime.fromisoformat(position.key or "")
    except ValueError:
        return False
    return position.relevance in set(Relevance)


def _read_by_relevance(
    tx: Transaction, user_id: str, wanted: TaskFilter, after: Position | None, limit: int
) -> Found:
    tasks: list[tuple[Task, Position]] = []
    best = after.relevance if after is not None and after.relevance else max(Relevance)
    for relevance in [Relevance(each) for each in range(best, 0, -1)]:
        exactly, left = replace(wanted, relevance=relevance), limit - len(tasks)
        begin = after if after is not None and after.relevance == relevance else None
        found = _read_alike(tx, user_id, exactly, relevance, after=begin, limit=left)
        tasks += found.tasks
        if found.then is not None or len(tasks) == limit:
            return Found(tasks, found.then)
    return Found(tasks)


def _read_alike(
    tx: Transaction,
    user_id: str,
    wanted: TaskFilter,
    relevance: Relevance,
    *,
    after: Position | None,
    limit: int,
) -> Found:
    """Return the tasks that `wanted` finds, all of one relevance, newest first."""
    found = list_of(tx, user_id, wanted, sort="-created_at", after=after, limit=limit)
    return Found(
        [(task, replace(at, relevance=relevance)) for task, at in found.tasks],
        found.then and replace(found.then, relevance=relevance),
    )


@contextmanager
def _refused_if_no_position(after: Position | None) -> Generator[None]:
    """Raise InvalidContent where what a client sent as a position is none."""
    try:
        yield
    except DBAPIError as error:
        if after is not None and is_data_error(error):
            raise _no_position() from error
        raise


def _no_position() -> InvalidContent:
    return InvalidContent(FieldError("/cursor", "is not a cursor of this list"))


def _values(user_id: str, wanted: TaskFilter, after: Position | None) -> dict[str, Any]:
    values: dict[str, Any] = {"user": user_id, "owner": [user_id]}
    if after is not None:
        values |= {
            "after_key": after.key,
            "after_id": after.id,
            "after_relevance": after.relevance,
        }
    if wanted.due_after is not None:
        values["due_after"] = wanted.due_after
    if wanted.due_before is not None:
        values["due_before"] = wanted.due_before
    if wanted.text is not None:
        values |= wanted.text._asdict()
    for number, tag in enumerate(wanted.tags):
        # Tasks have kept tags as they were typed, and events that tell so can't be changed.
        forms = {tag, *(normalize(form, tag) for form in ("NFC", "NFD"))}
        values[f"tag_{number}"] = sorted(forms)
    return values


def _read(tx: Transaction, plan: "_Plan", values: dict[str, Any], limit: int) -> Found:
    if not plan.statuses:
        return Found([])
    tx.connection.execute(_BY_INDEX)
    if not plan.has_filters:
        return _read_in_order(tx, plan, values, limit, None)
    found = _read_in_order(tx, plan, values, limit, LOOKED_AT_FIRST)
    if found.then is None:
        return found
    bounds = {"most": limit, "few": FEW}
    for few in plan.selections():
        if tx.connection.execute(few.count, {**values, **bounds}).scalar_one() < FEW:
            return Found(_rows(tx, few.rows, {**values, **bounds}))
    return _read_in_order(tx, plan, values, limit, LOOKED_AT_MOST)


def _read_in_order(
    tx: Transaction, plan: "_Plan", values: dict[str, Any], limit: int, most: int | None
) -> Found:
    looked_at = most or limit
    bounds = {"most": limit, "looked_at": looked_at, "before_last": looked_at - 1}
    tasks = _rows(tx, plan.rows_in_order(), {**values, **bounds})
    if most is None or len(tasks) == limit:
        return Found(tasks)
    row = tx.connection.execute(plan.last_looked_at(), {**values, **bounds}).one_or_none()
    return Found(tasks, Position(row.key, row.id) if row else None)


def _rows(tx: Transaction, query: Tasks, values: Mapping[str, Any]) -> list[tuple[Task, Position]]:
    rows = tx.connection.execute(query, values).mappings()
    return [(task_of(row), Position(row["position"], row["id"])) for row in rows]


@dataclass(frozen=True, slots=True)
class _Selection:
    """The tasks that pass one filter: their number, and those of them that pass all filters."""

    count: Select[int]
    rows: Tasks


@dataclass(frozen=True, slots=True)
class _Plan:
    """The statements of the lists that differ in their values alone; each statement is built once.

    To build one takes longer than PostgreSQL takes to answer it.
    """

    by: str
    descending: bool
    goes_on: bool
    statuses: tuple[Status, ...]
    ranks: tuple[int, ...]
    tags: int
    recurring: bool | None
    is_after: bool
    is_before: bool
    has_words: bool
    excludes: bool
    relevance: Relevance | None

    @classmethod
    def of(cls, wanted: TaskFilter, by: str, *, descending: bool, goes_on: bool) -> "_Plan":
        """Return the plan of a list."""
        completed = wanted.completed
        statuses = tuple(
            status
            for status in Status
            if (not wanted.status or status in wanted.status)
            and (completed is None or completed == (status is Status.COMPLETED))
        )
        return cls(
            by=by,
            descending=descending,
            goes_on=goes_on,
            statuses=statuses,
            ranks=tuple(sorted({RANK[priority] for priority in wanted.priority})),
            tags=len(wanted.tags),
            recurring=wanted.recurring,
            is_after=wanted.due_after is not None,
            is_before=wanted.due_before is not None,
            has_words=wanted.text is not None and bool(wanted.text.matching),
            excludes=wanted.text is not None and wanted.text.excluded is not None,
            relevance=wanted.relevance,
        )

    @property
    def has_filters(self) -> bool:
        """Say whether there is a filter beside those that the index of the order meets."""
        is_due = (self.is_after or self.is_before) and self.by != "due_date"
        has_ranks = bool(self.ranks) and self.by != "priority"
        has_text = self.has_words or self.excludes
        return bool(self.tags) or self.recurring is not None or is_due or has_ranks or has_text

    @lru_cache(maxsize=_PLANS_MAX)  # noqa: B019 - plans are values, and the cache is bounded
    def rows_in_order(self) -> Tasks:
        """Return the statement for the first `most` that pass, of `looked_at` in order."""
        looked_at = self._in_order().subquery()
        return self._rows(looked_at, looked_at.c.sort_key, self._filters(looked_at, self.by))

    @lru_cache(maxsize=_PLANS_MAX)  # noqa: B019 - as above
    def last_looked_at(self) -> Tasks:
        """Return the statement for the position of the last of the first `looked_at`."""
        last = self._in_order().offset(bindparam("before_last", type_=Integer)).limit(1).subquery()
        return select(cast(last.c.sort_key, Text).label("key"), last.c.id)

    @lru_cache(maxsize=_PLANS_MAX)  # noqa: B019 - as above
    def selections(self) -> Sequence[_Selection]:
        """Return, for each filter with an index, the statements for the tasks that pass it."""
        found: list[_Selection] = []
        for few in self._selected():
            some = few.limit(bindparam("few", type_=Integer)).subquery()
            count = select(func.count()).select_from(some)
            rows = self._rows(some, self._key(some), self._all_conditions(some))
            found.append(_Selection(count, rows))
        return found

    @lru_cache(maxsize=_PLANS_MAX)  # noqa: B019 - as above
    def best_of_few(self) -> Tasks:
        """Return the statement for the best `most` of those that may match, if these are `few`.

        Each row says how many `candidates` there are, up to one more; without a match, the only
        row says nothing else.
        """
        looked_up = bindparam("looked_up", type_=TSQUERY)
        # Two parts, for where the first finds enough PostgreSQL does not begin with the second.
        parts = [
            self._candidates("in_headings", _HEADING.bool_op("@@")(looked_up)),
            self._candidates(
                "in_bodies", _BODY.bool_op("@@")(looked_up), ~_HEADING.bool_op("@@")(looked_up)
            ),
        ]
        some = union_all(*map(select, parts)).limit(bindparam("few", type_=Integer) + 1)
        candidates = some.cte("candidates").prefix_with("MATERIALIZED")
        count = select(func.count().label("candidates")).select_from(candidates).subquery()
        by = [candidates.c[name] for name in ("relevance", "created_at", "id")]
        behind = [tuple_(*by) < self._there(bindparam("after_relevance", type_=Integer))]
        best = (
            select(*by)
            .where(
                candidates.c.passes,
                candidates.c.relevance.is_not(None),
                select(count.c.candidates).scalar_subquery() <= bindparam("few", type_=Integer),
                *(behind if self.goes_on else []),
            )
            .order_by(*(column.desc() for column in by))
            .limit(bindparam("most", type_=Integer))
            .subquery()
        )
        position = cast(best.c.created_at, Text).label("position")
        return (
            select(count.c.candidates, best.c.relevance, position, *TASKS.c)
            .select_from(count.outerjoin(best.join(TASKS, TASKS.c.id == best.c.id), true()))
            .order_by(*(best.c[column.name].desc() for column in by))
        )

    def _candidates(self, name: str, *conditions: Condition) -> FromClause:
        passes = and_(
            TASKS.c.user_id == bindparam("user"),
            TASKS.c.status.in_([status.value for status in self.statuses]),
            # Whether the words match, the relevance says.
            *replace(self, has_words=False)._filters(TASKS),  # noqa: SLF001 - one of this class
        )
        relevance = case(
            *(
                (self._matches(_HEADING, _BODY, each), each.value)
                for each in sorted(Relevance)[::-1]
            )
        )
        found = select(
            TASKS.c.id, TASKS.c.created_at, relevance.label("relevance"), passes.label("passes")
        ).where(TASKS.c.deleted_at.is_(None), *conditions)
        # Planned as a whole, that is by the index of words, though few may be read of it.
        return found.cte(name).prefix_with("MATERIALIZED")

    def _rows(
        self, looked_at: FromClause, key: ColumnElement[Any], conditions: Sequence[Condition]
    ) -> Tasks:
        columns = [looked_at.c[column.name] for column in TASKS.c]
        query = select(*columns, cast(key, Text).label("position")).where(*conditions)
        query = query.order_by(*self._directed(key, looked_at.c.id))
        return query.limit(bindparam("most", type_=Integer))

    def _key(self, tasks: FromClause) -> ColumnElement[Any]:
        """Return the sort key of the list, as the expression of its index."""
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
        if not self.goes_on:
            return []
        here, there = tuple_(key, task_id), self._there(kind=key.type)
        return [here < there if self.descending else here > there]

    def _there(self, *first: ColumnElement[Any], kind: Any = TASKS.c.created_at.type) -> Any:  # noqa: ANN401 - SQLAlchemy's
        """Return the position that was given, whose key is of this type."""
        key = cast(bindparam("after_key", type_=Text), kind)
        return tuple_(*first, key, bindparam("after_id", type_=Uuid))

    def _in_order(self, first: str = "looked_at") -> Tasks:
        """Return the `first` tasks of the wanted statuses in the list's order, with the `sort_key`.

        They come from one index; a filter by the sort key is met too.
        """
        most = bindparam(first, type_=Integer)
        key = self._key(TASKS)
        kinds: list[list[Condition]] = [[]]
        if self.by != "created_at" or len(self.statuses) < len(Status):
            kinds = [[TASKS.c.status == status.value] for status in self.statuses]
        if self.by == "priority" and self.ranks:
            # Not as an equation: PostgreSQL would make this the order of ids, and read all of them.
            kinds = [
                [*kind, TASKS.c.priority.between(rank, rank)]
                for kind in kinds
                for rank in self.ranks
            ]
        bounds = self._due_between(key) if self.by == "due_date" else []
        every = select(*self._columns, key.label("sort_key")).where(
            TASKS.c.user_id == bindparam("user"),
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
            tasks.c.user_id == bindparam("user"),
            tasks.c.deleted_at.is_(None),
            tasks.c.status.in_([status.value for status in self.statuses]),
            *self._filters(tasks),
            *self._behind(self._key(tasks), tasks.c.id),
        ]

    def _selected(self) -> Iterator[Tasks]:
        """Yield, for each filter with an index, a query for the tasks that pass it, few or many."""
        if self.has_words:
            found = select(*self._columns).where(TASKS.c.deleted_at.is_(None), self._looked_up())
            # As the tagged ones below, in both regards.
            yield select(found.cte("found").prefix_with("MATERIALIZED"))
        if self.tags:
            # Without a condition on user_id: for that the planner might read all tasks of theirs.
            elements = func.array_prepend(TASKS.c.user_id, TASKS.c.tags, type_=_TEXTS)
            tagged = select(*self._columns).where(
                TASKS.c.deleted_at.is_(None),
                elements.contains(bindparam("owner", type_=_TEXTS)),
                func.cardinality(TASKS.c.tags) > 0,
                *self._tagged(elements),
            )
            # Planned as a whole, that is by this index, though few of them are read.
            yield select(tagged.cte("tagged").prefix_with("MATERIALIZED"))
        if self.recurring:
            recurring = TASKS.c.recurrence.is_not(None)
            by_user = TASKS.c.user_id == bindparam("user")
            yield select(*self._columns).where(by_user, recurring).order_by(TASKS.c.id)
        for by, is_wanted in (
            ("due_date", self.is_after or self.is_before),
            ("priority", self.ranks),
        ):
            if is_wanted and by != self.by:
                # From its beginning, whatever the position in this list.
                other = replace(self, by=by, descending=False, goes_on=False)
                yield other._in_order("few")  # noqa: SLF001 - one of this class

    def _filters(self, tasks: FromClause, besides: str = "") -> list[Condition]:
        """Return the conditions of all filters but status and the one by `besides`."""
        conditions = self._tagged(tasks.c.tags)
        if self.recurring is not None:
            recurs = tasks.c.recurrence.is_not(None)
            conditions.append(recurs if self.recurring else ~recurs)
        if besides != "due_date":
            conditions += self._due_between(tasks.c.due_date)
        if besides != "priority" and self.ranks:
            conditions.append(tasks.c.priority.in_(self.ranks))
        if self.has_words or self.excludes:
            is_table = tasks is TASKS
            heading, body = (_HEADING, _BODY) if is_table else (tasks.c.heading, tasks.c.body)
            conditions += self._text(heading, body)
        return conditions

    @property
    def _columns(self) -> list[ColumnElement[Any]]:
        """What is read of each task."""
        words = [_HEADING.label("heading"), _BODY.label("body")]
        return [*TASKS.c, *(words if self.has_words or self.excludes else [])]

    def _text(self, heading: ColumnElement[Any], body: ColumnElement[Any]) -> Iterator[Condition]:
        if self.has_words:
            yield self._matches(heading, body, self.relevance)
        if self.excludes:
            words = func.coalesce(body, heading, type_=TSVECTOR)
            yield ~words.bool_op("@@")(bindparam("excluded", type_=TSQUERY))

    def _matches(
        self, heading: ColumnElement[Any], body: ColumnElement[Any], how: Relevance | None
    ) -> Condition:
        """Return the condition for what a text finds; with `how`, for what matches exactly so."""
        whole, matching = (bindparam(name, type_=TSQUERY) for name in ("whole", "matching"))
        match how:
            case Relevance.WHOLE_TITLE:
                return heading.bool_op("@@")(whole)
            case Relevance.HEADING:
                return and_(heading.bool_op("@@")(matching), ~heading.bool_op("@@")(whole))
            case Relevance.BODY:
                return and_(~heading.bool_op("@@")(matching), body.bool_op("@@")(matching))
            case None:
                return or_(heading.bool_op("@@")(matching), body.bool_op("@@")(matching))

    def _looked_up(self) -> Condition:
        """Return the condition, with an index, for what a text may find."""
        words, whole = (bindparam(name, type_=TSQUERY) for name in ("looked_up", "looked_up_whole"))
        match self.relevance:
            case Relevance.WHOLE_TITLE:
                return _HEADING.bool_op("@@")(whole)
            case Relevance.HEADING:
                return _HEADING.bool_op("@@")(words)
            case Relevance.BODY:
                return _BODY.bool_op("@@")(words)
            case None:
                return or_(_HEADING.bool_op("@@")(words), _BODY.bool_op("@@")(words))

    def _due_between(self, due: ColumnElement[Any]) -> list[Condition]:
        if not (self.is_after or self.is_before):
            return []
        # Without a due date a task has its place at the one end, or at the other.
        kind = TASKS.c.due_date.type
        after = bindparam("due_after", type_=kind) if self.is_after else _no_due_date("-")
        before = bindparam("due_before", type_=kind) if self.is_before else _no_due_date()
        return [due > after, due < before]

    def _tagged(self, elements: ColumnElement[Any]) -> list[Condition]:
        return [
            elements.overlap(bindparam(f"tag_{number}", type_=_TEXTS))
            for number in range(self.tags)
        ]


def _no_due_date(sign: str = "") -> ColumnElement[Any]:
    # Not a parameter, for the indexes have none.
    return literal_column(f"'{sign}infinity'::timestamptz", TASKS.c.due_date.type)
