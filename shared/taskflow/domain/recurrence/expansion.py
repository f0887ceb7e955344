"""The days that a recurrence rule expands to (RFC 5545 3.3.10, RFC 7529), year by year.

They are computed, and not found by a walk from the beginning of the rule.

A day is its proleptic Gregorian ordinal: `date.toordinal()`, of which 1 is a Monday. A set of days
of a year is an int, whose bit 0 is January 1. A rule selects the same days in every year of one
kind, and there are 14 kinds: so a year costs a few operations, and to know that a rule has no more
days takes a look at the few thousand years that the calendar has.
"""

from abc import ABC, abstractmethod
from calendar import isleap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache, lru_cache, partial
from itertools import accumulate
from math import gcd
from typing import Protocol

from taskflow.domain.recurrence.rule import Frequency, Rule, WeekdayNumber, parse_rule

LAST_DAY = date(9999, 12, 29).toordinal()
"""The last day that is given: Python may not express a later one in UTC, or the day after it."""

_KINDS = bytes(date(year, 1, 1).weekday() + 7 * isleap(year) for year in range(400, 800))
"""The kinds of 400 years, then the calendar repeats: the weekday of January 1, 7 more if leap."""

_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_LENGTHS_OF_LEAP_YEAR = (31, 29, *_LENGTHS[2:])

_MONTHS = tuple(
    tuple(zip(accumulate(lengths, initial=0), lengths, strict=False))
    for lengths in (_LENGTHS, _LENGTHS_OF_LEAP_YEAR)
)
"""Where in the year the months begin and how long they are, by whether it is a leap year."""

_ALL_MONTHS = tuple(range(1, 13))
_DECEMBER = 12

_YEAR_MAX_DAYS = 366


class Skip(StrEnum):
    """How a date that its month lacks is handled (RFC 7529 4.1)."""

    BACKWARD = "backward"
    OMIT = "omit"
    FORWARD = "forward"


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingDate:
    """A date that a rule selects and that its month lacks; its days count from 0 in the year.

    `near` is the existing day next to the date; `day` is the day that it moves to, or None where it
    is left out; `is_shared` says that another date of the rule falls on that day.
    """

    month_day: int
    near: int
    day: int | None
    is_shared: bool


