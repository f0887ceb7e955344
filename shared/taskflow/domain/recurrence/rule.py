"""Recurrence rules: which parts of an RFC 5545 RRULE are supported, and how its text is read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

RULE_MAX_CHARS = 255

PREFIX = "RRULE:"
"""The prefix that calendars put before a rule; it is accepted, and not stored."""

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
"""In the order of `date.weekday()`."""

_NUMBER = re.compile(r"[0-9]+")
_SIGNED = re.compile(r"[+-]?[0-9]+")
_WEEKDAY_NUMBER = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_UNTIL = re.compile(r"[0-9]{8}(T[0-9]{6}Z?)?")


class Frequency(StrEnum):
    """How long the period of a rule is, before its interval."""

    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    YEARLY = "YEARLY"


@dataclass(frozen=True, slots=True)
class WeekdayNumber:
    """A weekday (Monday is 0), and which one of its month or year; 0 is every one."""

    weekday: int
    ordinal: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule (RFC 5545 3.3.10); an empty tuple is a part that was not given.

    `until` is a date, an aware time in UTC, or a naive time in the zone of the series.
    """

    frequency: Frequency
    interval: int = 1
    by_month: tuple[int, ...] = ()
    by_month_day: tuple[int, ...] = ()
    by_day: tuple[WeekdayNumber, ...] = ()
    by_set_pos: tuple[int, ...] = ()
    week_start: int = 0
    count: int | None = None
    until: date | datetime | None = None


@lru_cache(maxsize=4096)
def parse_rule(text: str) -> Rule:
    """Read a rule, with or without `RRULE:` before it, in upper or lower case.

    Raises PydanticCustomError naming the part that is wrong or not supported.
    """
    parts = _split(text)
    if "FREQ" not in parts:
        raise _refusal("FREQ", "is required")
    if parts["FREQ"] not in Frequency.__members__:
        raise _refusal("FREQ", "must be DAILY, WEEKLY, MONTHLY or YEARLY")
    rule = Rule(
        frequency=Frequency(parts["FREQ"]),
        interval=_positive("INTERVAL", parts.get("INTERVAL", "1")),
        by_month=_numbers("BYMONTH", parts, 12, signed=False),
        by_month_day=_numbers("BYMONTHDAY", parts, 31),
        by_day=_weekday_numbers(parts["BYDAY"]) if "BYDAY" in parts else (),
        by_set_pos=_numbers("BYSETPOS", parts, 366),
        week_start=_weekday(parts.get("WKST", "MO")),
        count=_positive("COUNT", parts["COUNT"]) if "COUNT" in parts else None,
        until=_until(parts["UNTIL"]) if "UNTIL" in parts else None,
    )
    _refuse_combinations(rule)
    return rule


def _refuse_combinations(rule: Rule) -> None:
    frequency = rule.frequency
    if rule.count is not None and rule.until is not None:
        raise _refusal("COUNT", "can't be given with UNTIL")
    if frequency is Frequency.WEEKLY and rule.by_month_day:
        raise _refusal("BYMONTHDAY", "can't be given with FREQ=WEEKLY")
    if frequency in {Frequency.DAILY, Frequency.WEEKLY} and any(
        each.ordinal for each in rule.by_day
    ):
        raise _refusal("BYDAY", f"can't number its weekdays with FREQ={frequency}")
    if rule.by_set_pos and not (rule.by_month or rule.by_month_day or rule.by_day):
        raise _refusal("BYSETPOS", "needs another BY part to choose from")


def _split(text: str) -> Mapping[str, str]:
    upper = text.upper().removeprefix(PREFIX)
    parts: dict[str, str] = {}
    for part in upper.split(";"):
        name, equals, value = part.partition("=")
        if not (name and equals and value):
            raise PydanticCustomError(
                "recurrence_rule",
                "must be a rule of RFC 5545 such as FREQ=WEEKLY;BYDAY=MO",
            )
        if name in parts:
            raise _refusal(name, "is given twice")
        if name == "SKIP":
            raise _refusal(name, "is not supported in the rule: send the field skip beside it")
        if name not in _SUPPORTED:
            raise _refusal(name, "is not supported")
        parts[name] = value
    return parts


_SUPPORTED = frozenset(
    {
        "FREQ",
        "INTERVAL",
        "BYDAY",
        "BYMONTHDAY",
        "BYMONTH",
        "BYSETPOS",
        "WKST",
        "COUNT",
        "UNTIL",
    }
)


def _refusal(part: str, reason: str) -> PydanticCustomError:
    return PydanticCustomError(
        "recurrence_rule", "{part} {reason}", {"part": part, "reason": reason}
    )


def _positive(part: str, text: str) -> int:
    number = int(text) if _NUMBER.fullmatch(text) else 0
    if number < 1:
        raise _refusal(part, "must be a whole number from 1")
    return number


def _numbers(
    part: str, parts: Mapping[str, str], largest: int, *, signed: bool = True
) -> tuple[int, ...]:
    if part not in parts:
        return ()
    texts = parts[part].split(",")
    numbers = [
        int(text) if (_SIGNED if signed else _NUMBER).fullmatch(text) else 0 for text in texts
    ]
    if not all(1 <= abs(number) <= largest for number in numbers):
        ranges = f"1 to {largest}" + (f" or -{largest} to -1" if signed else "")
        raise _refusal(part, f"must be numbers from {ranges}, with commas between them")
    return tuple(sorted(set(numbers)))


def _weekday_numbers(text: str) -> tuple[WeekdayNumber, ...]:
    numbers: set[tuple[int, int]] = set()
    for each in text.split(","):
        found = _WEEKDAY_NUMBER.fullmatch(each)
        ordinal = int(found[1] or 0) if found else 0
        if found is None or (found[1] and not 1 <= abs(ordinal) <= 53):  # noqa: PLR2004 - the weeks of a year
            raise _refusal("BYDAY", "must be weekdays such as MO, 1MO or -1FR (numbers up to 53)")
        numbers.add((ordinal, WEEKDAYS.index(found[2])))
    return tuple(WeekdayNumber(weekday, ordinal) for ordinal, weekday in sorted(numbers))


def _weekday(text: str) -> int:
    if text not in WEEKDAYS:
        raise _refusal("WKST", "must be one of MO, TU, WE, TH, FR, SA and SU")
    return WEEKDAYS.index(text)


def _until(text: str) -> date | datetime:
    if _UNTIL.fullmatch(text):
        try:
            at = datetime.fromisoformat(text.removesuffix("Z"))
        except ValueError:
            pass
        else:
            if "T" not in text:
                return at.date()
            return at.replace(tzinfo=UTC) if text.endswith("Z") else at
    raise _refusal("UNTIL", "must be a date or time such as 20261231 or 20261231T235959Z")


def _checked(text: str) -> str:
    parse_rule(text)
    return text[len(PREFIX) :] if text.upper().startswith(PREFIX) else text


RuleText = Annotated[
    str,
    Field(
        max_length=RULE_MAX_CHARS,
        description="A recurrence rule (RFC 5545, 3.3.10) whose FREQ is a day or longer.",
        json_schema_extra={"format": "rrule", "examples": ["FREQ=WEEKLY;BYDAY=MO"]},
    ),
    AfterValidator(_checked),
]
"""A pydantic field that takes a rule that can be carried out, as text without its prefix."""
