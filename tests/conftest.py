"""Fixtures for all levels: one PostgreSQL and one Kafka for the run, and a clock to set."""

import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from taskflow import clock, config
from taskflow.config import Settings
from taskflow.eventing import CronRun
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage.migrations import runner
from tests.support.data.accounts import SignedIn, a_user
from tests.support.database.pgbouncer import PgBouncer, a_pooler
from tests.support.kafka import broker as brokers
from tests.support.kafka.broker import Broker, ExternalBroker
from tests.support.kafka.settings import KafkaSettings, kafka_settings, using
from tests.support.kafka.topics import Topics
from tests.support.processes.system import System

# Functions check the settings as they are loaded, which may be before there is a database.
config.settings.set(Settings(environment="test"))

# How long an example takes is the machine's, which others may use too.
settings.register_profile("taskflow", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("taskflow")

# Tests run on a throw-away database, whose data need not survive a power cut.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def pytest_xdist_auto_num_workers() -> int:
    """Run three tests at once on two cores: they wait for much, and use 1.3 cores of two."""
    return max(1, 3 * (os.cpu_count() or 1) // 2)


def pytest_configure(config: pytest.Config) -> None:
    """Give the run a temporary folder of its own.

    Every run of pytest closes the folder that runs share to all but its owner. PostgreSQL, which
    must not be root, would lose its data under its feet.
    """
    if config.option.basetemp is None:
        config.option.basetemp = tempfile.mkdtemp(prefix="taskflow-tests-")
        folder = config.option.basetemp
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Generator[EmbeddedPostgres]:
    """Start a PostgreSQL with the tables, and make it the one of this process."""
    postgres = EmbeddedPostgres(tmp_path_factory.mktemp("database"), options=FAST)
    postgres.start()
    config.settings.set(
        Settings(
            environment="test",
            database_url=postgres.url,
            database_pool_size=20,
            jwt_secret="a secret for tests, and for nothing else at all",
            rate_limit_user_per_s=0,
            rate_limit_auth_per_min=0,
        )
    )
    runner.apply()
    yield postgres
    postgres.stop()


@pytest.fixture(scope="session")
def pooler(database: EmbeddedPostgres) -> Generator[PgBouncer]:
    """Start a pooler in front of the PostgreSQL of the run."""
    with a_pooler(database) as started:
        yield started


@pytest.fixture
def user(database: EmbeddedPostgres) -> SignedIn:  # noqa: ARG001 - it must run
    """Open an account."""
    return a_user()


@pytest.fixture
def other(database: EmbeddedPostgres) -> SignedIn:  # noqa: ARG001 - it must run
    """Open another account."""
    return a_user()


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Return a function that sets the time."""
    return lambda at: monkeypatch.setattr(clock, "now", lambda: at)


@pytest.fixture
def long_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each run of a cron function go on until nothing is left to do."""

    def never(cron_run: CronRun) -> bool:
        del cron_run
        return False

    monkeypatch.setattr(CronRun, "is_over", never)


@pytest.fixture
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each run of a cron function take its due items once, and end."""

    def at_once(cron_run: CronRun) -> bool:
        del cron_run
        return True

    monkeypatch.setattr(CronRun, "is_over", at_once)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Generator[System]:
    """Run the whole system for the tests of a module."""
    running = System(tmp_path_factory.mktemp("system") / "data")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def own_system(tmp_path: Path) -> Generator[System]:
    """Prepare a system for one test, which starts it and may kill it."""
    prepared = System(tmp_path / "data")
    yield prepared
    prepared.kill()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Generator[Broker | ExternalBroker]:
    """Start the Kafka of the run, unless KAFKA_BOOTSTRAP_SERVERS names one."""
    named = brokers.external_broker()
    if named is not None:
        yield named
        return
    started = Broker(tmp_path_factory.mktemp("kafka"))
    started.start()
    yield started
    started.stop()


@pytest.fixture
def own_broker(tmp_path: Path) -> Generator[Broker]:
    """Start a Kafka for one test, which may stop, kill, pause and wipe it."""
    started = Broker(tmp_path / "kafka")
    started.start()
    yield started
    started.kill()


@pytest.fixture
def topics(broker: Broker | ExternalBroker) -> Generator[Topics]:
    """Give a test topics of its own, in the Kafka of the run."""
    own = Topics(broker.bootstrap_servers)
    yield own
    own.delete_all()


@pytest.fixture
def kafka(broker: Broker | ExternalBroker, topics: Topics) -> Generator[KafkaSettings]:
    """Have this process use the Kafka of the run, with topics of the test's own."""
    here = kafka_settings(topics, broker.bootstrap_servers)
    with using(here):
        yield here
