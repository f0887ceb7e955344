"""What the processes of a running system use: memory, looked at regularly, and CPU time."""

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Self

import psutil

from tests.support.processes import roles
from tests.support.processes.roles import Find
from tests.support.processes.system import System

LOOK_S = 0.25
ROLES: Mapping[str, Find] = {
    "api": roles.api_workers,
    "consumers": roles.consumers_workers,
    "crons": roles.crons_workers,
    "delivery": roles.delivery,
}


class Memory:
    """The largest resident set of any process of each of ROLES, in MB, while the block lasts."""

    def __init__(self, system: System) -> None:
        self.largest_mb = dict.fromkeys(ROLES, 0.0)
        self._system = system
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def forget(self) -> None:
        """Forget the largest values so far."""
        self.largest_mb = dict.fromkeys(ROLES, 0.0)

    def _look(self) -> None:
        while not self._stopping.wait(LOOK_S):
            for role, find in ROLES.items():
                for process in find(self._system):
                    with suppress(psutil.Error):
                        used_mb = process.memory_info().rss / 1e6
                        self.largest_mb[role] = max(self.largest_mb[role], used_mb)


def used_s(system: System) -> Sequence[float]:
    """Return the CPU seconds of our processes, and of PostgreSQL's, so far."""
    ours = postgresql = 0.0
    first = psutil.Process(system.process.pid)
    for process in (first, *first.children(recursive=True)):
        with suppress(psutil.Error):
            times, name = process.cpu_times(), process.name()
            if name == "postgres":
                postgresql += times.user + times.system
                if process.ppid() == first.pid:
                    # Backends that have ended count for the one who waited for them.
                    postgresql += times.children_user + times.children_system
            else:
                ours += times.user + times.system
    return ours, postgresql
