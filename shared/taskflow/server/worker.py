"""A worker of gunicorn on gevent that gives slow clients up and refuses requests with problems."""

# gunicorn has no types.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

import logging
import signal
import socket
from contextlib import suppress
from typing import Any

import gevent
from gunicorn.http.errors import ParseException
from gunicorn.util import close_graceful
from gunicorn.workers.ggevent import GeventWorker

from taskflow import process
from taskflow.server import refusals
from taskflow.server.pace import Answering, Arriving, Incoming
from taskflow.server.rounds import Rounds
from taskflow.serving import problems
from taskflow.serving.body import BODY_MAX_BYTES
from taskflow.serving.tracing import network_of

LINGER_S = 2.0
LINGER_MAX_BYTES = 16 * 1024 * 1024
"""How long, and how much, a client may go on to send what nobody reads: a connection that is cut
while it sends takes the answer with it."""

FIRST_REQUEST_S = 1.0
"""How long a worker that stops waits for the first request of a connection: it may be on its way,
and who sends it can't know whether it was begun. Who kept the connection open can."""

_log = logging.getLogger(__name__)


class Worker(GeventWorker):
    """A worker that waits for no client for long, and tells who is refused why.

    When it stops, it hangs up on clients who only keep their connection open, or have opened one
    and send no request; gunicorn's own waits for them, up to its graceful timeout.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - gunicorn's own
        super().__init__(*args, **kwargs)
        self._idle: set[Any] = set()
        self._new: set[Any] = set()
        """The connections that have brought no request yet."""
        self._rounds: Rounds | None = None

    def init_signals(self) -> None:
        """Set up what is done at a signal, and at a SIGTERM that has waited for it."""
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def handle_exit(self, sig: Any, frame: Any) -> None:  # noqa: ANN401 - as above
        """Begin to stop."""
        super().handle_exit(sig, frame)
        # A signal may come anywhere, the hub included, where nothing may wait.
        gevent.spawn(self._drain)

    def handle(self, listener: Any, client: Any, addr: Any) -> None:  # noqa: ANN401 - as above
        """Serve a connection."""
        if addr:
            if self._rounds is None:
                # Of this process: the worker is made before the fork.
                self._rounds = Rounds()
            client = Incoming(client, self._rounds, network_of(addr[0]))
        self._new.add(client)
        if not self.alive:
            self._hang_up_if_silent(client)
        try:
            super().handle(listener, client, addr)
        finally:
            self._new.discard(client)
            self._idle.discard(client)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:  # noqa: ANN401 - as above
        """Answer a request, after which its connection is idle, or closed."""
        self._new.discard(sock)
        self._idle.discard(sock)
        if isinstance(sock, Incoming):
            sock.begin_request()
            is_chunked = not hasattr(req.body.reader, "length")
            req.unreader.sock = Arriving(sock, is_chunked=is_chunked)
        refusals.check_head(req)
        if getattr(req.body.reader, "length", 0) > BODY_MAX_BYTES:
            req.force_close()
        try:
            answering: Any = Answering(sock)
            super().handle_request(listener_name, req, answering, addr)
        except StopIteration:
            _finish(req, sock)
            raise
        else:
            _finish(req, sock)
        finally:
            req.unreader.sock = sock
            if isinstance(sock, Incoming):
                sock.end_request()
            self._idle.add(sock)
            if not self.alive:
                _hang_up(sock)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Any) -> None:  # noqa: ANN401 - as above
        """Tell a client with a problem why its request was not answered."""
        problem = refusals.problem_of(exc)
        if problem is None:
            _log.error("a request failed in the server", exc_info=exc)
            problem = problems.problem_of(exc)
        else:
            _log.info("%s from %s", problem.kind.slug, addr[0] if addr else "a local client")
        with_body = getattr(req, "method", None) != "HEAD"
        path = getattr(req, "path", None) or ""
        with suppress(OSError):
            Answering(client).sendall(refusals.answer(problem, path, with_body=with_body))
        close_graceful(client, LINGER_S, LINGER_MAX_BYTES)

    def _drain(self) -> None:
        process.drain()
        for client in list(self._idle):
            _hang_up(client)
        for client in list(self._new):
            self._hang_up_if_silent(client)

    def _hang_up_if_silent(self, client: Any) -> None:  # noqa: ANN401 - a socket of gevent
        """Hang up on a client whose first request has not come in FIRST_REQUEST_S."""

        def hang_up() -> None:
            if client in self._new:
                _hang_up(client)

        gevent.spawn_later(FIRST_REQUEST_S, hang_up)


def _finish(req: Any, sock: Any) -> None:  # noqa: ANN401 - gunicorn's own
    """Close a connection on which a body is left unread; gunicorn would read it, however long."""
    if not _is_read(req):
        req.force_close()
        close_graceful(sock, LINGER_S, LINGER_MAX_BYTES)


def _is_read(req: Any) -> bool:  # noqa: ANN401 - gunicorn's own
    """Read what is left of a body, if that is not more than a body may be; say whether it ended."""
    if req.body.failed:
        return False
    try:
        return len(req.body.read(BODY_MAX_BYTES + 1)) <= BODY_MAX_BYTES
    except (OSError, ParseException):
        return False


def _hang_up(client: Any) -> None:  # noqa: ANN401 - a socket of gevent
    # The connection's own greenlet closes it; this wakes it, as the client's own end would. (The
    # shutdown of gevent's socket would wake it with an error.) A request that has come already is
    # still read and answered.
    with suppress(OSError):
        client._sock.shutdown(socket.SHUT_RD)  # noqa: SLF001 - the system's socket in it
