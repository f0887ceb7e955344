"""list-tasks over HTTP, of a user with few tasks and of one with very many, in several orders."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from benchmarks.figures import Row, percentile, show
from benchmarks.keep_alive import KeepAlive
from benchmarks.rig import running
from tests.support.data.accounts import SignedIn, a_user
from tests.support.data.builders import a_stored_task
from tests.support.data.bulk_tasks import add_tasks

CLIENTS = 8
WARM_UP_S = 0.5
MEASURED_S = 3
FEW, MANY = 50, 150_000
QUERIES: Mapping[str, str] = {
    "newest first": "",
    "by title": "?sort=title",
    "by due date": "?sort=due_date",
    "of one tag": "?tag=rare",
}


def main() -> None:
    """Ask for first pages for some seconds each, and print how fast they came."""
    rows: list[Row] = [("", "few/s", "p50 ms", "p95 ms", "many/s", "p50 ms", "p95 ms")]
    with running() as rig:
        few, many = [a_user() for _ in range(CLIENTS)], a_user()
        for user in few:
            for _ in range(FEW):
                a_stored_task(user.user_id)
        add_tasks(many.user_id, MANY)
        rig.settle()
        for name, query in QUERIES.items():
            cells: list[str | float] = [name]
            for users in (few, [many]):
                asyncio.run(_ask(users, rig.system.port, query, WARM_UP_S))
                took_ms = asyncio.run(_ask(users, rig.system.port, query, MEASURED_S))
                cells += [len(took_ms) / MEASURED_S, *(percentile(took_ms, at) for at in (50, 95))]
            rows.append(cells)
    show(f"list-tasks: {CLIENTS} clients whose users have {FEW} tasks, and one with {MANY}", rows)


async def _ask(users: Sequence[SignedIn], port: int, query: str, for_s: float) -> list[float]:
    end_s = time.perf_counter() + for_s
    took_ms: list[float] = []

    async def ask(user: SignedIn) -> None:
        client = await KeepAlive.connect(user, port)
        while (started_s := time.perf_counter()) < end_s:
            await client.list_tasks(query)
            took_ms.append((time.perf_counter() - started_s) * 1000)
        client.close()

    await asyncio.gather(*map(ask, users))
    return took_ms
