"""A subscriber on a Unix socket, as the deliverer meets it: it answers as a test says."""

import json
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from taskflow.eventing.envelope import attributes_in

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

NO_CONTENT = (204, "")


@dataclass(frozen=True)
class Delivered:
    """One request that came: for whom, and what."""

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
        """Whose event it is."""
        return self.event["user_id"]

    @property
    def seq(self) -> int:
        """Its place in the user's stream."""
        return self.event["seq"]


class HangUp(Exception):
    """Raised by a script: the connection is cut without an answer."""


Script = Callable[[Delivered], tuple[int, str]]
"""Returns the status and the text of the answer to a delivery."""


class Scripted:
    """An app that answers as its script says, by default that all is done, and remembers."""

    def __init__(self, script: Script = lambda _: NO_CONTENT) -> None:
        self.script = script
        self._received: list[Delivered] = []
        self._lock = threading.Lock()

    def received(self, subscriber: str, *user_ids: str) -> list[Delivered]:
        """Return what came for a subscriber: all of it, or what is of these users."""
        with self._lock:
            found = [one for one in self._received if one.subscriber == subscriber]
        return [one for one in found if not user_ids or one.user_id in user_ids]

    def seqs(self, subscriber: str, user_id: str) -> list[int]:
        """Return the `seq` of each delivery of a user's events, in the order they came."""
        return [one.seq for one in self.received(subscriber, user_id)]

    def __call__(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        """Answer a delivery."""
        request = Request(environ)
        delivered = Delivered(
            subscriber=request.path.strip("/"),
            attributes=attributes_in(dict(request.headers)),
            body=request.get_data(),
            at_s=time.monotonic(),
        )
        with self._lock:
            self._received.append(delivered)
        try:
            status, answer = self.script(delivered)
        except HangUp:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            status, answer = NO_CONTENT
        return Response(answer, status=HTTPStatus(status))(environ, start)


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - werkzeug's name
        """Say nothing: what came is what the test looks at."""

    def handle(self) -> None:
        """Handle requests until the peer has gone; that is nobody's mistake here."""
        try:
            super().handle()
        except OSError:
            return


@contextmanager
def serving(app: "WSGIApplication", path: Path) -> Generator[None]:
    """Serve an app at a Unix socket, a thread for each connection, for the length of the block."""
    server = make_server(f"unix://{path}", 0, app, threaded=True, request_handler=_Quiet)
    # Those that hang are left to end by themselves.
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        path.unlink(missing_ok=True)
