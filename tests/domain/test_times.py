"""Times: RFC 3339 with an offset in, UTC with `Z` out, to the microsecond (A9); durations (N1)."""

import zoneinfo
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from taskflow.domain.times import (
    Duration,
    Time,
    TimeZone,
    duration_text,
    kept_zone,
    parse_duration,
    parse_rfc3339,
    rfc3339,
)

TIME = TypeAdapter(Time)
ZONE: TypeAdapter[str] = TypeAdapter(TimeZone)
EVERY_ZONE = sorted(zoneinfo.available_timezones() - {"Factory"})
A_TIME_IN_2001 = datetime(2001, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-01-31T09:00:00Z", "2026-01-31T09:00:00.000000Z"),
        ("2026-01-31T09:00:00z", "2026-01-31T09:00:00.000000Z"),
        ("2026-01-31t09:00:00Z", "2026-01-31T09:00:00.000000Z"),
        ("2026-01-31 09:00:00Z", "2026-01-31T09:00:00.000000Z"),
        ("2026-01-31T09:00:00+01:00", "2026-01-31T08:00:00.000000Z"),
        ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00.000000Z"),
        ("2026-01-31T09:00:00-00:00", "2026-01-31T09:00:00.000000Z"),
        ("2026-01-31T09:00:00.5Z", "2026-01-31T09:00:00.500000Z"),
        ("2026-01-31T09:00:00.123456Z", "2026-01-31T09:00:00.123456Z"),
        ("2026-01-31T09:00:00.123456789Z", "2026-01-31T09:00:00.123456Z"),
        ("2026-01-31T09:00:00.999999999Z", "2026-01-31T09:00:00.999999Z"),
        ("2024-02-29T23:59:59Z", "2024-02-29T23:59:59.000000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000000Z"),
    ],
)
def test_a_time_is_shown_in_utc_to_the_microsecond(text: str, shown: str) -> None:
    assert rfc3339(TIME.validate_python(text)) == shown


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ("2026-01-31T09:00:00", "time_naive"),
        ("2026-01-31T09:00:00.5", "time_naive"),
        ("2026-01-31", "time_format"),
        ("2026-01-31T09:00Z", "time_format"),
        ("2026-01-31T09:00:00+01", "time_format"),
        ("2026-01-31T09:00:00+0100", "time_format"),
        ("2026-01-31T09:00:00.Z", "time_format"),
        ("2026-01-31T09:00:00.1234567890Z", "time_format"),
        ("2026-01-31T09:00:00Z\n", "time_format"),
        (" 2026-01-31T09:00:00Z", "time_format"),
        ("20260131T090000Z", "time_format"),
        ("2026-W05-6T09:00:00Z", "time_format"),
        ("\uff12026-01-31T09:00:00Z", "time_format"),
        ("tomorrow", "time_format"),
        ("", "time_format"),
        ("1767225600", "time_format"),
        (1_767_225_600, "time_format"),
        (1.5, "time_format"),
        (True, "time_format"),
        (None, "time_format"),
        (["2026-01-31T09:00:00Z"], "time_format"),
        ("2026-02-29T09:00:00Z", "time_impossible"),
        ("2026-13-01T09:00:00Z", "time_impossible"),
        ("2026-01-31T24:00:00Z", "time_impossible"),
        ("2026-01-31T09:60:00Z", "time_impossible"),
        ("2026-12-31T23:59:60Z", "time_impossible"),
        ("2026-01-31T09:00:00+24:00", "time_impossible"),
        ("0000-01-01T00:00:00Z", "time_impossible"),
        ("0001-01-01T00:00:00+00:01", "time_impossible"),
        ("9999-12-31T23:59:59-00:01", "time_impossible"),
    ],
    ids=repr,
)
def test_text_that_is_no_time_with_an_offset_is_refused(wrong: object, kind: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TIME.validate_python(wrong)

    assert [error["type"] for error in refused.value.errors()] == [kind]


@settings(max_examples=50)
@given(
    st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)),  # noqa: DTZ001 - in the offset drawn beside it
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
)
def test_a_time_of_any_offset_is_the_same_instant(local: datetime, offset_min: int) -> None:
    at = local.replace(tzinfo=timezone(timedelta(minutes=offset_min)))

    read = parse_rfc3339(at.isoformat())

    assert read == at
    assert read.tzinfo is UTC
    assert parse_rfc3339(rfc3339(read)) == at


@settings(max_examples=50)
@given(st.datetimes(), st.datetimes())
def test_times_as_text_sort_as_times_do(one: datetime, two: datetime) -> None:
    texts = [rfc3339(at.replace(tzinfo=UTC)) for at in (one, two)]

    assert (texts[0] < texts[1]) == (one < two)


# Durations


