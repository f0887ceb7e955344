"""Recurrence: rules as RFC 5545 has them, in local time across changes of clocks (R1-R8, T8)."""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from taskflow.domain.recurrence import (
    RULE_MAX_CHARS,
    Fate,
    Missed,
    Mode,
    RuleText,
    Series,
    Skip,
    due_occurrences,
    first_selected,
    in_new_zone,
    local_time,
    next_after_completion,
    next_occurrence,
    occurrences,
    parse_rule,
    preview,
    start_at,
)
from tests.support.data.costly_rules import COSTLY, STEPS_MAX, Candidate, steps_of
from tests.support.data.random_rules import ZONES, a_rule, a_start

RULE: TypeAdapter[str] = TypeAdapter(RuleText)
VECTORS = json.loads((Path(__file__).parent / "recurrence_vectors.json").read_text())["cases"]


def _series(rule: str, start: str, **fields: Any) -> Series:  # noqa: ANN401 - any field of a series
    return Series(recurrence_rule=rule, start=datetime.fromisoformat(start), **fields)


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _shown(times: Iterable[datetime]) -> list[str]:
    return [at.strftime("%Y-%m-%d %H:%M") for at in times]


# Rules


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=DAILY",
        "RRULE:FREQ=DAILY",
        "rrule:freq=weekly;byday=mo,tu",
        "INTERVAL=2;FREQ=MONTHLY;BYDAY=+1MO,-1FR,2TU",
        "FREQ=YEARLY;BYDAY=53MO,-53SU;WKST=SU",
        "FREQ=YEARLY;BYMONTH=1,12;BYMONTHDAY=-31,31;BYSETPOS=-366,366",
        "FREQ=MONTHLY;BYDAY=MO,1MO;BYSETPOS=1",
        "FREQ=DAILY;UNTIL=20261231",
        "FREQ=DAILY;UNTIL=20261231T235959",
        "FREQ=DAILY;UNTIL=20261231T235959Z",
        "FREQ=DAILY;COUNT=1",
        "FREQ=DAILY;INTERVAL=0002",
    ],
)
def test_a_rule_is_taken_without_its_prefix(text: str) -> None:
    assert RULE.validate_python(text) == text.removeprefix("RRULE:").removeprefix("rrule:")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        *((f"FREQ={frequency}", "FREQ") for frequency in ("HOURLY", "MINUTELY", "SECONDLY", "X")),
        ("INTERVAL=2", "FREQ"),
        *(
            (f"FREQ=YEARLY;{part}=1", part)
            for part in ("BYHOUR", "BYMINUTE", "BYSECOND", "BYWEEKNO", "BYYEARDAY", "BYEASTER")
        ),
        ("FREQ=YEARLY;RSCALE=GREGORIAN", "RSCALE"),
        ("FREQ=MONTHLY;SKIP=OMIT", "SKIP"),
        ("FREQ=DAILY;X-WHAT=1", "X-WHAT"),
        ("FREQ=DAILY;FREQ=DAILY", "FREQ"),
        ("FREQ=DAILY;COUNT=1;COUNT=1", "COUNT"),
        *(
            (f"FREQ=DAILY;INTERVAL={n}", "INTERVAL")
            for n in ("0", "-1", "+1", "1.5", "x", "\u0661")
        ),
        *((f"FREQ=DAILY;COUNT={n}", "COUNT") for n in ("0", "-1", "x")),
        ("FREQ=DAILY;COUNT=2;UNTIL=20261231", "COUNT"),
        *((f"FREQ=YEARLY;BYMONTH={n}", "BYMONTH") for n in ("0", "13", "-1", "1,", "+1", "5L")),
        *((f"FREQ=MONTHLY;BYMONTHDAY={n}", "BYMONTHDAY") for n in ("0", "32", "-32", "1,x", "--1")),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY"),
        *((f"FREQ=MONTHLY;BYDAY={n}", "BYDAY") for n in ("X", "0MO", "54MO", "MO,", "MO1", "1 MO")),
        ("FREQ=WEEKLY;BYDAY=1MO", "BYDAY"),
        ("FREQ=DAILY;BYDAY=-1MO", "BYDAY"),
        *((f"FREQ=MONTHLY;BYDAY=MO;BYSETPOS={n}", "BYSETPOS") for n in ("0", "367", "-367", "x")),
        ("FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS"),
        *((f"FREQ=WEEKLY;WKST={day}", "WKST") for day in ("X", "1MO", "MO,TU")),
        *(
            (f"FREQ=DAILY;UNTIL={at}", "UNTIL")
            for at in ("2026-12-31", "20261301", "20261231Z", "20261231T2400", "20261231T240000Z")
        ),
    ],
)
def test_a_wrong_or_unsupported_part_of_a_rule_is_refused_by_name(text: str, part: str) -> None:
    with pytest.raises(PydanticCustomError, match=f"^{part} "):
        parse_rule(text)
    with pytest.raises(ValidationError):
        RULE.validate_python(text)


