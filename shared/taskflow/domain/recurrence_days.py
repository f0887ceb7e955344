"""The days of a recurrence rule, period by period, by arithmetic instead of from its beginning.

A day is its proleptic Gregorian ordinal: `date.toordinal()`, of which 1 is a Monday.
"""

from calendar import isleap
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import Protocol

from taskflow.domain.recurrence_rules import Frequency, Rule, WeekdayNumber, parse_rule

LAST_DAY = date(9999, 12, 29).toordinal()
"""Days after it may have no time in UTC, or no day after them, that Python can express."""

CYCLE_YEARS = 400
CYCLE_MONTHS = 12 * CYCLE_YEARS
"""The Gregorian calendar repeats after 400 years, weekdays included.

So months or years without a day for so many periods in a row never have one again, whatever the
interval. Days with a condition are looked for month by month, or in steps of at least 28 days, and
weeks are empty for want of a month or a position: what is missed by giving up after as many
periods as months lies centuries ahead, if anywhere. The longest search takes about a tenth of a
second, most a few milliseconds.
"""

_SPARSE_DAYS = 28
"""From this interval on, a month holds so few days to look at that going by day is faster."""


class Skip(StrEnum):
    """What becomes of a day that its month lacks (RFC 7529 4.1)."""

    BACKWARD = "backward"
    OMIT = "omit"
    FORWARD = "forward"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """A date that a rule asks for and that its month lacks.

    `near` is the end of the month where it would be; `day` is where it moves to, or None where it
    is left out; `is_shared` says that another date of the rule falls on that day.
    """

    year: int
    month: int
    month_day: int
    near: int
    day: int | None
    is_shared: bool


class Plan(Protocol):
    """The days of a rule by the number of their period, of which the one of the start is 0.

    The days of a period rise; they may reach one day into a neighbour, by `skip`.
    """

    @property
    def periods_to_search(self) -> int:
        """Say after how many periods in a row without a day there are no more."""
        ...

    @property
    def days_per_period(self) -> int | None:
        """Say how many days each period but the first has, where that is always the same."""
        ...

    def period_of(self, day: int) -> int:
        """Return the number of the period that holds the day, or of the last one before it."""
        ...

    def days(self, period: int) -> Sequence[int] | None:
        """Return the days of a period; None where it is beyond `LAST_DAY`."""
        ...

    def lacking(self, period: int) -> Sequence[Lacking]:
        """Return the dates that the period asks for and that their month lacks."""
        ...


@lru_cache(maxsize=4096)
def plan_of(text: str, start: date, skip: Skip) -> Plan:
    """Prepare the days of a rule; what the rule leaves open is taken from `start`."""
    rule = parse_rule(text)
    match rule.frequency:
        case Frequency.DAILY if rule.interval >= _SPARSE_DAYS or not _has_condition(rule):
            return _EveryNthDay(start, rule)
        case Frequency.DAILY if rule.interval == 1 and not _has_condition(replace(rule, by_day=())):
            # The most common condition: every weekday but the weekend.
            return _Weeks(start, rule)
        case Frequency.DAILY:
            return _DaysOfMonths(start, rule)
        case Frequency.WEEKLY:
            return _Weeks(start, rule)
        case Frequency.MONTHLY:
            return _Months(start, rule, skip)
        case Frequency.YEARLY:
            return _Years(start, rule, skip)


def days_from(plan: Plan, period: int) -> Iterator[int]:
    """Give the days of a plan from a period on, rising; one that two periods share comes twice."""
    empty, empty_max = 0, plan.periods_to_search
    while empty < empty_max and (days := plan.days(period)) is not None:
        yield from days
        empty = 0 if days else empty + 1
        period += 1


def _has_condition(rule: Rule) -> bool:
    return bool(rule.by_month or rule.by_month_day or rule.by_day or rule.by_set_pos)


class _EveryNthDay:
    periods_to_search = CYCLE_MONTHS

    def __init__(self, start: date, rule: Rule) -> None:
        self._start = start.toordinal()
        self._interval = rule.interval
        self._rule = rule
        self._weekdays = frozenset(each.weekday for each in rule.by_day)
        self._is_plain = not _has_condition(rule)

    @property
    def days_per_period(self) -> int | None:
        return 1 if self._is_plain else None

    def period_of(self, day: int) -> int:
        return (day - self._start) // self._interval

    def days(self, period: int) -> Sequence[int] | None:
        day = self._start + period * self._interval
        if day > LAST_DAY:
            return None
        return (day,) if self._is_plain or self._has(day) else ()

    def lacking(self, period: int) -> Sequence[Lacking]:  # noqa: ARG002 - as Plan
        return ()

    def _has(self, day: int) -> bool:
        if self._weekdays and (day - 1) % 7 not in self._weekdays:
            return False
        rule = self._rule
        on = date.fromordinal(day)
        if rule.by_month and on.month not in rule.by_month:
            return False
        if rule.by_month_day:
            length = _days_in_month(on.year, on.month)
            if on.day not in rule.by_month_day and on.day - length - 1 not in rule.by_month_day:
                return False
        return not rule.by_set_pos or not {1, -1}.isdisjoint(rule.by_set_pos)


