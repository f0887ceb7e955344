"""Searches and statistics of many tasks: what is read of them, and by which index (T7, T9, A14)."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from taskflow.domain.search import parse
from taskflow.domain.tasks import Priority, Status
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import task_counts, task_lists, transaction
from taskflow.storage.search_words import key_of, tsqueries_of
from taskflow.storage.task_lists import SORTABLE, Found, Position, Relevance, TaskFilter
from taskflow.storage.transactions import engine
from tests.support.data.accounts import A_CAUSE
from tests.support.data.builders import A_TIME
from tests.support.database.plans import Reads, counted_reads
from tests.support.database.temporary import a_database

MANY, OF_OTHERS = 20_000, 2_000
LIMIT = 51
EVERYTHING = TaskFilter()
SORTS = ["relevance", *(sign + name for name in SORTABLE for sign in ("", "-"))]

# All have `every` in the title, the older half has `old` there and the newer in the description;
# in 2,000 is one `rare`, and in the description of 2,000 another one. `w…` is of each its own.
FILL = """
INSERT INTO tasks (
    id, user_id, title, title_key, status, priority, tags, metadata, due_date, completed_at,
    created_at, updated_at, version, heading, body
) SELECT
    gen_random_uuid(), 'somebody', CAST(n AS text), decode(md5(CAST(n AS text)), 'hex'),
    CASE WHEN mod(n, 3) = 0 THEN 'completed' ELSE 'pending' END, 1 + mod(n, 4), '{}', '{}',
    CASE WHEN mod(n, 2) = 0 THEN CAST(:now AS timestamptz) - n * interval '1 minute' END,
    CASE WHEN mod(n, 3) = 0 THEN CAST(:now AS timestamptz) - n * interval '5 minute' END,
    CAST(:now AS timestamptz) + n * interval '1 second',
    CAST(:now AS timestamptz) + n * interval '1 hour', 1,
    CAST(format(h, CAST(:key AS text), n) AS tsvector),
    CAST(format(b, CAST(:key AS text), n) AS tsvector)
