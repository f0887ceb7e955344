"""A search for the recurrence rules that take longest: drawn at random, then made worse."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from random import Random
from time import process_time_ns

from taskflow.domain import recurrence
from taskflow.domain.recurrence import RULE_MAX_CHARS, Missed, Mode, Recurrence, Series, Skip
from taskflow.domain.recurrence.expansion import expansion_of
from taskflow.domain.recurrence.rule import WEEKDAYS, parse_rule
from taskflow.domain.recurring import PREVIEW_MAX, SPAWNED_MAX
from taskflow.domain.reminders import BEFORE_DUE_MAX
from tests.support import interpreter
from tests.support.interpreter import STEPS_OF_10_MS

_DAY = timedelta(days=1)

FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")

INTERVALS = (
    *(1, 1, 1, 2, 3, 4, 5, 6, 7, 9, 11, 12, 13, 14, 27, 28, 29, 30, 31, 35, 36, 48, 52, 53, 73),
    *(84, 100, 104, 120, 146, 261, 365, 366, 400, 626, 773, 1200, 1461, 4800, 20871, 146097),
    *(10**9, 10**100),
)
"""Among them those that fall in with weeks, months, leap years and the calendar's 400 years."""

COSTLY_ZONES = (
    *("UTC", "Europe/Berlin", "Africa/Casablanca", "America/Godthab", "Antarctica/Troll"),
    *("Pacific/Apia", "Pacific/Kwajalein", "Pacific/Fakaofo", "Asia/Manila", "Asia/Gaza"),
)
"""Among them those with the most changes of clocks and those that left out a day."""

STARTS = (
    *(datetime(1900, 1, 1), datetime(1904, 2, 29), datetime(2000, 2, 29), datetime(2026, 1, 31)),  # noqa: DTZ001
    *(datetime(2026, 11, 30), datetime(2096, 12, 31), datetime(9598, 2, 28), datetime(9998, 1, 1)),  # noqa: DTZ001
)

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)

LEAD_MAX = BEFORE_DUE_MAX.longest


@dataclass(frozen=True)
class Candidate:
    """A rule in parts that can be changed one by one, with where and when it applies."""

    frequency: str
    interval: int
    months: tuple[str, ...] = ()
    month_days: tuple[str, ...] = ()
    weekdays: tuple[str, ...] = ()
    positions: tuple[str, ...] = ()
    week_start: str | None = None
    end: str | None = None
    start: datetime = STARTS[3]
    zone: str = "UTC"
    skip: Skip = Skip.BACKWARD

    @property
    def rule(self) -> str:
        parts = [f"FREQ={self.frequency}"]
        if self.interval > 1:
            parts.append(f"INTERVAL={self.interval}")
        for name, values in (
            ("BYMONTH", self.months),
            ("BYMONTHDAY", self.month_days),
            ("BYDAY", self.weekdays),
            ("BYSETPOS", self.positions),
        ):
            if values:
                parts.append(f"{name}={','.join(values)}")
        if self.week_start:
            parts.append(f"WKST={self.week_start}")
        if self.end:
            parts.append(self.end)
        return ";".join(parts)

    @property
    def series(self) -> Series:
        return Series(
            recurrence_rule=self.rule, start=self.start, timezone=self.zone, skip=self.skip
        )

    @property
    def is_allowed(self) -> bool:
        if len(self.rule) > RULE_MAX_CHARS:
            return False
        try:
            parse_rule(self.rule)
        except ValueError:
            return False
        return True


def _preview(series: Series) -> None:
    recurrence.preview(series, "UTC", limit=PREVIEW_MAX)


def _preview_later(series: Series) -> None:
    recurrence.preview(series, "UTC", after=NOW, limit=PREVIEW_MAX)


def _first_after(series: Series) -> None:
    Recurrence(series=series, zone="UTC").first_after(NOW)


def _after_completion(series: Series) -> None:
    followed = replace(series, mode=Mode.AFTER_COMPLETION)
    recurrence.next_after_completion(followed, NOW, "UTC")


def _due(series: Series) -> None:
    recurrence.due_occurrences(series, "UTC", since=NOW - 2 * LEAD_MAX, now=NOW, limit=SPAWNED_MAX)


def _latest_due(series: Series) -> None:
    missed = replace(series, missed=Missed.LATEST)
    recurrence.due_occurrences(missed, "UTC", since=NOW - 2 * LEAD_MAX, now=NOW, limit=SPAWNED_MAX)


