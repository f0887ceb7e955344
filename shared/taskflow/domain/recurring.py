"""Recurring tasks: setting and ending a series, and the occurrences that it makes.

A series lives in its recurring task, whose events record it; an occurrence is a task of its own.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from taskflow.domain import tasks
from taskflow.domain.content import WHOLE, Content, examples
from taskflow.domain.errors import FieldError, InvalidContent, NoRecurrence
from taskflow.domain.event_data import OccurrenceSpawned, RecurrenceSet, SeriesData
from taskflow.domain.events import EventType, NewEvent
from taskflow.domain.identifiers import IdText, new_id
from taskflow.domain.recurrence import (
    Fate,
    Missed,
    Mode,
    Previewed,
    Recurrence,
    RuleText,
    Series,
    Skip,
    due_occurrences,
    in_new_zone,
    local_time,
    next_after_completion,
    preview,
    start_at,
)
from taskflow.domain.reminders import Reminder, lead_time_of
from taskflow.domain.tasks import Changed, Status, Task
from taskflow.domain.text import JsonObject, compact_json
from taskflow.domain.times import MICROSECOND, Time, TimeText, TimeZone, rfc3339

SPAWNED_MAX = 100
"""Of one series in one transaction; what is left of an outage comes in the next."""

START_YEARS = range(1900, 9999)
"""From before any task was due, for with COUNT occurrences are counted from the start."""

_HALF_A_DAY = timedelta(hours=12)

PREVIEW_DEFAULT, PREVIEW_MAX = 10, 100


_RANGE = "must lie from 1900 to 9998"


def _in_range(start: datetime) -> datetime:
    if start.year not in START_YEARS:
        raise PydanticCustomError("start_range", _RANGE)
    return start


class RecurrenceDraft(Content):
    """What a client sends to make a task recur.

    `start` is the time of the first occurrence, the task itself: by default its due date, else now.
    A series without a `timezone` of its own follows its user's.
    """

    model_config = examples(
        {"recurrence_rule": "FREQ=WEEKLY;BYDAY=MO,TH", "timezone": "Europe/Berlin"},
        {"recurrence_rule": "FREQ=MONTHLY;BYMONTHDAY=31", "skip": "omit", "missed": "latest"},
    )

    recurrence_rule: RuleText
    start: (
        Annotated[
            Time,
            AfterValidator(_in_range),
            Field(
                description="When the first occurrence is, the task itself; from 1900 to 9998. By"
                " default the due date, else now."
            ),
        ]
        | None
    ) = None
    timezone: TimeZone | None = None
    mode: Annotated[Mode, Field(strict=False)] = Mode.SCHEDULE
    missed: Annotated[Missed, Field(strict=False)] = Missed.ALL
    skip: Annotated[Skip, Field(strict=False)] = Skip.BACKWARD

    def series(self, user_zone: str, *, start: datetime) -> Recurrence:
        """Make the series; `start` is the instant to begin with where the client names none.

        Raises InvalidContent where that is none that a series can begin with.
        """
        if self.start is None and start.year not in START_YEARS:
            raise InvalidContent(FieldError("/start", f"{_RANGE}, and the due date does not"))
        zone = self.timezone or user_zone
        return Recurrence(
            series=Series(
                recurrence_rule=self.recurrence_rule,
                start=local_time(self.start or start, zone),
                timezone=self.timezone,
                mode=self.mode,
                missed=self.missed,
                skip=self.skip,
            ),
            zone=zone,
        )


class PreviewDraft(RecurrenceDraft):
    """What a client sends to see the occurrences of a series that is not set yet."""

    limit: Annotated[
        int,
        Field(ge=1, le=PREVIEW_MAX, description="How many occurrences to show."),
        WHOLE,
    ] = PREVIEW_DEFAULT


class SeriesRepresentation(SeriesData):
    """The series of a task as answers show it; `local_start` is a wall time in its zone."""

    task_id: Annotated[IdText, Field(description="The task that recurs.")]
    next_occurrence: Annotated[
        TimeText | None, Field(description="The time of the next occurrence; null after the last.")
    ]


class PreviewedRepresentation(TypedDict):
    """One occurrence of a series that is not set yet, or what was skipped in its place.

    `local` is a wall time in the zone of the series, `reason` a sentence.
    """

    local: Annotated[str | None, Field(description="The time as the clock of its zone shows it.")]
    utc: Annotated[TimeText | None, Field(description="The time; null where it is skipped.")]
    fate: Annotated[Fate, Field(description="Whether it is kept, moved or skipped.")]
    reason: Annotated[str | None, Field(description="Why it is not kept.")]


def represent(task: Task) -> SeriesRepresentation:
    """Return the series of a task. Raises NoRecurrence."""
    if task.recurrence is None:
        raise NoRecurrence
    next_at = task.next_occurrence
    return {
        "task_id": str(task.id),
        **represent_series(task.recurrence),
        "next_occurrence": next_at and rfc3339(next_at),
    }


def represent_series(recurrence: Recurrence) -> SeriesData:
    """Return a series as the events of its task show it."""
    series = recurrence.series
    return {
        "recurrence_rule": series.recurrence_rule,
        "start": rfc3339(start_at(series, recurrence.zone)),
        "local_start": series.start.isoformat(),
        "timezone": series.timezone,
        "mode": series.mode,
        "missed": series.missed,
        "skip": series.skip,
    }


def represent_preview(
    draft: PreviewDraft, user_zone: str, *, now: datetime
) -> list[PreviewedRepresentation]:
    """Return the occurrences from the start on, and what was moved or skipped between them."""
    planned = draft.series(user_zone, start=now)
    return [_previewed(each) for each in preview(planned.series, planned.zone, limit=draft.limit)]


def set_recurrence(
    task: Task, draft: RecurrenceDraft, user_zone: str, *, lead: timedelta, now: datetime
) -> Changed:
    """Make a task recur, or change how it does; no past occurrence is made.

    `lead` is how long before its due date the task has its first reminder.
    """
    present = task.recurrence
    wanted = replace(draft.series(user_zone, start=task.due_date or now), lead=lead, led_since=now)
    if present is not None:
        # Sent again without a start, it is meant to begin when it did.
        began = task.due_date or start_at(present.series, present.zone)
        again = replace(draft.series(user_zone, start=began), lead=lead, led_since=now)
        if replace(present, made=0, led_since=now) in (wanted, again):
            return task, []
    recurs = replace(task, recurrence=wanted).recurs
    next_at = wanted.first_after(now) if recurs else None
    return _set(task, {"recurrence": wanted, "next_occurrence": next_at}, now=now)


def go_on(task: Task, recurrence: Recurrence, *, now: datetime) -> Changed:
    """Give a task a series that began elsewhere; it goes on after `now`."""
    recurs = replace(task, recurrence=recurrence).recurs
    next_at = recurrence.first_after(now) if recurs else None
    return _set(task, {"recurrence": recurrence, "next_occurrence": next_at}, now=now)


def remove_recurrence(task: Task, *, now: datetime) -> Changed:
    """End a task's series; the occurrences that exist stay as they are. Raises NoRecurrence."""
    if task.recurrence is None:
        raise NoRecurrence
    return tasks.recorded(EventType.RECURRENCE_REMOVED, task, {"recurrence": None}, now=now)


