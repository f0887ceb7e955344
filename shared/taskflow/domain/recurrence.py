"""Series: when the occurrences of a recurring task are due, in local time and in UTC.

The days come from the rule, the time of day from the start, and only then does the time zone turn
both into an instant: "every Monday at 9" stays at 9. The start is the task itself, and so always
the first occurrence, whether the rule matches it or not.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import chain, islice, takewhile
from zoneinfo import ZoneInfo

from taskflow.domain.recurrence_days import (
    LAST_DAY,
    Plan,
    Skip,
    count_between,
    days_between,
    first_day,
    has_day,
    plan_of,
)
from taskflow.domain.recurrence_rules import Rule, parse_rule

MISSED_AFTER = timedelta(minutes=5)
"""What is later than this was missed: requirement R8 gives the scheduler no longer."""

START_MIN = datetime(2, 1, 1)  # noqa: DTZ001 - local time
START_MAX = datetime(9999, 12, 1)  # noqa: DTZ001 - local time
"""Python can express the instants and the weeks around what lies between these."""

AHEAD_MAX = 31
"""How many occurrences of one series exist before their time: a daily one with a month's lead."""

_DAY = timedelta(days=1)


class Mode(StrEnum):
    """What the next occurrence is computed from: the rule alone, or the completion of the last."""

    SCHEDULE = "schedule"
    AFTER_COMPLETION = "after_completion"


