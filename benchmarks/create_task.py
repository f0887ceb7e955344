"""create-task over HTTP, beside pgbench that sends the same SQL to the same PostgreSQL."""

# pg8000 has no types.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import asyncio
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from pg8000.converters import PY_TYPES, make_param
from sqlalchemy import event, make_url

from benchmarks.figures import Row, percentile, show
from benchmarks.keep_alive import A_TASK, KeepAlive
from benchmarks.rig import PARTS, Rig, running
from taskflow.standalone.postgres import BINARIES
from taskflow.storage import events, transaction, transactions
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.functions.client import Api

CLIENTS = (1, 8, 32)
WARM_UP_S = 2
MEASURED_S = 8
PGBENCH_USERS = 10**18
"""The first of pgbench's user ids, one for each client: as it can count, and long, as ours are."""


def main() -> None:
    """Measure both with each number of clients, and print them side by side."""
    with running() as rig, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        users = [a_user() for _ in range(max(CLIENTS))]
        _create_tasks(rig, users, WARM_UP_S)
        creates = [
            _measured(rig, partial(_create_tasks, rig, users[:clients], MEASURED_S))
            for clients in CLIENTS
        ]
        options = _prepare_pgbench(rig, users[0], folder)
        # Or it would be busy delivering pgbench's events.
        rig.system.stop()
        bares = [_measured(rig, partial(_run_pgbench, options, folder, n)) for n in CLIENTS]
    speeds: list[Row] = [
        ("clients", "HTTP/s", "p50 ms", "p95 ms", "pgbench/s", "p50 ms", "p95 ms", "pgbench ÷ HTTP")
    ]
    costs: list[Row] = [("clients", *PARTS, "PostgreSQL under pgbench")]
    for clients, (http, used), (bare, bare_used) in zip(CLIENTS, creates, bares, strict=True):
        speeds.append((str(clients), *http, *bare, bare[0] / http[0]))
        costs.append((str(clients), *used, bare_used[PARTS.index("PostgreSQL")]))
    show(f"create-task: {MEASURED_S} s each, every client with a user of its own", speeds)
    show("CPU time of each and of what follows from it, in ms", costs)


def _measured(rig: Rig, work: Callable[[], Sequence[float]]) -> tuple[list[float], list[float]]:
    """Return how many a second, p50 and p95 in ms; and the CPU ms that PARTS used for each."""
    rig.settle()
    before_s = rig.used_s()
    took_ms = work()
    rig.settle()
    used_s = zip(before_s, rig.used_s(), strict=True)
    speed = [len(took_ms) / MEASURED_S, percentile(took_ms, 50), percentile(took_ms, 95)]
    return speed, [(after - before) * 1000 / len(took_ms) for before, after in used_s]


def _create_tasks(rig: Rig, users: Sequence[SignedIn], for_s: float) -> Sequence[float]:
    """Create tasks of each user, one after the other; return how many ms each took."""
    end_s = time.perf_counter() + for_s
    took_ms: list[float] = []

    async def create(user: SignedIn) -> None:
        client = await KeepAlive.connect(user, rig.system.port)
        while (started_s := time.perf_counter()) < end_s:
            await client.create_task()
            took_ms.append((time.perf_counter() - started_s) * 1000)
        client.close()

    async def create_all() -> None:
        await asyncio.gather(*map(create, users))

    asyncio.run(create_all())
    return took_ms


def _run_pgbench(options: Sequence[str], folder: Path, clients: int) -> Sequence[float]:
    """Return how many ms each transaction took."""
    log = folder / f"{clients} clients"
    command = [*options, f"--client={clients}", "--log", f"--log-prefix={log}", "taskflow"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    lines = next(folder.glob(f"{log.name}.*")).read_text().splitlines()
    # The number of the client, that of the transaction, microseconds, …
    return [int(line.split()[2]) / 1000 for line in lines]


def _rows(value: object) -> Sequence[dict[str, Any]]:
    """Return the rows that a parameter holds as JSON, if it does."""
    if isinstance(value, str) and value.startswith('[{"id":'):
        return json.loads(value)
    return []


def _prepare_pgbench(rig: Rig, user: SignedIn, folder: Path) -> Sequence[str]:
    """Record what create-task sends, as a script for pgbench; return pgbench's command with it.

    As the driver does it, BEGIN goes with the first statement. New ids are made by PostgreSQL,
    for pgbench can't, and each client has a user; all else is sent as it was recorded.
    """
    words = {user.user_id: ":user_id"}
    variables: list[str] = []
    sent: list[str] = []

    def record(*given: Any) -> None:  # noqa: ANN401 - as SQLAlchemy has it
        _connection, _cursor, statement, parameters, *_ = given
        words.update({str(value): "uuidv7()" for value in parameters if isinstance(value, UUID)})
        words.update({row["id"]: "uuidv7()" for value in parameters for row in _rows(value)})
        for value in parameters:
            text = make_param(PY_TYPES, value)
            word = "NULL" if text is None else words.get(text)
            if word is None:
                word = f":p{len(variables)}"
                variables.append(f"--define={word[1:]}={text}")
            for row in _rows(value):
                for known in (row["id"], user.user_id):
                    word = f"replace({word}, '{known}', CAST({words[known]} AS text))"
            statement = statement.replace("%s", word, 1)
        sent.append(f"{statement};\n")

    event.listen(transactions.engine(), "before_cursor_execute", record)
    Api(user).post("/api/{user_id}/tasks", A_TASK)
    event.remove(transactions.engine(), "before_cursor_execute", record)
    with transaction(A_CAUSE) as tx:
        for number in range(max(CLIENTS)):
            events.open_stream(tx, str(PGBENCH_USERS + number))
    script = folder / "script"
    script.write_text(
        f"\\set user_id {PGBENCH_USERS} + :client_id\n"
        f"\\startpipeline\nBEGIN;\n{sent[0]}\\endpipeline\n{''.join(sent[1:])}COMMIT;\n"
    )
    socket = Path(str(make_url(rig.postgres.url).query["unix_sock"]))
    where = [f"--host={socket.parent}", "--username=postgres", f"--file={script}"]
    how = ["--no-vacuum", "--protocol=extended", f"--time={MEASURED_S}"]
    return [str(BINARIES / "pgbench"), *where, *how, *variables]