class Expansion(Protocol):
    """The days of a rule, as if it had no beginning and no end."""

    @property
    def may_lack(self) -> bool:
        """Say whether the rule selects a date that a month may lack."""
        ...

    def years(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """Give the years from `begin` to `end`, both included, that have days, with their sets.

        A search looks at thousands of years, so a look is a line, not a call.
        """
        ...

    def lacking(self, year: int) -> Sequence[MissingDate]:
        """Return the dates that the rule selects in a year and that their months lack."""
        ...


@lru_cache(maxsize=1024)
def expansion_of(text: str, start: date, skip: Skip) -> Expansion:
    """Return the days of a rule; the parts that the rule leaves open are taken from `start`."""
    rule = parse_rule(text)
    match rule.frequency:
        case Frequency.DAILY:
            return _Daily(start, rule)
        case Frequency.WEEKLY:
            return _Weekly(start, rule)
        case Frequency.MONTHLY:
            return _Monthly(start, rule, skip)
        case Frequency.YEARLY:
            return _Yearly(start, rule, skip)


def first_day(year: int) -> int:
    """Return the first day of a year."""
    return date(year, 1, 1).toordinal()


def days_between(expansion: Expansion, begin: int, end: int) -> Iterator[int]:
    """Give the days of an expansion from `begin` on and before `end`, in order."""
    for first, days in _years_between(expansion, begin, end):
        left = days
        while left:
            lowest = left & -left
            yield first + lowest.bit_length() - 1
            left ^= lowest


def count_between(expansion: Expansion, begin: int, end: int) -> int:
    """Count the days of an expansion from `begin` on and before `end`."""
    return sum(days.bit_count() for _, days in _years_between(expansion, begin, end))


def has_day(expansion: Expansion, day: int) -> bool:
    """Say whether the day is one of an expansion."""
    return any(days_between(expansion, day, day + 1))


def first_selected(text: str, since: date, skip: Skip) -> date | None:
    """Return the first day from `since` on that a rule selects by its BY parts, of any interval."""
    expansion = expansion_of(text, since, skip)
    day = next(days_between(expansion, since.toordinal(), LAST_DAY + 1), None)
    return None if day is None else date.fromordinal(day)


def _years_between(expansion: Expansion, begin: int, end: int) -> Iterator[tuple[int, int]]:
    if begin >= end:
        return
    for year, days in expansion.years(date.fromordinal(begin).year, date.fromordinal(end - 1).year):
        first = first_day(year)
        within = days
        if begin > first:
            within = days >> begin - first << begin - first
        if end - first < _YEAR_MAX_DAYS:
            within &= (1 << end - first) - 1
        yield first, within


class _ByInterval(ABC):
    """A rule of days or weeks: every so many days of those that years of each kind have."""

    may_lack = False

    def __init__(self, first: int, interval: int, *, width: int) -> None:
        """Take every so many days from the first, and so many in a row."""
        self._first = first
        self._interval = interval
        self._margin = width - 1
        each = (1 << width) - 1
        self._aligned = _union(each << at for at in range(0, _YEAR_MAX_DAYS + width, interval))
        self._of_kind = cache(self._days)

    def years(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        interval, margin = self._interval, self._margin
        last = _YEAR_MAX_DAYS + margin
        for year in range(begin, end + 1):
            days = self._of_kind(_KINDS[year % 400])
            if days:
                at = (self._first - date(year, 1, 1).toordinal() + margin) % interval
                # The shift is too far for memory where the interval is.
                if at <= last and (days := days & self._aligned << at >> margin):
                    yield year, days

    def lacking(self, year: int) -> Sequence[MissingDate]:  # noqa: ARG002 - as Expansion
        # A daily rule asks of each day whether it is wanted; it never asks for one that is not.
        return ()

    @abstractmethod
    def _days(self, kind: int) -> int: ...


class _Daily(_ByInterval):
    def __init__(self, start: date, rule: Rule) -> None:
        super().__init__(start.toordinal(), rule.interval, width=1)
        self._rule = rule
        self._selection = _Selection(rule.by_month_day, rule.by_day, Skip.OMIT)
        # The set that BYSETPOS chooses from is the one day.
        self._is_never = bool(rule.by_set_pos) and {1, -1}.isdisjoint(rule.by_set_pos)

    def _days(self, kind: int) -> int:
        return (
            0 if self._is_never else self._selection.days(kind, self._rule.by_month or _ALL_MONTHS)
        )


class _Weekly(_ByInterval):
    def __init__(self, start: date, rule: Rule) -> None:
        first = start.toordinal() - (start.weekday() - rule.week_start) % 7
        super().__init__(first, 7 * rule.interval, width=7)
        self._rule = rule
        self._weekdays = rule.by_day or (WeekdayNumber(start.weekday()),)
        self._months = _Selection((), (), Skip.OMIT)
        self._chosen_of = cache(partial(_chosen, rule.by_set_pos))

    def _days(self, kind: int) -> int:
        # With the days of the neighbours that share a week with it.
        months, first, length = self._rule.by_month, kind % 7, 365 + kind // 7
        days = _weekdays_within(self._weekdays, (first - 6) % 7, length + 12)
        if months:
            days &= self._months.days(kind, months) << 6 | (
                (_DECEMBER in months) * 0b111111 | (1 in months) * 0b111111 << length + 6
            )
        if self._rule.by_set_pos:
            begins = range(6 - (first - self._rule.week_start) % 7, length + 6, 7)
            weeks = ((begin, days >> begin & 0b1111111) for begin in begins)
            days = _union(self._chosen_of(week) << begin for begin, week in weeks)
        return days >> 6 & (1 << length) - 1


class _Monthly:
    def __init__(self, start: date, rule: Rule, skip: Skip) -> None:
        self._rule = rule
        self._first_month = start.year * 12 + start.month - 1
        self._interval = rule.interval
        self._selection = _Selection.of(rule, start, skip)
        apart = gcd(rule.interval, 12)
        self.may_lack = self._selection.may_lack(
            month for month in self._months(1, 1) if (month - start.month) % apart == 0
        )
        self._of_kind = cache(self._days)
        self._lacking_of_kind = cache(self._lacking)

    def years(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        first_month, interval = self._first_month, self._interval
        for year in range(begin, end + 1):
            # The first month of the year, or of one after it, that the interval falls on.
            first = (first_month - 12 * year) % interval + 1
            if first <= _DECEMBER and (days := self._of_kind(_KINDS[year % 400], first)):
                yield year, days

    def lacking(self, year: int) -> Sequence[MissingDate]:
        first = (self._first_month - 12 * year) % self._interval + 1
        return self._lacking_of_kind(_KINDS[year % 400], first) if first <= _DECEMBER else ()

    def _months(self, first: int, interval: int) -> Sequence[int]:
        months = range(first, 13, interval)
        return [month for month in months if month in (self._rule.by_month or _ALL_MONTHS)]

    def _days(self, kind: int, first: int) -> int:
        return _union(
            _chosen(self._rule.by_set_pos, self._selection.days(kind, (month,)))
            for month in self._months(first, self._interval)
        )

    def _lacking(self, kind: int, first: int) -> Sequence[MissingDate]:
        return self._selection.lacking(kind, self._months(first, self._interval))


class _Yearly:
    def __init__(self, start: date, rule: Rule, skip: Skip) -> None:
        self._rule = rule
        self._first_year = start.year
        self._selection = _Selection.of(rule, start, skip)
        is_any = rule.by_month_day or rule.by_day
        self._months = rule.by_month or (_ALL_MONTHS if is_any else (start.month,))
        self.may_lack = self._selection.may_lack(self._months)
        self._of_kind = cache(self._days)
        self._lacking_of_kind = cache(self._lacking)

    def years(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        interval = self._rule.interval
        for year in range(begin + (self._first_year - begin) % interval, end + 1, interval):
            if days := self._of_kind(_KINDS[year % 400]):
                yield year, days

    def lacking(self, year: int) -> Sequence[MissingDate]:
        is_aligned = (year - self._first_year) % self._rule.interval == 0
        return self._lacking_of_kind(_KINDS[year % 400]) if is_aligned else ()

    def _days(self, kind: int) -> int:
        return _chosen(self._rule.by_set_pos, self._selection.days(kind, self._months))

    def _lacking(self, kind: int) -> Sequence[MissingDate]:
        return self._selection.lacking(kind, self._months)


class _Selection:
    """The days that a rule selects in its months: by BYMONTHDAY, by BYDAY, or by both."""

    def __init__(
        self,
        month_days: Sequence[int],
        weekdays: Sequence[WeekdayNumber],
        skip: Skip,
        *,
        is_numbered_in_year: bool = False,
    ) -> None:
        self._month_days = month_days
        self._weekdays = weekdays
        self._skip = skip
        self._is_numbered_in_year = is_numbered_in_year
        self._of_length = cache(self._days_of_length)
        self._weekdays_of = cache(partial(_weekdays_within, weekdays))
        self._weekdays_of_kind = cache(self._days_of_weekdays)

    @classmethod
    def of(cls, rule: Rule, start: date, skip: Skip) -> "_Selection":
        by_start = () if rule.by_day else (start.day,)
        # RFC 5545: a number beside a weekday counts in the month, and in the year where a
        # yearly rule names no months.
        in_year = rule.frequency is Frequency.YEARLY and not rule.by_month
        return cls(rule.by_month_day or by_start, rule.by_day, skip, is_numbered_in_year=in_year)

    def days(self, kind: int, months: Iterable[int]) -> int:
        """Return the set of days selected in some months of a kind of year."""
        of_year = [_MONTHS[kind // 7][month - 1] for month in months]
        # RFC 7529 4.1: days are moved after BYMONTHDAY and before BYDAY, so BYDAY judges where
        # they came to lie. None leaves the year, whose first and last month lack no day.
        days = _union(self._of_length(length) << first >> 1 for first, length in of_year)
        return days & self._weekdays_of_kind(kind)

    def may_lack(self, months: Iterable[int]) -> bool:
        """Say whether one of the months may lack a selected day."""
        last = max((abs(each) for each in self._month_days), default=0)
        return any(last > _LENGTHS[month - 1] for month in months)

    def lacking(self, kind: int, months: Iterable[int]) -> Sequence[MissingDate]:
        """Return the selected dates that some months of a kind of year lack."""
        found: list[MissingDate] = []
        for month in months:
            first, length = _MONTHS[kind // 7][month - 1]
            taken = {_month_day(length, each, Skip.OMIT) for each in self._month_days}
            for month_day in self._month_days:
                if abs(month_day) <= length:
                    continue
                at = _month_day(length, month_day, self._skip)
                day = None if at is None else first + at - 1
                if day is not None and not self._weekdays_of_kind(kind) >> day & 1:
                    continue
                near = first + length - 1 if month_day > 0 else first
                is_shared = at is not None and at in taken
                found.append(
                    MissingDate(month_day=month_day, near=near, day=day, is_shared=is_shared)
                )
                taken.add(at)
        return found

    def _days_of_length(self, length: int) -> int:
        """Return the days of a month, of which bit 1 is the first, and bit 0 the one before it."""
        if not self._month_days:
            return (1 << length) - 1 << 1
        at = (_month_day(length, each, self._skip) for each in self._month_days)
        return _union(1 << each for each in at if each is not None)

    def _days_of_weekdays(self, kind: int) -> int:
        weekday, length = kind % 7, 365 + kind // 7
        if not self._weekdays:
            return (1 << length) - 1
        if self._is_numbered_in_year:
            return self._weekdays_of(weekday, length)
        return _union(
            self._weekdays_of((weekday + first) % 7, length) << first
            for first, length in _MONTHS[kind // 7]
        )


def _month_day(length: int, month_day: int, skip: Skip) -> int | None:
    """Return the day of a month by its number, or by its negative one from the end.

    One that the month lacks lies behind its last day or before its first, and moves from there to
    the nearest day that exists, be it in the neighbouring month, or is left out.
    """
    if abs(month_day) <= length:
        return month_day if month_day > 0 else length + 1 + month_day
    if skip is Skip.OMIT:
        return None
    return (length if month_day > 0 else 0) + (skip is Skip.FORWARD)


def _weekdays_within(weekdays: Iterable[WeekdayNumber], first: int, length: int) -> int:
    """Return the weekdays of so many days, of which the first is a `first`: all, or the nth."""
    days = 0
    for each in weekdays:
        earliest = (each.weekday - first) % 7
        if each.ordinal == 0:
            days |= _union(1 << day for day in range(earliest, length, 7))
            continue
        if each.ordinal > 0:
            day = earliest + 7 * (each.ordinal - 1)
        else:
            day = earliest + 7 * ((length - 1 - earliest) // 7 + 1 + each.ordinal)
        if 0 <= day < length:
            days |= 1 << day
    return days


def _chosen(positions: Sequence[int], days: int) -> int:
    """Keep the days at the positions of BYSETPOS, counted from 1, or from -1 at the end."""
    if not positions or not days:
        return days
    each = [day for day, bit in enumerate(reversed(f"{days:b}")) if bit == "1"]
    count = len(each)
    places = {position - 1 if position > 0 else count + position for position in positions}
    return _union(1 << each[place] for place in places if 0 <= place < count)


def _union(sets: Iterable[int]) -> int:
    union = 0
    for each in sets:
        union |= each
    return union
