"""Minutes of kills under load; `tests/end_to_end/test_delivery.py` has half a minute."""

import random
import sys
from collections.abc import Generator
from pathlib import Path
from secrets import randbits

import pytest

from tests.support.load.chaos import JWT_SECRET, VICTIMS, ChaosRun
from tests.support.processes.roles import postgresql
from tests.support.processes.system import System

USERS = 200
KILLS_OF_EACH = 10


@pytest.fixture
def system(tmp_path: Path) -> Generator[System]:
    running = System(tmp_path / "data", JWT_SECRET=JWT_SECRET, WEB_CONCURRENCY="2")
    running.start()
    yield running
    running.kill()


@pytest.mark.soak
def test_acknowledged_writes_reach_the_log_the_audit_and_every_client_once(
    system: System,
) -> None:
    seed = randbits(32)
    sys.stdout.write(f"\nSeed {seed}\n")
    rng = random.Random(seed)
    victims = [
        *(victim for victim in VICTIMS for _ in range(KILLS_OF_EACH)),
        postgresql,
        postgresql,
    ]
    rng.shuffle(victims)
    chaos = ChaosRun(USERS, [(rng.uniform(0.5, 8), victim) for victim in victims])

    try:
        chaos.run(system, rng)
    finally:
        chaos.show()

    assert system.stop() == 0
