"""A subscriber on a Unix socket whose answers are scripted by a test."""

import json
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import BaseServer, ThreadingMixIn, UnixStreamServer
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler, make_server

from taskflow.eventing.bindings.knative import attributes_in

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

NO_CONTENT = (204, "")


@dataclass(frozen=True)
class Delivered:
    """One received delivery: its subscriber, attributes, body and time."""

    subscriber: str
    attributes: dict[str, str]
    body: bytes
    at_s: float

    @property
    def event(self) -> dict[str, Any]:
        """The event in its body."""
        return json.loads(self.body)

    @property
    def user_id(self) -> str:
        """The user of the event."""
        return self.event["user_id"]

    @property
    def seq(self) -> int:
        """The place of the event in the stream of its user."""
        return self.event["seq"]


class HangUp(Exception):
    """Raised by a script: the connection is cut without an answer."""


Script = Callable[[Delivered], tuple[int, str]]
"""Returns the status and the text of the answer to a delivery."""


class ScriptedSubscriber:
    """Subscribers that record deliveries and answer by a script, by default with success."""

    def __init__(self, script: Script = lambda _: NO_CONTENT) -> None:
        self.script: Script = script
        self._received: list[Delivered] = []
        self._lock = threading.Lock()

    def received(self, subscriber: str, *user_ids: str) -> list[Delivered]:
        """Return the deliveries to a subscriber, of all users or of these."""
        with self._lock:
            found = [one for one in self._received if one.subscriber == subscriber]
        return [one for one in found if not user_ids or one.user_id in user_ids]

    def seqs(self, subscriber: str, user_id: str) -> list[int]:
        """Return the `seq` of each delivery of a user's events, in the order they came."""
        return [one.seq for one in self.received(subscriber, user_id)]

    def answer(self, delivered: Delivered) -> tuple[int, str]:
        """Record a delivery and answer it. Raises HangUp."""
        with self._lock:
            self._received.append(delivered)
        return self.script(delivered)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def _scripted(self) -> ScriptedSubscriber:
        assert isinstance(self.server, _Listener)
        return self.server.scripted

    def do_POST(self) -> None:
        """Answer a delivery; the connection is kept."""
        delivered = Delivered(
            subscriber=self.path.strip("/"),
            attributes=attributes_in(dict(self.headers)),
            body=self.rfile.read(int(self.headers["Content-Length"])),
            at_s=time.monotonic(),
        )
        try:
            status, text = self._scripted.answer(delivered)
        except HangUp:
            self.close_connection = True
            return
        encoded = text.encode()
        self.send_response(status)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(encoded)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Log nothing: tests look at the recorded deliveries."""


class _Listener(ThreadingMixIn, UnixStreamServer):
    # Those that hang are left to end by themselves.
    daemon_threads = True
    request_queue_size = 100

    def __init__(self, path: Path, scripted: ScriptedSubscriber) -> None:
        self.scripted = scripted
        self.open: set[socket.socket] = set()
        super().__init__(str(path), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's own
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as above
        self.open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Log nothing: peers that are killed or do not wait are part of the tests."""


@contextmanager
def listening(scripted: ScriptedSubscriber, path: Path) -> Generator[None]:
    """Have a scripted subscriber listen at a Unix socket, for the length of the block."""
    server = _Listener(path, scripted)
    with _running(server, path):
        yield
        for connection in server.open.copy():
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - werkzeug's name
        """Log nothing: tests look at the recorded deliveries."""

    def handle(self) -> None:
        """Handle requests until the peer has gone, which is no error here."""
        try:
            super().handle()
        except OSError:
            return


@contextmanager
def serving(app: "WSGIApplication", path: Path) -> Generator[None]:
    """Serve an app at a Unix socket, without keeping connections, for the length of the block."""
    server = make_server(f"unix://{path}", 0, app, threaded=True, request_handler=_Quiet)
    with _running(server, path):
        yield


@contextmanager
def _running(server: BaseServer, path: Path) -> Generator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        path.unlink(missing_ok=True)
