"""10,000 sockets in one process: memory, pushes and requests meanwhile, and many that come back."""

import asyncio
import re
import struct
import time
from collections.abc import Sequence
from uuid import uuid4

import psutil

from benchmarks.figures import percentile, show
from benchmarks.keep_alive import KeepAlive
from benchmarks.rig import Rig, running
from taskflow import clock
from taskflow.domain import tasks
from taskflow.domain.events import NewEvent
from taskflow.storage import events, transaction
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.data.builders import a_draft

USERS = 1000
SOCKETS_EACH = 10
OPENED_AT_ONCE = 200
TASKS_PER_S = 50
MEASURED_S = 15
CUT_USERS = 200
MISSED = 50
WITHIN_S = 120

_SEQ = re.compile(rb'"seq":(\d+)')
_PING, _PONG, _TEXT = 9, 10, 1


class _Socket(asyncio.Protocol):
    """As little of a WebSocket client as notices what arrives, and when."""

    def __init__(self, user: SignedIn, since: int) -> None:
        self._hello = (
            f"GET /ws?since={since} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Authorization: Bearer {user.token}\r\n\r\n"
        ).encode()
        self._buffer = b""
        self._upgraded = False
        self.synced = asyncio.get_running_loop().create_future()
        self.arrived: list[tuple[int, float]] = []
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what TCP gives
        self.transport = transport
        transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._upgraded:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            assert b" 101 " in head, head  # noqa: S101 - nothing else is measured
            self._upgraded, self._buffer = True, rest
        while (frame := self._frame()) is not None:
            self._heard(*frame)

    def _frame(self) -> tuple[int, bytes] | None:
        if len(self._buffer) < 2:
            return None
        length, start = self._buffer[1], 2
        if length == 126:
            if len(self._buffer) < 4:
                return None
            (length,), start = struct.unpack_from("!H", self._buffer, 2), 4
        if len(self._buffer) < start + length:
            return None
        opcode, payload = self._buffer[0] & 15, self._buffer[start : start + length]
        self._buffer = self._buffer[start + length :]
        return opcode, payload

    def _heard(self, opcode: int, payload: bytes) -> None:
        if opcode == _PING:
            self.transport.write(bytes([128 | _PONG, 128, 0, 0, 0, 0]))
        elif opcode == _TEXT and not self.synced.done():
            self.synced.set_result(None)
        elif opcode == _TEXT:
            found = _SEQ.search(payload)
            self.arrived.append((int(found[1]) if found else 0, time.monotonic()))


def main() -> None:
    """Open them all in one server process; print what they cost and how fast they are."""
    with running(WEB_CONCURRENCY="1") as rig:
        asyncio.run(_measure(rig))


async def _measure(rig: Rig) -> None:
    users = [a_user() for _ in range(USERS)]
    worker = _worker(rig)
    before_bytes = worker.memory_info().rss
    sockets = await _opened(rig, users * SOCKETS_EACH, since=1)
    each_kib = (worker.memory_info().rss - before_bytes) / len(sockets) / 1024
    show(
        f"{len(sockets)} sockets of {USERS} users in one process",
        [("KiB a socket", "MiB of the process"), (each_kib, worker.memory_info().rss / 2**20)],
    )
    await _push(rig, users, sockets)
    await _come_back(rig, users[:CUT_USERS], sockets)
    for socket in sockets:
        socket.transport.abort()


