"""The servers of `make up`, on gevent: one for the API with its sockets, one for the consumers."""

from gevent import monkey

monkey.patch_all()

import signal  # noqa: E402 - everything after the patch, or it would keep what was not patched
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from gunicorn.app.base import BaseApplication  # noqa: E402
from gunicorn.glogging import Logger  # noqa: E402
from werkzeug.exceptions import NotFound  # noqa: E402
from werkzeug.middleware.dispatcher import DispatcherMiddleware  # noqa: E402

from taskflow import config, logs, metrics  # noqa: E402
from taskflow.config import InvalidSetting  # noqa: E402
from taskflow.eventing import cron  # noqa: E402
from taskflow.eventing.frame import Subscriber  # noqa: E402
from taskflow.process import concurrency  # noqa: E402
from taskflow.push import feed  # noqa: E402
from taskflow.serving import frame, turns  # noqa: E402
from taskflow.standalone.commit_broadcast import CommitBroadcast  # noqa: E402
from taskflow.standalone.discovery import discover  # noqa: E402
from taskflow.standalone.greenlets import Greenlets  # noqa: E402
from taskflow.standalone.processes import (  # noqa: E402
    COMMITS_FOLDER,
    CONSUMERS_SOCKET,
    allow_many_sockets,
    end_with_parent,
    wait_for_go,
)
from taskflow.standalone.router import Router  # noqa: E402
from taskflow.standalone.worker import Worker  # noqa: E402
from taskflow.storage import on_commit  # noqa: E402

CONNECTIONS_MAX = 20_000
KEEP_ALIVE_S = 75
GRACEFUL_S = 10
"""How long a stopping worker waits for the requests that it has begun."""

HUNG_AFTER_S = 60

API, CONSUMERS = "api", "consumers"


class _Logger(Logger):
    """gunicorn's own logger, but what it logs is written as everything else is."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401 - gunicorn has no types
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class _Server(BaseApplication):
    def __init__(self, app: object, address: str, worker_started: Callable[[Any], None]) -> None:
        self._app = app
        self._address = address
        self._worker_started = worker_started
        super().__init__()

    def load_config(self) -> None:
        options: dict[str, Any] = {
            "bind": self._address,
            "workers": config.settings().web_concurrency,
            "worker_class": Worker,
            "worker_connections": CONNECTIONS_MAX,
            "keepalive": KEEP_ALIVE_S,
            "graceful_timeout": GRACEFUL_S,
            "timeout": HUNG_AFTER_S,
            "loglevel": "warning",
            "logger_class": _Logger,
            # A client could set them by headers of these names: we have no mount point.
            "forwarder_headers": "",
            "post_worker_init": self._worker_started,
            "child_exit": _forget_worker,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:  # noqa: ANN401 - gunicorn's own type for a WSGI app is narrower
        return self._app


def main() -> None:
    """Load the functions, wait for the word that the database is ready, and serve."""
    end_with_parent(signal.SIGTERM)
    allow_many_sockets()
    logs.configure(config.settings().log_level)
    role, folder = sys.argv[1], Path(sys.argv[2])
    try:
        server = _api(folder) if role == API else _consumers(folder)
    except InvalidSetting as error:
        raise SystemExit(str(error)) from None
    wait_for_go()
    server.run()


def _api(folder: Path) -> _Server:
    settings = config.settings()
    router = Router(discover(settings.functions_dir))
    # Made before the fork, they count for all workers together.
    frame.user_limit()
    frame.address_limit()
    turns.pacing()

    def worker_started(_worker: Any) -> None:  # noqa: ANN401 - gunicorn has no types
        concurrency.set(Greenlets())
        on_commit(CommitBroadcast(folder / COMMITS_FOLDER, feed().notify).notify)

    return _Server(router, f"{settings.host}:{settings.port}", worker_started)


def _consumers(folder: Path) -> _Server:
    # Past Flask and functions-framework, which take as long as a small consumer's effect.
    apps = {
        f"/{function.name}": function.endpoint.serve
        for function in discover(config.settings().functions_dir)
        if isinstance(function.endpoint, Subscriber)
    }

    def worker_started(_worker: Any) -> None:  # noqa: ANN401 - gunicorn has no types
        # Where others write to the same database, they notify nobody here.
        listener = cron.commit_listener(notified_of_all=config.settings().feed_poll_ms == 0)
        on_commit(listener)
        on_commit(CommitBroadcast(folder / COMMITS_FOLDER, listener).notify)

    app = DispatcherMiddleware(NotFound(), apps)
    return _Server(app, f"unix:{folder / CONSUMERS_SOCKET}", worker_started)


def _forget_worker(_server: object, worker: Any) -> None:  # noqa: ANN401 - gunicorn has no types
    metrics.forget_process(worker.pid)


if __name__ == "__main__":
    main()
