"""A proxy in front of a server, which a test can have cut, block or answer itself."""

import base64
import hashlib
import re
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

CHUNK_BYTES = 65_536
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
TIMED_OUT = b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Protocol: taskflow.v1\r\nSec-WebSocket-Accept: %s\r\n\r\n"
)

Intercept = Callable[[bytes], bytes | None]
"""Given the head of a request, returns an answer in the server's place, or None."""


def nothing(_: bytes) -> bytes | None:
    """Let every request through."""
    return None


def hang_up(_: bytes) -> bytes | None:
    """Close every connection without an answer."""
    return b""


def unavailable(_: bytes) -> bytes | None:
    """Answer every request that the server is not available."""
    return UNAVAILABLE


def no_sockets(head: bytes) -> bytes | None:
    """Forbid upgrades, as some companies' proxies do."""
    return FORBIDDEN if b"upgrade: websocket" in head.lower() else None


def no_waiting(head: bytes) -> bytes | None:
    """Forbid upgrades, and give up every answer that takes its time."""
    is_long_poll = re.match(rb"GET \S*[?&]wait=[1-9]", head) is not None
    return TIMED_OUT if is_long_poll else no_sockets(head)


def dropped_sockets(head: bytes) -> bytes | None:
    """Accept upgrades, and hang up at once."""
    key = re.search(rb"(?i)^sec-websocket-key: *(\S+)", head, re.MULTILINE)
    if key is None:
        return None
    digest = hashlib.sha1(key[1] + _GUID, usedforsecurity=False).digest()
    return _SWITCHED % base64.b64encode(digest)


class Silence:
    """Says nothing to upgrades, until it is over."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self._over = threading.Event()

    def __call__(self, head: bytes) -> bytes | None:
        """Let all other requests through."""
        if b"upgrade: websocket" not in head.lower():
            return None
        self.began.set()
        self._over.wait()
        return b""

    def end(self) -> None:
        """Hang up on who still waits."""
        self._over.set()


class Proxy:
    """A TCP proxy in front of a local port."""

    def __init__(self, port: int) -> None:
        self.intercept: Intercept = nothing
        self.accepted_s: list[float] = []
        self._target = ("127.0.0.1", port)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=500)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The URL at which the proxy listens."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def cut(self) -> int:
        """Cut every open connection; return their number."""
        with self._lock:
            cut = list(self._open)
        for one in cut:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        return len(cut) // 2

    def close(self) -> None:
        """End the proxy."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.accepted_s.append(time.monotonic())
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            head = client.recv(CHUNK_BYTES)
            answer = self.intercept(head)
            if answer is not None:
                client.sendall(answer)
                return
            with socket.create_connection(self._target) as server:
                server.sendall(head)
                with self._lock:
                    self._open |= {client, server}
                back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
                back.start()
                self._pass_requests_on(client, server)
                back.join()
                with self._lock:
                    self._open -= {client, server}

    def _pass_requests_on(self, client: socket.socket, server: socket.socket) -> None:
        """Send on what follows, until something is answered here: a piece is a request."""
        with suppress(OSError):
            while chunk := client.recv(CHUNK_BYTES):
                answer = self.intercept(chunk)
                if answer is not None:
                    client.sendall(answer)
                    break
                server.sendall(chunk)
        _shut_down(client, server)


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(CHUNK_BYTES):
            sink.sendall(chunk)
    _shut_down(source, sink)


def _shut_down(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def a_proxy_to(port: int) -> Generator[Proxy]:
    """Open a proxy for the length of the block."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