def _made_until(series: Series) -> None:
    Recurrence(series=series, zone="UTC", lead=LEAD_MAX).made_until(NOW)


def _made_at(series: Series) -> None:
    Recurrence(series=series, zone="UTC", lead=LEAD_MAX).made_at(NOW)


WAYS: dict[str, Callable[[Series], None]] = {
    "preview": _preview,
    "preview from now on": _preview_later,
    "the first after now": _first_after,
    "the next after a completion": _after_completion,
    "what is due": _due,
    "the latest that is due": _latest_due,
    "until when to make": _made_until,
    "when to make one": _made_at,
}
"""Everything that is asked of a series, each as far as it is asked at most."""


_EACH_MONTH = tuple(str(number) for number in range(1, 13))
_EACH_DAY = tuple(str(number) for number in range(1, 32))

COSTLY: Sequence[tuple[Candidate, str]] = (
    (
        Candidate(
            frequency="YEARLY",
            interval=1,
            month_days=_EACH_DAY,
            weekdays=tuple(f"{number}{day}" for day in WEEKDAYS for number in (53, -53)),
            positions=("366",),
        ),
        "preview",
    ),
    (
        Candidate(
            frequency="YEARLY",
            interval=2,
            month_days=(*(f"-{day}" for day in _EACH_DAY), "23", "11", "2", "20"),
            weekdays=tuple(f"1{day}" for day in WEEKDAYS),
            positions=("-14",),
            start=datetime(1900, 1, 1, 2, 30),  # noqa: DTZ001 - local time
            skip=Skip.OMIT,
        ),
        "preview",
    ),
    (
        Candidate(
            frequency="MONTHLY",
            interval=1,
            months=_EACH_MONTH,
            month_days=("17",),
            weekdays=("-1FR", "15WE", "52WE", "29MO", "45FR", "17WE", *WEEKDAYS, "-5SU", "5WE"),
            positions=("27", "-53", "-4", "-19", "-9"),
            start=datetime(1904, 2, 29),  # noqa: DTZ001 - local time
            skip=Skip.OMIT,
        ),
        "preview",
    ),
    (
        Candidate(
            frequency="DAILY",
            interval=146098,
            months=_EACH_MONTH,
            start=datetime(1900, 1, 1),  # noqa: DTZ001 - local time
            zone="Asia/Manila",
        ),
        "preview",
    ),
    (
        Candidate(
            frequency="DAILY",
            interval=1,
            months=_EACH_MONTH,
            end="COUNT=1000000000",
            start=datetime(1900, 1, 1),  # noqa: DTZ001 - local time
            zone="Pacific/Apia",
        ),
        "the first after now",
    ),
    (
        Candidate(
            frequency="WEEKLY",
            interval=20871,
            months=("6",),
            weekdays=("TU",),
            positions=("1", "2"),
        ),
        "the next after a completion",
    ),
    (
        Candidate(
            frequency="WEEKLY",
            interval=146094,
            weekdays=("SU", "TU", "FR", "MO", "WE", "SA"),
            positions=(*_EACH_DAY, "-22", "-26", "53", "100", "200", "364", "366"),
            start=datetime(1900, 1, 1),  # noqa: DTZ001 - local time
        ),
        "preview",
    ),
)
"""The worst that searches have found, in each frequency; and the rule that took a second once."""

STEPS_MAX = STEPS_OF_10_MS
"""The worst rule found takes half of it."""


def steps_of(candidate: Candidate, way: str) -> int:
    """Count the instructions that the interpreter carries out for one answer about a new rule."""
    _forget()
    return interpreter.steps_of(lambda: WAYS[way](candidate.series))


def cpu_ms_of(candidate: Candidate, way: str) -> float:
    """Measure the CPU time of one answer about a new rule: the least of several runs."""

    def once() -> int:
        _forget()
        begun = process_time_ns()
        WAYS[way](candidate.series)
        return process_time_ns() - begun

    return min(once() for _ in range(3)) / 1e6


def _forget() -> None:
    parse_rule.cache_clear()
    expansion_of.cache_clear()


def a_candidate(rng: Random) -> Candidate:
    """Draw a rule that is allowed."""
    while True:
        candidate = Candidate(
            frequency=rng.choice(FREQUENCIES),
            interval=rng.choice(INTERVALS),
            start=_a_start(rng),
            zone=rng.choice(COSTLY_ZONES),
            skip=rng.choice(list(Skip)),
        )
        for _ in range(rng.randrange(8)):
            candidate = changed(candidate, rng)
        if candidate.is_allowed:
            return candidate