@pytest.mark.parametrize("text", ["", " ", "daily", "FREQ=DAILY;", ";FREQ=DAILY", "FREQ", "FREQ="])
def test_text_that_is_no_rule_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(PydanticCustomError, match="such as FREQ=WEEKLY"):
        parse_rule(text)


def test_a_rule_over_the_maximum_length_is_refused() -> None:
    longest = "FREQ=MONTHLY;BYMONTHDAY=1" + ",1" * 115

    assert len(longest) == RULE_MAX_CHARS
    assert RULE.validate_python(longest) == longest
    with pytest.raises(ValidationError):
        RULE.validate_python(f"{longest},1")


@pytest.mark.parametrize(
    "start", ["2026-01-01T00:00:00Z", "0001-01-01T00:00:00", "9999-12-31T00:00:00"]
)
def test_a_start_is_local_time_that_can_be_reckoned_with(start: str) -> None:
    with pytest.raises(ValueError, match="start must"):
        _series("FREQ=DAILY", start)


# Occurrences


def test_the_occurrences_are_those_of_the_vectors() -> None:
    assert len(VECTORS) >= 300

    for vector in VECTORS:
        series = _series(
            vector["rule"], vector["start"], timezone=vector["zone"], skip=Skip(vector["skip"])
        )
        times = occurrences(series, "UTC", limit=vector["limit"])
        utc = [f"{at.replace(tzinfo=None).isoformat()}Z" for at in times]
        local = [local_time(at, vector["zone"]).isoformat() for at in times]

        assert (local, utc) == (vector["local"], vector["utc"]), vector["name"]


@settings(max_examples=30)
@given(st.integers(0, 2**32))
def test_days_are_those_of_dateutil_where_both_follow_the_rfc(seed: int) -> None:
    rng = Random(seed)
    start = a_start(rng)
    parts = a_rule(rng, start).split(";")
    kept = [part for part in parts if not part.startswith(("COUNT", "UNTIL", "BYSETPOS"))]
    horizon = start + timedelta(days=2000)
    series = Series(recurrence_rule=";".join(kept), start=start, timezone="UTC", skip=Skip.OMIT)

    times = [at.replace(tzinfo=None) for at in occurrences(series, "UTC", limit=40)]

    theirs = rrulestr(";".join([*kept, f"UNTIL={horizon:%Y%m%dT%H%M%S}"]), dtstart=start)
    until = min(horizon, times[-1] if len(times) == 40 else horizon)
    assert [at for at in times[1:] if at <= until] == [
        at for at in theirs.between(start, until, inc=True) if at > start
    ]


@settings(max_examples=25)
@given(st.integers(0, 2**32))
def test_the_next_occurrence_after_any_instant_is_the_first_later_one(seed: int) -> None:
    rng = Random(seed)
    start = a_start(rng)
    series = Series(
        recurrence_rule=a_rule(rng, start),
        start=start,
        timezone=rng.choice(ZONES),
        skip=rng.choice(list(Skip)),
    )

    times = occurrences(series, "UTC", limit=30)

    assert times[0] == start_at(series, "UTC")
    assert all(one < other for one, other in pairwise(times))
    for one, other in pairwise(times):
        between = one + (other - one) * rng.random()
        assert next_occurrence(series, "UTC", after=one) == other
        assert next_occurrence(series, "UTC", after=between) == other
    assert next_occurrence(series, "UTC", after=times[0] - timedelta(days=9)) == times[0]
    if len(times) < 30:
        assert next_occurrence(series, "UTC", after=times[-1]) is None
    assert [each.at for each in preview(series, "UTC", limit=30) if each.at] == times


