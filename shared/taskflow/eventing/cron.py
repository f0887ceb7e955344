"""The frame of a cron function: a tick wakes it, and it works from what is due."""

import threading
from collections.abc import Callable

from flask import Request, Response

from taskflow import clock
from taskflow.domain.events import Cause
from taskflow.eventing.frame import Subscriber, name_of

TICK_TYPE = "dev.knative.sources.ping"

Handler = Callable[[Cause], None]

_ending = threading.Event()


class Commits:
    """The commits that this process hears of, its own and others'; `are_heard` if it is of all."""

    def __init__(self) -> None:
        self.are_heard = False
        self._count = 0
        self._one_more = threading.Condition()

    def add(self) -> None:
        """Wake whoever waits for one."""
        with self._one_more:
            self._count += 1
            self._one_more.notify_all()

    def count(self) -> int:
        """Return how many there were."""
        return self._count

    def wait_beyond(self, count: int, timeout_s: float) -> None:
        """Wait until there were more than so many."""
        with self._one_more:
            self._one_more.wait_for(lambda: self._count > count, max(0.0, timeout_s))


_commits = Commits()


class Shift:
    """How long one run of a cron function goes on: for its time, or until its process ends."""

    def __init__(self, lasts_s: float) -> None:
        """Begin a shift of so many seconds."""
        self._ends_s = clock.monotonic_s() + lasts_s
        self._commits_seen = _commits.count()

    def is_over(self) -> bool:
        """Say whether to begin nothing more."""
        return _ending.is_set() or clock.monotonic_s() >= self._ends_s

    def rest(self, seconds: float) -> None:
        """Wait, but not beyond the end of the shift."""
        _ending.wait(max(0.0, min(seconds, self._ends_s - clock.monotonic_s())))

    def rest_until_commit(self, least_s: float, most_s: float) -> None:
        """Wait for so long at least, and then for a commit since the last such rest ended.

        Not beyond the end of the shift; where commits are not heard of, only for `least_s`.
        """
        self.rest(min(least_s, most_s))
        if _commits.are_heard and not _ending.is_set():
            left_s = min(most_s - least_s, self._ends_s - clock.monotonic_s())
            _commits.wait_beyond(self._commits_seen, left_s)
        self._commits_seen = _commits.count()


def hear_commits(*, all_of_them: bool = True) -> Callable[[object], None]:
    """Return what is to hear of each commit, so that shifts may rest until the next one.

    Where it does not hear of `all_of_them`, they do not count on it.
    """
    _commits.are_heard = all_of_them
    return lambda _commit: _commits.add()


def end_shifts() -> None:
    """Have every run in this process finish what it has begun, and return: the process ends."""
    _ending.set()
    _commits.add()


class CronFunction(Subscriber):
    """A function that does what is due; a tick that is lost or doubled changes nothing."""

    kind = "cron"

    def __init__(self, handler: Handler, every_min: int) -> None:
        """Take what `cron_function` says."""
        super().__init__(name_of(handler))
        self.every_min = every_min
        self._handler = handler

    def receive(self, attributes: dict[str, str], body: bytes) -> str:
        """Do what is due, whatever the tick says."""
        del body
        tick = attributes.get("id", "tick")[:100]
        self._handler(Cause(correlation_id=tick, traceparent="", actor=self.name, origin="cron"))
        return "done"


def cron_function(*, every_min: int) -> Callable[[Handler], Callable[[Request], Response]]:
    """Make a cron function out of a handler of (cause), woken every `every_min` minutes."""
    return lambda handler: CronFunction(handler, every_min).install(handler)
