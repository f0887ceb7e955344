"""One socket: the frames that wait to be sent to it, within bounds, and when it must close."""

import json
import math
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from itertools import islice
from typing import Annotated, Literal, Self, cast

from pydantic import Field
from simple_websocket import ConnectionClosed, Server
from typing_extensions import TypedDict
from wsproto.frame_protocol import CloseReason

from taskflow import clock, metrics
from taskflow.domain.events import Event
from taskflow.domain.text import compact_json
from taskflow.domain.times import TimeText, rfc3339
from taskflow.push.websocket import abort, can_send, is_stuck, text_frame, whole_sends
from taskflow.serving.ended_sessions import ended_sessions

QUEUE_MAX_MESSAGES = 1000
QUEUE_MAX_BYTES = 4 * 1024 * 1024
"""What may wait for a client that reads slowly, before it is closed to resume: more than any burst
of one person's changes."""

ABORT_AFTER_S = 10
"""How long a client that reads too slowly may take to be closed, before the socket is cut."""

SENT_AT_ONCE, SENT_AT_ONCE_BYTES = 64, 64 * 1024
"""How many frames, and how large, one system call sends; a larger frame goes alone."""

LOOK_UP_S = 3600
"""How long a handler waits at a stretch; a token may last longer than a lock can be waited for."""


class CloseCode(IntEnum):
    """Why the server closes a socket: RFC 6455's codes, and ours from 4400 up."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        """Make a code; `meaning` is a sentence for who writes a client."""
        made = int.__new__(cls, code)
        made._value_ = code
        made.meaning = meaning
        return made

    SERVICE_RESTART = 1012, "The server restarts, or the socket has lasted long enough; resume."
    BAD_SINCE = 4400, "`since` is not one number from 0 up."
    BAD_TOKEN = 4401, "The token or ticket is wrong or expired, or its session has ended."
    NOT_YOUR_ACCOUNT = 4403, "The path is that of another account, or the token allows too little."
    NO_TOKEN = 4408, "No token came in time."
    TOO_SLOW = 4429, "The client reads too slowly; resume."


class SyncData(TypedDict):
    """Where a socket begins."""

    since: Annotated[int | None, Field(description="The `seq` that the client named.")]
    resync: Annotated[
        bool, Field(description="Whether more was missed than is sent: read the lists instead.")
    ]


class SyncMessage(TypedDict):
    """The first message of a socket: how far its user's stream has come."""

    type: Literal["task.sync"]
    timestamp: Annotated[TimeText, Field(description="When it was sent.")]
    correlation_id: Annotated[str, Field(description="The name of the request for the socket.")]
    seq: Annotated[int, Field(description="The newest of the stream.")]
    event_id: Annotated[None, Field(description="It is no event.")]
    data: Annotated[SyncData, Field(description="Where the socket begins.")]


class AuthMessage(TypedDict):
    """A token, as the client's first message, or in time before the last one expires."""

    type: Literal["auth"]
    token: Annotated[str, Field(description="An access token.")]


@dataclass(frozen=True, slots=True)
class Renewed:
    """A newer token of a socket: until when the socket may stay open, and its session."""

    expires_at: datetime
    session_id: str | None