@pytest.mark.parametrize(
    ("text", "length", "shown"),
    [
        ("P1W", Duration(days=7), "P7D"),
        ("P1D", Duration(days=1), "P1D"),
        ("P1DT2H", Duration(days=1, seconds=7200), "P1DT2H"),
        ("P1DT24H", Duration(days=1, seconds=86_400), "P1DT24H"),
        ("PT1H30M", Duration(seconds=5400), "PT1H30M"),
        ("PT15M", Duration(seconds=900), "PT15M"),
        ("PT90S", Duration(seconds=90), "PT1M30S"),
        ("PT1H5S", Duration(seconds=3605), "PT1H5S"),
        ("PT24H", Duration(seconds=86_400), "PT24H"),
        ("PT1440M", Duration(seconds=86_400), "PT24H"),
        ("P01DT00H", Duration(days=1), "P1D"),
        ("P0D", Duration(), "PT0S"),
        ("PT0S", Duration(), "PT0S"),
        ("P999999999999999999D", Duration(days=10**18 - 1), "P999999999999999999D"),
    ],
)
def test_a_duration_is_shown_in_days_hours_minutes_and_seconds(
    text: str, length: Duration, shown: str
) -> None:
    read = parse_duration(text)

    assert read == length
    assert duration_text(read) == shown


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "P", "PT", "P1DT", "P1", "PT1", "1D", "P1D ", " P1D", "P1D\n", "p1d", "P1d"),
        *("-P1D", "+P1D", "P-1D", "P1M", "P1Y", "P1W1D", "P1WT1H", "PT1D", "P1H", "PT1M1H"),
        *("PT1.5H", "PT1,5H", "P\u0661D", "P1D2H", "P0001-00-01T00:00:00"),
        *("P9999999999999999999D", f"PT{'9' * 5000}S"),
        *(5, 1.5, True, None, ["P1D"], {"days": 1}),
    ],
    ids=lambda wrong: repr(wrong)[:30],
)
def test_text_that_is_no_duration_is_refused(wrong: object) -> None:
    with pytest.raises(PydanticCustomError) as refused:
        parse_duration(wrong)

    assert refused.value.type == "duration"


@settings(max_examples=100)
@given(st.integers(0, 10**4), st.integers(0, 10**7))
def test_a_duration_that_was_shown_is_read_back(days: int, seconds: int) -> None:
    length = Duration(days, seconds)

    assert parse_duration(duration_text(length)) == length


@settings(max_examples=100)
@given(st.text(alphabet="PTWDHMS0159.-", max_size=12))
def test_any_text_is_a_duration_that_can_be_shown_or_is_refused(text: str) -> None:
    try:
        read = parse_duration(text)
    except PydanticCustomError:
        return

    assert parse_duration(duration_text(read)) == read


@pytest.mark.parametrize(
    ("zone", "due", "length", "expected"),
    [
        # Clocks go forward on 29 March, from 02:00, and back on 25 October, from 03:00.
        ("Europe/Berlin", "2026-03-29T09:00+02:00", "P1D", "2026-03-28T09:00+01:00"),
        ("Europe/Berlin", "2026-10-25T09:00+01:00", "P1D", "2026-10-24T09:00+02:00"),
        ("Europe/Berlin", "2026-03-29T09:00+02:00", "PT24H", "2026-03-28T08:00+01:00"),
        ("Europe/Berlin", "2026-10-25T09:00+01:00", "PT24H", "2026-10-24T10:00+02:00"),
        ("Europe/Berlin", "2026-03-30T09:00+02:00", "P1W", "2026-03-23T09:00+01:00"),
        ("Europe/Berlin", "2026-03-30T09:00+02:00", "P1D", "2026-03-29T09:00+02:00"),
        # The days first, then the hours, which are exact: also over the change.
        ("Europe/Berlin", "2026-03-30T01:00+02:00", "P1DT2H", "2026-03-28T23:00+01:00"),
        ("Europe/Berlin", "2026-03-30T04:00+02:00", "P1DT2H", "2026-03-29T01:00+01:00"),
        ("Europe/Berlin", "2026-10-26T04:00+01:00", "P1DT2H", "2026-10-25T02:00+01:00"),
        # In the gap, later by its length; of two, the first; due at the second, exact hours only.
        ("Europe/Berlin", "2026-03-30T02:30+02:00", "P1D", "2026-03-29T03:30+02:00"),
        ("Europe/Berlin", "2026-10-26T02:30+01:00", "P1D", "2026-10-25T02:30+02:00"),
        ("Europe/Berlin", "2026-10-25T02:30+01:00", "P1D", "2026-10-24T02:30+02:00"),
        ("Europe/Berlin", "2026-10-25T02:30+01:00", "PT0S", "2026-10-25T02:30+01:00"),
        ("Europe/Berlin", "2026-10-25T02:30+01:00", "PT1H", "2026-10-25T02:30+02:00"),
        ("America/New_York", "2026-03-08T09:00-04:00", "P1D", "2026-03-07T09:00-05:00"),
        ("America/New_York", "2026-11-01T09:00-05:00", "P1D", "2026-10-31T09:00-04:00"),
        ("Australia/Lord_Howe", "2026-04-05T09:00+10:30", "P1D", "2026-04-04T09:00+11:00"),
        ("Australia/Lord_Howe", "2026-10-04T09:00+11:00", "P1D", "2026-10-03T09:00+10:30"),
        ("Australia/Lord_Howe", "2026-10-05T02:15+11:00", "P1D", "2026-10-04T02:45+11:00"),
        # There was no 30 December: what would be then is a day later.
        ("Pacific/Apia", "2011-12-31T09:00+14:00", "P1D", "2011-12-31T09:00+14:00"),
        ("Pacific/Apia", "2011-12-31T09:00+14:00", "P2D", "2011-12-29T09:00-10:00"),
        ("Pacific/Apia", "2011-12-31T09:00+14:00", "PT24H", "2011-12-29T09:00-10:00"),
        ("UTC", "2026-03-29T09:00Z", "P1D", "2026-03-28T09:00Z"),
        # A leap day, and a year in which the clocks change.
        ("Europe/Berlin", "2028-03-01T09:00+01:00", "P1D", "2028-02-29T09:00+01:00"),
        ("Europe/Berlin", "2026-07-01T09:00+02:00", "P366D", "2025-06-30T09:00+02:00"),
        # Beyond the last of all times in one zone, and near the first in another.
        ("Pacific/Kiritimati", "9999-12-31T23:59Z", "P1D", "9999-12-30T23:59Z"),
        ("Pacific/Kiritimati", "9999-12-31T23:59Z", "P1DT1H", "9999-12-30T22:59Z"),
        ("America/New_York", "0001-01-03T12:00Z", "P1D", "0001-01-02T12:00Z"),
    ],
)
def test_days_before_are_of_the_calendar_and_hours_are_exact(
    zone: str, due: str, length: str, expected: str
) -> None:
    at = parse_duration(length).before(datetime.fromisoformat(due), zone)

    assert at == datetime.fromisoformat(expected)


