"""gunicorn with our worker, and what it says in our log."""

import os
import resource
import signal
from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from taskflow import metrics, process
from taskflow.process import concurrency
from taskflow.server.greenlets import Greenlets
from taskflow.server.worker import Worker
from taskflow.serving import frame, turns

CONNECTIONS_MAX = 20_000
KEEP_ALIVE_S = 75
GRACEFUL_S = 10
"""How long a stopping worker waits for the requests that it has begun, before it cuts them off."""

KILLED_AFTER_S = GRACEFUL_S + 5
"""How long a stopping worker may take in all: it looks at its requests once a second, and what it
has made is to be closed."""

HUNG_AFTER_S = 60
FILES_MAX = 65_536

SHARED_MEMORY = "/dev/shm"  # noqa: S108 - gunicorn's files there have no name
"""Where the workers' heartbeats go, where there is one: never to a disk, nor to a root file system
that is read-only."""


class _Logger(Logger):
    """gunicorn's own logger, but what it logs is written as everything else is."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401 - gunicorn has no types
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class _Arbiter(Arbiter):
    def spawn_worker(self) -> Any:  # noqa: ANN401 - gunicorn has no types
        # In the worker, what the arbiter does at a SIGTERM would take one that comes early, and
        # nobody would hear of it: it waits until the worker has set up what it does itself.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            return super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Server(BaseApplication):
    """Serves a WSGI app at an address, from processes that it forks."""

    def __init__(
        self,
        app: object,
        address: str,
        *,
        workers: int = 1,
        worker_started: Callable[[], object] = lambda: None,
    ) -> None:
        """Prepare to serve at `address`, a host and port or `unix:` and a path, until SIGTERM.

        Each of the `workers` calls `worker_started` before its first request.
        """
        self._app = app
        self._address = address
        self._workers = workers
        self._worker_started = worker_started
        super().__init__()

    def load_config(self) -> None:
        """Set what is not gunicorn's default."""
        options: dict[str, Any] = {
            "bind": self._address,
            "workers": self._workers,
            "worker_class": Worker,
            "worker_connections": CONNECTIONS_MAX,
            "keepalive": KEEP_ALIVE_S,
            "graceful_timeout": KILLED_AFTER_S,
            "timeout": HUNG_AFTER_S,
            "worker_tmp_dir": SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None,
            "loglevel": "warning",
            "logger_class": _Logger,
            # A client could set them by headers of these names: we have no mount point.
            "forwarder_headers": "",
            # It is one file for all servers of a user, each of which would take it from the others.
            "control_socket_disable": True,
            "post_worker_init": self._begin,
            "child_exit": _forget_worker,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def run(self) -> None:
        """Serve until SIGTERM, and end the process, as each worker that is forked in here does."""
        try:
            _Arbiter(self).run()
        except SystemExit as ending:
            if isinstance(ending.code, str):
                raise
            process.end(ending.code or 0)

    def _begin(self, worker: Any) -> None:  # noqa: ANN401 - gunicorn has no types
        # gunicorn has one limit for both, and would kill the worker as it begins to give up.
        worker.cfg.set("graceful_timeout", GRACEFUL_S)
        concurrency.set(Greenlets())
        self._worker_started()

    def load(self) -> Any:  # noqa: ANN401 - gunicorn's own type for a WSGI app is narrower
        """Return the app."""
        return self._app


def allow_many_sockets() -> None:
    """Let this process and its children open as many files as the system lets them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS takes no limit at all for too much.
    soft = FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def share_by_workers() -> None:
    """Make what all workers share, in memory that is there before they are forked."""
    frame.user_limit()
    frame.address_limit()
    turns.pacing()


def _forget_worker(_server: object, worker: Any) -> None:  # noqa: ANN401 - gunicorn has no types
    metrics.forget_process(worker.pid)
