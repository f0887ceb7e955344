"""From the commit of a task to the sockets of its user and to the audit, at a steady rate."""

import asyncio
import json
from collections.abc import Iterator, Sequence

from sqlalchemy import text
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.figures import percentile, show
from benchmarks.keep_alive import KeepAlive
from benchmarks.rig import PARTS, Rig, running
from taskflow import clock
from taskflow.storage import transaction
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user

USERS = 20
SOCKETS_EACH = 10
TASKS_PER_S = 50
"""So few that two cores do for the broker too: to wait for a core says nothing of the way."""

WARM_UP_S = 3
MEASURED_S = 15
ARRIVED_WITHIN_S = 10

TASKS = (WARM_UP_S + MEASURED_S) * TASKS_PER_S
SEQS = range(1, TASKS // USERS + 2)
"""What each socket is to get: a welcome, for the account's opening is an event too, and tasks."""

# PostgreSQL takes this time as it writes the commit, before it flushes that to the disk.
_COMMITS = text(
    "SELECT user_id, seq, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 AS at_s"
    " FROM events"
)
_AUDITED = text(
    "SELECT extract(epoch FROM pg_xact_commit_timestamp(audit.xmin)"
    " - pg_xact_commit_timestamp(event.xmin))::float8 * 1000"
    " FROM events event JOIN audit_entries audit USING (event_id)"
    " ORDER BY pg_xact_commit_timestamp(event.xmin)"
)


def main(*, kafka: bool = False) -> None:
    """Create tasks at the rate, however long the answers take; print when the sockets had them."""
    # Nothing else tells the time of a commit.
    with running({"track_commit_timestamp": "on"}, kafka=kafka) as rig:
        asyncio.run(_measure(rig, "with Kafka" if kafka else "without Kafka"))


async def _measure(rig: Rig, how: str) -> None:
    users = [a_user() for _ in range(USERS)]
    clients = [await KeepAlive.connect(user, rig.system.port) for user in users]
    sockets = [
        await connect(rig.system.ws_url, additional_headers=user.headers, proxy=None)
        for user in users * SOCKETS_EACH
    ]
    received: list[list[tuple[int, float]]] = [[] for _ in sockets]
    receiving = [
        asyncio.create_task(_receive(*each)) for each in zip(sockets, received, strict=True)
    ]
    start_s, before_s = _now_s(), rig.used_s()
    async with asyncio.TaskGroup() as creating:
        for number in range(TASKS):
            await asyncio.sleep(start_s + number / TASKS_PER_S - _now_s())
            creating.create_task(clients[number % USERS].create_task())
    took_s, after_s = _now_s() - start_s, rig.used_s()
    await asyncio.wait(receiving, timeout=ARRIVED_WITHIN_S)

    rows = [
        (name, *(percentile(ms, percent) for percent in (50, 95, 99, 100)))
        for name, ms in zip(
            ("request due", "commit"),
            zip(*_delays_ms(users, start_s, received), strict=True),
            strict=True,
        )
    ]
    audited_ms = await _audited_ms(len(users))
    rows.append(("commit, audited", *(percentile(audited_ms, each) for each in (50, 95, 99, 100))))
    show(
        f"{len(sockets)} sockets of {USERS} users, {TASKS_PER_S} creates/s for {MEASURED_S} s, "
        f"{how}: ms until a socket has the event",
        [("after", "p50", "p95", "p99", "max"), *rows],
    )
    wrong = sum([seq for seq, _ in each] != list(SEQS) for each in received)
    print(f"  {wrong} sockets did not get every event once and in order")
    cores = [(after - before) / took_s for before, after in zip(before_s, after_s, strict=True)]
    show("Cores kept busy", [PARTS, [f"{busy:.2f}" for busy in cores]])


async def _audited_ms(users: int) -> Sequence[float]:
    """Return how long after its commit each event had its audit entry, once all have."""
    rows: Sequence[float] = ()
    deadline_s = _now_s() + ARRIVED_WITHIN_S
    while len(rows) < TASKS + users and _now_s() < deadline_s:
        await asyncio.sleep(1)
        with transaction(A_CAUSE) as tx:
            rows = list(tx.connection.execute(_AUDITED).scalars())
    # The accounts were opened before.
    return rows[users + WARM_UP_S * TASKS_PER_S :]


async def _receive(ws: ClientConnection, received: list[tuple[int, float]]) -> None:
    while len(received) < len(SEQS):
        message, at_s = await ws.recv(), _now_s()
        received.append((json.loads(message)["seq"], at_s))


def _delays_ms(
    users: list[SignedIn], start_s: float, received: list[list[tuple[int, float]]]
) -> Iterator[tuple[float, float]]:
    """Return how long after it was due and after its commit each socket had each measured task."""
    with transaction(A_CAUSE) as tx:
        commits_s = {(row.user_id, row.seq): row.at_s for row in tx.connection.execute(_COMMITS)}
    for number, (user, messages) in enumerate(zip(users * SOCKETS_EACH, received, strict=True)):
        for seq, at_s in messages[1:]:
            due_s = (SEQS.index(seq - 1) * USERS + number % USERS) / TASKS_PER_S
            delays_s = at_s - start_s - due_s, at_s - commits_s[user.user_id, seq]
            if due_s >= WARM_UP_S:
                yield delays_s[0] * 1000, delays_s[1] * 1000


def _now_s() -> float:
    return clock.now().timestamp()