@pytest.mark.parametrize(
    ("rule", "end"),
    [
        ("FREQ=DAILY;COUNT=20000", "2044-10-03 08:00"),
        ("FREQ=WEEKLY;BYDAY=MO,WE;COUNT=4000", "2028-04-26 08:00"),
        ("FREQ=MONTHLY;COUNT=600", "2039-12-01 09:00"),
        ("FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR;COUNT=10000", "2028-04-28 08:00"),
    ],
)
def test_a_series_of_decades_knows_its_last_occurrence(rule: str, end: str) -> None:
    series = _series(rule, "1990-01-01T10:00:00", timezone="Europe/Berlin")
    last = _utc(end)

    assert next_occurrence(series, "UTC", after=last - timedelta(minutes=1)) == last
    assert next_occurrence(series, "UTC", after=last) is None


@pytest.mark.parametrize(
    ("rule", "start", "following"),
    [
        ("FREQ=DAILY;INTERVAL=1009;BYMONTH=2;BYMONTHDAY=29", "2026-01-31", "3584 7272 9308"),
        ("FREQ=WEEKLY;INTERVAL=52;BYMONTH=2", "2026-03-09", "2033 2034 2035"),
        ("FREQ=MONTHLY;INTERVAL=1200;BYMONTHDAY=29", "2000-02-29", "2400 2800 3200"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO", "1876-02-29", "1892 1904 1932"),
        ("FREQ=YEARLY;INTERVAL=100;BYMONTH=2;BYMONTHDAY=29;BYDAY=TU", "2000-02-29", "2400 2800"),
        ("FREQ=YEARLY;INTERVAL=100;BYMONTH=2;BYMONTHDAY=29;BYDAY=WE", "2000-02-29", ""),
    ],
)
def test_an_occurrence_centuries_later_is_found(rule: str, start: str, following: str) -> None:
    series = _series(rule, f"{start}T09:00:00", timezone="UTC", skip=Skip.OMIT)
    years = [int(year) for year in following.split()]

    times = occurrences(series, "UTC", limit=1 + (len(years) or 1))

    assert [at.year for at in times[1:]] == years


@pytest.mark.parametrize(("candidate", "way"), COSTLY)
def test_the_costliest_rules_are_computed_within_a_bounded_time(
    candidate: Candidate, way: str
) -> None:
    assert candidate.is_allowed

    assert steps_of(candidate, way) <= STEPS_MAX


def test_the_next_occurrence_of_a_series_of_decades_is_found_without_all_before_it() -> None:
    series = Candidate(frequency="DAILY", interval=1, start=datetime(1990, 1, 1), end="COUNT=20000")  # noqa: DTZ001 - local time

    assert steps_of(series, "the first after now") <= 30_000


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_next_occurrence_can_be_asked_for_after_the_first_and_the_last_instant(
    zone: str,
) -> None:
    series = _series("FREQ=DAILY;UNTIL=99991231T235959Z", "2026-01-01T09:00:00", timezone=zone)
    first = start_at(series, "UTC")

    assert next_occurrence(series, "UTC", after=datetime.min.replace(tzinfo=UTC)) == first
    assert next_occurrence(series, "UTC", after=datetime.max.replace(tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("rule", "since", "first"),
    [
        ("FREQ=WEEKLY;BYDAY=MO", "2026-11-30", "2026-11-30"),
        ("FREQ=WEEKLY;BYDAY=MO", "2026-12-01", "2026-12-07"),
        ("FREQ=MONTHLY;BYMONTHDAY=31", "2027-02-01", "2027-02-28"),
        ("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=24", "2026-12-25", "2027-12-24"),
        ("FREQ=YEARLY;BYMONTH=2;BYDAY=5MO", "2026-12-25", "2044-02-29"),
        ("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=24", "9999-12-25", None),
    ],
)
def test_the_first_day_that_a_rule_selects_is_found_from_a_day_on(
    rule: str, since: str, first: str | None
) -> None:
    found = first_selected(rule, date.fromisoformat(since), Skip.BACKWARD)

    assert found == (first and date.fromisoformat(first))


def test_a_series_without_a_zone_follows_its_user() -> None:
    series = _series("FREQ=WEEKLY", "2026-01-05T09:00:00")
    fixed = _series("FREQ=WEEKLY", "2026-01-05T09:00:00", timezone="Asia/Kolkata")

    assert _shown(occurrences(series, "Europe/Berlin", limit=1)) == ["2026-01-05 08:00"]
    assert _shown(occurrences(series, "America/New_York", limit=1)) == ["2026-01-05 14:00"]
    assert _shown(occurrences(fixed, "America/New_York", limit=1)) == ["2026-01-05 03:30"]


def test_a_series_that_moves_with_its_user_neither_repeats_nor_loses_a_day() -> None:
    series = _series("FREQ=DAILY", "2026-01-05T09:00:00")
    spawned = _utc("2026-01-06T08:00")

    west = in_new_zone(spawned, old="Europe/Berlin", new="America/New_York")
    east = in_new_zone(spawned, old="Europe/Berlin", new="Asia/Tokyo")

    to_the_west = next_occurrence(series, "America/New_York", after=west)
    to_the_east = next_occurrence(series, "Asia/Tokyo", after=east)
    assert (to_the_west, to_the_east) == (_utc("2026-01-07T14:00"), _utc("2026-01-07T00:00"))


# After completion


@pytest.mark.parametrize(
    ("rule", "completed", "following"),
    [
        ("FREQ=DAILY;INTERVAL=3", "2026-01-08T20:00", "2026-01-11 09:00"),
        ("FREQ=DAILY", "2026-01-08T07:00", "2026-01-09 09:00"),
        ("FREQ=WEEKLY", "2026-01-08T20:00", "2026-01-15 09:00"),
        ("FREQ=WEEKLY;BYDAY=MO", "2026-01-08T20:00", "2026-01-12 09:00"),
        ("FREQ=WEEKLY;BYDAY=TH", "2026-01-08T07:00", "2026-01-15 09:00"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", "2026-01-08T20:00", "2026-01-19 09:00"),
        ("FREQ=MONTHLY", "2026-01-31T20:00", "2026-02-28 09:00"),
        ("FREQ=MONTHLY;BYMONTHDAY=1", "2026-01-08T20:00", "2026-02-01 09:00"),
        ("FREQ=YEARLY", "2026-01-08T20:00", "2027-01-08 09:00"),
        ("FREQ=DAILY;UNTIL=20260109", "2026-01-08T20:00", "2026-01-09 09:00"),
        ("FREQ=DAILY;UNTIL=20260108", "2026-01-08T20:00", None),
        ("FREQ=DAILY;COUNT=5", "2026-01-08T20:00", "2026-01-09 09:00"),
        ("FREQ=DAILY;COUNT=4", "2026-01-08T20:00", None),
    ],
)
def test_the_next_occurrence_after_a_completion_is_computed_from_its_time(
    rule: str, completed: str, following: str | None
) -> None:
    series = _series(rule, "2026-01-05T09:00:00", mode=Mode.AFTER_COMPLETION)

    at = next_after_completion(
        series, _utc(completed), "UTC", previous=_utc("2026-01-05T09:00"), number=4
    )

    assert (at and _shown([at])[0]) == following


def test_the_day_of_a_completion_is_that_of_the_zone_of_its_series() -> None:
    series = _series("FREQ=DAILY", "2026-01-05T09:00:00", timezone="Asia/Tokyo")

    at = next_after_completion(series, _utc("2026-01-08T20:00"), "UTC")

    assert at == _utc("2026-01-10T00:00"), "it was the 9th in Tokyo"


def test_an_occurrence_completed_early_is_not_made_again() -> None:
    series = _series("FREQ=WEEKLY;BYDAY=FR", "2026-01-09T09:00:00", mode=Mode.AFTER_COMPLETION)
    due = _utc("2026-01-09T09:00")

    assert next_after_completion(series, _utc("2026-01-05T12:00"), "UTC", previous=due) == _utc(
        "2026-01-16T09:00"
    )


# What is due


def _due(missed: Missed, now: str, **options: Any) -> list[str]:  # noqa: ANN401 - as due_occurrences
    series = _series("FREQ=DAILY", "2026-01-01T09:00:00", timezone="UTC", missed=missed)
    options.setdefault("since", _utc("2026-01-01T09:00"))
    return _shown(due_occurrences(series, "UTC", now=_utc(now), **options))


def test_after_an_outage_missed_occurrences_are_handled_as_the_series_says() -> None:
    all_days = ["2026-01-02 09:00", "2026-01-03 09:00", "2026-01-04 09:00"]

    assert _due(Missed.ALL, "2026-01-04T12:00") == all_days
    assert _due(Missed.LATEST, "2026-01-04T12:00") == all_days[-1:]
    assert _due(Missed.SKIP, "2026-01-04T12:00") == []


@pytest.mark.parametrize("missed", list(Missed))
def test_an_occurrence_that_is_a_little_late_was_not_missed(missed: Missed) -> None:
    assert _due(missed, "2026-01-02T09:00") == ["2026-01-02 09:00"]
    assert _due(missed, "2026-01-02T09:05") == ["2026-01-02 09:00"]
    assert _due(missed, "2026-01-02T08:59") == []


def test_an_occurrence_with_a_lead_time_is_due_before_its_time() -> None:
    lead = timedelta(days=1)
    early = ["2026-01-04 09:00"]

    for missed, made_up in (
        (Missed.ALL, ["2026-01-02 09:00", "2026-01-03 09:00"]),
        (Missed.LATEST, ["2026-01-03 09:00"]),
        (Missed.SKIP, []),
    ):
        assert _due(missed, "2026-01-03T10:00", until=_utc("2026-01-03T10:00") + lead) == [
            *made_up,
            *early,
        ]


def test_neither_the_task_of_a_series_nor_a_created_occurrence_is_created_again() -> None:
    since = _utc("2025-12-01T00:00")

    assert _due(Missed.ALL, "2026-01-01T09:00", since=since) == []
    assert _due(Missed.ALL, "2026-01-02T09:00", since=since) == ["2026-01-02 09:00"]
    assert _due(Missed.ALL, "2026-01-02T09:00", since=_utc("2026-01-02T09:00")) == []


def test_many_missed_occurrences_are_taken_in_several_turns() -> None:
    taken: list[str] = []
    since = _utc("2026-01-01T09:00")
    while turn := _due(Missed.ALL, "2026-01-31T12:00", since=since, limit=7):
        taken += turn
        since = _utc(turn[-1])

    assert taken == [f"2026-01-{day:02} 09:00" for day in range(2, 32)]


def test_a_series_that_follows_completions_is_never_due_by_the_clock() -> None:
    series = _series("FREQ=DAILY", "2026-01-01T09:00:00", mode=Mode.AFTER_COMPLETION)

    assert (
        due_occurrences(series, "UTC", since=start_at(series, "UTC"), now=_utc("2027-01-01")) == []
    )


# Preview


def _rows(series: Series, limit: int = 4) -> list[tuple[str | None, str | None, str, str | None]]:
    return [
        (
            each.local and each.local.isoformat(" ", "minutes"),
            each.at and each.at.strftime("%d %H:%M"),
            each.fate.value,
            each.reason,
        )
        for each in preview(series, "UTC", limit=limit)
    ]


def test_a_preview_says_why_a_day_was_moved() -> None:
    series = _series("FREQ=MONTHLY", "2026-01-31T09:00:00", timezone="Europe/Berlin")

    assert _rows(series, 3) == [
        ("2026-01-31 09:00", "31 08:00", "kept", None),
        ("2026-02-28 09:00", "28 08:00", "moved", "2026-02 has no day 31"),
        ("2026-03-31 09:00", "31 07:00", "kept", None),
    ]


def test_a_preview_says_why_a_day_was_left_out() -> None:
    series = _series("FREQ=MONTHLY", "2026-01-31T09:00:00", skip=Skip.OMIT)

    assert _rows(series, 2) == [
        ("2026-01-31 09:00", "31 09:00", "kept", None),
        (None, None, "skipped", "2026-02 has no day 31"),
        ("2026-03-31 09:00", "31 09:00", "kept", None),
    ]


def test_a_preview_says_that_two_days_became_one() -> None:
    series = _series("FREQ=MONTHLY;BYMONTHDAY=28,31", "2026-01-31T09:00:00")
    taken = "2026-02 has no day 31, and 2026-02-28 is an occurrence already"

    assert [row[2:] for row in _rows(series, 3)] == [
        ("kept", None),
        ("skipped", taken),
        ("kept", None),
        ("kept", None),
    ]


def test_a_preview_says_why_a_time_was_moved() -> None:
    series = _series("FREQ=DAILY", "2026-03-28T02:30:00", timezone="Europe/Berlin")
    why = "2026-03-29 02:30 does not exist in Europe/Berlin"

    assert _rows(series, 3) == [
        ("2026-03-28 02:30", "28 01:30", "kept", None),
        ("2026-03-29 03:30", "29 01:30", "moved", why),
        ("2026-03-30 02:30", "30 00:30", "kept", None),
    ]


def test_a_preview_names_the_day_before_where_its_last_hour_is_left_out() -> None:
    series = _series("FREQ=DAILY", "2024-03-29T23:30:00", timezone="America/Nuuk")
    why = "2024-03-30 23:30 does not exist in America/Nuuk"

    assert [(row[0], row[3]) for row in _rows(series, 3)] == [
        ("2024-03-29 23:30", None),
        ("2024-03-31 00:30", why),
        ("2024-03-31 23:30", None),
    ]


def test_a_preview_of_a_series_that_ended_before_it_began_is_the_task_itself() -> None:
    series = _series("FREQ=MONTHLY;UNTIL=00010101T000000Z", "2026-01-31T09:00:00")

    assert _rows(series) == [("2026-01-31 09:00", "31 09:00", "kept", None)]


def test_a_preview_explains_the_day_that_apia_left_out() -> None:
    daily = _series("FREQ=DAILY", "2011-12-29T09:00:00", timezone="Pacific/Apia")
    friday = _series("FREQ=WEEKLY", "2011-12-23T09:00:00", timezone="Pacific/Apia")
    why = "2011-12-30 does not exist in Pacific/Apia"

    assert [(row[0], row[2], row[3]) for row in _rows(daily, 2)] == [
        ("2011-12-29 09:00", "kept", None),
        (None, "skipped", f"{why}, and 2011-12-31 is an occurrence already"),
        ("2011-12-31 09:00", "kept", None),
    ]
    assert [(row[0], row[3]) for row in _rows(friday, 3)] == [
        ("2011-12-23 09:00", None),
        ("2011-12-31 09:00", why),
        ("2012-01-06 09:00", None),
    ]


def test_a_preview_of_a_rule_without_a_valid_day_shows_the_days_left_out_and_ends() -> None:
    never = _series("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "2026-01-05T09:00:00", skip=Skip.OMIT)

    assert [row[2:] for row in _rows(never, 2)] == [
        ("kept", None),
        ("skipped", "2026-02 has no day 30"),
        ("skipped", "2027-02 has no day 30"),
    ]


def test_a_preview_begins_after_an_instant_and_ends_with_the_series() -> None:
    series = _series("FREQ=MONTHLY;COUNT=3", "2026-01-31T09:00:00", skip=Skip.OMIT)

    shown = preview(series, "UTC", after=_utc("2026-03-01T00:00"), limit=9)

    assert [each.local and each.local.month for each in shown] == [3, None, 5]
    assert [each.fate for each in shown] == [Fate.KEPT, Fate.SKIPPED, Fate.KEPT]