FROM generate_series(1, CAST(:many AS int)) AS n, LATERAL (SELECT
    CASE WHEN mod(n, 2000) = 0 THEN '''%1$severy''\\:1A ''%1$srare''\\:2A'
        WHEN n <= CAST(:many AS int) / 2
            THEN '''%1$severy''\\:1A ''%1$sold''\\:2A ''%1$sw%2$s''\\:3A'
        ELSE '''%1$severy''\\:1A ''%1$sw%2$s''\\:2A' END AS h,
    CASE WHEN mod(n, 2000) = 1 THEN '''%1$severy''\\:1 ''%1$srare''\\:5'
        WHEN n > CAST(:many AS int) / 2 THEN '''%1$severy''\\:1 ''%1$sold''\\:5' END AS b
)
"""
AS_OTHERS = """
INSERT INTO tasks (
    id, user_id, title, title_key, status, priority, tags, metadata, created_at, updated_at,
    version, heading
) SELECT
    gen_random_uuid(), 'user ' || mod(n, 500), CAST(n AS text), '', 'pending', 1, '{}', '{}',
    :now, :now, 1, CAST(format('''%skey%severy''\\:1A', mod(n, 500), n) AS tsvector)
FROM generate_series(1, CAST(:many AS int)) AS n
"""


@pytest.fixture(scope="module", params=["analysed", "not analysed yet"])
def filled(database: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[None]:
    """Make a database in which a user has MANY tasks, with or without statistics."""
    with a_database(database):
        with transaction(A_CAUSE) as tx:
            values = {"key": key_of("somebody"), "now": A_TIME}
            tx.connection.execute(text(FILL), {**values, "many": MANY})
            tx.connection.execute(text(AS_OTHERS), {"now": A_TIME, "many": OF_OTHERS})
            tx.connection.execute(text("ALTER TABLE tasks SET (autovacuum_enabled = off)"))
            if request.param == "analysed":
                tx.connection.execute(text("ANALYZE tasks"))
        yield


def _found(
    q: str,
    sort: str = "relevance",
    *,
    narrowed: TaskFilter = EVERYTHING,
    after: Position | None = None,
) -> tuple[Found, Reads]:
    """Return a page of a search, and what was read for it."""
    wanted = replace(narrowed, text=tsqueries_of("somebody", parse(q)))
    with counted_reads(engine()) as reads, transaction(A_CAUSE) as tx:
        if sort == "relevance":
            found = task_lists.list_by_relevance(tx, "somebody", wanted, after=after, limit=LIMIT)
        else:
            found = task_lists.list_of(tx, "somebody", wanted, sort=sort, after=after, limit=LIMIT)
    return found, reads


def _assert_by_index(reads: Reads, *, most: int) -> None:
    assert {scan for scan in reads.scans if scan.startswith("Seq Scan")} == set()
    assert reads.rows <= most
    # Those that match, and again those that are shown, or that there are none.
    assert reads.sorted_rows <= most + 1


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("q", ["rare", "rar", "rare every", '"every rare"', "rare -old", "ra ev"])
def test_what_few_tasks_have_is_found_by_one_statement_that_reads_no_others(q: str) -> None:
    found, reads = _found(q)

    each = MANY // 2_000
    # Side by side in titles alone; with another word that is excluded in half of the titles.
    of_bodies = {'"every rare"': 0, "rare -old": each // 2}.get(q, each)
    assert len(found.tasks) == each + of_bodies
    assert [at.relevance for _, at in found.tasks[:1]] == [
        Relevance.HEADING if q in {"rar", "ra ev"} else Relevance.WHOLE_TITLE
    ]
    assert found.then is None
    assert reads.statements == 1
    assert "tasks_by_word" in reads.indexes
    # Those that may match, and again those that are shown.
    _assert_by_index(reads, most=2 * 2 * MANY // 2_000)


@pytest.mark.usefixtures("filled")
def test_what_no_task_has_reads_none() -> None:
    for q in ("nothing", "every nothing", '"nothing"'):
        found, reads = _found(q)

        assert found.tasks == []
        _assert_by_index(reads, most=0)


@pytest.fixture
def looking_at_few(monkeypatch: pytest.MonkeyPatch) -> int:
    """Have searches look at a hundredth of the tasks; return how many rows a page may then read."""
    monkeypatch.setattr(task_lists, "LOOKED_AT_FIRST", 100)
    monkeypatch.setattr(task_lists, "FEW", 200)
    monkeypatch.setattr(task_lists, "LOOKED_AT_MOST", 300)
    # At first the few, and one more, and what of them is shown. Then in a list for each relevance
    # some in order, twice; for each filter with an index the few, twice; more in order, twice.
    return 201 + LIMIT + len(Relevance) * (2 * 100 + 3 * 2 * 200 + 2 * 300)


COMMON = {
    "in all titles": "every",
    "in half of the titles, and the other half of the texts": "old",
    "the beginning of each title's own": "w",
    "in all, side by side in half of the titles": '"every old"',
    "never side by side": '"old every"',
    "never without the other": "every -every",
    "in all, but not with the other": "every -old",
    "all but some": "-rare",
    "none of them": "-every",
    "many beginnings": "e o w e2 w1 w2 w3",
    "a letter": "e",
}


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("name", COMMON)
@pytest.mark.parametrize("narrowed", [False, True], ids=["", "narrowed"])
def test_no_page_reads_more_than_a_bounded_part_of_the_tasks(
    name: str, looking_at_few: int, *, narrowed: bool
) -> None:
    filters = TaskFilter(
        status=[Status.PENDING], priority=[Priority.LOW], due_after=A_TIME - timedelta(days=7)
    )
    wanted = filters if narrowed else EVERYTHING
    for sort in SORTS:
        found, reads = _found(COMMON[name], sort, narrowed=wanted)
        _assert_by_index(reads, most=looking_at_few)
        after = found.then or (found.tasks[-1][1] if found.tasks else None)
        if after is not None:
            _, reads = _found(COMMON[name], sort, narrowed=wanted, after=after)
            _assert_by_index(reads, most=looking_at_few)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("q", ["every", "w", '"every old"', "every -rare"])
def test_a_page_of_what_most_tasks_have_is_full_or_goes_on_behind_those_that_were_looked_at(
    q: str,
) -> None:
    for sort in SORTS:
        found, pages = _found(q, sort)[0], 1
        while len(found.tasks) < LIMIT and found.then is not None:
            found, pages = _found(q, sort, after=found.then)[0], pages + 1

        assert len(found.tasks) == LIMIT, sort
        assert pages <= 1 + MANY // task_lists.LOOKED_AT_MOST, sort


@pytest.mark.usefixtures("filled")
def test_statistics_are_counted_in_indexes_that_hold_nothing_else() -> None:
    days = [A_TIME - timedelta(days=number) for number in reversed(range(31))]
    with counted_reads(engine()) as reads, transaction(A_CAUSE) as tx:
        counts = task_counts.count(tx, "somebody", days, now=A_TIME + timedelta(days=1))

    assert reads.statements == 1
    assert reads.scans == ["Index Only Scan of tasks"]
    assert reads.indexes == {"tasks_open", "tasks_by_completion"}
    assert reads.rows == sum(counts.open.values()) + sum(counts.completed)
    assert reads.sorted_rows == 0
    assert sum(counts.open.values()) == MANY - MANY // 3
    assert counts.overdue == sum(1 for n in range(1, MANY + 1) if n % 3 and n % 2 == 0)


@pytest.mark.usefixtures("filled")
def test_tags_are_counted_of_no_more_tasks_than_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(task_counts, "TAGGED_MAX", 1_000)
    with counted_reads(engine()) as reads, transaction(A_CAUSE) as tx:
        task_counts.count_tags(tx, "somebody")

    assert reads.scans == ["Index Scan of tasks"]
    assert reads.indexes == {"tasks_open"}
    assert reads.rows <= 1_001
