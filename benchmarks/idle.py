"""What a system costs that has nothing to do: its CPU by process, with no user and with sockets."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping
from contextlib import AsyncExitStack

import psutil
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.figures import show
from benchmarks.rig import Rig, running
from tests.support.data.accounts import a_user

SOCKETS = 100
MEASURED_S = 300


def main() -> None:
    """Let it idle, first with nobody there; print the milliseconds of CPU that a second takes."""
    with running() as rig:
        asyncio.run(_measure(rig))


async def _measure(rig: Rig) -> None:
    rig.settle()
    alone = await _idle_ms_per_s(rig)
    async with AsyncExitStack() as stack:
        for _ in range(SOCKETS):
            ws = await stack.enter_async_context(
                connect(
                    rig.system.ws_url,
                    additional_headers=a_user().headers,
                    proxy=None,
                    ping_interval=None,
                )
            )
            await _synced(ws)
        rig.settle()
        with_sockets = await _idle_ms_per_s(rig)
    show(
        f"Idle for {MEASURED_S} s: ms of CPU a second (10 are 1 % of a core)",
        [
            ("", "no user", f"{SOCKETS} sockets"),
            *((part, alone[part], with_sockets[part]) for part in sorted(with_sockets)),
            ("all", sum(alone.values()), sum(with_sockets.values())),
        ],
    )


async def _synced(ws: ClientConnection) -> None:
    message = json.loads(await ws.recv())
    assert message["type"] == "task.sync", message  # noqa: S101 - nothing else is measured


async def _idle_ms_per_s(rig: Rig) -> Mapping[str, float]:
    before_s = _used_s(rig)
    await asyncio.sleep(MEASURED_S)
    after_s = _used_s(rig)
    return {part: (after_s[part] - before_s[part]) / MEASURED_S * 1000 for part in after_s}


def _used_s(rig: Rig) -> Mapping[str, float]:
    """Return the CPU seconds that each part has used, with its children that have ended."""
    used_s: defaultdict[str, float] = defaultdict(float)
    for first in (rig.system.process.pid, rig.postgres.process.pid):
        root = psutil.Process(first)
        for process in (root, *root.children(recursive=True)):
            times = process.cpu_times()
            used_s[_part(process)] += (
                times.user + times.system + times.children_user + times.children_system
            )
    return used_s


def _part(process: psutil.Process) -> str:
    if process.name() == "postgres":
        return "PostgreSQL"
    command = process.cmdline()
    if "up" in command:
        return "supervisor"
    # … -m taskflow.standalone.web api /tmp/…; a worker is a fork of its server.
    role = "delivery" if "taskflow.standalone.background" in command else command[-2]
    parent = process.parent()
    is_worker = parent is not None and parent.cmdline() == command
    return f"{role}, workers" if is_worker else role
