"""The schedule in several processes at once: every occurrence once, none missing, none early."""

from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from taskflow.standalone.postgres import EmbeddedPostgres
from tests.support.database.temporary import a_database
from tests.support.load.simulation import Simulation

START = datetime(2026, 3, 23, 12, tzinfo=UTC)
"""A week in which Berlin changes its clocks."""


@pytest.fixture
def simulation(
    database: EmbeddedPostgres, tmp_path: Path, set_clock: Callable[[datetime], None]
) -> Generator[Simulation]:
    with a_database(database) as url:
        yield Simulation(url, tmp_path, START, set_clock, seed=1)


def test_three_schedulers_that_are_killed_now_and_then_keep_a_weeks_schedule(
    simulation: Simulation,
) -> None:
    simulation.add_series(30, users=6)

    with simulation.scheduling():
        simulation.pass_until(START + timedelta(days=8), kills=0.02)

    simulation.check()
    assert simulation.counts["kills"]
    assert simulation.counts["completions"]


def test_each_series_makes_up_for_an_outage_of_three_days_as_it_says(
    simulation: Simulation,
) -> None:
    simulation.add_series(60, users=6)

    with simulation.scheduling():
        simulation.pass_until(START + timedelta(days=6))
    simulation.fail_for(timedelta(days=3))
    with simulation.scheduling():
        simulation.pass_until(START + timedelta(days=11))

    simulation.check()
    assert simulation.counts["missed and dropped (all)"] == 0
    assert simulation.counts["missed and dropped (latest)"]
    assert simulation.counts["missed and dropped (skip)"]
