"""The words of the grammar, and what phrases have in common: amounts, weekdays, where they end."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import Enum
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

from dateutil.parser import parserinfo

from taskflow.domain.quick_add.tokens import TokenKind, Tokens
from taskflow.domain.recurring import START_YEARS
from taskflow.domain.times import DAY_S

V_co = TypeVar("V_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Match(Generic[V_co]):
    """A phrase that was found: what it means, and the index of the first token after it."""

    value: V_co
    end: int


@dataclass(frozen=True, slots=True)
class Moment:
    """When and where a text was written: an instant, and its user's zone."""

    now: datetime
    zone: ZoneInfo

    @property
    def local(self) -> datetime:
        """The time that the user's clock shows, without an offset."""
        return self.now.astimezone(self.zone).replace(tzinfo=None)

    @property
    def today(self) -> date:
        """The user's present day."""
        return self.local.date()

    def at(self, on: date, clock: time) -> datetime:
        """Return the instant of a local time; in a gap it moves forward, of two it is the first."""
        return datetime.combine(on, clock, self.zone).astimezone(self.now.tzinfo)


class DayPart(Enum):
    """A part of a day, and when it begins where no time is said."""

    MORNING = time(9)
    AFTERNOON = time(15)
    EVENING = time(18)
    NIGHT = time(20)


DAY_PARTS = {part.name.lower(): part for part in DayPart}

_NUMBER_WORDS = (
    *("one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
_NUMBERS = {"a": 1, "an": 1, **{word: n for n, word in enumerate(_NUMBER_WORDS, start=1)}}
ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5}
LAST = "last"

_ORDINAL = re.compile(r"([0-9]{1,2})(?:st|nd|rd|th)")
_NUMBER = re.compile(r"[0-9]{1,4}")


def _numbered(names: list[tuple[str, ...]], first: int) -> Mapping[str, int]:
    each = enumerate(names, start=first)
    return {name.lower(): number for number, of_one in each for name in of_one}


MONTHS = _numbered(list(parserinfo.MONTHS), 1)
AMBIGUOUS_MONTHS = frozenset({"march", "may"})
"""Verbs as well: `march 5 miles`, `may 5 people come`."""

WEEKDAYS: Mapping[str, int] = {
    **_numbered(list(parserinfo.WEEKDAYS), 0),
    "tues": 1,
    "weds": 2,
    "thur": 3,
    "thurs": 3,
}
"""Monday is 0."""

AMBIGUOUS_WEEKDAYS = frozenset({"wed", "sat", "sun"})
"""Words as well: `sun cream`, `the cat sat there`."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Months and days of the calendar, and exact seconds."""

    months: int = 0
    days: int = 0
    seconds: int = 0


_UNITS: Mapping[str, Amount] = {
    name: amount
    for names, amount in (
        ("y yr yrs year years", Amount(months=12)),
        ("month months", Amount(months=1)),
        ("w wk wks week weeks", Amount(days=7)),
        ("d day days", Amount(days=1)),
        ("h hr hrs hour hours", Amount(seconds=3600)),
        ("m min mins minute minutes", Amount(seconds=60)),
    )
    for name in names.split()
}
_COMPACT = re.compile(r"([0-9]{1,4})([a-z]{1,7})(?:([0-9]{1,2})(m|min))?")


def number(word: str) -> int | None:
    """Read a number from 1 on, in digits or as a word up to twelve."""
    found = int(word) if _NUMBER.fullmatch(word) else _NUMBERS.get(word)
    return found or None


def ordinal(word: str) -> int | None:
    """Read a day of a month such as `15th`."""
    found = _ORDINAL.fullmatch(word)
    return int(found[1]) if found else None


def year(word: str) -> int | None:
    """Read a year of those that a task may be due in."""
    is_year = _NUMBER.fullmatch(word) and int(word) in START_YEARS
    return int(word) if is_year else None


def amount(tokens: Tokens, index: int) -> Match[Amount] | None:
    """Read `3 days`, `an hour`, `2h`, `1h30m`, `1 day 2 hours`."""
    first = _term(tokens, index)
    if first is None:
        return None
    second = _term(tokens, first.end)
    if second is None or _length(second.value.unit) >= _length(first.value.unit):
        return Match(first.value.total, first.end)
    one, other = first.value.total, second.value.total
    total = Amount(one.months + other.months, one.days + other.days, one.seconds + other.seconds)
    return Match(total, second.end)


@dataclass(frozen=True, slots=True)
class _Term:
    count: int
    unit: Amount
    more_s: int = 0

    @property
    def total(self) -> Amount:
        unit, count = self.unit, self.count
        seconds = unit.seconds * count + self.more_s
        return Amount(unit.months * count, unit.days * count, seconds)


def _term(tokens: Tokens, index: int) -> Match[_Term] | None:
    word = tokens.lower(index)
    if found := _COMPACT.fullmatch(word):
        count, unit, minutes = int(found[1]), _UNITS.get(found[2]), found[3]
        if count and unit and (minutes is None or unit.seconds > 60):  # noqa: PLR2004 - an hour
            return Match(_Term(count, unit, 60 * int(minutes or 0)), index + 1)
        return None
    count, unit = number(word), _UNITS.get(tokens.lower(index + 1))
    if count is None or unit is None:
        return None
    return Match(_Term(count, unit), index + 2)


def _length(unit: Amount) -> int:
    return (unit.months * 31 + unit.days) * DAY_S + unit.seconds


NOT_UNDERSTOOD_AFTER = frozenset(
    {
        *("after", "before", "since", "from", "until", "till", "to", "for", "of", "than"),
        *("the", "a", "an", "last", "past", "previous", "about", "around", "between", "through"),
    }
)
"""After these a date or a time means something else, or leaves a title that breaks off."""

_LEADS_ON = frozenset(
    {
        *("at", "by", "due", "every", "everyday", "for", "from", "in", "near", "next", "on"),
        *("remind", "reminder", "starting", "this", "till", "today", "tomorrow", "tonight"),
        *("until", "with", "noon", "midnight", *MONTHS, *WEEKDAYS, *DAY_PARTS),
    }
)


def may_end(tokens: Tokens, index: int) -> bool:
    """Say whether a phrase that is also plain English may end before a token.

    It may where nothing follows it, or punctuation, or a word that goes on with something else: not
    in `look at 3 houses`, nor in `weekly report`.
    """
    if index >= len(tokens) or tokens[index].kind is TokenKind.PUNCTUATION:
        return True
    word = tokens.lower(index)
    is_sign = tokens[index].text[0] in "#!"
    return is_sign or word in _LEADS_ON or bool(_BEGINS_A_DATE.fullmatch(word))


_BEGINS_A_DATE = re.compile(r"[0-9]{1,2}(?::[0-9]{2})?(?:am|pm)|[0-9]{1,2}:[0-9]{2}|[0-9-]{10}")
