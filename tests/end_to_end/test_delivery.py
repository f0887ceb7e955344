"""Every process is killed under load; every write is in the log, the audit and on every client."""

import random
import sys
from collections.abc import Generator
from pathlib import Path
from secrets import randbits

import pytest

from tests.support.ordeal import JWT_SECRET, VICTIMS, Ordeal
from tests.support.roles import postgresql
from tests.support.system import System

USERS = 20


@pytest.fixture
def system(tmp_path: Path) -> Generator[System]:
    running = System(tmp_path / "data", JWT_SECRET=JWT_SECRET, WEB_CONCURRENCY="2")
    running.start()
    yield running
    running.kill()


@pytest.mark.timeout(600)
def test_what_was_acknowledged_reaches_the_log_the_audit_and_every_client_once(
    system: System,
) -> None:
    seed = randbits(32)
    sys.stdout.write(f"\nSeed {seed}\n")
    rng = random.Random(seed)
    victims = [*VICTIMS, postgresql, postgresql]
    rng.shuffle(victims)
    ordeal = Ordeal(USERS, [(rng.uniform(0.5, 3), victim) for victim in victims])

    try:
        ordeal.run(system, rng)
    finally:
        ordeal.show()

    assert system.stop() == 0
