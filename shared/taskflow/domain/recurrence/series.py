"""Series: a recurrence rule with its start in wall time, and how its occurrences are made."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from taskflow.domain.recurrence.expansion import Skip
from taskflow.domain.recurrence.rule import parse_rule

START_MIN = datetime(2, 1, 1)  # noqa: DTZ001 - local time
START_MAX = datetime(9999, 12, 1)  # noqa: DTZ001 - local time
"""Between these Python can express every instant, and the weeks around it."""


class Mode(StrEnum):
    """From what the next occurrence is computed: the rule alone, or the last one's completion."""

    SCHEDULE = "schedule"
    AFTER_COMPLETION = "after_completion"


class Missed(StrEnum):
    """Which occurrences are made up for after an outage."""

    ALL = "all"
    LATEST = "latest"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A recurrence rule, with what determines its occurrences.

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
