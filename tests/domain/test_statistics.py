"""Statistics: the last thirty days of a zone, and where each begins and ends (T9)."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from taskflow.domain import statistics
from taskflow.domain.representations import Priority
from taskflow.domain.statistics import Counts


@pytest.mark.parametrize(
    ("zone", "today"),
    [
        ("UTC", date(2026, 3, 1)),
        ("Pacific/Kiritimati", date(2026, 3, 2)),
        ("Pacific/Honolulu", date(2026, 3, 1)),
        ("Asia/Kathmandu", date(2026, 3, 2)),
    ],
)
def test_the_last_day_is_the_users_today(zone: str, today: date) -> None:
    days = statistics.last_days(zone, now=datetime(2026, 3, 1, 18, 30, tzinfo=UTC))

    assert len(days) == 30
    assert days[-1] == today
    assert {later - earlier for earlier, later in pairwise(days)} == {timedelta(days=1)}


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("Europe/Berlin", date(2026, 7, 1), 24),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        # The clock is put forward at midnight: the day begins at one o'clock.
        ("Africa/Cairo", date(2026, 4, 24), 23),
        ("America/Santiago", date(2026, 9, 6), 23),
        # The clock is put back at midnight: the last hour of the day comes twice.
        ("America/Santiago", date(2026, 4, 4), 25),
        # A day that was left out.
        ("Pacific/Apia", date(2011, 12, 30), 0),
    ],
)
def test_a_day_is_as_long_as_the_clocks_make_it(zone: str, day: date, hours: float) -> None:
    before, after = day - timedelta(days=1), day + timedelta(days=1)

    bounds = statistics.bounds([before, day, after], zone)

    assert bounds[2] - bounds[1] == timedelta(hours=hours)
    assert bounds == sorted(bounds)
    assert len(bounds) == 4


def test_statistics_show_each_priority_and_each_day() -> None:
    days = [date(2026, 2, 28), date(2026, 3, 1)]
    counts = Counts(open={Priority.HIGH: 3}, overdue=1, completed=[2, 0])

    assert statistics.represent(counts, {"home": 2}, days, "Europe/Berlin") == {
        "open_by_priority": {"low": 0, "medium": 0, "high": 3, "urgent": 0},
        "overdue": 1,
        "completed_per_day": [
            {"date": "2026-02-28", "count": 2},
            {"date": "2026-03-01", "count": 0},
        ],
        "open_by_tag": [{"tag": "home", "count": 2}],
        "timezone": "Europe/Berlin",
    }
