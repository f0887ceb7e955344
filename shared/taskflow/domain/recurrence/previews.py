"""The preview of a series: its next occurrences, and which times are moved or skipped, and why."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import chain, islice

from taskflow.domain.recurrence.expansion import Skip, first_day, has_day
from taskflow.domain.recurrence.recurrence_set import Instances, local_time
from taskflow.domain.recurrence.series import Series


class Fate(StrEnum):
    """How a time that the rule selects is handled."""

    KEPT = "kept"
    MOVED = "moved"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Previewed:
    """A time that the rule selects, and the reason if it is moved or skipped.

    `local` (wall time) and `at` (the instant) are None for a skipped one.
    """

    local: datetime | None
    at: datetime | None
    fate: Fate
    reason: str | None


def preview(
    series: Series, user_zone: str, *, after: datetime | None = None, limit: int
) -> Sequence[Previewed]:
    """Return the next `limit` occurrences, and between them at most as many that are skipped.

    A series that follows completions is shown as if each were completed on its day.
    """
    instances = Instances.of(series, user_zone)
    times = list(islice(instances.times(after), limit))
    wall_times = {at: at.astimezone(instances.zone).replace(tzinfo=None, fold=0) for at in times}
    days = {local.toordinal() for local in wall_times.values()}
    begin = instances.start
    if after is not None and after > instances.first:
        begin = local_time(after, instances.zone.key).toordinal()
    is_all = len(times) < limit
    end = instances.last if is_all and instances.count is None else max(days, default=begin)
    moved: dict[int, str] = {}
    skipped: list[tuple[int, Previewed]] = []
    end = max(begin, end)
    # What moves stays in its year; what is left out may be in any.
    years: Iterable[int] = sorted({local.year for local in wall_times.values()})
    if not instances.expansion.may_lack:
        years = ()
    elif series.skip is Skip.OMIT:
        years = range(date.fromordinal(begin).year, date.fromordinal(end).year + 1)
    lacking = _lacking(instances, years, begin, end)
    if series.skip is Skip.OMIT:
        lacking = islice(lacking, limit)
    for each in chain(lacking, _vanished(instances, begin, end)):
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
        reason = moved.get(day) or instances.gap(day, local)
        fate = Fate.MOVED if reason else Fate.KEPT
        rows.append((day, Previewed(local=local, at=at, fate=fate, reason=reason)))
    return [row for _, row in sorted(rows, key=lambda row: row[0])]


@dataclass(frozen=True, slots=True, kw_only=True)
class _MissingDay:
    """A day that the rule selects and that does not exist, as `MissingDate`, by ordinals."""

    near: int
    day: int | None
    is_shared: bool
    reason: str


def _lacking(
    instances: Instances, years: Iterable[int], begin: int, end: int
) -> Iterator[_MissingDay]:
    """Give the days after `begin` and up to `end` that the rule selects and their months lack."""
    for year in years:
        first = first_day(year)
        for each in instances.expansion.lacking(year):
            near = first + each.near
            if begin < near <= end:
                on = date.fromordinal(near)
                yield _MissingDay(
                    near=near,
                    day=None if each.day is None else first + each.day,
                    is_shared=each.is_shared,
                    reason=f"{on.year:04}-{on.month:02} has no day {each.month_day}",
                )


def _vanished(instances: Instances, begin: int, end: int) -> Iterator[_MissingDay]:
    """Give the days after `begin` and up to `end` that the rule selects and the zone lacks."""
    for day in instances.vanished:
        if begin < day <= end and has_day(instances.expansion, day):
            yield _MissingDay(
                near=day,
                day=day + 1,
                is_shared=has_day(instances.expansion, day + 1),
                reason=f"{date.fromordinal(day)} does not exist in {instances.zone.key}",
            )


def _skipped(reason: str) -> Previewed:
    return Previewed(local=None, at=None, fate=Fate.SKIPPED, reason=reason)
