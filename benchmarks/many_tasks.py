"""Lists, searches and statistics of a user of 100,000 tasks, beside 10,000 users of ten each.

`python -m benchmarks.many_tasks` prints the plans too; `make bench` runs it without.
"""

import asyncio
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import psutil
from sqlalchemy import event, text

from benchmarks.figures import Row, percentile, show
from benchmarks.keep_alive import KeepAlive
from benchmarks.rig import running
from taskflow import clock
from taskflow.domain.tasks import DESCRIPTION_MAX_CHARS
from taskflow.domain.times import rfc3339
from taskflow.storage import bulk, task_lists, task_store, transaction, transactions
from taskflow.storage.tables import TASKS
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.data.builders import a_task
from tests.support.data.bulk_tasks import add_tasks, add_tasks_of_each
from tests.support.functions.client import Api

MANY, OTHERS, OF_EACH = 100_000, 10_000, 10
REQUESTS = 40
FLOOD_S, FLOODING = 5, 8
WRITES = 400

SORTS = [sign + name for name in task_lists.SORTABLE for sign in ("", "-")]
# One in 1,000 is `rare`, all are `common` and have `task`; `a` begins the own word of one in 16.
QUERIES: Mapping[str, Mapping[str, str]] = {
    "rare tag": {"q": "rare"},
    "its own word": {"q": "c4ca"},
    "no task's": {"q": "nothing"},
    "of a sixteenth": {"q": "a"},
    "all, of the title": {"q": "task"},
    "all, exactly": {"q": '"task"'},
    "all, of the tags": {"q": "common"},
    "all, two prefixes": {"q": "ta com"},
    "all but some": {"q": "-rare"},
    "all, by title": {"q": "task", "sort": "title"},
    "a sixteenth, urgent, due": {
        "q": "a",
        "priority": "urgent",
        "due_before": "2100-01-01T00:00:00Z",
    },
    "never side by side": {"q": '"common task"'},
}


def main(*, plans: bool = False) -> None:
    """Measure what is read, what a write costs, and what a second user notices."""
    with running(RATE_LIMIT_USER_PER_S="0") as rig:
        user, second = a_user(), a_user()
        add_tasks(user.user_id, MANY)
        add_tasks_of_each([second.user_id, *(f"user {n}" for n in range(OTHERS))], OF_EACH)
        with transactions.engine().connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM tasks"))
        rig.settle()
        port = rig.system.port
        _show_reads("search", user, port, {name: _search(q) for name, q in QUERIES.items()})
        _show_reads("statistics", user, port, {"statistics": "/statistics"})
        for name, narrowed in _filters().items():
            queries = {sort: _list({**narrowed, "sort": sort}) for sort in SORTS}
            _show_reads(f"list, {name}", user, port, queries)
        _show_neighbour(user, second, port)
        if plans:
            _show_plans(user)
        _show_writes()


def _filters() -> Mapping[str, dict[str, str]]:
    now = clock.now()
    return {
        "all": {},
        "status": {"status": "pending"},
        "completed": {"completed": "true"},
        "priority": {"priority": "urgent"},
        "rare tag": {"tag": "rare"},
        "common tag": {"tag": "common"},
        "due": {
            "due_after": rfc3339(now - timedelta(days=9)),
            "due_before": rfc3339(now - timedelta(days=8)),
        },
        "recurring": {"recurring": "true"},
        "status, priority, tag": {"status": "pending", "priority": "low", "tag": "rare"},
    }


def _search(query: Mapping[str, str]) -> str:
    return f"/search?{urlencode(query)}"


def _list(query: Mapping[str, str]) -> str:
    return f"/tasks?{urlencode(query)}"


def _show_reads(what: str, user: SignedIn, port: int, queries: Mapping[str, str]) -> None:
    rows: list[Row] = [("", "p50 ms", "p95 ms")]
    for name, path in queries.items():
        took_ms = asyncio.run(_ask(user, port, path))
        rows.append((name, percentile(took_ms, 50), percentile(took_ms, 95)))
    show(f"{what}: a page of {MANY} tasks, {REQUESTS} requests one by one", rows)


async def _ask(user: SignedIn, port: int, path: str, requests: int = REQUESTS) -> list[float]:
    client = await KeepAlive.connect(user, port)
    took_ms: list[float] = []
    for _ in range(requests):
        began_s = time.perf_counter()
        await client.get(path)
        took_ms.append((time.perf_counter() - began_s) * 1000)
    client.close()
    return took_ms


