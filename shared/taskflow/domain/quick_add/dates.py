"""Dates, absolute and relative: `2026-12-24`, `24 Dec`, `next friday`, `in 3 days`, `tonight`."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from dateutil.relativedelta import relativedelta

from taskflow.domain.quick_add.tokens import Tokens
from taskflow.domain.quick_add.vocabulary import (
    AMBIGUOUS_MONTHS,
    AMBIGUOUS_WEEKDAYS,
    DAY_PARTS,
    MONTHS,
    NOT_UNDERSTOOD_AFTER,
    WEEKDAYS,
    Amount,
    DayPart,
    Match,
    Moment,
    amount,
    may_end,
    ordinal,
    year,
)
from taskflow.domain.recurring import START_YEARS

_WEEK = timedelta(days=7)
_SATURDAY = 5
_LEAP_YEARS_APART_MAX = 8
"""From 1896 to 1904, and from 2096 to 2104."""

_MONTHS_AHEAD_MAX = 2
"""Each second month at least has 31 days."""

_LED_BY = {"due": ("on", "by"), "starting": ("on",), "on": (), "by": ()}
"""The words that lead to a date, each with those that may come after it."""

_ISO = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:t([0-9]{2}:[0-9]{2}))?")
_DOTTED = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})")
_DAY_NUMBER = re.compile(r"([0-9]{1,2})(?:st|nd|rd|th)?")


@dataclass(frozen=True, slots=True)
class Day:
    """A day, and what was said with it: a part of it, a time of day, or an instant and no other."""

    on: date
    part: DayPart | None = None
    clock: time | None = None
    at: datetime | None = None

    @property
    def has_time(self) -> bool:
        """Say whether the time of day was said with the date."""
        return self.clock is not None or self.at is not None


def find_day(tokens: Tokens, index: int, moment: Moment) -> Match[Day] | None:
    """Read a date, with the preposition before it and the part of the day after it."""
    after = _LED_BY.get(tokens.lower(index))
    if after is not None:
        at = index + 1
        at += tokens.lower(at) in after
        return find_bare_day(tokens, at, moment, is_led=True)
    if tokens.lower(index - 1) in NOT_UNDERSTOOD_AFTER:
        return None
    return find_bare_day(tokens, index, moment, is_led=False)


def find_bare_day(tokens: Tokens, index: int, moment: Moment, *, is_led: bool) -> Match[Day] | None:
    """Read a date; one that `is_led` follows a word after which only a date makes sense."""
    word = tokens.lower(index)
    try:
        found = None
        if word in _BY_FIRST_WORD:
            found = _BY_FIRST_WORD[word](tokens, index, moment)
        elif word in WEEKDAYS:
            found = _weekday(tokens, index, moment, is_led=is_led)
        if found is None:
            found = _calendar_date(tokens, index, moment, is_led=is_led)
        if found is None and is_led:
            found = _day_of_month(tokens, index, moment)
    except (OverflowError, ValueError):
        return None
    if found is None or found.value.on.year not in START_YEARS:
        return None
    part = DAY_PARTS.get(tokens.lower(found.end))
    if part is None or found.value.part is not None or found.value.has_time:
        return found
    return Match(replace(found.value, part=part), found.end + 1)


def find_month_day(tokens: Tokens, index: int) -> Match[tuple[int, int]] | None:
    """Read a day of a month that the calendar has, `24 Dec`, `Dec 24th`, as month and day."""
    word = tokens.lower(index)
    number = _DAY_NUMBER.fullmatch(word)
    if number is not None:
        at = index + 1 + (tokens.lower(index + 1) == "of")
        month, day, end = MONTHS.get(tokens.lower(at)), int(number[1]), at + 1
        end += month is not None and tokens.lower(end) == "." and end + 1 < len(tokens)
    else:
        month = MONTHS.get(word)
        at = index + 1 + (tokens.lower(index + 1) == ".")
        found = _DAY_NUMBER.fullmatch(tokens.lower(at))
        day, end = (int(found[1]) if found else 0), at + 1
    is_there = month is not None and _exists(2000, month, day)
    return Match((month, day), end) if month is not None and is_there else None


def _today(_tokens: Tokens, index: int, moment: Moment) -> Match[Day] | None:
    return Match(Day(moment.today), index + 1)


def _tonight(_tokens: Tokens, index: int, moment: Moment) -> Match[Day] | None:
    return Match(Day(moment.today, DayPart.NIGHT), index + 1)


def _tomorrow(_tokens: Tokens, index: int, moment: Moment) -> Match[Day] | None:
    return Match(Day(moment.today + timedelta(days=1)), index + 1)


def _day_after_tomorrow(tokens: Tokens, index: int, moment: Moment) -> Match[Day] | None:
    at = index + (tokens.lower(index) == "the")
    if not tokens.are(at, "day", "after", "tomorrow"):
        return None
    return Match(Day(moment.today + timedelta(days=2)), at + 3)


def _this(tokens: Tokens, index: int, moment: Moment) -> Match[Day] | None:
    word, today = tokens.lower(index + 1), moment.today
    if word in DAY_PARTS:
        return Match(Day(today, DAY_PARTS[word]), index + 2)
    if word == "weekend":
        return Match(Day(max(today, _weekday_of(today, _SATURDAY))), index + 2)
    if word not in WEEKDAYS:
        return None
    return Match(Day(_next_weekday(today, WEEKDAYS[word])), index + 2)


def _next(tokens: Tokens, index: int, moment: Moment) -> Match[Day] | None:
    word, today = tokens.lower(index + 1), moment.today
    match word:
        case "week":
            weekday = WEEKDAYS.get(tokens.lower(index + 2))
            on = _weekday_of(today + _WEEK, weekday or 0)
            return Match(Day(on), index + 2 + (weekday is not None))
        case "weekend":
            on = _weekday_of(today + _WEEK, _SATURDAY)
        case "month":
            on = today + relativedelta(months=1, day=1)
        case "year":
            on = today + relativedelta(years=1, month=1, day=1)
        case _ if word in WEEKDAYS:
            on = _weekday_of(today + _WEEK, WEEKDAYS[word])
        case _:
            return None
    return Match(Day(on), index + 2)


def _in(tokens: Tokens, index: int, moment: Moment) -> Match[Day] | None:
    found = amount(tokens, index + 1)
    return None if found is None else Match(_after(found.value, moment), found.end)


def _after(length: Amount, moment: Moment) -> Day:
    on = moment.today + relativedelta(months=length.months, days=length.days)
    if not length.seconds:
        return Day(on)
    same_time = moment.now
    if on != moment.today:
        same_time = moment.at(on, moment.local.time())
    at = (same_time + timedelta(seconds=length.seconds)).replace(microsecond=0)
    return Day(at.astimezone(moment.zone).date(), at=at)


def _end_of(tokens: Tokens, index: int, moment: Moment) -> Match[Day] | None:
    at = index + (tokens.lower(index) == "the")
    if not tokens.are(at, "end", "of"):
        return None
    at += 2
    at += tokens.lower(at) in {"the", "this"}
    match tokens.lower(at):
        case "month":
            return Match(Day(moment.today + relativedelta(day=31)), at + 1)
        case "year":
            return Match(Day(moment.today + relativedelta(month=12, day=31)), at + 1)
        case _:
            return None


def _the(tokens: Tokens, index: int, moment: Moment) -> Match[Day] | None:
    return _day_after_tomorrow(tokens, index, moment) or _end_of(tokens, index, moment)


_BY_FIRST_WORD: dict[str, Callable[[Tokens, int, Moment], Match[Day] | None]] = {
    "today": _today,
    "tonight": _tonight,
    "tomorrow": _tomorrow,
    "day": _day_after_tomorrow,
    "the": _the,
    "end": _end_of,
    "this": _this,
    "next": _next,
    "in": _in,
}


def _weekday(tokens: Tokens, index: int, moment: Moment, *, is_led: bool) -> Match[Day] | None:
    """Read a weekday: the next one after today, or the one of the date that follows it."""
    word = tokens.lower(index)
    after = index + 1 + (tokens.lower(index + 1) == ",")
    of_date = _calendar_date(tokens, after, moment, is_led=True)
    if of_date is not None and of_date.value.on.weekday() == WEEKDAYS[word]:
        return of_date
    if word in AMBIGUOUS_WEEKDAYS and not (is_led or may_end(tokens, index + 1)):
        return None
    if tokens.are(index + 1, "next", "week"):
        return Match(Day(_weekday_of(moment.today + _WEEK, WEEKDAYS[word])), index + 3)
    tomorrow = moment.today + timedelta(days=1)
    return Match(Day(_next_weekday(tomorrow, WEEKDAYS[word])), index + 1)


def _calendar_date(
    tokens: Tokens, index: int, moment: Moment, *, is_led: bool
) -> Match[Day] | None:
    word = tokens.lower(index)
    if found := _ISO.fullmatch(word):
        clock = None if found[2] is None else time.fromisoformat(found[2])
        return Match(Day(date.fromisoformat(found[1]), clock=clock), index + 1)
    if found := _DOTTED.fullmatch(word):
        return Match(Day(date(int(found[3]), int(found[2]), int(found[1]))), index + 1)
    index += is_led and word == "the"
    month_day = find_month_day(tokens, index)
    if month_day is None:
        return None
    (month, day), end = month_day.value, month_day.end
    after = end + (tokens.lower(end) == ",")
    said_year = year(tokens.lower(after))
    if said_year is not None:
        return Match(Day(date(said_year, month, day)), after + 1)
    is_ordinal = ordinal(tokens.lower(end - 1)) is not None
    is_verb = tokens.lower(index) in AMBIGUOUS_MONTHS and not (is_led or is_ordinal)
    if is_verb and not may_end(tokens, end):
        return None
    return Match(Day(_next_date(moment.today, month, day)), end)


def _day_of_month(tokens: Tokens, index: int, moment: Moment) -> Match[Day] | None:
    at = index + (tokens.lower(index) == "the")
    day = ordinal(tokens.lower(at))
    if day is None or not may_end(tokens, at + 1):
        return None
    today = moment.today
    for months in range(_MONTHS_AHEAD_MAX + 1):
        first = today + relativedelta(months=months, day=1)
        if _exists(first.year, first.month, day) and first.replace(day=day) >= today:
            return Match(Day(first.replace(day=day)), at + 1)
    return None


def _next_date(today: date, month: int, day: int) -> date:
    """Return the next such date, today included. Raises ValueError where there is none."""
    years = range(today.year, today.year + _LEAP_YEARS_APART_MAX + 1)
    dates = (date(year, month, day) for year in years if _exists(year, month, day))
    found = next((each for each in dates if each >= today), None)
    if found is None:
        raise ValueError(f"no {month}-{day} follows {today}")
    return found


def _exists(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _next_weekday(since: date, weekday: int) -> date:
    """Return the first such weekday from a day on."""
    # As relativedelta(weekday=…) does, which takes ten times as long; a line may be all weekdays.
    return since + timedelta(days=(weekday - since.weekday()) % 7)


def _weekday_of(day: date, weekday: int) -> date:
    """Return a weekday of the week, from Monday to Sunday, that a day is in."""
    return day + timedelta(days=weekday - day.weekday())
