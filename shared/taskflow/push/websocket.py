"""How flask-sock and simple-websocket are set up, and what they lack: bounds and whole sends."""

import socket
import threading
from collections.abc import Callable
from struct import pack
from typing import Any, cast

from flask import request
from simple_websocket import ConnectionError as Rejected
from simple_websocket import Server
from wsproto.connection import ConnectionState
from wsproto.utilities import ProtocolError

from taskflow import clock

SUBPROTOCOL = "taskflow.v1"
PING_INTERVAL_S = 25
MESSAGE_MAX_BYTES = 64 * 1024
UNACKNOWLEDGED_MAX_MS = 60_000
PIECE_BYTES = 32 * 1024
UNREAD_MAX_S = 30
"""How long a client may take for so much of what it is sent."""

INPUT_BUFFER_MAX_BYTES = 1024 * 1024
"""What may come from a client while its handler is busy; simple-websocket would keep any amount."""

OVERHEAD_BYTES = 100
"""About what a message costs besides its content."""

SERVER_OPTIONS = {
    "subprotocols": [SUBPROTOCOL],
    "ping_interval": PING_INTERVAL_S,
    "max_message_size": MESSAGE_MAX_BYTES,
}

HANDSHAKE_ERRORS = (ProtocolError, Rejected, UnicodeDecodeError)
"""What accepting a socket raises where the request for it is not as it should be."""

_TEXT = 0x81
"""The last frame of a text message."""

_IN_16_BITS, _IN_64_BITS = 126, 127
"""In the place of a length: it follows, in so many bits."""

_SOCKET_KEYS = ("gunicorn.socket", "werkzeug.socket")


class WholeSends:
    """A socket whose `send` sends everything, one caller at a time.

    simple-websocket takes `send` to do so; on a gevent socket it may stop in the middle of a frame,
    and its reader thread answers pings while the handler sends.
    """

    def __init__(self, wrapped: socket.socket) -> None:
        """Wrap a connected TCP socket."""
        self._wrapped = wrapped
        self._lock = threading.Lock()
        self.sending_since_s: float | None = None
        self.buffered_bytes: Callable[[], int] = lambda: 0
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # A peer that is gone is noticed even while a send to it waits.
            wrapped.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MAX_MS)
        wrapped.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> int:
        """Send all of `data`."""
        waiting = memoryview(data)
        with self._lock:
            try:
                for first in range(0, len(data), PIECE_BYTES):
                    self.sending_since_s = clock.monotonic_s()
                    self._wrapped.sendall(waiting[first : first + PIECE_BYTES])
            finally:
                self.sending_since_s = None
        return len(data)

    def recv(self, size: int) -> bytes:
        """Receive up to `size` bytes. Raises ConnectionAbortedError if the input buffer is full."""
        if self.buffered_bytes() > INPUT_BUFFER_MAX_BYTES:
            raise ConnectionAbortedError
        return self._wrapped.recv(size)

    def fileno(self) -> int:
        """Return the file descriptor, for a selector."""
        return self._wrapped.fileno()

    def abort(self) -> None:
        """End both directions at once; threads that wait in `send` or `recv` are woken."""
        try:
            self._wrapped.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def close(self) -> None:
        """Close the socket."""
        self._wrapped.close()


def whole_sends(ws: Server) -> WholeSends:
    """Return the socket below an accepted WebSocket, as `prepare` has wrapped it."""
    return cast("WholeSends", ws.sock)


def text_frame(text: str) -> bytes:
    """Write a whole text message as a server's frame (RFC 6455, 5.2), as wsproto does in 9 µs."""
    payload = text.encode()
    size = len(payload)
    if size < _IN_16_BITS:
        return bytes([_TEXT, size]) + payload
    if size < 1 << 16:
        return pack("!BBH", _TEXT, _IN_16_BITS, size) + payload
    return pack("!BBQ", _TEXT, _IN_64_BITS, size) + payload


def can_send(ws: Server) -> bool:
    """Say whether neither side has begun to close an accepted socket."""
    return bool(ws.connected) and ws.ws.state is ConnectionState.OPEN


def bound(ws: Server) -> None:
    """Bound the input of an accepted socket: beyond INPUT_BUFFER_MAX_BYTES it is cut off."""
    socket_ = whole_sends(ws)
    socket_.buffered_bytes = lambda: sum(len(one) + OVERHEAD_BYTES for one in ws.input_buffer)


def is_stuck(ws: Server) -> bool:
    """Say whether a send has taken too long: the client is there, but does not read."""
    since_s = whole_sends(ws).sending_since_s
    return since_s is not None and clock.monotonic_s() - since_s > UNREAD_MAX_S


def abort(ws: Server) -> None:
    """Cut an accepted socket off, also while threads wait on it."""
    whole_sends(ws).abort()


def is_broken_upgrade() -> bool:
    """Say whether a request asks for a WebSocket, but not as RFC 6455, 4.1 has it."""
    asks = request.headers.get("Upgrade", "").lower() == "websocket"
    return asks and not (
        request.method == "GET"
        and request.headers.get("Sec-WebSocket-Version") == "13"
        and "Sec-WebSocket-Key" in request.headers
    )


def prepare() -> None:
    """Ready the request that is about to be upgraded."""
    environ: dict[str, Any] = request.environ
    # Compression would cost some 300 KB of state a socket, for messages of 1 KB.
    environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
    for key in _SOCKET_KEYS:
        if key in environ:
            environ[key] = WholeSends(environ[key])
