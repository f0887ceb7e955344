"""gunicorn's gevent worker, but one that stops as soon as its last request is answered."""

# gunicorn has no types.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

import socket
from contextlib import suppress
from typing import Any

import gevent
from gunicorn.workers.ggevent import GeventWorker

from taskflow.eventing import cron
from taskflow.push import process_feed

LOOK_S = 0.05


class Worker(GeventWorker):
    """A worker that, when it stops, hangs up on clients who only keep their connection open.

    gunicorn's own waits for them, up to its graceful timeout.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - gunicorn's own
        super().__init__(*args, **kwargs)
        self._idle: set[Any] = set()

    def run(self) -> None:
        """Serve until told to stop, and then finish what was begun."""
        gevent.spawn(self._let_go)
        super().run()

    def handle(self, listener: Any, client: Any, addr: Any) -> None:  # noqa: ANN401 - as above
        """Serve a connection."""
        try:
            super().handle(listener, client, addr)
        finally:
            self._idle.discard(client)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:  # noqa: ANN401 - as above
        """Answer a request, after which its connection is idle."""
        self._idle.discard(sock)
        try:
            return super().handle_request(listener_name, req, sock, addr)
        finally:
            self._idle.add(sock)
            if not self.alive:
                _hang_up(sock)

    def _let_go(self) -> None:
        while self.alive:
            gevent.sleep(LOOK_S)
        cron.end_shifts()
        process_feed.drain()
        for client in list(self._idle):
            _hang_up(client)


def _hang_up(client: Any) -> None:  # noqa: ANN401 - a socket of gevent
    # The connection's own greenlet closes it; this wakes it, as the client's own end would. (The
    # shutdown of gevent's socket would wake it with an error.) A request that has come already is
    # still read and answered.
    with suppress(OSError):
        client._sock.shutdown(socket.SHUT_RD)  # noqa: SLF001 - the system's socket in it
