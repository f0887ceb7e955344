"""How far ahead of their time the occurrences of a series are created."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile

from taskflow.domain.recurrence.recurrence_set import Instances, next_occurrence, start_at
from taskflow.domain.recurrence.series import Mode, Series

AHEAD_MAX = 31
"""How many occurrences of one series exist before their time: a daily one with a month's lead."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """A series in its zone, with its lead time and how many occurrences were made.

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
        """Return up to which time the occurrences are to exist at `now`."""
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
        instances = Instances.of(self.series, self.zone)
        return instances.times(max(at, instances.first))

    def first_after(self, now: datetime) -> datetime | None:
        """Return the first occurrence to create after `now`, which is never the start.

        None where there are no more, and where occurrences follow completions.
        """
        if self.series.mode is Mode.AFTER_COMPLETION:
            return None
        after = max(now, start_at(self.series, self.zone))
        return next_occurrence(self.series, self.zone, after=after)
