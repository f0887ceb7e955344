"""Fixtures of the tests of delivery: a database without users, a subscriber, and short waits."""

from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import pytest

from taskflow.standalone.postgres import EmbeddedPostgres
from tests.support.database.temporary import a_database
from tests.support.delivery.scripted_subscriber import ScriptedSubscriber, listening

BACKOFF_DELAY = timedelta(milliseconds=2)
"""In place of 100 ms, so that the nine attempts take one second instead of fifty."""

CHECK_S = 0.05
"""In place of 2 s: the tests append events of which the queue is told nothing."""


@pytest.fixture(scope="module")
def own_database(database: EmbeddedPostgres) -> Generator[str]:
    """Connect this process to a database for the tests of this module alone."""
    with a_database(database) as url:
        yield url


@pytest.fixture
def subscriber() -> ScriptedSubscriber:
    """Make subscribers whose script a test can set."""
    return ScriptedSubscriber()


@pytest.fixture
def socket_path(tmp_path: Path) -> Path:
    """Name a socket that has no listener yet."""
    return tmp_path / "subscribers.sock"


@pytest.fixture
def served(subscriber: ScriptedSubscriber, socket_path: Path) -> Generator[Path]:
    """Serve the subscriber."""
    with listening(subscriber, socket_path):
        yield socket_path


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses between retries and between looks at the log."""
    monkeypatch.setattr("taskflow.eventing.bindings.knative.BACKOFF_DELAY", BACKOFF_DELAY)
    monkeypatch.setattr("taskflow.standalone.database_queue.CHECK_S", CHECK_S)
