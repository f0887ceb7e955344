"""Quiet hours: over midnight, and over both changes of clocks (N5)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.domain import quiet_hours

NIGHT = ("22:00", "07:30")
BERLIN = "Europe/Berlin"


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("hours", "zone", "now", "ends"),
    [
        (NIGHT, "UTC", "2026-03-02T21:59:59Z", None),
        (NIGHT, "UTC", "2026-03-02T22:00:00Z", "2026-03-03T07:30:00Z"),
        (NIGHT, "UTC", "2026-03-02T23:59:59Z", "2026-03-03T07:30:00Z"),
        (NIGHT, "UTC", "2026-03-03T00:00:00Z", "2026-03-03T07:30:00Z"),
        (NIGHT, "UTC", "2026-03-03T07:29:59Z", "2026-03-03T07:30:00Z"),
        (NIGHT, "UTC", "2026-03-03T07:30:00Z", None),
        (("12:00", "14:00"), "UTC", "2026-03-03T13:00:00Z", "2026-03-03T14:00:00Z"),
        (("12:00", "14:00"), "UTC", "2026-03-03T14:00:00Z", None),
        (("00:00", "00:00"), "UTC", "2026-03-03T00:00:00Z", None),
        (("00:00", "23:59"), "UTC", "2026-03-03T00:00:00Z", "2026-03-03T23:59:00Z"),
        (("23:00", "00:00"), "UTC", "2026-03-03T23:30:00Z", "2026-03-04T00:00:00Z"),
        # The user's day, not that of UTC.
        (NIGHT, "Asia/Kolkata", "2026-03-02T16:30:00Z", "2026-03-03T02:00:00Z"),
        # A night that is an hour shorter, and one that is an hour longer.
        (NIGHT, BERLIN, "2026-03-28T21:00:00Z", "2026-03-29T05:30:00Z"),
        (NIGHT, BERLIN, "2026-10-24T20:00:00Z", "2026-10-25T06:30:00Z"),
        # 02:30 does not exist: it is 03:30.
        (("22:00", "02:30"), BERLIN, "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"),
        # 02:30 comes twice: quiet until the first one, and once more from 02:00 to the second.
        (("22:00", "02:30"), BERLIN, "2026-10-25T00:15:00Z", "2026-10-25T00:30:00Z"),
        (("22:00", "02:30"), BERLIN, "2026-10-25T00:45:00Z", None),
        (("22:00", "02:30"), BERLIN, "2026-10-25T01:15:00Z", "2026-10-25T01:30:00Z"),
        (None, BERLIN, "2026-03-02T23:00:00Z", None),
    ],
)
def test_quiet_hours_end_by_the_clock_of_their_user(
    hours: tuple[str, str] | None, zone: str, now: str, ends: str | None
) -> None:
    wanted = None if ends is None else _at(ends)

    assert quiet_hours.ends_at(hours, zone, _at(now)) == wanted


_MINUTES = st.integers(0, 24 * 60 - 1).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")


@given(
    hours=st.tuples(_MINUTES, _MINUTES),
    zone=st.sampled_from([BERLIN, "UTC", "America/St_Johns", "Australia/Lord_Howe", "Asia/Gaza"]),
    minute=st.integers(0, 3 * 366 * 24 * 60),
)
def test_what_waits_for_the_end_of_quiet_hours_comes_within_a_day_and_waits_no_further(
    hours: tuple[str, str], zone: str, minute: int
) -> None:
    now = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)

    ends = quiet_hours.ends_at(hours, zone, now)

    if ends is not None:
        assert now < ends <= now + timedelta(hours=26)
        again = quiet_hours.ends_at(hours, zone, ends)
        assert again is None or again > ends