class _DaysOfMonths:
    """A daily rule with conditions: a period is a month, so that a long wait is a short search."""

    periods_to_search = CYCLE_MONTHS
    days_per_period = None

    def __init__(self, start: date, rule: Rule) -> None:
        self._start = start.toordinal()
        self._first_month = _month_number(start)
        self._rule = rule
        self._weekdays = frozenset(each.weekday for each in rule.by_day)
        # The set that BYSETPOS chooses from is the one day.
        self._is_never = bool(rule.by_set_pos) and {1, -1}.isdisjoint(rule.by_set_pos)

    def period_of(self, day: int) -> int:
        return _month_number(date.fromordinal(day)) - self._first_month

    def days(self, period: int) -> Sequence[int] | None:
        year, month = _year_and_month(self._first_month + period)
        if year > date.max.year:
            return None
        rule = self._rule
        if self._is_never or (rule.by_month and month not in rule.by_month):
            return ()
        first = date(year, month, 1).toordinal()
        length = _days_in_month(year, month)
        if rule.by_month_day:
            days: Iterable[int] = sorted(
                _days_of_month(first, length, rule.by_month_day, Skip.OMIT)
            )
        else:
            days = range(first, first + length)
        weekdays = self._weekdays
        return [
            day
            for day in days
            if (day - self._start) % rule.interval == 0
            and self._start <= day <= LAST_DAY
            and (not weekdays or (day - 1) % 7 in weekdays)
        ]

    def lacking(self, period: int) -> Sequence[Lacking]:  # noqa: ARG002 - as Plan
        # A daily rule asks of each day whether it is wanted; it never asks for one that is not.
        return ()


class _Weeks:
    periods_to_search = CYCLE_MONTHS

    def __init__(self, start: date, rule: Rule) -> None:
        weekdays = [each.weekday for each in rule.by_day] or [start.weekday()]
        self._offsets = sorted((weekday - rule.week_start) % 7 for weekday in weekdays)
        self._start = start.toordinal() - (start.weekday() - rule.week_start) % 7
        self._days = 7 * rule.interval
        self._rule = rule

    @property
    def days_per_period(self) -> int | None:
        if self._rule.by_month:
            return None
        return len(_chosen(self._offsets, self._rule.by_set_pos))

    def period_of(self, day: int) -> int:
        return (day - self._start) // self._days

    def days(self, period: int) -> Sequence[int] | None:
        first = self._start + period * self._days
        if first > LAST_DAY - 7:
            return None
        days = [first + offset for offset in self._offsets]
        months = self._rule.by_month
        if months:
            days = [day for day in days if date.fromordinal(day).month in months]
        return _chosen(days, self._rule.by_set_pos)

    def lacking(self, period: int) -> Sequence[Lacking]:  # noqa: ARG002 - as Plan
        return ()


class _Months:
    periods_to_search = CYCLE_MONTHS
    days_per_period = None

    def __init__(self, start: date, rule: Rule, skip: Skip) -> None:
        self._first_month = _month_number(start)
        self._rule = rule
        self._wanted = _Wanted.of(rule, start, skip)

    def period_of(self, day: int) -> int:
        return (_month_number(date.fromordinal(day)) - self._first_month) // self._rule.interval

    def days(self, period: int) -> Sequence[int] | None:
        year, month = self._month(period)
        if year > date.max.year:
            return None
        if self._rule.by_month and month not in self._rule.by_month:
            return ()
        return _chosen(sorted(self._wanted.of_month(year, month)), self._rule.by_set_pos)

    def lacking(self, period: int) -> Sequence[Lacking]:
        year, month = self._month(period)
        if self._rule.by_month and month not in self._rule.by_month:
            return ()
        return self._wanted.lacking(year, month)

    def _month(self, period: int) -> tuple[int, int]:
        return _year_and_month(self._first_month + period * self._rule.interval)


