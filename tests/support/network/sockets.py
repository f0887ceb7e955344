"""Sockets to a running system: one that a test reads, and one that resumes by itself."""

import json
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, Self
from urllib.parse import urlencode

from websockets import ConnectionClosed, Subprotocol, WebSocketException
from websockets.sync.client import ClientConnection, connect

from tests.support.data.accounts import SignedIn
from tests.support.polling import eventually

SUBPROTOCOL = Subprotocol("taskflow.v1")
RECEIVED_WITHIN_S = 10
RECONNECT_PAUSE_S = 0.1

Message = dict[str, Any]


class SocketServer(Protocol):
    """A server with sockets."""

    @property
    def ws_url(self) -> str:
        """The URL for sockets."""
        ...


@contextmanager
def opened(
    system: SocketServer,
    path: str = "",
    *,
    headers: Mapping[str, str] | None = None,
    subprotocols: Sequence[str] = (SUBPROTOCOL,),
    **query: object,
) -> Generator[ClientConnection]:
    """Open a socket below `/ws`, without a token unless `headers` have one.

    A parameter of the query that is None is left out, and one that is a list is repeated.
    """
    given = {name: value for name, value in query.items() if value is not None}
    encoded = urlencode(given, doseq=True)
    with connect(
        f"{system.ws_url}{path}{'?' if encoded else ''}{encoded}",
        additional_headers=headers,
        subprotocols=[Subprotocol(name) for name in subprotocols],
        compression=None,
        max_size=None,
        max_queue=None,
        open_timeout=RECEIVED_WITHIN_S,
        close_timeout=2,
        proxy=None,
    ) as socket:
        yield socket


@contextmanager
def following(
    system: SocketServer, user: SignedIn, *, since: int | None = None
) -> Generator[ClientConnection]:
    """Open a socket of a user and read its first message."""
    with opened(system, headers=user.headers, since=since) as socket:
        first = receive(socket)
        assert first["type"] == "task.sync", first
        yield socket


def receive(socket: ClientConnection, *, within_s: float = RECEIVED_WITHIN_S) -> Message:
    """Return the next message."""
    return json.loads(socket.recv(timeout=within_s))


def receive_up_to(
    socket: ClientConnection, seq: int, *, within_s: float = RECEIVED_WITHIN_S
) -> list[Message]:
    """Return the messages up to the one with this `seq`."""
    found: list[Message] = []
    while not found or found[-1]["seq"] < seq:
        found.append(receive(socket, within_s=within_s))
    return found


def seqs(messages: Sequence[Message]) -> list[int]:
    """Return the `seq` of each message."""
    return [message["seq"] for message in messages]


def close_code(socket: ClientConnection, *, within_s: float = RECEIVED_WITHIN_S) -> int | None:
    """Read on until the server closes; return its close code, None where it cut the connection."""
    try:
        while True:
            socket.recv(timeout=within_s)
    except ConnectionClosed as error:
        return None if error.rcvd is None else error.rcvd.code


class ResumingClient:
    """A client of one user that connects again after each cut, and resumes where it was."""

    def __init__(self, system: SocketServer, user: SignedIn) -> None:
        self.user = user
        self.messages: list[Message] = []
        self.resyncs = 0
        self.connected = 0
        self._system = system
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="resuming client", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(timeout=RECEIVED_WITHIN_S)

    @property
    def seq(self) -> int:
        """The `seq` of the newest message."""
        return self.messages[-1]["seq"] if self.messages else 0

    def wait_for(self, seq: int, *, within_s: float) -> None:
        """Wait until the client has the message with this `seq`."""

        def check() -> None:
            assert self.seq >= seq, f"{self.user.user_id} has received {self.seq} of {seq}"

        eventually(check, within_s=within_s)

    def _follow(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except (OSError, EOFError, WebSocketException):
                self._stopping.wait(RECONNECT_PAUSE_S)

    def _listen(self) -> None:
        with opened(self._system, headers=self.user.headers, since=self.seq) as socket:
            self.connected += 1
            while not self._stopping.is_set():
                try:
                    message = receive(socket, within_s=RECONNECT_PAUSE_S)
                except TimeoutError:
                    continue
                if message["type"] == "task.sync":
                    self.resyncs += message["data"]["resync"]
                else:
                    self.messages.append(message)
