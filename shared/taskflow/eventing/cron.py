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


class Shift:
    """How long one run of a cron function goes on: for its time, or until its process ends."""

    def __init__(self, lasts_s: float) -> None:
        """Begin a shift of so many seconds."""
        self._ends_s = clock.monotonic_s() + lasts_s

    def is_over(self) -> bool:
        """Say whether to begin nothing more."""
        return _ending.is_set() or clock.monotonic_s() >= self._ends_s

    def rest(self, seconds: float) -> None:
        """Wait, but not beyond the end of the shift."""
        _ending.wait(max(0.0, min(seconds, self._ends_s - clock.monotonic_s())))


def end_shifts() -> None:
    """Have every run in this process finish what it has begun, and return: the process ends."""
    _ending.set()


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