class _Years:
    periods_to_search = CYCLE_YEARS
    days_per_period = None

    def __init__(self, start: date, rule: Rule, skip: Skip) -> None:
        self._first_year = start.year
        self._rule = rule
        self._wanted = _Wanted.of(rule, start, skip)
        if rule.by_month:
            self._months = rule.by_month
        else:
            self._months = tuple(range(1, 13)) if rule.by_month_day else (start.month,)

    def period_of(self, day: int) -> int:
        return (date.fromordinal(day).year - self._first_year) // self._rule.interval

    def days(self, period: int) -> Sequence[int] | None:
        year = self._first_year + period * self._rule.interval
        if year > date.max.year:
            return None
        if self._by_weekday_of_year:
            days = _weekdays_within(
                date(year, 1, 1).toordinal(), 365 + isleap(year), self._rule.by_day
            )
        else:
            days = {day for month in self._months for day in self._wanted.of_month(year, month)}
        return _chosen(sorted(days), self._rule.by_set_pos)

    def lacking(self, period: int) -> Sequence[Lacking]:
        if self._by_weekday_of_year:
            return ()
        year = self._first_year + period * self._rule.interval
        return [each for month in self._months for each in self._wanted.lacking(year, month)]

    @property
    def _by_weekday_of_year(self) -> bool:
        rule = self._rule
        return bool(rule.by_day) and not (rule.by_month or rule.by_month_day)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is wanted of a month: days by their number, or weekdays, or days that are weekdays."""

    month_days: tuple[int, ...]
    weekdays: tuple[WeekdayNumber, ...]
    skip: Skip
    numbered_in_year: bool

    @classmethod
    def of(cls, rule: Rule, start: date, skip: Skip) -> "_Wanted":
        by_start = () if rule.by_day else (start.day,)
        # RFC 5545: a number beside a weekday counts in the month, and in the year where a
        # yearly rule names no months.
        in_year = rule.frequency is Frequency.YEARLY and not rule.by_month
        return cls(rule.by_month_day or by_start, rule.by_day, skip, in_year)

    def of_month(self, year: int, month: int) -> Collection[int]:
        first = date(year, month, 1).toordinal()
        length = _days_in_month(year, month)
        if not self.month_days:
            return _weekdays_within(first, length, self.weekdays)
        # RFC 7529 4.1: days are moved after BYMONTHDAY and before BYDAY, so BYDAY judges where
        # they came to lie.
        days = _days_of_month(first, length, self.month_days, self.skip)
        if not self.weekdays:
            return days
        return [day for day in days if self._is_wanted_weekday(day)]

    def lacking(self, year: int, month: int) -> Sequence[Lacking]:
        first = date(year, month, 1).toordinal()
        length = _days_in_month(year, month)
        taken = {_month_day(first, length, each, Skip.OMIT) for each in self.month_days}
        found: list[Lacking] = []
        for month_day in self.month_days:
            if abs(month_day) <= length:
                continue
            day = _month_day(first, length, month_day, self.skip)
            if day is not None and self.weekdays and not self._is_wanted_weekday(day):
                continue
            near = first + length - 1 if month_day > 0 else first
            is_shared = day is not None and day in taken
            found.append(
                Lacking(
                    year=year,
                    month=month,
                    month_day=month_day,
                    near=near,
                    day=day,
                    is_shared=is_shared,
                )
            )
            taken.add(day)
        return found

    def _is_wanted_weekday(self, day: int) -> bool:
        weekday = (day - 1) % 7
        ordinals = {each.ordinal for each in self.weekdays if each.weekday == weekday}
        if not ordinals or 0 in ordinals:
            return bool(ordinals)
        on = date.fromordinal(day)
        if self.numbered_in_year:
            first, length = date(on.year, 1, 1).toordinal(), 365 + isleap(on.year)
        else:
            first, length = day - on.day + 1, _days_in_month(on.year, on.month)
        from_end = (first + length - 1 - day) // 7 + 1
        return not ordinals.isdisjoint({(day - first) // 7 + 1, -from_end})


def _month_day(first: int, length: int, month_day: int, skip: Skip) -> int | None:
    """Return the day of a month by its number, or by its negative one from the end.

    One that the month lacks lies behind its last day or before its first, and moves from there to
    the nearest day that exists, or is left out.
    """
    if abs(month_day) <= length:
        return first + month_day - 1 if month_day > 0 else first + length + month_day
    if skip is Skip.OMIT:
        return None
    last_before = first + length - 1 if month_day > 0 else first - 1
    return last_before + (skip is Skip.FORWARD)


def _days_in_month(year: int, month: int) -> int:
    return 28 + isleap(year) if month == 2 else 30 + (month + month // 8) % 2  # noqa: PLR2004 - February


def _days_of_month(
    first: int, length: int, month_days: Sequence[int], skip: Skip
) -> Collection[int]:
    resolved = {_month_day(first, length, each, skip) for each in month_days}
    return [day for day in resolved if day is not None]


def _weekdays_within(first: int, length: int, wanted: Iterable[WeekdayNumber]) -> Collection[int]:
    """Return the weekdays of a month or a year, all of them or the nth."""
    days: set[int] = set()
    last = first + length - 1
    for each in wanted:
        earliest = first + (each.weekday - (first - 1)) % 7
        latest = last - ((last - 1) - each.weekday) % 7
        if each.ordinal == 0:
            days.update(range(earliest, last + 1, 7))
            continue
        day = (
            earliest + 7 * (each.ordinal - 1)
            if each.ordinal > 0
            else latest + 7 * (each.ordinal + 1)
        )
        if first <= day <= last:
            days.add(day)
    return days


def _chosen(days: Sequence[int], positions: Sequence[int]) -> Sequence[int]:
    """Keep the days at the positions of BYSETPOS, counted from 1, or from -1 at the end."""
    if not positions:
        return days
    count = len(days)
    places = {each - 1 if each > 0 else count + each for each in positions}
    return [days[place] for place in sorted(places) if 0 <= place < count]


def _month_number(on: date) -> int:
    return on.year * 12 + on.month - 1


def _year_and_month(number: int) -> tuple[int, int]:
    return number // 12, number % 12 + 1
