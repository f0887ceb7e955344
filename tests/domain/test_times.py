"""Times: RFC 3339 with an offset in, UTC with `Z` out, to the microsecond (A9); durations (N1)."""

import zoneinfo
from datetime import UTC, datetime, timedelta, timezone
from importlib import resources
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from taskflow.domain.times import (
    Duration,
    Time,
    TimeZone,
    duration_text,
    parse_duration,
    parse_rfc3339,
    rfc3339,
)

TIME = TypeAdapter(Time)
DURATION = TypeAdapter(Duration)
ZONE: TypeAdapter[str] = TypeAdapter(TimeZone)


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
def test_what_is_no_time_with_an_offset_is_refused(wrong: object, kind: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TIME.validate_python(wrong)

    assert [error["type"] for error in refused.value.errors()] == [kind]


@settings(max_examples=50, deadline=None)
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


@settings(max_examples=50, deadline=None)
@given(st.datetimes(), st.datetimes())
def test_times_as_text_sort_as_times_do(one: datetime, two: datetime) -> None:
    texts = [rfc3339(at.replace(tzinfo=UTC)) for at in (one, two)]

    assert (texts[0] < texts[1]) == (one < two)


# Durations


@pytest.mark.parametrize(
    ("text", "length", "shown"),
    [
        ("P1W", timedelta(weeks=1), "P7D"),
        ("P1D", timedelta(days=1), "P1D"),
        ("P1DT2H", timedelta(days=1, hours=2), "P1DT2H"),
        ("PT1H30M", timedelta(hours=1, minutes=30), "PT1H30M"),
        ("PT15M", timedelta(minutes=15), "PT15M"),
        ("PT90S", timedelta(seconds=90), "PT1M30S"),
        ("PT1H5S", timedelta(hours=1, seconds=5), "PT1H5S"),
        ("PT24H", timedelta(days=1), "P1D"),
        ("P01DT00H", timedelta(days=1), "P1D"),
        ("P0D", timedelta(0), "PT0S"),
        ("PT0S", timedelta(0), "PT0S"),
        ("P999999999D", timedelta(days=999_999_999), "P999999999D"),
    ],
)
def test_a_duration_is_shown_in_days_hours_minutes_and_seconds(
    text: str, length: timedelta, shown: str
) -> None:
    read = DURATION.validate_python(text)

    assert read == length
    assert duration_text(read) == shown


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "P", "PT", "P1DT", "P1", "PT1", "1D", "P1D ", " P1D", "P1D\n", "p1d", "P1d"),
        *("-P1D", "+P1D", "P-1D", "P1M", "P1Y", "P1W1D", "P1WT1H", "PT1D", "P1H", "PT1M1H"),
        *("PT1.5H", "PT1,5H", "P\u0661D", "P1D2H", "P0001-00-01T00:00:00"),
        *("P1000000000D", "PT99999999999999999S", "P999999999999999999W", f"P{'9' * 5000}D"),
        *(5, 1.5, True, None, ["P1D"], {"days": 1}),
    ],
    ids=lambda wrong: repr(wrong)[:30],
)
def test_what_is_no_duration_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError) as refused:
        DURATION.validate_python(wrong)

    assert [error["type"] for error in refused.value.errors()] == ["duration"]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**7 * 86_400 - 1))
def test_a_duration_that_was_shown_is_read_back(seconds: int) -> None:
    length = timedelta(seconds=seconds)

    assert parse_duration(duration_text(length)) == length


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="PTWDHMS0159.-", max_size=12))
def test_any_text_is_a_duration_that_can_be_shown_or_is_refused(text: str) -> None:
    try:
        read = DURATION.validate_python(text)
    except ValidationError:
        return

    assert DURATION.validate_python(duration_text(read)) == read


# Zones


# What a host may have beside the zones of the database, or in place of one.
HOSTS_OWN = ("localtime", "Factory", "posixrules", "posix/Europe/Berlin", "right/Europe/Berlin")


def test_every_zone_can_be_read_without_the_host_files() -> None:
    assert zoneinfo.TZPATH == ()
    names = resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    for name in set(names) - {"Factory"}:
        ZoneInfo(ZONE.validate_python(name))


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