@settings(max_examples=300)
@given(
    st.integers(0, 1_800_000_000).map(lambda s: A_TIME_IN_2001 + timedelta(seconds=s)),
    st.integers(0, 366),
    st.integers(0, 100_000),
    st.sampled_from(EVERY_ZONE),
)
def test_a_number_of_days_earlier_has_the_same_time_of_day_unless_the_clocks_left_it_out(
    due: datetime, days: int, seconds: int, zone: str
) -> None:
    length = Duration(days, seconds)

    at = length.before(due, zone)

    assert timedelta(seconds=seconds) <= due - at <= length.longest
    on_the_day = at + timedelta(seconds=seconds)
    wanted = _clock(due, zone) - timedelta(days=days)
    exists = _clock(wanted.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC), zone) == wanted
    assert (_clock(on_the_day, zone) == wanted) == exists


def test_within_a_year_clocks_go_back_by_no_more_than_the_longest_day_allows_for() -> None:
    every = [A_TIME_IN_2001 + timedelta(days=30 * number) for number in range(-12, 500)]
    most = timedelta(0)
    for zone in map(ZoneInfo, EVERY_ZONE):
        offsets = [at.astimezone(zone).utcoffset() or timedelta(0) for at in every]
        ends = [place for place in range(1, len(every)) if offsets[place - 1] != offsets[place]]
        for end in ends:
            most = max(most, max(offsets[max(0, end - 12) : end]) - offsets[end])

    assert Duration(days=1).longest == timedelta(days=1) + most


def _clock(at: datetime, zone: str) -> datetime:
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


# Zones


# What a host may have beside the zones of the database, or in place of one.
HOSTS_OWN = ("localtime", "Factory", "posixrules", "posix/Europe/Berlin", "right/Europe/Berlin")


def test_every_zone_can_be_read_without_the_host_files() -> None:
    assert zoneinfo.TZPATH == ()
    for name in EVERY_ZONE:
        ZoneInfo(ZONE.validate_python(name))


def test_a_zone_that_is_not_accepted_any_more_is_read_as_utc() -> None:
    assert [kept_zone(name) for name in ("Asia/Kolkata", "US/Pacific", "EST")] == [
        "Asia/Kolkata",
        "US/Pacific",
        "EST",
    ]
    for name in (*HOSTS_OWN, "US/Pacific-New", "Europe", "", "../UTC"):
        assert kept_zone(name) == "UTC"


def test_a_zone_is_named_as_iana_names_it() -> None:
    assert ZONE.validate_python("Europe/Berlin") == "Europe/Berlin"
    for wrong in (
        "",
        "Europe/berlin",
        "CEST",
        "+01:00",
        "../etc/passwd",
        "Europe/Berlin\0",
        *HOSTS_OWN,
    ):
        with pytest.raises(ValidationError):
            ZONE.validate_python(wrong)