def change_zone(task: Task, zone: str, *, now: datetime) -> Changed:
    """Move a series without a zone of its own to its user's new zone.

    Occurrences that exist keep their place in the series: a move to the west makes none again. An
    event records the move where an occurrence is still to come.
    """
    recurrence = task.recurrence
    if recurrence is None or recurrence.series.timezone is not None or recurrence.zone == zone:
        return task, []
    moved = replace(recurrence, zone=zone)
    if task.next_occurrence is None:
        return replace(task, recurrence=moved), []
    # From half a day before: a change of clocks may have moved the wall time.
    place = in_new_zone(task.next_occurrence, old=recurrence.zone, new=zone) - _HALF_A_DAY
    # What is due is still to be made; what only the move has put into the past is not.
    is_due = task.next_occurrence <= now
    next_at = moved.first_after(place if is_due else max(now, place))
    return _set(task, {"recurrence": moved, "next_occurrence": next_at}, now=now)


@dataclass(frozen=True, slots=True)
class Spawned:
    """The new occurrences of a series, their reminders, and the recurring task after them."""

    task: Task
    occurrences: Sequence[Task]
    reminders: Sequence[Reminder]
    happened: Sequence[NewEvent]


def set_lead_time(task: Task, lead: timedelta, *, now: datetime) -> Task:
    """Have a recurring task's occurrences created `lead` before their time from now on."""
    present = task.recurrence
    if present is None or present.lead == lead:
        return task
    since = now if lead > present.lead else present.led_since
    return replace(task, recurrence=replace(present, lead=lead, led_since=since))


def fit_lead_time(task: Task, reminders: Sequence[Reminder], *, now: datetime) -> Task:
    """Set the lead time of a recurring task that has these reminders and no others."""
    return set_lead_time(task, lead_time_of(reminders), now=now)


def extend_lead_time(task: Task, added: Sequence[Reminder], *, now: datetime) -> Task:
    """Set the lead time of a recurring task that has got these reminders beside its others."""
    if task.recurrence is None:
        return task
    return set_lead_time(task, max(task.recurrence.lead, lead_time_of(added)), now=now)


def occurrence_size_bytes(task: Task, reminders: Sequence[Reminder]) -> int:
    """Return about how many bytes of rows and events one occurrence of a series writes."""
    each = len(compact_json(tasks.represent(task)).encode())
    messages = sum(len((one.message or "").encode()) for one in reminders if one.is_relative)
    return 3 * each + 2 * messages


def due_times(task: Task, *, now: datetime, limit: int = SPAWNED_MAX) -> Sequence[datetime]:
    """Return the times of the occurrences that are to be made now, at most `limit`."""
    recurrence, next_at = task.recurrence, task.next_occurrence
    if recurrence is None or next_at is None or not task.recurs:
        return []
    return due_occurrences(
        recurrence.series,
        recurrence.zone,
        since=next_at - MICROSECOND,
        now=now,
        until=recurrence.made_until(now),
        limit=limit,
    )


