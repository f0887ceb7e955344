"""Processes that do what `deliver-notifications` does: for tests that kill them."""

import multiprocessing
import os
import random
import subprocess
import sys
import threading
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Self

from taskflow import clock, config
from taskflow.config import Settings
from taskflow.eventing import CronRun
from taskflow.eventing.lanes import lanes
from taskflow.eventing.outbound import Delivery
from taskflow.storage import DatabaseUnavailable, LockTimeout
from tests.support.data.accounts import A_CAUSE
from tests.support.paths import ROOT

RUN_S = 75.0
"""As long as a run of `deliver-notifications`."""

AGAIN_S = 0.2
ENDED_WITHIN_S = 60


def begin_sender(log: Path) -> subprocess.Popen[bytes]:
    """Begin to send by the settings of this process, in one round."""
    environment = config.environment_of(config.settings(), metrics_dir=log.parent)
    del environment["PROMETHEUS_MULTIPROC_DIR"]
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


class Senders:
    """So many processes that do what `deliver-notifications` does, again and again."""

    def __init__(self, number: int, log: Path) -> None:
        """Begin none yet; what they log goes to a file."""
        self._number = number
        self._log = log
        # The first has imported everything: to begin another takes little more than a fork.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__])
        self._processes: list[BaseProcess] = []
        self.killed_s: dict[int, float] = {}
        """When each was killed, by its id."""

    def __enter__(self) -> Self:
        """Begin them."""
        for _ in range(self._number):
            self._processes.append(self._begun())
        return self

    def __exit__(self, *_: object) -> None:
        """Kill them all."""
        for each in self._processes:
            each.kill()
            each.join(ENDED_WITHIN_S)

    def pids(self) -> Sequence[int]:
        """Return who sends at present."""
        return [each.pid for each in list(self._processes) if each.pid is not None]

    def kill(self, rng: random.Random) -> None:
        """Kill one, and begin another in its place."""
        place = rng.randrange(self._number)
        victim = self._processes[place]
        assert victim.pid is not None
        victim.kill()
        self.killed_s[victim.pid] = clock.monotonic_s()
        victim.join(ENDED_WITHIN_S)
        self._processes[place] = self._begun()

    def _begun(self) -> BaseProcess:
        process = self._context.Process(
            target=_send, args=(config.settings(), self._log), daemon=True
        )
        process.start()
        return process


def _send(settings: Settings, log: Path) -> None:
    """Send until this process is killed."""
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    config.settings.set(settings)
    while True:
        try:
            Delivery(CronRun(RUN_S), A_CAUSE, lanes()).send_all()
        except (DatabaseUnavailable, LockTimeout):
            # As the next tick does, but sooner.
            threading.Event().wait(AGAIN_S)


if __name__ == "__main__":
    Delivery(CronRun(0), A_CAUSE, lanes()).send_all()
