"""Four simulated weeks of two hundred series, with kills and with days of outage."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import randbits

import pytest

from taskflow.standalone.postgres import EmbeddedPostgres
from tests.support.database.temporary import a_database
from tests.support.load.simulation import Simulation

START = datetime(2026, 3, 16, 12, tzinfo=UTC)
"""Casablanca, Berlin and Lord Howe change their clocks in these weeks."""

WEEKS = timedelta(weeks=4)


@pytest.mark.soak
@pytest.mark.parametrize("outage", [False, True], ids=["killed", "away for three days"])
def test_three_schedulers_keep_a_schedule_of_four_weeks(
    database: EmbeddedPostgres,
    tmp_path: Path,
    set_clock: Callable[[datetime], None],
    outage: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    seed = randbits(32)
    print(f"\nSeed {seed}")
    with a_database(database) as url:
        simulation = Simulation(url, tmp_path, START, set_clock, seed=seed)
        simulation.add_series(200, users=20)

        if outage:
            with simulation.scheduling():
                simulation.pass_until(START + WEEKS / 2, kills=0.01)
            simulation.fail_for(timedelta(days=3))
        with simulation.scheduling():
            simulation.pass_until(START + WEEKS, kills=0.01)

        simulation.check()

    for name, number in sorted(simulation.counts.items()):
        print(f"{number:8} {name}")
