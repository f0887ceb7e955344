"""What one connection may bring at once and in all, and how slowly it may bring or take it.

A slow line is no fault, but what waits for a client costs memory, and a client may never come. What
comes at once costs time: a head of many headers, or a body in chunks of a byte.
"""

import errno
import socket
from contextlib import suppress
from struct import pack
from typing import Any

import gevent
from gunicorn.http.errors import LimitRequestHeaders, ParseException

from taskflow import clock
from taskflow.server.rounds import Rounds
from taskflow.serving.body import BODY_MAX_BYTES

STALLED_S = 30.0
PIECE_BYTES = 32 * 1024
"""So much, or what is left of it, comes or goes within STALLED_S: a kilobyte a second."""

HEAD_MAX_BYTES = 32 * 1024
"""Of a request line and its headers together."""

READ_AT_ONCE_BYTES = 8 * 1024
"""As much as gunicorn reads of a head; what follows the head may be in it."""

BODY_WIRE_MAX_BYTES = 2 * BODY_MAX_BYTES
"""Of a body as it comes, with the sizes of its chunks."""

CHUNKED_AT_ONCE_BYTES = 2 * 1024
"""In chunks of a byte, these take more than a millisecond to be put together."""

FRAMES_AT_ONCE_BYTES = 1024
"""Of a WebSocket: more than a client has to say, and 170 pings, which take a millisecond."""

_RESET = pack("ii", 1, 0)


class Incoming:
    """A client's connection of gevent's, whose address sends one piece in a round of the loop."""

    def __init__(self, connection: Any, rounds: Rounds, network: str) -> None:  # noqa: ANN401 - gevent has no types
        """Wrap a connected socket that waits for the head of a request."""
        self._connection = connection
        self._rounds = rounds
        self._network = network
        self._head_bytes: int | None = 0
        self._has_received = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as above
        return getattr(self._connection, name)

    def recv(self, size: int) -> bytes:
        """Receive up to `size` bytes. Raises LimitRequestHeaders for a head that is too large."""
        received: bytes = self._connection.recv(size)
        if received:
            self._rounds.begin(self._network)
        self._has_received = True
        if self._head_bytes is not None:
            self._head_bytes += len(received)
            if self._head_bytes > HEAD_MAX_BYTES + READ_AT_ONCE_BYTES:
                # What follows is still read, and thrown away, so that the client hears why.
                self._head_bytes = None
                message = "the head is too large"
                raise LimitRequestHeaders(message)
        return received

    def recv_frames(self, size: int) -> bytes:
        """Receive what has come on a WebSocket, in a round of its own.

        The wait comes first: simple-websocket would go on to look at a socket that was closed in a
        wait afterwards, and libev ends a process that does so.
        """
        self._rounds.begin(self._network)
        received: bytes = self._connection.recv(min(size, FRAMES_AT_ONCE_BYTES))
        return received

    def begin_request(self) -> None:
        """Take the head as come; one that had come with another waits for a round of its own."""
        self._head_bytes = None
        if not self._has_received:
            self._rounds.begin(self._network)
        self._has_received = False

    def end_request(self) -> None:
        """Wait for the head of the next one."""
        self._head_bytes = 0


class Answering:
    """A connection of gevent's on which an answer goes out, and otherwise itself."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - gevent has no types
        """Wrap a connected socket."""
        self._connection = connection

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as above
        return getattr(self._connection, name)

    def recv(self, size: int) -> bytes:
        """Receive what comes on a WebSocket, which is made of the connection that is answered."""
        receive = getattr(self._connection, "recv_frames", self._connection.recv)
        received: bytes = receive(size)
        return received

    def sendall(self, data: bytes) -> None:
        """Send everything. Raises ConnectionResetError where the client takes too little."""
        waiting = memoryview(data)
        for first in range(0, len(data), PIECE_BYTES):
            given_up = ConnectionResetError(errno.ECONNRESET, "the client does not read")
            try:
                with gevent.Timeout(STALLED_S, given_up):
                    self._connection.sendall(waiting[first : first + PIECE_BYTES])
            except ConnectionResetError:
                # Closed in order, it would leave what was sent with the kernel for minutes.
                with suppress(OSError):
                    self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                raise


class Arriving:
    """A connection of gevent's on which a body comes in; it has `recv` alone."""

    def __init__(self, connection: Any, *, is_chunked: bool = False) -> None:  # noqa: ANN401 - as above
        """Wrap a connected socket; the time of the first piece begins."""
        self._connection = connection
        self._at_once = CHUNKED_AT_ONCE_BYTES if is_chunked else PIECE_BYTES
        self._due_s = clock.monotonic_s() + STALLED_S
        self._missing = PIECE_BYTES
        self._left_bytes = BODY_WIRE_MAX_BYTES

    def recv(self, size: int) -> bytes:
        """Receive up to `size` bytes.

        Raises TimeoutError where the client brings too little, ParseException where it brings more
        than any body takes.
        """
        left_s = max(0.0, self._due_s - clock.monotonic_s())
        with gevent.Timeout(left_s, TimeoutError("the client does not send")):
            received: bytes = self._connection.recv(min(size, self._at_once))
        self._left_bytes -= len(received)
        if self._left_bytes < 0:
            message = "its chunks are too small, or too many"
            raise ParseException(message)
        self._missing -= len(received)
        if self._missing <= 0:
            self._due_s, self._missing = clock.monotonic_s() + STALLED_S, PIECE_BYTES
        return received