async def _push(rig: Rig, users: Sequence[SignedIn], sockets: Sequence[_Socket]) -> None:
    """Create and complete tasks at a rate; print how long answers and pushes took."""
    clients = [await KeepAlive.connect(user, rig.system.port) for user in users[:TASKS_PER_S]]
    sent_s: list[float] = []
    answered_ms: list[float] = []

    async def create(number: int) -> None:
        began_s = time.monotonic()
        sent_s.append(began_s)
        await clients[number % TASKS_PER_S].create_task()
        answered_ms.append((time.monotonic() - began_s) * 1000)

    start_s = time.monotonic()
    async with asyncio.TaskGroup() as creating:
        for number in range(TASKS_PER_S * MEASURED_S):
            await asyncio.sleep(start_s + number / TASKS_PER_S - time.monotonic())
            creating.create_task(create(number))
    listening = [socket for number, socket in enumerate(sockets) if number % USERS < TASKS_PER_S]
    await _until_all(listening, MEASURED_S)
    pushed_ms = [
        (at_s - sent_s[(seq - 2) * TASKS_PER_S + number % USERS]) * 1000
        for number, socket in enumerate(sockets)
        for seq, at_s in socket.arrived
    ]
    wrong = sum(
        [seq for seq, _ in socket.arrived] != list(range(2, MEASURED_S + 2)) for socket in listening
    )
    percents = (50, 95, 99, 100)
    show(
        f"{TASKS_PER_S} creates/s for {MEASURED_S} s beside them, {SOCKETS_EACH} sockets each: ms",
        [
            ("from the request to", "p50", "p95", "p99", "max"),
            ("its answer", *(percentile(answered_ms, percent) for percent in percents)),
            ("a socket", *(percentile(pushed_ms, percent) for percent in percents)),
        ],
    )
    print(f"  {wrong} sockets did not get every event once and in order")


async def _come_back(rig: Rig, users: Sequence[SignedIn], sockets: Sequence[_Socket]) -> None:
    """Cut the sockets of some users, append what they miss, and let them all resume at once."""
    for number, socket in enumerate(sockets):
        if number % USERS < len(users):
            socket.transport.abort()
    since = {user.user_id: MEASURED_S + 1 if n < TASKS_PER_S else 1 for n, user in enumerate(users)}
    for user in users:
        _append(user)
    began_s = time.monotonic()
    resumed: list[_Socket] = []
    for start in set(since.values()):
        same = [user for user in users if since[user.user_id] == start]
        resumed += await _opened(rig, same * SOCKETS_EACH, since=start, at_once=len(sockets))
    await _until_all(resumed, MISSED)
    took_s = max(socket.arrived[-1][1] for socket in resumed) - began_s
    wrong = sum(len({seq for seq, _ in socket.arrived}) != MISSED for socket in resumed)
    print(
        f"{len(resumed)} sockets cut, each with {MISSED} events missed: all have caught up after "
        f"{took_s:.1f} s; {wrong} did not get every event once"
    )


async def _opened(
    rig: Rig, users: Sequence[SignedIn], *, since: int, at_once: int = OPENED_AT_ONCE
) -> list[_Socket]:
    loop = asyncio.get_running_loop()
    port = rig.system.port
    opened: list[_Socket] = []
    for first in range(0, len(users), at_once):
        made = await asyncio.gather(
            *(
                loop.create_connection(lambda user=user: _Socket(user, since), "127.0.0.1", port)
                for user in users[first : first + at_once]
            )
        )
        fresh = [socket for _, socket in made]
        await asyncio.wait_for(asyncio.gather(*(one.synced for one in fresh)), WITHIN_S)
        opened += fresh
    return opened


async def _until_all(sockets: Sequence[_Socket], messages: int) -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while any(len(socket.arrived) < messages for socket in sockets):
        if time.monotonic() > deadline_s:
            print(f"  not all had everything within {WITHIN_S} s")
            return
        await asyncio.sleep(0.02)


def _append(user: SignedIn) -> None:
    happened: list[NewEvent] = []
    for _ in range(MISSED):
        _, new = tasks.create(a_draft(title=str(uuid4())), user_id=user.user_id, now=clock.now())
        happened += new
    with transaction(A_CAUSE) as tx:
        events.append(tx, happened)


def _worker(rig: Rig) -> psutil.Process:
    """Return the process of the API that holds the sockets."""
    [api] = [
        child
        for child in psutil.Process(rig.system.process.pid).children()
        if "api" in child.cmdline()
    ]
    return api.children()[0]
