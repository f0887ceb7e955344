"""Long lists: no more is read than shown, and no task is skipped or repeated (T3, A8)."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import product
from random import Random
from typing import Any
from unicodedata import normalize
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from taskflow.domain.tasks import Priority, Status, Task
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import task_changes, task_lists, transaction
from taskflow.storage.collation import sort_key
from taskflow.storage.task_lists import SORTABLE, Found, Position, TaskFilter
from taskflow.storage.transactions import engine
from tests.support.data.accounts import A_CAUSE, SignedIn
from tests.support.data.builders import A_TIME, a_recurring_task, a_task
from tests.support.database.plans import counted_reads
from tests.support.database.temporary import a_database

MANY = 20_000
LIMIT, PAGE = 51, 7
DEEP = 1_000
"""How far down a list a page is read, which must cost no more than the first."""
SORTS = [sign + name for name in SORTABLE for sign in ("", "-")]
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
EVERYTHING = TaskFilter()

# Half of the user's tasks have each property that is common, the newer half, and no order knows it.
FILL = """
INSERT INTO tasks (
    id, user_id, title, title_key, status, priority, tags, metadata, due_date, completed_at,
    created_at, updated_at, version, deleted_at, recurrence
) SELECT
    lpad(to_hex(n), 32, '0')::uuid, 'somebody', n::text, decode(md5(n::text), 'hex'),
    CASE WHEN mod(n, 2000) = 0 THEN 'cancelled' WHEN old THEN 'completed' ELSE 'pending' END,
    CASE WHEN mod(n, 3000) = 0 THEN 4 WHEN old THEN 1 ELSE 2 END,
    CASE WHEN mod(n, 2500) = 0 THEN '{rare}'::text[] WHEN old THEN '{old}' ELSE '{new}' END,
    '{}', CASE WHEN mod(n, 4) > 0 THEN epoch + n * interval '1 minute' END,
    CASE WHEN old AND mod(n, 2000) > 0 THEN epoch END,
    epoch + n * interval '1 second', epoch + n * interval '1 hour', 1,
    CASE WHEN mod(n, 50) = 1 THEN epoch END, CASE WHEN mod(n, 1000) = 0 THEN '{}'::json END
