"""Statistics of a user's tasks: what is open and overdue, what was completed on each day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field
from typing_extensions import TypedDict

from taskflow.domain.representations import Priority

DAYS_DEFAULT = 30
DAYS_MAX = 366
"""Of how many days, today included, completed tasks are counted."""

TAGGED_MAX = 10_000
"""Of how many open tasks the tags are counted, for each task has to be read for its own."""

TAGS_MAX = 100
"""How many tags are shown with their counts; more can't be looked over."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many tasks are open, by priority, and overdue; and how many were completed on each day.

    `completed` begins with the first day.
    """

    open: Mapping[Priority, int]
    overdue: int
    completed: Sequence[int]


class OpenByPriority(TypedDict):
    """How many open tasks have each priority."""

    low: Annotated[int, Field(description="Those of low priority.")]
    medium: Annotated[int, Field(description="Those of medium priority.")]
    high: Annotated[int, Field(description="Those of high priority.")]
    urgent: Annotated[int, Field(description="Those that are urgent.")]


class CompletedOnDay(TypedDict):
    """How many tasks were completed on one day."""

    date: Annotated[
        str, Field(json_schema_extra={"format": "date"}, description="The day, `YYYY-MM-DD`.")
    ]
    count: Annotated[int, Field(description="How many.")]


class OpenWithTag(TypedDict):
    """How many open tasks have one tag."""

    tag: Annotated[str, Field(description="The tag.")]
    count: Annotated[int, Field(description="How many.")]


class StatisticsRepresentation(TypedDict):
    """A user's tasks in numbers, without those that were deleted."""

    open_by_priority: Annotated[
        OpenByPriority, Field(description="The tasks that are pending or in progress.")
    ]
    overdue: Annotated[int, Field(description="Those of them whose due date has passed.")]
    completed_per_day: Annotated[
        list[CompletedOnDay],
        Field(
            description="The last days in the user's zone, today last: how many of the tasks that "
            "are completed were so on each."
        ),
    ]
    open_by_tag: Annotated[
        list[OpenWithTag],
        Field(
            description=(
                f"The tags of the open tasks, the most used first, at most {TAGS_MAX}; of more "
                f"than {TAGGED_MAX:,} open tasks, those of the most urgent ones."
            )
        ),
    ]
    timezone: Annotated[str, Field(description="The user's IANA zone, in which days begin.")]


def last_days(zone: str, *, days: int = DAYS_DEFAULT, now: datetime) -> list[date]:
    """Return the last days in a zone, today last."""
    today = now.astimezone(ZoneInfo(zone)).date()
    return [today - number * _DAY for number in reversed(range(days))]


def bounds(days: Sequence[date], zone: str) -> list[datetime]:
    """Return the instants at which the days begin in a zone, and that at which the last one ends.

    Where the clock is put forward at midnight, a day begins at one o'clock.
    """
    local_zone = ZoneInfo(zone)
    midnights = [datetime.combine(day, time.min, local_zone) for day in [*days, days[-1] + _DAY]]
    return [midnight.astimezone(UTC) for midnight in midnights]


def represent(
    counts: Counts, tags: Mapping[str, int], days: Sequence[date], zone: str
) -> StatisticsRepresentation:
    """Return the statistics as answers show them; `tags` says how many open tasks have each."""
    of = counts.open
    return {
        "open_by_priority": {
            "low": of.get(Priority.LOW, 0),
            "medium": of.get(Priority.MEDIUM, 0),
            "high": of.get(Priority.HIGH, 0),
            "urgent": of.get(Priority.URGENT, 0),
        },
        "overdue": counts.overdue,
        "completed_per_day": [
            {"date": day.isoformat(), "count": count}
            for day, count in zip(days, counts.completed, strict=True)
        ],
        "open_by_tag": [{"tag": tag, "count": count} for tag, count in tags.items()],
        "timezone": zone,
    }