def _show_neighbour(user: SignedIn, second: SignedIn, port: int) -> None:
    """Show what a second user waits for a page, alone and while the first one floods."""
    rows: list[Row] = [("", "p50 ms", "p95 ms", "floods/s")]
    paths = {"alone": None, **{name: _search(query) for name, query in QUERIES.items()}}
    for name, flood in paths.items():
        took_ms, floods = asyncio.run(_beside(user, second, port, flood))
        rate = floods / FLOOD_S
        rows.append((name, percentile(took_ms, 50), percentile(took_ms, 95), rate))
    show(f"a second user's list, while {FLOODING} connections of the first search", rows)


async def _beside(
    user: SignedIn, second: SignedIn, port: int, flood: str | None
) -> tuple[list[float], int]:
    end_s = time.perf_counter() + FLOOD_S
    took_ms: list[float] = []
    floods = 0

    async def search() -> None:
        nonlocal floods
        client = await KeepAlive.connect(user, port)
        while flood is not None and time.perf_counter() < end_s:
            await client.get(flood)
            floods += 1
        client.close()

    async def ask() -> None:
        while time.perf_counter() < end_s:
            took_ms.extend(await _ask(second, port, "/tasks?sort=title", requests=1))
            await asyncio.sleep(0.02)

    await asyncio.gather(ask(), *(search() for _ in range(FLOODING)))
    return took_ms, floods


@contextmanager
def _explained() -> Generator[None]:
    """Print the plan of each SELECT of the block."""

    def explain(connection: Any, _: object, statement: str, values: Any, *__: object) -> None:  # noqa: ANN401 - as SQLAlchemy has it
        if "tasks" not in statement or not statement.lstrip().startswith(("SELECT", "WITH")):
            return
        cursor = connection.connection.cursor()
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF) {statement}", values)
        print("".join(f"    {line}\n" for (line,) in cursor.fetchall()))

    event.listen(transactions.engine(), "before_cursor_execute", explain)
    try:
        yield
    finally:
        event.remove(transactions.engine(), "before_cursor_execute", explain)


def _show_plans(user: SignedIn) -> None:
    api = Api(user)
    paths = [_search(query) for query in QUERIES.values()] + ["/statistics"]
    paths += [
        _list({**narrowed, "sort": sort}) for narrowed in _filters().values() for sort in SORTS
    ]
    for path in paths:
        print(f"\nGET /api/{{user_id}}{path}")
        with _explained():
            api.get(f"/api/{{user_id}}{path}")


def _show_writes() -> None:
    """Show what PostgreSQL takes for a task that is created and then changed, with and without."""
    drops = ("tasks_by_word", "tasks_without_words", "tasks_open", "tasks_by_completion")
    texts = {
        "a title of 5 words": {"title": "Buy milk at the shop", "tags": ["home", "shopping"]},
        "and 40 words": {"title": "Buy milk at the shop", "description": _words(40)},
        "and 10,000 characters": {"title": "Milk", "description": _words(1_600)},
    }
    rows: list[Row] = [("", "insert", "of it text", "update", "of it text")]
    before = {name: _write(fields) for name, fields in texts.items()}
    with transaction(A_CAUSE) as tx:
        for name in drops:
            tx.connection.execute(text(f"DROP INDEX {name}"))
    after = {name: _write(fields, without=True) for name, fields in texts.items()}
    for name, took_us in before.items():
        less = [with_ - without for with_, without in zip(took_us, after[name], strict=True)]
        rows.append((name, took_us[0], less[0], took_us[1], less[1]))
    show(f"CPU time of PostgreSQL for one task, in µs ({WRITES} each)", rows)


def _words(number: int) -> str:
    words = (f"{n * 7919 % 3000:x}word" for n in range(number))
    return " ".join(words)[:DESCRIPTION_MAX_CHARS]


def _write(fields: dict[str, Any], *, without: bool = False) -> tuple[float, float]:
    """Return the µs of PostgreSQL's CPU for an insert and for an update."""
    rows = [task_store.row_of(a_task(**fields)) for _ in range(WRITES)]
    if without:
        rows = [{**row, "heading": None, "body": None} for row in rows]
    took_us: list[float] = []
    for write in (bulk.insert, bulk.update):
        with transaction(A_CAUSE) as tx:
            backend = psutil.Process(
                tx.connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            )
            before = backend.cpu_times()
            for row in rows:
                write(tx, TASKS, [row])
            after = backend.cpu_times()
        used_s = after.user + after.system - before.user - before.system
        took_us.append(1e6 * used_s / WRITES)
    return took_us[0], took_us[1]


if __name__ == "__main__":
    main(plans="--no-plans" not in sys.argv)
