"""Posting CloudEvents to the functions that another process serves on a Unix socket."""

import http.client
import socket
import threading
from pathlib import Path

from taskflow.eventing.delivery import TIMEOUT, Answer
from taskflow.eventing.envelope import headers_of

ANSWER_MAX_BYTES = 64 * 1024


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT.total_seconds())
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)

    def __del__(self) -> None:
        # A thread that ends leaves its connection behind.
        self.close()


class Poster:
    """Posts to the subscribers behind one socket; each thread keeps a connection."""

    def __init__(self, path: Path) -> None:
        """Post to the server that listens at `path`."""
        self._path = path
        self._local = threading.local()

    def __call__(self, subscriber: str, attributes: dict[str, str], body: bytes) -> Answer:
        """Post one event in binary mode to `/subscriber/`, and return the answer."""
        headers = headers_of(attributes)
        kept: _UnixConnection | None = getattr(self._local, "connection", None)
        if kept is not None:
            try:
                return self._exchange(kept, subscriber, headers, body)
            except (http.client.RemoteDisconnected, ConnectionError):
                # The server closed a connection that was idle, or was restarted.
                kept.close()
            except (OSError, http.client.HTTPException) as failed:
                return self._failed(kept, failed)
        fresh = _UnixConnection(self._path)
        self._local.connection = fresh
        try:
            return self._exchange(fresh, subscriber, headers, body)
        except (OSError, http.client.HTTPException) as failed:
            return self._failed(fresh, failed)

    def _failed(self, connection: _UnixConnection, failed: Exception) -> Answer:
        connection.close()
        self._local.connection = None
        return Answer(None, f"{type(failed).__name__}: {failed}")

    @staticmethod
    def _exchange(
        connection: _UnixConnection, subscriber: str, headers: dict[str, str], body: bytes
    ) -> Answer:
        connection.request("POST", f"/{subscriber}/", body=body, headers=headers)
        response = connection.getresponse()
        text = response.read(ANSWER_MAX_BYTES).decode("utf-8", "replace")
        if not response.isclosed():
            # There is more than anyone will read: the connection is of no use any more.
            connection.close()
        return Answer(response.status, text)
