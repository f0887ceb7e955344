"""A user's stream: over a socket, or by long-poll where none can be had; from where it was."""

import json
import random
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import requests
from websockets.exceptions import ConnectionClosed, InvalidHandshake, WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from taskflow.client.session import LogInFailed, Session

FIRST_RETRY_S = 0.5
RETRY_MAX_S = 5.0
"""Retries come after 0.5 s, then twice as long each time, up to this; each less up to a half."""

POLL_WAIT_S = 25
SOCKETS_REFUSED_MAX = 3
"""Upgrades refused in a row before the stream goes on by long-poll."""

SOCKET_AGAIN_AFTER_POLLS = 20
OPEN_TIMEOUT_S = 10
CLOSE_TIMEOUT_S = 0.1
"""How long leaving waits for the server's close: what it still sends is not read any more."""

BAD_TOKEN = 4401
NOT_ALLOWED = 403
MESSAGE_MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """One event: each `seq` comes once, in order."""

    seq: int
    type: str
    data: dict[str, Any]
    timestamp: str
    correlation_id: str
    event_id: str


@dataclass(frozen=True, slots=True)
class Sync:
    """The stream is connected, again or for the first time.

    With `resync`, too much was missed: read the lists; the stream goes on after `seq`.
    """

    seq: int
    resync: bool


class StreamRefused(Exception):
    """The server will not give this stream; trying again would not help."""


class Stream:
    """Follows the stream of a session's user, for as long as it is iterated over."""

    def __init__(self, session: Session, *, since: int | None = None, poll: bool = False) -> None:
        """Begin after `since`, by default from now; with `poll`, never by socket."""
        self._session = session
        self._poll = poll
        self._stopping = threading.Event()
        self._socket: ClientConnection | None = None
        self._failures = 0
        self.since = since

    def close(self) -> None:
        """End the iteration, from any thread."""
        self._stopping.set()
        if self._socket is not None:
            self._socket.close()

    def __iter__(self) -> Iterator[Message | Sync]:
        """Yield the messages, connecting again after each cut. Raises StreamRefused."""
        refused = 0
        while not self._stopping.is_set():
            try:
                if self._poll or refused >= SOCKETS_REFUSED_MAX:
                    yield from self._by_polls()
                    refused = 0
                else:
                    yield from self._by_socket()
                    refused = 0
            except InvalidHandshake:
                refused += 1
            except (OSError, WebSocketException, requests.RequestException, TimeoutError):
                # Away for a moment; what matters is `since`.
                pass
            except LogInFailed as error:
                raise StreamRefused(str(error)) from error
            self._pause()

    def _pause(self) -> None:
        wait_s = min(RETRY_MAX_S, FIRST_RETRY_S * 2**self._failures)
        self._failures = min(self._failures + 1, 10)
        self._stopping.wait(wait_s * random.uniform(0.5, 1))  # noqa: S311 - jitter, no secret

    def _by_socket(self) -> Generator[Message | Sync]:
        address = self._session.url.replace("http", "ws", 1) + "/ws"
        if self.since is not None:
            address += f"?since={self.since}"
        offered = ["taskflow.v1", f"bearer.{self._session.token()}"]
        with connect(
            address,
            subprotocols=[Subprotocol(name) for name in offered],
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            max_size=MESSAGE_MAX_BYTES,
            compression=None,
        ) as socket:
            self._socket = socket
            if self._stopping.is_set():
                # It was closed before there was a socket to close.
                socket.close()
            try:
                for text in socket:
                    yield from self._received(json.loads(text))
                self._closed(socket.close_code, socket.close_reason)
            except ConnectionClosed as error:
                code = error.rcvd.code if error.rcvd else None
                self._closed(code, error.rcvd.reason if error.rcvd else None)
            finally:
                self._socket = None

    def _closed(self, code: int | None, reason: str | None) -> None:
        if code == BAD_TOKEN:
            self._session.expire()
        elif code is not None and 4400 <= code < 4429:  # noqa: PLR2004 - our codes for "you are wrong"
            raise StreamRefused(reason)

    def _received(self, message: dict[str, Any]) -> Generator[Message | Sync]:
        self._failures = 0
        if message["type"] == "task.sync":
            resync = bool(message["data"]["resync"])
            if self.since is None or resync:
                self.since = message["seq"]
            yield Sync(message["seq"], resync)
        elif self.since is None or message["seq"] > self.since:
            self.since = message["seq"]
            yield Message(**{name: message[name] for name in Message.__slots__})

    def _by_polls(self) -> Generator[Message | Sync]:
        for number in range(SOCKET_AGAIN_AFTER_POLLS):
            first = number == 0
            query: dict[str, Any] = {"wait": 0 if first else POLL_WAIT_S}
            if self.since is not None:
                query["since"] = self.since
            answer = self._session.request(
                "GET", "/api/events", params=query, timeout=POLL_WAIT_S + OPEN_TIMEOUT_S
            )
            if answer.status_code == NOT_ALLOWED:
                raise StreamRefused(answer.text)
            answer.raise_for_status()
            page = answer.json()
            if first or page["resync"]:
                data = {"resync": page["resync"]}
                yield from self._received({"type": "task.sync", "seq": page["seq"], "data": data})
            for item in page["items"]:
                yield from self._received(item)
            if self._stopping.is_set():
                return