def spawn_due(
    task: Task,
    due: Sequence[datetime],
    reminders: Sequence[Reminder],
    *,
    existing: Collection[datetime],
    now: datetime,
    limit: int = SPAWNED_MAX,
) -> Spawned:
    """Make the occurrences of a series at the `due` times, less the `existing` ones.

    `due` are the `due_times` for the same `limit`; `reminders` are the recurring task's own, of
    which the relative ones are copied, unless their time was past when they were set.
    """
    recurrence, next_at = task.recurrence, task.next_occurrence
    if recurrence is None or next_at is None or next_at > recurrence.made_until(now):
        return Spawned(task, [], [], [])
    # Where all that is due was taken, go on after it: what was dropped as missed stays dropped.
    end = due[-1] if len(due) == limit else recurrence.made_until(now)
    next_at = recurrence.first_after(end)
    wanted = [at for at in due if at not in existing]
    made = _Spawning(reminders, now)
    for number, at in enumerate(wanted, start=1):
        at_after = next_at if number == len(wanted) else wanted[number]
        task = made.occurrence(task, at, next_at=at_after)
    if not wanted:
        task, skipped = _set(task, {"next_occurrence": next_at}, now=now)
        made.happened += skipped
    return Spawned(task, made.occurrences, made.reminders, made.happened)


def spawn_after(
    task: Task, completed: Task, reminders: Sequence[Reminder], *, now: datetime
) -> Spawned:
    """Make the occurrence after the `completed` one, which may be the recurring task itself."""
    recurrence, completed_at = task.recurrence, completed.completed_at
    nothing = Spawned(task, [], [], [])
    if recurrence is None or not task.recurs or completed_at is None:
        return nothing
    if recurrence.series.mode is not Mode.AFTER_COMPLETION:
        return nothing
    is_occurrence = completed.recurring_task_id == task.id
    first = start_at(recurrence.series, recurrence.zone)
    previous = (completed.occurrence_at if is_occurrence else None) or first
    at = next_after_completion(
        recurrence.series,
        completed_at,
        recurrence.zone,
        previous=previous,
        number=recurrence.made + 1,
    )
    if at is None:
        return nothing
    made = _Spawning(reminders, now)
    task = replace(task, recurrence=replace(recurrence, made=recurrence.made + 1))
    task = made.occurrence(task, at, next_at=None, predecessor_id=completed.id)
    return Spawned(task, made.occurrences, made.reminders, made.happened)


class _Spawning:
    """Makes occurrences of one recurring task, and collects their reminders and events."""

    def __init__(self, reminders: Sequence[Reminder], now: datetime) -> None:
        self._templates = [one for one in reminders if one.is_relative]
        self._now = now
        self.occurrences: list[Task] = []
        self.reminders: list[Reminder] = []
        self.happened: list[NewEvent] = []

    def occurrence(
        self,
        task: Task,
        at: datetime,
        *,
        next_at: datetime | None,
        predecessor_id: UUID | None = None,
    ) -> Task:
        """Make the occurrence at `at`; return the recurring task with its `next_at`."""
        now = self._now
        since = task.recurrence and task.recurrence.led_since
        occurrence = Task(
            id=new_id(now),
            user_id=task.user_id,
            title=task.title,
            description=task.description,
            status=Status.PENDING,
            priority=task.priority,
            tags=task.tags,
            metadata={},
            due_date=at,
            completed_at=None,
            created_at=now,
            updated_at=now,
            version=1,
            recurring_task_id=task.id,
            occurrence_at=at,
            predecessor_id=predecessor_id,
        )
        self.occurrences.append(occurrence)
        self.happened.append(tasks.created(occurrence))
        for template in self._templates:
            reminder, happened = template.copied_to(occurrence, now=now)
            if since is not None and reminder.remind_at < since:
                # It was past when it was set; there is nothing to be late with.
                continue
            self.reminders.append(reminder)
            self.happened.append(happened)
        task, data = tasks.changed(task, {"next_occurrence": next_at}, now=now)
        spawned: OccurrenceSpawned = {
            **data,
            "occurrence": {"id": str(occurrence.id), "occurrence_at": rfc3339(at)},
        }
        self.happened.append(tasks.event(EventType.RECURRING_SPAWNED, task, spawned))
        return task


def _set(task: Task, fields: JsonObject, *, now: datetime) -> Changed:
    series = represent_series(fields.get("recurrence", task.recurrence))
    task, data = tasks.changed(task, fields, now=now)
    recurs: RecurrenceSet = {**data, "series": series}
    return task, [tasks.event(EventType.RECURRENCE_SET, task, recurs)]


def _previewed(each: Previewed) -> PreviewedRepresentation:
    return {
        "local": each.local and each.local.isoformat(),
        "utc": each.at and rfc3339(each.at),
        "fate": each.fate,
        "reason": each.reason,
    }
