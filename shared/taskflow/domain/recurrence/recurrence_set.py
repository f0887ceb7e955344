"""The recurrence set of a series (RFC 5545 3.8.5.3): its occurrences, in local time and in UTC.

The days come from the rule, the time of day from the start, and only then does the time zone turn
both into an instant: "every Monday at 9" stays at 9. The start is always the first occurrence
(RFC 5545 3.8.2.4), whether the rule matches it or not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from taskflow.domain.recurrence.expansion import (
    LAST_DAY,
    Expansion,
    count_between,
    days_between,
    expansion_of,
    has_day,
)
from taskflow.domain.recurrence.rule import Rule, parse_rule
from taskflow.domain.recurrence.series import START_MAX, START_MIN, Missed, Mode, Series

MISSED_AFTER = timedelta(minutes=5)
"""An occurrence that is created later than this was missed: R8 gives the scheduler no longer."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instances:
    """The instances of a series in one zone: its occurrences, the start first.

    `start` and `last` are days by the rule, before the zone moves any; `vanished` are the days that
    the zone left out.
    """

    expansion: Expansion
    start: int
    time: time
    zone: ZoneInfo
    count: int | None
    last: int
    vanished: frozenset[int]

    @classmethod
    def of(cls, series: Series, user_zone: str) -> "Instances":
        """Return the instances of a series, in its own zone or its user's."""
        rule = parse_rule(series.recurrence_rule)
        zone = ZoneInfo(series.timezone or user_zone)
        start = series.start.date()
        at_time = series.start.time().replace(fold=0)
        return cls(
            expansion=expansion_of(series.recurrence_rule, start, series.skip),
            start=start.toordinal(),
            time=at_time,
            zone=zone,
            count=rule.count,
            last=_last_day(rule, at_time, zone),
            vanished=_vanished_days(zone),
        )

    @property
    def first(self) -> datetime:
        """Return the instant of the start, which is the first occurrence."""
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

    def count_from(self, at: datetime) -> int | None:
        """Return how many occurrences COUNT leaves, from the one at `at` on; None without COUNT."""
        if self.count is None or at <= self.first:
            return self.count
        return self.count - self._number_before(at.astimezone(self.zone).toordinal())

    def gap(self, day: int, local: datetime) -> str | None:
        """Return why the wall time of an occurrence is not the series' own, None where it is."""
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
        for wanted in days_between(self.expansion, day, self.last + 1):
            if self.count is not None and number >= self.count:
                return
            existing = self._existing(wanted)
            if existing > previous:
                previous = existing
                number += 1
                yield existing

    def _number_before(self, day: int) -> int:
        """Return how many occurrences lie before a day, for COUNT; 1 for a rule without COUNT."""
        if self.count is None:
            return 1
        number = 1 + count_between(self.expansion, self.start + 1, day)
        for each in self.vanished:
            is_wanted = each == self.start or (each > self.start and has_day(self.expansion, each))
            if is_wanted and each + 1 < day and has_day(self.expansion, each + 1):
                # Both are one.
                number -= 1
        return number

    def _existing(self, day: int) -> int:
        return day + 1 if day in self.vanished else day

    def _at(self, day: int) -> datetime:
        # PEP 495: with fold 0 a time in a gap moves by its length, and of two the first is taken.
        return _instant(day, self.time, self.zone)


def local_time(at: datetime, zone: str) -> datetime:
    """Return the wall time of an instant in a zone, as the start of a series is given."""
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


def in_new_zone(at: datetime, *, old: str, new: str) -> datetime:
    """Return the instant that has in the new zone the wall time that `at` has in the old one."""
    local = local_time(at, old)
    return _instant(local.toordinal(), local.time(), ZoneInfo(new))


def start_at(series: Series, user_zone: str) -> datetime:
    """Return the instant of the first occurrence, which is the start."""
    return Instances.of(series, user_zone).first


def occurrences(
    series: Series, user_zone: str, *, after: datetime | None = None, limit: int
) -> Sequence[datetime]:
    """Return the first `limit` occurrences after an instant, or from the start on, in UTC.

    The mode does not matter: these are the times that the rule and its start ask for.
    """
    return list(islice(Instances.of(series, user_zone).times(after), limit))


def count_from(series: Series, user_zone: str, at: datetime) -> int | None:
    """Return how many occurrences COUNT leaves, from the one at `at` on; None without COUNT."""
    return Instances.of(series, user_zone).count_from(at)


def next_occurrence(series: Series, user_zone: str, *, after: datetime) -> datetime | None:
    """Return the first occurrence after an instant, in UTC; None where there are no more.

    The start counts as one. The mode does not matter.
    """
    return next(Instances.of(series, user_zone).times(after), None)


def next_after_completion(
    series: Series,
    completed_at: datetime,
    user_zone: str,
    *,
    previous: datetime | None = None,
    number: int = 1,
) -> datetime | None:
    """Return the occurrence that follows a completion; None where the completed one was the last.

    The rule starts anew on the day of the completion, at the time of day of the series, and the
    next occurrence is on a later day. It is also later than `previous`, when the completed one was
    due, so that one completed early is not made again. `number` is that of the completed one, for
    COUNT: the start is 1.
    """
    rule = parse_rule(series.recurrence_rule)
    if rule.count is not None and number >= rule.count:
        return None
    completed_on = local_time(completed_at, series.timezone or user_zone).date()
    restarted = replace(series, start=datetime.combine(completed_on, series.start.time()))
    instances = replace(Instances.of(restarted, user_zone), count=None)
    after = instances.first if previous is None else max(instances.first, previous)
    return next(instances.times(after), None)


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

    Occurrences up to `until`, by default `now`, are among them; the start is not, for it exists.
    Missed ones are dropped as the series says. Where `limit` are returned, call again with the last
    as `since`. A series that follows completions has none: the completion makes the next.
    """
    if series.mode is Mode.AFTER_COMPLETION:
        return []
    instances = Instances.of(series, user_zone)
    after = max(since, instances.first)
    if series.missed is Missed.SKIP:
        after = max(after, now - MISSED_AFTER - timedelta.resolution)
    last = until or now
    due: Iterator[datetime] = takewhile(lambda at: at <= last, instances.times(after))
    if series.missed is Missed.LATEST:
        all_due = list(due)
        past = [at for at in all_due if at <= now]
        due = iter([*past[-1:], *all_due[len(past) :]])
    return list(islice(due, limit))


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
