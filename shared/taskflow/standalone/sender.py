"""Posting CloudEvents to the functions that another process serves on a Unix socket."""

import socket
import threading
from datetime import timedelta
from pathlib import Path

from taskflow import clock
from taskflow.eventing.bindings.knative import TIMEOUT, Answer, headers_of

ANSWER_MAX_BYTES = 64 * 1024
LINE_MAX_BYTES = 64 * 1024
HEADERS_MAX = 100

KEEP_ALIVE_S = 2.0
"""How long a connection is kept. Of the server's processes one that has time for it takes the next;
otherwise those connections that were made while nothing was to do would all be with one."""

_NO_CONTENT = 204


class _NoAnswer(Exception):
    """The answer is not valid HTTP, or did not come; the message says why."""


class _ConnectionClosed(_NoAnswer):
    """The server closed the connection instead of answering."""


class _Connection:
    """A connection to the server, with just as much of HTTP/1.1 as one kind of request needs.

    http.client takes three times as long, mostly for reading headers as those of a mail.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._reader = connected.makefile("rb")
        self._kept_until_s = clock.monotonic_s() + KEEP_ALIVE_S
        self.is_open = True

    @property
    def is_kept(self) -> bool:
        """Whether it can take another request."""
        return self.is_open and clock.monotonic_s() < self._kept_until_s

    def close(self) -> None:
        """Close it."""
        self.is_open = False
        self._reader.close()
        self._socket.close()

    def __del__(self) -> None:
        # A thread that ends leaves its connection behind.
        self.close()

    def exchange(self, request: bytes) -> Answer:
        """Send a request and read the answer. Raises _NoAnswer, OSError; it is closed then."""
        try:
            self._socket.sendall(request)
            status, headers = self._head()
            body = b"" if status == _NO_CONTENT else self._body(headers)
        except BaseException:
            self.close()
            raise
        if headers.get(b"connection", b"").lower() == b"close":
            self.close()
        return Answer(status, body.decode("utf-8", "replace"))

    def _head(self) -> tuple[int, dict[bytes, bytes]]:
        first = self._reader.readline(LINE_MAX_BYTES)
        if not first:
            raise _ConnectionClosed("the server hung up")
        version, _, status = first.rstrip().partition(b" ")
        if not version.startswith(b"HTTP/1.") or not status[:3].isdigit():
            raise _NoAnswer("not a status line of HTTP/1")
        # Before HTTP/1.1 a connection was only kept where both sides said so.
        headers = {b"connection": b"close"} if version == b"HTTP/1.0" else {}
        for _ in range(HEADERS_MAX):
            line = self._line()
            if not line:
                return int(status[:3]), headers
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        raise _NoAnswer("more headers than one reads")

    def _body(self, headers: dict[bytes, bytes]) -> bytes:
        if b"transfer-encoding" in headers:
            return self._chunks()
        length = headers.get(b"content-length", b"")
        if length.isdigit() and int(length) <= ANSWER_MAX_BYTES:
            return self._exactly(int(length))
        # It ends with the connection, or there is more than anyone will read.
        body = self._reader.read(ANSWER_MAX_BYTES)
        self.close()
        return body

    def _chunks(self) -> bytes:
        body = b""
        while size := _size_of_chunk(self._line()):
            body += self._exactly(min(size, ANSWER_MAX_BYTES - len(body)))
            if len(body) == ANSWER_MAX_BYTES:
                self.close()
                return body
            self._line()
        while self._line():
            pass
        return body

    def _exactly(self, size: int) -> bytes:
        read = self._reader.read(size)
        if len(read) < size:
            raise _NoAnswer("the answer was cut off")
        return read

    def _line(self) -> bytes:
        line = self._reader.readline(LINE_MAX_BYTES)
        if not line.endswith(b"\n"):
            raise _NoAnswer("the answer was cut off, or a line is too long")
        return line.rstrip(b"\r\n")


class Sender:
    """Posts to the subscribers behind one socket; each thread keeps a connection for a while."""

    def __init__(self, path: Path, timeout: timedelta | None = None) -> None:
        """Post to the server that listens at `path`; wait so long for an answer, or TIMEOUT."""
        self._path = path
        self._timeout_s = (timeout or TIMEOUT).total_seconds()
        self._local = threading.local()

    def __call__(self, subscriber: str, attributes: dict[str, str], body: bytes) -> Answer:
        """Post one event in binary mode to `/subscriber/`, and return the answer."""
        request = _request(subscriber, headers_of(attributes), body)
        try:
            return self._exchange(request)
        except (_NoAnswer, OSError) as error:
            return Answer(None, f"{type(error).__name__}: {error}")

    def _exchange(self, request: bytes) -> Answer:
        kept: _Connection | None = getattr(self._local, "connection", None)
        if kept is not None:
            if kept.is_kept:
                try:
                    return kept.exchange(request)
                except (_ConnectionClosed, ConnectionError):
                    # The server closed a connection that was idle, or was restarted.
                    pass
            kept.close()
        self._local.connection = None
        fresh = _Connection(_connected(self._path, self._timeout_s))
        self._local.connection = fresh
        return fresh.exchange(request)


def _request(subscriber: str, headers: dict[str, str], body: bytes) -> bytes:
    lines = [
        f"POST /{subscriber}/ HTTP/1.1",
        "host: localhost",
        f"content-length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "\r\n"]).encode("latin-1") + body


def _size_of_chunk(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    try:
        return int(digits if digits.isalnum() else b"", 16)
    except ValueError:
        raise _NoAnswer("not the size of a chunk") from None


def _connected(path: Path, timeout_s: float) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    try:
        made.settimeout(timeout_s)
        made.connect(str(path))
    except OSError:
        made.close()
        raise
    return made