FROM (
    SELECT n, n <= CAST(:many AS int) / 2 AS old, CAST(:now AS timestamptz) AS epoch
    FROM generate_series(1, CAST(:many AS int)) AS n
)
"""

FILTERS = {
    "none": EVERYTHING,
    "pending": TaskFilter(status=[Status.PENDING]),
    "cancelled": TaskFilter(status=[Status.CANCELLED]),
    "no status": TaskFilter(status=[Status.IN_PROGRESS]),
    "two statuses": TaskFilter(status=[Status.PENDING, Status.CANCELLED]),
    "open": TaskFilter(completed=False),
    "completed": TaskFilter(completed=True),
    "neither": TaskFilter(completed=True, status=[Status.PENDING]),
    "low": TaskFilter(priority=[Priority.LOW]),
    "urgent": TaskFilter(priority=[Priority.URGENT]),
    "low or urgent": TaskFilter(priority=[Priority.LOW, Priority.URGENT]),
    "no priority": TaskFilter(priority=[Priority.HIGH]),
    "common tag": TaskFilter(tags=["old"]),
    "rare tag": TaskFilter(tags=["rare"]),
    "no tag": TaskFilter(tags=["nothing"]),
    "no two tags": TaskFilter(tags=["old", "new"]),
    "another form of a tag": TaskFilter(tags=["o\u0308"]),
    "due in an hour": TaskFilter(due_after=A_TIME + DAY, due_before=A_TIME + DAY + HOUR),
    "due later": TaskFilter(due_after=A_TIME + 9 * DAY),
    "due sooner": TaskFilter(due_before=A_TIME + 5 * DAY),
    "due never": TaskFilter(due_before=A_TIME),
    "recurring": TaskFilter(recurring=True),
    "not recurring": TaskFilter(recurring=False),
    "open, tagged": TaskFilter(completed=False, tags=["new"]),
    "open, of the older half": TaskFilter(completed=False, tags=["old"]),
    "all at once": TaskFilter(
        completed=False,
        status=[Status.CANCELLED],
        priority=[Priority.MEDIUM, Priority.URGENT],
        tags=["rare"],
        due_after=A_TIME,
        due_before=A_TIME + 9 * DAY,
        recurring=False,
    ),
}


@pytest.fixture(scope="module", params=["analysed", "not analysed yet"])
def filled(database: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[None]:
    """Make a database in which a user has MANY tasks, with or without statistics."""
    with a_database(database):
        with transaction(A_CAUSE) as tx:
            tx.connection.execute(text(FILL), {"many": MANY, "now": A_TIME})
            tx.connection.execute(text("ALTER TABLE tasks SET (autovacuum_enabled = off)"))
            if request.param == "analysed":
                tx.connection.execute(text("ANALYZE tasks"))
        yield


@pytest.fixture
def looking_at_few(monkeypatch: pytest.MonkeyPatch) -> int:
    """Have lists look at a hundredth of the tasks; return how many rows a page may then read."""
    monkeypatch.setattr(task_lists, "LOOKED_AT_FIRST", 100)
    monkeypatch.setattr(task_lists, "FEW", 200)
    monkeypatch.setattr(task_lists, "LOOKED_AT_MOST", 300)
    # Each looks once for the tasks and once for where to go on; four filters have an index.
    return 2 * 100 + 2 * 4 * 200 + 2 * 300


def _page(wanted: TaskFilter, sort: str, after: Position | None = None) -> tuple[Found, int]:
    """Return a page, and how many rows were read for it, by indexes; no more were sorted."""
    with counted_reads(engine()) as reads, transaction(A_CAUSE) as tx:
        found = task_lists.list_of(tx, "somebody", wanted, sort=sort, after=after, limit=LIMIT)
    assert "Seq Scan of tasks" not in reads.scans
    assert reads.sorted_rows <= reads.rows
    return found, reads.rows


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("name", FILTERS)
def test_no_page_reads_more_than_a_bounded_part_of_the_tasks(
    name: str, looking_at_few: int
) -> None:
    for sort in SORTS:
        found, read = _page(FILTERS[name], sort)
        assert read <= looking_at_few, sort
        if found.then is not None:
            assert _page(FILTERS[name], sort, found.then)[1] <= looking_at_few, sort


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    "name", ["none", "pending", "cancelled", "no status", "two statuses", "open", "completed"]
)
@pytest.mark.parametrize("sort", SORTS)
def test_a_list_by_status_reads_no_more_than_it_shows_on_any_page(name: str, sort: str) -> None:
    with transaction(A_CAUSE) as tx:
        far = task_lists.list_of(tx, "somebody", FILTERS[name], sort=sort, after=None, limit=DEEP)

    first, read = _page(FILTERS[name], sort)
    deep, read_deep = _page(FILTERS[name], sort, far.tasks[-1][1] if far.tasks else None)

    # One more of each status is at hand to be merged.
    assert read <= len(first.tasks) + len(Status)
    assert read_deep <= len(deep.tasks) + len(Status)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("name", "by"),
    [
        *(product(["low", "urgent", "low or urgent", "no priority"], ["priority"])),
        *(product(["due in an hour", "due later", "due sooner", "due never"], ["due_date"])),
    ],
)
def test_a_filter_that_goes_with_the_order_reads_no_more_than_it_shows(name: str, by: str) -> None:
    for sort in (by, f"-{by}"):
        found, read = _page(FILTERS[name], sort)

        assert found.then is None
        assert read <= len(found.tasks) + 2 * len(Status)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    "name",
    ["rare tag", "no tag", "no two tags", "urgent", "due in an hour", "due never", "recurring"],
)
def test_a_few_matching_tasks_are_found_at_once_anywhere_in_the_list(
    name: str, looking_at_few: int
) -> None:
    for sort in SORTS:
        found, _ = _page(FILTERS[name], sort)

        assert found.then is None, sort
    assert looking_at_few


def test_shortened_pages_give_the_whole_list_each_task_once(
    user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, most in (("LOOKED_AT_FIRST", 5), ("FEW", 7), ("LOOKED_AT_MOST", 11)):
        monkeypatch.setattr(task_lists, name, most)
    stored = _some_of_each(user.user_id)
    cut_short = 0

    for wanted, sort in product(FILTERS.values(), SORTS):
        found: list[UUID] = []
        after = None
        while page := _of(user.user_id, wanted, sort, after):
            found += [task.id for task, _ in page.tasks]
            cut_short += page.then is not None
            after = page.then or (page.tasks[-1][1] if len(page.tasks) == PAGE else None)
            if after is None:
                break
        assert found == _expected(stored, wanted, sort), (wanted, sort)

    assert cut_short > 0


def _of(user_id: str, wanted: TaskFilter, sort: str, after: Position | None) -> Found:
    with transaction(A_CAUSE) as tx:
        return task_lists.list_of(tx, user_id, wanted, sort=sort, after=after, limit=PAGE)


def _some_of_each(user_id: str) -> list[Task]:
    """Store tasks whose sort keys and filters are independent of each other."""
    draw = Random(10)
    stored = [
        a_task(
            user_id=user_id,
            now=A_TIME + draw.choice([0, 1, 2, 3]) * DAY,
            title=draw.choice(["a", "A", "ä", "b", "\U0001f418", "Я", "й"]),
            status=draw.choice(list(Status)).value,
            priority=draw.choice(list(Priority)).value,
            tags=draw.sample(["old", "new", "rare", "\u00f6"], draw.choice([0, 1, 2])),
            due_date=draw.choice([None, A_TIME.isoformat(), (A_TIME + 1.5 * DAY).isoformat()]),
        )
        for _ in range(30)
    ]
    series = a_recurring_task(user_id=user_id)
    deleted = replace(a_task(user_id=user_id, tags=["old"]), deleted_at=A_TIME)
    stored += [replace(series, id=uuid4(), title=title) for title in "ab"]
    with transaction(A_CAUSE) as tx:
        task_changes.save_all(tx, new_tasks=[*stored, deleted], events=[])
    return stored


def _expected(stored: list[Task], wanted: TaskFilter, sort: str) -> list[UUID]:
    name, descending = sort.removeprefix("-"), sort.startswith("-")

    def key(task: Task) -> Any:  # noqa: ANN401 - as many kinds as orders
        match name:
            case "title":
                return sort_key(task.title)
            case "priority":
                return list(Priority).index(task.priority)
            case _:
                return getattr(task, name)

    found = [task for task in stored if _is_wanted(task, wanted)]
    with_key = sorted((key(task), task.id) for task in found if key(task) is not None)
    without = sorted(task.id for task in found if key(task) is None)
    if descending:
        with_key.reverse()
        without.reverse()
    return [task_id for _, task_id in with_key] + without


def _is_wanted(task: Task, wanted: TaskFilter) -> bool:
    due = task.due_date
    return (
        (not wanted.status or task.status in wanted.status)
        and wanted.completed in {None, task.completed}
        and (not wanted.priority or task.priority in wanted.priority)
        and {normalize("NFC", tag) for tag in wanted.tags} <= set(task.tags)
        and (wanted.due_before is None or (due is not None and due < wanted.due_before))
        and (wanted.due_after is None or (due is not None and due > wanted.due_after))
        and wanted.recurring in {None, task.recurs}
    )
