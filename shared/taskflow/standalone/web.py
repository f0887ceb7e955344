"""The server of `make up`: gunicorn's gevent workers, each with every function and its sockets."""

from gevent import monkey

monkey.patch_all()

import signal  # noqa: E402 - everything after the patch, or it would keep what was not patched
import sys  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
from gunicorn.app.base import BaseApplication  # noqa: E402

from taskflow import config, logs  # noqa: E402
from taskflow.push import feed  # noqa: E402
from taskflow.serving import frame, passwords  # noqa: E402
from taskflow.standalone.discovery import discover  # noqa: E402
from taskflow.standalone.processes import end_with_parent  # noqa: E402
from taskflow.standalone.router import Router  # noqa: E402
from taskflow.standalone.signals import Signals  # noqa: E402
from taskflow.storage import on_commit  # noqa: E402

CONNECTIONS_MAX = 20_000
KEEP_ALIVE_S = 75
GRACEFUL_S = 10
"""How long a stopping worker waits for the requests that it has begun."""

HUNG_AFTER_S = 60
LOOK_S = 0.05


class _Server(BaseApplication):
    def __init__(self, router: Router, folder: Path) -> None:
        self._router = router
        self._folder = folder
        super().__init__()

    def load_config(self) -> None:
        settings = config.settings()
        options: dict[str, Any] = {
            "bind": f"{settings.host}:{settings.port}",
            "workers": settings.web_concurrency,
            "worker_class": "gevent",
            "worker_connections": CONNECTIONS_MAX,
            "keepalive": KEEP_ALIVE_S,
            "graceful_timeout": GRACEFUL_S,
            "timeout": HUNG_AFTER_S,
            "loglevel": "warning",
            "when_ready": _leave_ctrl_c_to_the_supervisor,
            "post_worker_init": self._worker_started,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:  # noqa: ANN401 - gunicorn's own type for a WSGI app is narrower
        return self._router

    def _worker_started(self, worker: Any) -> None:  # noqa: ANN401 - gunicorn has no types
        _leave_ctrl_c_to_the_supervisor(worker)
        passwords.run_aside(gevent.get_hub().threadpool.apply)
        on_commit(Signals(self._folder, feed().hint).tell)
        gevent.spawn(_drain_at_the_end, worker)


def _leave_ctrl_c_to_the_supervisor(_process: object) -> None:
    # A terminal sends it to every process of the group; only an orderly stop loses nothing.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _drain_at_the_end(worker: Any) -> None:  # noqa: ANN401 - gunicorn has no types
    while worker.alive:
        gevent.sleep(LOOK_S)
    feed().drain()


def main() -> None:
    """Load the functions, wait for the word that the database is ready, and serve."""
    end_with_parent(signal.SIGTERM)
    logs.configure(config.settings().log_level)
    router = Router(discover(config.settings().functions_dir))
    # Made before the fork, they count for all workers together.
    frame.user_limit()
    frame.address_limit()
    if sys.stdin.readline() != "go\n":
        return
    with tempfile.TemporaryDirectory(prefix="taskflow-") as folder:
        _Server(router, Path(folder)).run()


if __name__ == "__main__":
    main()
