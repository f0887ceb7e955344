"""SIGKILL in the middle of a load: no acknowledged write is lost or doubled (E1, E2, L3, A5)."""

import sys
from secrets import randbits

import pytest

from tests.support.load.interrupted_load import Load
from tests.support.processes.system import System

ROUNDS = 3


@pytest.mark.timeout(300)
def test_acknowledged_writes_survive_kills_and_reach_the_sockets_once(
    own_system: System,
) -> None:
    seed = randbits(32)
    sys.stdout.write(f"\nSeed {seed}\n")
    load = Load(own_system, seed=seed)
    own_system.start()

    with load.on():
        for _ in range(ROUNDS):
            load.kill()

    sys.stdout.write(f"{load.report}\n")
    assert load.report.counts["kills"] == ROUNDS
    assert load.report.counts["  acknowledged"] > 0
    assert own_system.stop() == 0
