"""The timer: wakes the cron functions, in place of PingSource."""

import logging
import threading
from collections.abc import Sequence
from datetime import timedelta

from taskflow import clock
from taskflow.domain.times import EPOCH
from taskflow.eventing.bindings import Outcome
from taskflow.eventing.bindings.knative import RETRIES, Answer, backoff, tick_attributes
from taskflow.eventing.cron import CronFunction
from taskflow.standalone.deliverer import Send

MINUTE = timedelta(minutes=1)

_log = logging.getLogger(__name__)


class Timer:
    """Posts a tick to each cron function at the full minutes it asks for."""

    def __init__(self, functions: Sequence[CronFunction], send: Send) -> None:
        """Wake `functions` by `send`."""
        self._functions = functions
        self._send = send
        self._stopping = threading.Event()

    def run(self) -> None:
        """Tick until `stop` is called; once at the start, for what came due while nothing ran."""
        due = list(self._functions)
        while True:
            for function in due:
                # Each on its own thread: a run may last longer than the minute.
                threading.Thread(target=self._tick, args=(function,), daemon=True).start()
            now = clock.now()
            next_minute = (now - EPOCH) // MINUTE + 1
            wait = EPOCH + next_minute * MINUTE - now
            if self._stopping.wait(wait.total_seconds()):
                return
            due = [
                function for function in self._functions if next_minute % function.every_min == 0
            ]

    def stop(self) -> None:
        """End; a tick that is out is not waited for."""
        self._stopping.set()

    def _tick(self, function: CronFunction) -> None:
        attributes = tick_attributes(function.name, now=clock.now())
        answer = Answer(None, "")
        for attempt in range(1, RETRIES + 1):
            answer = self._send(function.name, attributes, b"")
            if answer.outcome is not Outcome.AGAIN:
                break
            if self._stopping.wait(backoff(attempt).total_seconds()):
                return
        if answer.outcome is not Outcome.DONE:
            _log.warning("%s answered %s", function.name, answer.reason)