class Connection:
    """A signed-in socket. Only its handler's thread sends; other threads offer frames to it."""

    def __init__(
        self,
        ws: Server,
        expires_at: datetime,
        renew: Callable[[str], Renewed | CloseCode],
        *,
        session_id: str | None = None,
        user_id: str | None = None,
        lifetime_s: float = math.inf,
    ) -> None:
        """Begin with an accepted socket; `renew` checks a newer token.

        The socket is closed after `lifetime_s` less up to a fifth by chance, so that many that came
        at once do not leave at once.
        """
        self._ws = ws
        self._expires_at = expires_at
        self._renew = renew
        self._session_id = session_id
        self._user_id = user_id
        self._rotate_at_s = clock.monotonic_s() + lifetime_s * random.uniform(0.8, 1)  # noqa: S311 - spread, no secret
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._closing: CloseCode | None = None
        self._overflowed_at_s: float | None = None
        self.position = 0
        self.is_live = False

    def send_sync(
        self, *, newest: int, since: int | None, resync: bool, correlation_id: str
    ) -> None:
        """Send the first message, with the newest `seq` of the stream. Raises ConnectionClosed."""
        message: SyncMessage = {
            "type": "task.sync",
            "timestamp": rfc3339(clock.now()),
            "correlation_id": correlation_id,
            "seq": newest,
            "event_id": None,
            "data": {"since": since, "resync": resync},
        }
        self._ws.send(compact_json(message))

    def send(self, happened: Sequence[Event]) -> None:
        """Send events now, from the handler's thread. Raises ConnectionClosed, OSError."""
        if happened:
            # A frame exists only while it is sent: a reader may be slow, or never read.
            for some in _together(text_frame(event.message_json()) for event in happened):
                self._send(some)
            self.position = happened[-1].seq

    def offer(self, seq: int, frame: bytes) -> None:
        """Queue an event's frame to be sent, from any thread; what was sent already is dropped."""
        if seq <= self.position or self._closing is not None:
            return
        self.position = seq
        if (
            len(self._queue) >= QUEUE_MAX_MESSAGES
            or self._queued_bytes + len(frame) > QUEUE_MAX_BYTES
        ):
            self._overflowed_at_s = clock.monotonic_s()
            self._queue.clear()
            self.close_soon(CloseCode.TOO_SLOW)
            return
        self._queue.append(frame)
        self._queued_bytes += len(frame)
        self._ws.event.set()

    def close_soon(self, code: CloseCode) -> None:
        """Have the handler's thread close the socket, from any thread."""
        if self._closing is None:
            self._closing = code
        self._ws.event.set()

    def rotate_within(self, seconds: float) -> None:
        """Have the socket closed at some moment of the next `seconds`, to be resumed elsewhere."""
        moment_s = clock.monotonic_s() + random.uniform(0, seconds)  # noqa: S311 - spread, no secret
        self._rotate_at_s = min(self._rotate_at_s, moment_s)
        self._ws.event.set()

    def close_if_ended(self) -> None:
        """Have the socket closed where its session has ended, or its account, from any thread."""
        if ended_sessions().has_ended(self._session_id, of=self._user_id):
            self.close_soon(CloseCode.BAD_TOKEN)

    def abort_if_stuck(self) -> None:
        """Cut a socket whose client reads too slowly even to be closed, from any thread."""
        since_s = self._overflowed_at_s
        is_overdue = since_s is not None and clock.monotonic_s() - since_s > ABORT_AFTER_S
        if is_overdue or is_stuck(self._ws):
            abort(self._ws)

    def check(self) -> bool:
        """Read what the client has sent, and close the socket if due; say whether it is open."""
        try:
            # Asking an empty buffer for a message would cost a turn of gevent's loop.
            while self._ws.connected and self._ws.input_buffer:
                received = self._ws.receive(timeout=0)
                if received is not None:
                    self._take(received)
        except ConnectionClosed:
            return False
        if self._closing is None and clock.now() >= self._expires_at:
            self._closing = CloseCode.BAD_TOKEN
        if self._closing is None and clock.monotonic_s() >= self._rotate_at_s:
            self._closing = CloseCode.SERVICE_RESTART
        if self._closing is not None:
            close(self._ws, self._closing)
        return self._closing is None and bool(self._ws.connected)

    def wait(self, seconds: float) -> None:
        """Wait so long, with nothing to send. Raises ConnectionClosed where the socket closes."""
        until_s = clock.monotonic_s() + seconds
        while self.check():
            left_s = until_s - clock.monotonic_s()
            if left_s <= 0:
                return
            self._ws.event.wait(timeout=left_s)
            self._ws.event.clear()
        raise ConnectionClosed

    def pump(self) -> None:
        """Send the frames that are offered, as they come, until the socket closes."""
        while self.check():
            while self._queue:
                waiting = next(_together(list(islice(self._queue, SENT_AT_ONCE))))
                self._send(waiting)
                for frame in waiting:
                    # Overflowing empties the queue, from another thread.
                    if self._queue:
                        self._queue.popleft()
                    self._queued_bytes -= len(frame)
            if self._closing is None:
                token_s = (self._expires_at - clock.now()).total_seconds()
                rotate_s = self._rotate_at_s - clock.monotonic_s()
                self._ws.event.wait(timeout=max(0.0, min(token_s, rotate_s, LOOK_UP_S)))
                self._ws.event.clear()

    def _send(self, frames: Sequence[bytes]) -> None:
        if not can_send(self._ws):
            raise ConnectionClosed
        # As Server.send does, but frames in one go: a system call costs more than a frame.
        whole_sends(self._ws).send(b"".join(frames))
        metrics.SOCKET_MESSAGES.inc(len(frames))

    def _take(self, received: str | bytes) -> None:
        # A client may send a newer token before the old one expires; all else has no meaning yet.
        token = token_in(received)
        if token is not None:
            renewed = self._renew(token)
            if isinstance(renewed, Renewed):
                self._expires_at, self._session_id = renewed.expires_at, renewed.session_id
            else:
                self.close_soon(renewed)


def _together(frames: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Group frames as they are sent, by SENT_AT_ONCE and SENT_AT_ONCE_BYTES."""
    some: list[bytes] = []
    size_bytes = 0
    for frame in frames:
        size_bytes += len(frame)
        if some and (len(some) == SENT_AT_ONCE or size_bytes > SENT_AT_ONCE_BYTES):
            yield some
            some, size_bytes = [], len(frame)
        some.append(frame)
    if some:
        yield some


def close(ws: Server, code: CloseCode) -> None:
    """Close a socket with a code; one that is closed already stays so."""
    metrics.SOCKET_CLOSES.labels(code.value).inc()
    try:
        # Its annotation knows only wsproto's own codes; any number is sent as it is.
        ws.close(cast("CloseReason", code.value), code.name.lower().replace("_", " "))
    except (ConnectionClosed, OSError):
        return


def token_in(received: str | bytes) -> str | None:
    """Return the token of an AuthMessage, None for any other."""
    try:
        message = json.loads(received)
        token = message["token"] if message["type"] == "auth" else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return token if isinstance(token, str) else None