def changed(candidate: Candidate, rng: Random) -> Candidate:
    """Change one part of a rule that is allowed into another one that is."""
    for _ in range(50):
        other = rng.choice(_CHANGES)(candidate, rng)
        if other != candidate and other.is_allowed:
            return other
    return candidate


def climb(
    rng: Random, cost: Callable[[Candidate, str], float], *, changes: int
) -> tuple[Candidate, str]:
    """Make a random rule worse, change by change; return the rule and its worst question."""
    worst = a_candidate(rng)
    most, way = max((cost(worst, way), way) for way in WAYS)
    for _ in range(changes):
        other = changed(worst, rng)
        if rng.random() < 0.3:
            other = changed(other, rng)
        if (its := cost(other, way)) >= most:
            worst, most = other, its
    return worst, max(WAYS, key=lambda way: cost(worst, way))


def _a_start(rng: Random) -> datetime:
    start = rng.choice(STARTS)
    if rng.random() < 0.3:
        start = datetime(1900, 1, 1) + _DAY * rng.randrange(300_000)  # noqa: DTZ001 - local time
    return datetime.combine(start, time(rng.choice((0, 2, 9, 23)), rng.choice((0, 30))))


def _some(values: Sequence[str], old: tuple[str, ...], rng: Random) -> tuple[str, ...]:
    match rng.randrange(6):
        case 0:
            return ()
        case 1:
            return tuple(dict.fromkeys((*old, *values)))
        case 2:
            return (rng.choice(values),)
        case 3 if old:
            return tuple(each for each in old if rng.random() < 0.8)
        case _:
            return tuple(
                dict.fromkeys((*old, *rng.sample(values, min(len(values), rng.randint(1, 5)))))
            )


_LAST_DAYS = tuple(str(-number) for number in range(1, 32))
_POSITIONS = tuple(str(number) for number in (*range(1, 32), 52, 53, 100, 200, 364, 365, 366))


def _weekdays(old: tuple[str, ...], rng: Random) -> tuple[str, ...]:
    most = rng.choice((1, 5, 6, 53))
    numbers = rng.choice(
        (
            ("",),
            tuple(str(n) for n in range(1, most + 1)),
            tuple(str(-n) for n in range(1, most + 1)),
            (str(most), str(-most)),
        )
    )
    return _some([f"{number}{day}" for day in WEEKDAYS for number in numbers], old, rng)


def _an_end(rng: Random) -> str | None:
    count = rng.choice((2, 10, 1000, 10**5, 10**9))
    year = rng.choice((1, 1950, 2026, 2030, 9999))
    return rng.choice(
        (None, f"COUNT={count}", f"UNTIL={year:04}1231", f"UNTIL={year:04}1231T235959Z")
    )


_CHANGES: Sequence[Callable[[Candidate, Random], Candidate]] = (
    lambda old, rng: replace(old, frequency=rng.choice(FREQUENCIES)),
    lambda old, rng: replace(old, interval=rng.choice(INTERVALS)),
    lambda old, rng: replace(old, interval=max(1, old.interval + rng.choice((-1, 1)))),
    lambda old, rng: replace(old, months=_some(_EACH_MONTH, old.months, rng)),
    lambda old, rng: replace(old, month_days=_some(_EACH_DAY, old.month_days, rng)),
    lambda old, rng: replace(old, month_days=_some(_LAST_DAYS, old.month_days, rng)),
    lambda old, rng: replace(old, weekdays=_weekdays(old.weekdays, rng)),
    lambda old, rng: replace(old, weekdays=_weekdays(old.weekdays, rng)),
    lambda old, rng: replace(old, positions=_some(_POSITIONS, old.positions, rng)),
    lambda old, rng: replace(
        old, positions=_some([f"-{each}" for each in _POSITIONS], old.positions, rng)
    ),
    lambda old, rng: replace(old, positions=(rng.choice(_POSITIONS),)),
    lambda old, rng: replace(old, week_start=rng.choice((None, *WEEKDAYS))),
    lambda old, rng: replace(old, end=_an_end(rng)),
    lambda old, rng: replace(old, start=_a_start(rng)),
    lambda old, rng: replace(old, zone=rng.choice(COSTLY_ZONES)),
    lambda old, rng: replace(old, skip=rng.choice(list(Skip))),
)
