"""The rig: a whole TaskFlow with PostgreSQL, set up as it is used, and what they cost."""

import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from taskflow import config
from taskflow.config import Settings
from taskflow.standalone.postgres import EmbeddedPostgres
from tests.support.system import System

SECRET = "a secret for benchmarks, and for nothing else"

PARTS = ("TaskFlow", "PostgreSQL", "this client", "all else")
"""What shares the machine's cores; where all else takes much, the figures say little."""

SETTLED_WITHIN_S = 15
IDLE_S = 0.15
"""What TaskFlow uses in a second with nothing to do but look for work, with room to spare."""


@dataclass(frozen=True)
class Rig:
    """TaskFlow as `taskflow up` runs it, but for the rate limits, and its database."""

    system: System
    postgres: EmbeddedPostgres

    def used_s(self) -> Sequence[float]:
        """Return the CPU seconds that each of PARTS has used so far."""
        servers = self.system.process, self.postgres.process
        ours = [*(_used_s(server.pid) for server in servers), time.process_time()]
        machine = psutil.cpu_times()
        return [*ours, machine.user + machine.system - sum(ours)]

    def settle(self) -> None:
        """Wait until TaskFlow has delivered its events, or for SETTLED_WITHIN_S."""
        deadline_s = time.monotonic() + SETTLED_WITHIN_S
        busy_s = IDLE_S + 1
        while busy_s > IDLE_S and time.monotonic() < deadline_s:
            before_s = self.used_s()[0]
            time.sleep(1)
            busy_s = self.used_s()[0] - before_s


@contextmanager
def running(options: Mapping[str, str] | None = None, **settings: str) -> Generator[Rig]:
    """Run one, with this process on its database too.

    `options` are PostgreSQL settings, `settings` environment variables.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="taskflow-")))
        postgres = EmbeddedPostgres(folder / "database", options=options)
        stack.callback(postgres.stop)
        postgres.start()
        system = System(folder / "system", DATABASE_URL=postgres.url, JWT_SECRET=SECRET, **settings)
        stack.callback(system.stop)
        system.start()
        config.use(Settings(environment="test", database_url=postgres.url, jwt_secret=SECRET))
        yield Rig(system, postgres)


def _used_s(pid: int) -> float:
    if not psutil.pid_exists(pid):
        return 0.0
    first = psutil.Process(pid)
    times = [process.cpu_times() for process in (first, *first.children(recursive=True))]
    # Children that have ended count for those who waited for them, on Linux at least.
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)
