"""The whole process group is killed a hundred times under load, at other moments each time."""

import secrets
from pathlib import Path

import pytest

from tests.support.kill_rounds import LASTS_THE_TEST, kill_rounds
from tests.support.system import System

ROUNDS = 100


@pytest.mark.soak
def test_a_hundred_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = secrets.randbits(32)
    print(f"\nseed {seed}")
    system = System(tmp_path / "data", **LASTS_THE_TEST)

    try:
        reckoning = kill_rounds(system, rounds=ROUNDS, seed=seed)
    finally:
        system.kill()

    print(reckoning)
    assert reckoning.counts["writes acknowledged"] > ROUNDS
