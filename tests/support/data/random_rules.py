"""Random recurrence rules, of every frequency and with every part, that RFC 5545 allows."""

from datetime import date, datetime, timedelta
from random import Random

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

ZONES = (
    *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo"),
    *("Africa/Casablanca", "Pacific/Apia", "Asia/Kolkata", "America/St_Johns", "UTC"),
)


def a_start(rng: Random) -> datetime:
    """Draw local wall time, often at a month's end and in the hours where clocks change."""
    day = date(1995, 1, 1) + timedelta(days=rng.randrange(11_000))
    if rng.random() < 0.4:
        day = (day.replace(day=1) + timedelta(days=40)).replace(day=1) - timedelta(days=1)
    hour = rng.choice((0, 1, 2, 2, 3, 9, 12, 23))
    return datetime(day.year, day.month, day.day, hour, rng.choice((0, 15, 30, 59)))  # noqa: DTZ001 - local time


def a_rule(rng: Random, start: datetime) -> str:
    """Draw a rule; its parts come in any order."""
    frequency = rng.choice(("DAILY", "WEEKLY", "MONTHLY", "YEARLY"))
    parts = [f"FREQ={frequency}"]
    if rng.random() < 0.5:
        parts.append(f"INTERVAL={rng.choice((1, 2, 2, 3, 4, 5, 9, 12, 30))}")
    chosen = _by_parts(rng, frequency)
    if chosen and rng.random() < 0.3:
        # A day is a set of one, from which no second can be chosen.
        positions = (1, -1) if frequency == "DAILY" else (1, 1, 2, 3, -1, -1, -2, 5)
        chosen.append(f"BYSETPOS={_some(rng, positions, 2)}")
    parts += chosen
    if rng.random() < 0.3:
        parts.append(f"WKST={rng.choice(WEEKDAYS)}")
    if rng.random() < 0.5:
        parts.append(_an_end(rng, start))
    rng.shuffle(parts)
    return ";".join(parts)


def _by_parts(rng: Random, frequency: str) -> list[str]:
    parts: list[str] = []
    if rng.random() < 0.3:
        parts.append(f"BYMONTH={_some(rng, range(1, 13), 4)}")
    if frequency != "WEEKLY" and rng.random() < 0.4:
        parts.append(f"BYMONTHDAY={_some(rng, (*range(1, 32), 29, 30, 31, *range(-31, 0)), 4)}")
    if rng.random() < 0.5:
        parts.append(f"BYDAY={_weekdays(rng, frequency, parts)}")
    return parts


def _weekdays(rng: Random, frequency: str, others: list[str]) -> str:
    weekdays = rng.sample(WEEKDAYS, rng.choice((1, 1, 2, 3, 5, 7)))
    # A numbered weekday on given days of the month is a rule that hardly ever matches.
    by_month_day = any(part.startswith("BYMONTHDAY=") for part in others)
    plain = 0.95 if by_month_day else 0.4
    if frequency not in {"MONTHLY", "YEARLY"} or rng.random() < plain:
        return ",".join(weekdays)
    in_year = frequency == "YEARLY" and not any(part.startswith("BYMONTH=") for part in others)
    # All numbered or none: the implementations compared with take a mixture for a condition.
    most = 53 if in_year and rng.random() < 0.5 else 5
    return ",".join(
        f"{rng.choice(('', '+'))}{rng.randint(1, most)}{each}"
        if rng.random() < 0.6
        else f"-{rng.randint(1, most)}{each}"
        for each in weekdays
    )


def _an_end(rng: Random, start: datetime) -> str:
    if rng.random() < 0.5:
        return f"COUNT={rng.randint(1, 30)}"
    until = start + timedelta(days=rng.randrange(4000))
    shape = rng.choice(("%Y%m%d", "%Y%m%dT%H%M%S", "%Y%m%dT%H%M%SZ", "%Y%m%dT120000"))
    return f"UNTIL={until.strftime(shape)}"


def _some(rng: Random, numbers: "tuple[int, ...] | range", most: int) -> str:
    return ",".join(str(rng.choice(numbers)) for _ in range(rng.randint(1, most)))
