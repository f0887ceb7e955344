"""Many clients in one thread that follow their users' streams by the rules of our own client."""

import asyncio
import json
import random
import threading
import time
from collections.abc import Sequence
from typing import Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from taskflow.client.stream import FIRST_RETRY_S, RETRY_MAX_S
from tests.support.data.accounts import SignedIn
from tests.support.polling import eventually
from tests.support.processes.system import System

OPEN_TIMEOUT_S = 20
ENDED_WITHIN_S = 20


class SocketClient:
    """One client: the `seq` of its messages, and its connections."""

    def __init__(self, user: SignedIn) -> None:
        self.user = user
        self.seqs: list[int] = []
        self.resyncs = 0
        self.connected = 0
        self.away_s: list[float] = []
        """How long each time without a connection was, up to the next first message."""
        self.close_codes: list[int | None] = []

    @property
    def seq(self) -> int:
        """The `seq` up to which the client has every message."""
        return self.seqs[-1] if self.seqs else 0


class SocketClients:
    """A client for each of many users, from the beginning of their streams."""

    def __init__(self, system: System, users: Sequence[SignedIn]) -> None:
        self.all = [SocketClient(user) for user in users]
        self._url = system.ws_url
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._watch()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(ENDED_WITHIN_S)
        assert not self._thread.is_alive()

    def wait_until_connected(self, times: int = 1, *, within_s: float) -> None:
        """Wait until each client was connected `times` times."""

        def check() -> None:
            assert all(client.connected >= times for client in self.all)

        eventually(check, within_s=within_s)

    def wait_for(self, newest: dict[str, int], *, within_s: float) -> None:
        """Wait until each has come as far as its user's newest `seq`."""

        def check() -> None:
            behind = {
                client.user.user_id: (client.seq, newest[client.user.user_id])
                for client in self.all
                if client.seq < newest[client.user.user_id]
            }
            assert behind == {}

        eventually(check, within_s=within_s)

    def assert_complete(self, newest: dict[str, int]) -> None:
        """Check that each client received every event once, in order."""
        for client in self.all:
            assert client.seqs == list(range(1, newest[client.user.user_id] + 1))
            assert client.resyncs == 0

    async def _watch(self) -> None:
        tasks = [asyncio.create_task(self._follow(client)) for client in self.all]
        while not self._stopping.is_set():
            await asyncio.sleep(0.05)
            for task in tasks:
                if task.done():
                    task.result()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, client: SocketClient) -> None:
        failures, lost_s = 0, None
        while True:
            try:
                async with connect(
                    f"{self._url}?since={client.seq}",
                    additional_headers=client.user.headers,
                    compression=None,
                    max_size=None,
                    open_timeout=OPEN_TIMEOUT_S,
                    close_timeout=1,
                    proxy=None,
                ) as socket:
                    heard_before = client.connected
                    try:
                        await self._listen(client, socket, lost_s)
                    finally:
                        if client.connected > heard_before:
                            failures, lost_s = 0, time.monotonic()
                        client.close_codes.append(socket.close_code)
            except (OSError, EOFError, TimeoutError, WebSocketException):
                pass
            wait_s = min(RETRY_MAX_S, FIRST_RETRY_S * 2**failures)
            failures = min(failures + 1, 10)
            await asyncio.sleep(wait_s * random.uniform(0.5, 1))

    @staticmethod
    async def _listen(client: SocketClient, socket: ClientConnection, lost_s: float | None) -> None:
        async for text in socket:
            message = json.loads(text)
            if message["type"] == "task.sync":
                client.connected += 1
                client.resyncs += message["data"]["resync"]
                if lost_s is not None:
                    client.away_s.append(time.monotonic() - lost_s)
            else:
                client.seqs.append(message["seq"])
