"""The whole process group is killed under load: what was acknowledged is there, once."""

from pathlib import Path

from tests.support.kill_rounds import LASTS_THE_TEST, kill_rounds
from tests.support.system import System

ROUNDS = 3


def test_no_kill_loses_or_doubles_a_write(tmp_path: Path) -> None:
    system = System(tmp_path / "data", **LASTS_THE_TEST)

    try:
        reckoning = kill_rounds(system, rounds=ROUNDS, seed=20261122)
    finally:
        system.kill()

    print(reckoning)
    assert reckoning.counts["writes acknowledged"] > 0
    assert reckoning.counts["messages received"] == reckoning.counts["events in the log"]
