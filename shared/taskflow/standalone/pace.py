"""How slowly a client may take an answer or bring a body: below that it is given up.

A slow line is no fault, but what waits for a client costs memory, and a client may never come.
"""

import errno
import socket
from contextlib import suppress
from struct import pack
from typing import Any

import gevent

from taskflow import clock

STALLED_S = 30.0
PIECE_BYTES = 32 * 1024
"""So much, or what is left of it, comes or goes within STALLED_S: a kilobyte a second."""

_RESET = pack("ii", 1, 0)


class Answering:
    """A connection of gevent's on which an answer goes out, and otherwise itself."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - gevent has no types
        """Wrap a connected socket."""
        self._connection = connection

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as above
        return getattr(self._connection, name)

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

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - as above
        """Wrap a connected socket; the time of the first piece begins."""
        self._connection = connection
        self._due_s = clock.monotonic_s() + STALLED_S
        self._missing = PIECE_BYTES

    def recv(self, size: int) -> bytes:
        """Receive up to `size` bytes. Raises TimeoutError where the client brings too little."""
        left_s = max(0.0, self._due_s - clock.monotonic_s())
        with gevent.Timeout(left_s, TimeoutError("the client does not send")):
            received: bytes = self._connection.recv(size)
        self._missing -= len(received)
        if self._missing <= 0:
            self._due_s, self._missing = clock.monotonic_s() + STALLED_S, PIECE_BYTES
        return received
