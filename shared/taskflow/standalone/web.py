"""The servers of `make up`, on gevent: of the API with its sockets, the consumers, the crons."""

# ruff: noqa: E402 - everything after the patch, or it would keep what was not patched; and most of
# it after the first call, for it takes seconds on a busy machine, and the parent may end then

from taskflow.server.patching import patch_all

patch_all()

import signal

from taskflow.standalone.processes import end_with_parent

if __name__ == "__main__":
    end_with_parent(signal.SIGTERM)

import sys
from collections.abc import Callable
from pathlib import Path

from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from taskflow import config, logs
from taskflow.config import InvalidSetting
from taskflow.eventing import cron
from taskflow.eventing.cron import CronFunction
from taskflow.eventing.frame import Subscriber
from taskflow.push import feed
from taskflow.server.application import Server, allow_many_sockets, share_by_workers
from taskflow.server.loading import discover
from taskflow.standalone.commit_broadcast import CommitBroadcast
from taskflow.standalone.processes import (
    COMMITS_FOLDER,
    CONSUMERS_SOCKET,
    CRONS_SOCKET,
    give_way,
    wait_for_go,
)
from taskflow.standalone.router import Router
from taskflow.storage import on_commit


def main() -> None:
    """Load the functions, wait for the word that the database is ready, and serve."""
    allow_many_sockets()
    logs.configure(config.settings().log_level)
    role, folder = sys.argv[1], Path(sys.argv[2])
    try:
        server = {"api": _api, "consumers": _consumers, "crons": _crons}[role](folder)
    except InvalidSetting as error:
        raise SystemExit(str(error)) from None
    wait_for_go()
    server.run()


def _api(folder: Path) -> Server:
    settings = config.settings()
    router = Router(discover(settings.functions_dir))
    config.warn_of_what_is_left_open()
    share_by_workers()

    def worker_started() -> None:
        on_commit(CommitBroadcast(folder / COMMITS_FOLDER, feed().notify).notify)

    address = f"{settings.host}:{settings.port}"
    return Server(router, address, workers=_workers(), worker_started=worker_started)


def _consumers(folder: Path) -> Server:
    give_way()

    def worker_started() -> None:
        on_commit(CommitBroadcast(folder / COMMITS_FOLDER).notify)

    app = _subscribers(lambda each: not isinstance(each, CronFunction))
    address = f"unix:{folder / CONSUMERS_SOCKET}"
    return Server(app, address, workers=_workers(), worker_started=worker_started)


def _crons(folder: Path) -> Server:
    def worker_started() -> None:
        # Where others write to the same database, they notify nobody here.
        listener = cron.commit_listener(notified_of_all=config.settings().feed_poll_ms == 0)
        on_commit(listener)
        on_commit(CommitBroadcast(folder / COMMITS_FOLDER, listener).notify)

    app = _subscribers(lambda each: isinstance(each, CronFunction))
    return Server(app, f"unix:{folder / CRONS_SOCKET}", worker_started=worker_started)


def _subscribers(is_served: Callable[[Subscriber], bool]) -> object:
    # Past Flask and functions-framework, which take as long as a small consumer's effect.
    apps = {
        f"/{function.name}": function.endpoint.serve
        for function in discover(config.settings().functions_dir)
        if isinstance(function.endpoint, Subscriber) and is_served(function.endpoint)
    }
    return DispatcherMiddleware(NotFound(), apps)


def _workers() -> int:
    # The supervisor has settled it.
    return config.settings().web_concurrency or 1


if __name__ == "__main__":
    main()
