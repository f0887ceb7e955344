"""The rig: a whole TaskFlow with PostgreSQL, set up as it is used, and what they cost."""

import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from taskflow.config import Settings
from taskflow.kafka import topics
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import transactions
from tests.support.kafka.broker import Broker
from tests.support.processes.system import System
from tests.support.settings import settled

SECRET = "a secret for benchmarks, and for nothing else"

PARTS = ("TaskFlow", "PostgreSQL", "Kafka", "this client", "all else")
"""What shares the machine's cores; where all else takes much, the figures say little."""

SETTLED_WITHIN_S = 15
IDLE_S = 0.15
"""What TaskFlow uses in a second with nothing to do but look for work, with room to spare."""


@dataclass(frozen=True)
class Rig:
    """TaskFlow as `taskflow up` runs it, but for the rate limits, its database, and its Kafka."""

    system: System
    postgres: EmbeddedPostgres
    broker: Broker | None = None

    def used_s(self) -> Sequence[float]:
        """Return the CPU seconds that each of PARTS has used so far."""
        kafka_s = 0.0 if self.broker is None else _used_s(self.broker.process.pid)
        servers_s = [_used_s(self.system.process.pid), _used_s(self.postgres.process.pid), kafka_s]
        ours = [*servers_s, time.process_time()]
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
def running(
    options: Mapping[str, str] | None = None, *, kafka: bool = False, **settings: str
) -> Generator[Rig]:
    """Run one, with this process on its database too, and with `kafka` one of its own.

    `options` are PostgreSQL settings, `settings` environment variables.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="taskflow-")))
        postgres = EmbeddedPostgres(folder / "database", options=options)
        stack.callback(postgres.stop)
        postgres.start()
        broker = Broker(folder / "kafka") if kafka else None
        servers = ()
        if broker is not None:
            stack.callback(broker.stop)
            broker.start()
            servers = (broker.bootstrap_servers,)
            settings["KAFKA_BOOTSTRAP_SERVERS"] = broker.bootstrap_servers
        own = Settings(
            environment="test",
            database_url=postgres.url,
            jwt_secret=SECRET,
            kafka_bootstrap_servers=servers,
        )
        stack.enter_context(settled(own))
        # The connections of one before it lead nowhere any more.
        stack.enter_context(transactions.engine.renewed())
        if kafka:
            topics.make()
        # As with a database of its own, which nobody else writes to.
        fixed = {"DATABASE_URL": postgres.url, "JWT_SECRET": SECRET, "FEED_POLL_MS": "0"}
        system = System(folder / "system", **fixed, **settings)
        stack.callback(system.stop)
        system.start()
        yield Rig(system, postgres, broker)


def _used_s(pid: int) -> float:
    if not psutil.pid_exists(pid):
        return 0.0
    first = psutil.Process(pid)
    # Children that have ended count for those who waited for them, on Linux at least.
    used = 0.0
    for process in (first, *first.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used += times.user + times.system + times.children_user + times.children_system
    return used
