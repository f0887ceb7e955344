"""A hundred kills in the middle of a load; `tests/end_to_end/test_kills.py` has three."""

import sys
from secrets import randbits

import pytest

from tests.support.load.interrupted_load import Load
from tests.support.processes.system import System

ROUNDS = 100


@pytest.mark.soak
def test_acknowledged_writes_survive_a_hundred_kills(own_system: System) -> None:
    seed = randbits(32)
    sys.stdout.write(f"\nSeed {seed}\n")
    load = Load(own_system, seed=seed)
    own_system.start()

    with load.on():
        for number in range(ROUNDS):
            load.kill()
            sys.stdout.write(f"{number + 1} ")
            sys.stdout.flush()

    sys.stdout.write(f"\n{load.report}\n")
    assert load.report.counts["kills"] == ROUNDS
    assert own_system.stop() == 0
