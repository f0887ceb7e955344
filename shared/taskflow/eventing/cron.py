"""The frame of a cron function: a tick wakes it, and it works from what is due."""

import threading
from collections.abc import Callable

from flask import Request, Response

from taskflow import clock, config
from taskflow.domain.events import Cause
from taskflow.eventing.frame import Subscriber
from taskflow.process import draining, resource
from taskflow.serving.scale import Scale
from taskflow.serving.signature import check_parameters, invalid

HOUR_MIN = 60
_WHOLE_HOURS = {HOUR_MIN * hours for hours in range(1, 25) if 24 % hours == 0}

Handler = Callable[[Cause], None]


class CommitCounter:
    """Counts the commits that this process is notified of, its own and those of others.

    `counts_all` says whether it is notified of every commit.
    """

    def __init__(self) -> None:
        """Begin at 0, notified of this process's own commits alone."""
        self.counts_all = False
        self._count = 0
        self._one_more = threading.Condition()

    def add(self) -> None:
        """Count a commit, and wake the threads in `wait_beyond`."""
        with self._one_more:
            self._count += 1
            self._one_more.notify_all()

    def count(self) -> int:
        """Return how many commits there were."""
        return self._count

    def wait_beyond(self, count: int, timeout_s: float) -> None:
        """Wait until there were more than `count` commits, for at most `timeout_s`."""
        with self._one_more:
            self._one_more.wait_for(lambda: self._count > count, max(0.0, timeout_s))


@resource(drain=CommitCounter.add)
def commits() -> CommitCounter:
    """Return the count of the commits that this process is notified of."""
    return CommitCounter()


class CronRun:
    """One run of a cron function: it ends after its time, or when its process is to end."""

    def __init__(self, lasts_s: float) -> None:
        """Begin a run of `lasts_s` seconds."""
        self._ends_s = clock.monotonic_s() + lasts_s
        self._commits_seen = commits().count()

    def is_over(self) -> bool:
        """Say whether the run may begin no more work."""
        return draining().is_set() or clock.monotonic_s() >= self._ends_s

    def rest(self, seconds: float) -> None:
        """Wait, but not beyond the end of the run."""
        draining().wait(max(0.0, min(seconds, self._ends_s - clock.monotonic_s())))

    def rest_until_commit(self, least_s: float, most_s: float) -> None:
        """Wait `least_s`, and then for a commit since the last such rest ended, `most_s` in all.

        Not beyond the end of the run; where this process is not notified of every commit, only
        for `least_s`.
        """
        self.rest(min(least_s, most_s))
        if commits().counts_all and not draining().is_set():
            left_s = min(most_s - least_s, self._ends_s - clock.monotonic_s())
            commits().wait_beyond(self._commits_seen, left_s)
        self._commits_seen = commits().count()


def commit_listener(*, notified_of_all: bool = True) -> Callable[[object], None]:
    """Return the listener to call with each commit, so that runs may rest until the next one.

    Where it is not called for every commit (`notified_of_all`), runs do not wait for one.
    """
    commits().counts_all = notified_of_all
    return lambda _commit: commits().add()


class CronFunction(Subscriber):
    """A function that does what is due; a tick that is lost or doubled changes nothing."""

    kind = "cron"

    def __init__(self, handler: Handler, every_min: int, *, sends: bool, scale: Scale) -> None:
        """Make the cron function that `cron_function` declares."""
        super().__init__(handler, scale)
        self.every_min = every_min
        self._sends = sends
        self._handler = handler

    def check_settings(self) -> None:
        """Check those of what is sent by, too, if it sends."""
        super().check_settings()
        if self._sends:
            config.check_sending()

    def receive(self, attributes: dict[str, str], body: bytes) -> str:
        """Run the handler, whatever the data of the tick."""
        del body
        tick = attributes.get("id", "tick")[:100]
        self._handler(Cause(correlation_id=tick, traceparent="", actor=self.name, origin="cron"))
        return "done"


def cron_function(
    *, every_min: int, sends: bool = False, scale: Scale = "alone"
) -> Callable[[Handler], Callable[[Request], Response]]:
    """Make a cron function out of a handler of (cause), woken every `every_min` minutes.

    These are a part of an hour that leaves no rest, or whole hours that leave none of a day: what a
    cron schedule can say. One that `sends` messages to the outside starts only where all settings
    are there that this takes. `scale` says whether runs on several pods get more done.

    Raises InvalidDeclaration for another length, and for a handler of anything else.
    """

    def decorate(handler: Handler) -> Callable[[Request], Response]:
        check_parameters(handler, Cause)
        if every_min < 1 or (HOUR_MIN % every_min and every_min not in _WHOLE_HOURS):
            raise invalid(handler, f"no cron schedule wakes it every {every_min} minutes")
        return CronFunction(handler, every_min, sends=sends, scale=scale).install(handler)

    return decorate
