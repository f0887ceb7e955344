"""This process's feed, and its sources: the process's own commits, and Kafka where there is one."""

import threading
from collections.abc import Callable
from functools import cache

from taskflow import config
from taskflow.kafka import client
from taskflow.push.feed import Feed
from taskflow.push.kafka_reader import StartThread, start_reading
from taskflow.storage import on_commit


def _start_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="kafka", daemon=True).start()


_start: StartThread = _start_thread


def start_real_threads_by(start: StartThread) -> None:
    """Use `start` for threads that block in a library, where `threading` gives greenlets."""
    global _start  # noqa: PLW0603 - set once, when a server starts
    _start = start


@cache
def feed() -> Feed:
    """Return this process's feed; made at its first use, for a server forks after the import."""
    made = Feed(poll_s=config.settings().feed_poll_ms / 1000)
    on_commit(made.notify)
    if client.is_configured():
        start_reading(made, _start)
    return made


def drain() -> None:
    """Send every client of this process away, if it has ever had a feed; do not make it one."""
    if feed.cache_info().currsize:
        feed().drain()