class Missed(StrEnum):
    """Which occurrences are made up for after an outage."""

    ALL = "all"
    LATEST = "latest"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A recurring task's rule with all that is needed to carry it out.

    `start` is local wall time, without an offset; `timezone` is the IANA zone it is in, None for
    the user's own. Raises ValueError for a rule that is not supported or a start out of range.
    """

    recurrence_rule: str
    start: datetime
    timezone: str | None = None
    mode: Mode = Mode.SCHEDULE
    missed: Missed = Missed.ALL
    skip: Skip = Skip.BACKWARD

    def __post_init__(self) -> None:
        parse_rule(self.recurrence_rule)
        if self.start.tzinfo is not None:
            raise ValueError("start must be local time, without an offset")
        if not START_MIN <= self.start <= START_MAX:
            raise ValueError(f"start must lie from {START_MIN.date()} to {START_MAX.date()}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """A series as a task carries it.

    `zone` is the series' own, or its user's. An occurrence is created `lead` before its time, but
    no more than AHEAD_MAX are ahead of now; `led_since` is when that lead was set. `made` counts
    the occurrences that completions have made, for COUNT.
    """

    series: Series
    zone: str
    lead: timedelta = timedelta(0)
    made: int = 0
    led_since: datetime | None = None

    def made_until(self, now: datetime) -> datetime:
        """Return up to which time occurrences are to exist at an instant."""
        if self.lead < AHEAD_MAX * _DAY:
            # No rule repeats within a day.
            return now + self.lead
        last = now + self.lead
        # No further than needed: a rule may give few in a century.
        ahead = takewhile(lambda at: at <= last, self._made_after(now))
        return next(islice(ahead, AHEAD_MAX - 1, None), last)

    def made_at(self, occurrence: datetime) -> datetime:
        """Return when an occurrence is to be created."""
        earliest = occurrence - self.lead
        if self.lead < AHEAD_MAX * _DAY:
            return earliest
        before = takewhile(lambda at: at < occurrence, self._made_after(earliest))
        last = deque(before, maxlen=AHEAD_MAX)
        return last[0] if len(last) == AHEAD_MAX else earliest

    def _made_after(self, at: datetime) -> Iterator[datetime]:
        course = _Course.of(self.series, self.zone)
        return course.times(max(at, course.first))

    def first_after(self, now: datetime) -> datetime | None:
        """Return the first occurrence to create after an instant; never the task itself.

        None where there are no more, and where they follow completions.
        """
        if self.series.mode is Mode.AFTER_COMPLETION:
            return None
        after = max(now, start_at(self.series, self.zone))
        return next_occurrence(self.series, self.zone, after=after)


class Fate(StrEnum):
    """What becomes of a time that the rule asks for."""

    KEPT = "kept"
    MOVED = "moved"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Previewed:
    """A time that the rule asks for, and why it is not what the rule says, if it is not.

    `local` (wall time) and `at` (the instant) are None for one that is skipped.
    """

    local: datetime | None
    at: datetime | None
    fate: Fate
    reason: str | None


def local_time(at: datetime, zone: str) -> datetime:
    """Return the wall time of an instant in a zone, as the start of a series is given."""
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


def in_new_zone(at: datetime, *, old: str, new: str) -> datetime:
    """Return the instant that has in the new zone the wall time that `at` has in the old one."""
    local = local_time(at, old)
    return _instant(local.toordinal(), local.time(), ZoneInfo(new))


def start_at(series: Series, user_zone: str) -> datetime:
    """Return the instant of the first occurrence, which is the task itself."""
    return _Course.of(series, user_zone).first


def occurrences(
    series: Series, user_zone: str, *, after: datetime | None = None, limit: int
) -> Sequence[datetime]:
    """Return the first `limit` occurrences after an instant, or from the start on, in UTC.

    The mode does not matter: these are the times that the rule and its start ask for.
    """
    return list(islice(_Course.of(series, user_zone).times(after), limit))


def next_occurrence(series: Series, user_zone: str, *, after: datetime) -> datetime | None:
    """Return the first occurrence after an instant, in UTC; None where there are no more.

    The task itself, at the start, counts as one. The mode does not matter.
    """
    return next(_Course.of(series, user_zone).times(after), None)


def next_after_completion(
    series: Series,
    completed_at: datetime,
    user_zone: str,
    *,
    previous: datetime | None = None,
    number: int = 1,
) -> datetime | None:
    """Return when the next is due after an occurrence was completed; None where it was the last.

    The rule starts anew on the day of the completion, at the time of day of the series, and the
    next is on a later day. It is also later than `previous`, when the completed one was due, so
    that one completed early is not made again. `number` says which one that was, for COUNT: the
    task itself is 1.
    """
    rule = parse_rule(series.recurrence_rule)
    if rule.count is not None and number >= rule.count:
        return None
    completed_on = local_time(completed_at, series.timezone or user_zone).date()
    restarted = replace(series, start=datetime.combine(completed_on, series.start.time()))
    course = replace(_Course.of(restarted, user_zone), count=None)
    after = course.first if previous is None else max(course.first, previous)
    return next(course.times(after), None)


def due_occurrences(
    series: Series,
    user_zone: str,
    *,
    since: datetime,
    now: datetime,
    until: datetime | None = None,
    limit: int | None = None,
) -> Sequence[datetime]:
    """Return the occurrences to create at `now`, the first of them after `since`, in UTC.

    Those up to `until` are among them, by default `now`; the task itself is not, for it exists.
    What was missed is dropped as the series says. Where there are `limit`, go on from the last.
    A series that follows completions has none: its next one is made by the completion.
    """
    if series.mode is Mode.AFTER_COMPLETION:
        return []
    course = _Course.of(series, user_zone)
    after = max(since, course.first)
    if series.missed is Missed.SKIP:
        after = max(after, now - MISSED_AFTER - timedelta.resolution)
    last = until or now
    due: Iterator[datetime] = takewhile(lambda at: at <= last, course.times(after))
    if series.missed is Missed.LATEST:
        all_due = list(due)
        past = [at for at in all_due if at <= now]
        due = iter([*past[-1:], *all_due[len(past) :]])
    return list(islice(due, limit))


def preview(
    series: Series, user_zone: str, *, after: datetime | None = None, limit: int
) -> Sequence[Previewed]:
    """Return the next `limit` occurrences, and between them at most as many that are skipped.

    A series that follows completions is shown as if each were completed on its day.
    """
    course = _Course.of(series, user_zone)
    times = list(islice(course.times(after), limit))
    wall_times = {at: at.astimezone(course.zone).replace(tzinfo=None, fold=0) for at in times}
    days = {local.toordinal() for local in wall_times.values()}
    begin = course.start
    if after is not None and after > course.first:
        begin = local_time(after, course.zone.key).toordinal()
    is_all = len(times) < limit
    end = course.last if is_all and course.count is None else max(days, default=begin)
    moved: dict[int, str] = {}
    skipped: list[tuple[int, Previewed]] = []
    end = max(begin, end)
    # What moves stays in its year; what is left out may be in any.
    years: Iterable[int] = sorted({local.year for local in wall_times.values()})
    if not course.plan.may_lack:
        years = ()
    elif series.skip is Skip.OMIT:
        years = range(date.fromordinal(begin).year, date.fromordinal(end).year + 1)
    lacking = _lacking(course, years, begin, end)
    if series.skip is Skip.OMIT:
        lacking = islice(lacking, limit)
    for each in chain(lacking, _vanished(course, begin, end)):
        if each.day is None:
            skipped.append((each.near, _skipped(each.reason)))
        elif each.day not in days:
            continue
        elif each.is_shared or each.day in moved:
            on = date.fromordinal(each.day)
            reason = f"{each.reason}, and {on} is an occurrence already"
            skipped.append((each.near, _skipped(reason)))
        else:
            moved[each.day] = each.reason
    rows = skipped[:limit]
    for at, local in wall_times.items():
        day = local.toordinal()
        reason = moved.get(day) or course.gap(day, local)
        fate = Fate.MOVED if reason else Fate.KEPT
        rows.append((day, Previewed(local=local, at=at, fate=fate, reason=reason)))
    return [row for _, row in sorted(rows, key=lambda row: row[0])]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exception:
    """A day that the rule asks for and that does not exist, as `Lacking`."""

    near: int
    day: int | None
    is_shared: bool
    reason: str


def _lacking(course: "_Course", years: Iterable[int], begin: int, end: int) -> Iterator[_Exception]:
    """Give the days after `begin` and up to `end` that the rule asks for and their months lack."""
    for year in years:
        first = first_day(year)
        for each in course.plan.lacking(year):
            near = first + each.near
            if begin < near <= end:
                on = date.fromordinal(near)
                yield _Exception(
                    near=near,
                    day=None if each.day is None else first + each.day,
                    is_shared=each.is_shared,
                    reason=f"{on.year:04}-{on.month:02} has no day {each.month_day}",
                )


def _vanished(course: "_Course", begin: int, end: int) -> Iterator[_Exception]:
    """Give the days after `begin` and up to `end` that the rule asks for and the zone lacks."""
    for day in course.vanished:
        if begin < day <= end and has_day(course.plan, day):
            yield _Exception(
                near=day,
                day=day + 1,
                is_shared=has_day(course.plan, day + 1),
                reason=f"{date.fromordinal(day)} does not exist in {course.zone.key}",
            )


def _skipped(reason: str) -> Previewed:
    return Previewed(local=None, at=None, fate=Fate.SKIPPED, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    """A series in one zone; `start` and `last` are days by the rule, before the zone moves any."""

    plan: Plan
    start: int
    time: time
    zone: ZoneInfo
    count: int | None
    last: int
    vanished: frozenset[int]

    @classmethod
    def of(cls, series: Series, user_zone: str) -> "_Course":
        rule = parse_rule(series.recurrence_rule)
        zone = ZoneInfo(series.timezone or user_zone)
        start = series.start.date()
        at_time = series.start.time().replace(fold=0)
        return cls(
            plan=plan_of(series.recurrence_rule, start, series.skip),
            start=start.toordinal(),
            time=at_time,
            zone=zone,
            count=rule.count,
            last=_last_day(rule, at_time, zone),
            vanished=_vanished_days(zone),
        )

    @property
    def first(self) -> datetime:
        return self._at(self.start)

    def times(self, after: datetime | None) -> Iterator[datetime]:
        """Give the occurrences after an instant, or all, in UTC."""
        first = self.first
        day = self.start + 1
        if after is None or after < first:
            yield first
        else:
            try:
                # The zone moves a day to the next one at most, so the day before may still count.
                day = max(day, after.astimezone(self.zone).toordinal() - 1)
            except OverflowError:
                return
        for each in self._days(day):
            if (at := self._at(each)) > (after or first):
                yield at

    def gap(self, day: int, local: datetime) -> str | None:
        """Say why the wall time of an occurrence is not what the rule says, if it is not."""
        if local.time() == self.time:
            return None
        wanted = datetime.combine(date.fromordinal(day), self.time)
        if wanted > local:
            # Nuuk leaves out the last hour of a day.
            wanted -= _DAY
        return f"{wanted.isoformat(' ', 'minutes')} does not exist in {self.zone.key}"

    def _days(self, day: int) -> Iterator[int]:
        if day - 1 in self.vanished:
            day -= 1
        number = self._number_before(day)
        previous = self._existing(self.start)
        for wanted in days_between(self.plan, day, self.last + 1):
            if self.count is not None and number >= self.count:
                return
            existing = self._existing(wanted)
            if existing > previous:
                previous = existing
                number += 1
                yield existing

    def _number_before(self, day: int) -> int:
        """Return how many occurrences lie before a day, if that matters, else 1."""
        if self.count is None:
            return 1
        number = 1 + count_between(self.plan, self.start + 1, day)
        for each in self.vanished:
            is_wanted = each == self.start or (each > self.start and has_day(self.plan, each))
            if is_wanted and each + 1 < day and has_day(self.plan, each + 1):
                # Both are one.
                number -= 1
        return number

    def _existing(self, day: int) -> int:
        return day + 1 if day in self.vanished else day

    def _at(self, day: int) -> datetime:
        # PEP 495: with fold 0 a time in a gap moves by its length, and of two the first is taken.
        return _instant(day, self.time, self.zone)


def _instant(day: int, at_time: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(date.fromordinal(day), at_time, zone).astimezone(UTC)


def _last_day(rule: Rule, at_time: time, zone: ZoneInfo) -> int:
    """Return the last day that UNTIL allows; a date alone allows all of its day."""
    until = rule.until
    if until is None or until.year > START_MAX.year - 1:
        return LAST_DAY
    if not isinstance(until, datetime):
        return until.toordinal()
    if until.tzinfo is None:
        return until.toordinal() - (at_time > until.time())
    if until.year < START_MIN.year:
        return 0
    day = until.astimezone(zone).toordinal() + 1
    while _instant(day, at_time, zone) > until:
        day -= 1
    return day


@lru_cache(maxsize=1024)
def _vanished_days(zone: ZoneInfo) -> frozenset[int]:
    """Return the days that a zone left out when it moved over the date line, as Apia did in 2011.

    A time on such a day is the same instant as that time on the next day. From 2037 on zones have
    only rules that repeat every year.
    """
    return frozenset(
        day
        for year in range(1840, 2038)
        if _offset(date(year + 1, 1, 2), zone) - _offset(date(year, 1, 2), zone) > _DAY / 2
        for day in range(date(year, 1, 2).toordinal(), date(year + 1, 1, 2).toordinal())
        if _offset(date.fromordinal(day + 1), zone) - _offset(date.fromordinal(day), zone) == _DAY
    )


def _offset(on: date, zone: ZoneInfo) -> timedelta:
    return datetime.combine(on, time(12), zone).utcoffset() or timedelta(0)
