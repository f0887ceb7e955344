"""The `data` of events: the representation after the change, and what the event says beside it."""

from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from taskflow.domain.identifiers import IdText
from taskflow.domain.recurrence import Missed, Mode, Skip
from taskflow.domain.representations import (
    AccountRepresentation,
    NotificationRepresentation,
    ReminderRepresentation,
    SettingsRepresentation,
    TaskRepresentation,
)
from taskflow.domain.times import TimeText


class Change(TypedDict):
    """A field before and after."""

    old: Annotated[Any, Field(description="The value before.")]
    new: Annotated[Any, Field(description="The value after.")]


Changes = Annotated[
    dict[str, Change],
    Field(description="Each field that differs, by name, with its value before and after."),
]


class SeriesData(TypedDict):
    """The series of a recurring task, as its events and answers show it."""

    recurrence_rule: Annotated[str, Field(description="The rule (RFC 5545).")]
    start: Annotated[TimeText, Field(description="The instant of the first occurrence.")]
    local_start: Annotated[
        str,
        Field(
            description="The same as the clock shows it in the series' zone (ISO 8601, no offset)."
        ),
    ]
    timezone: Annotated[
        str | None, Field(description="Its IANA zone; null where it follows its user's.")
    ]
    mode: Annotated[
        Mode,
        Field(description="What the next occurrence is computed from."),
    ]
    missed: Annotated[
        Missed,
        Field(description="Which occurrences are made up for after an outage."),
    ]
    skip: Annotated[
        Skip,
        Field(description="What becomes of a day that its month lacks (RFC 7529, 4.1)."),
    ]


class TaskCreated(TaskRepresentation):
    """The new task."""


class TaskChanged(TaskRepresentation):
    """The task after the change."""

    changes: Changes


class RecurrenceSet(TaskChanged):
    """The task after the change, with its series."""

    series: Annotated[SeriesData, Field(description="The series as it is now.")]


class OccurrenceReference(TypedDict):
    """An occurrence that was created."""

    id: Annotated[IdText, Field(description="The id of the occurrence, a task of its own.")]
    occurrence_at: Annotated[TimeText, Field(description="Its time in the series.")]


class OccurrenceSpawned(TaskChanged):
    """The recurring task after the change, and the occurrence that was created from it."""

    occurrence: Annotated[OccurrenceReference, Field(description="What was created.")]


class ReminderScheduled(ReminderRepresentation):
    """The reminder."""

    changes: NotRequired[
        Annotated[
            dict[str, Change],
            Field(description="As in a change; only where a cancelled one is scheduled again."),
        ]
    ]


class ReminderChanged(ReminderRepresentation):
    """The reminder after the change."""

    changes: Changes


class ReminderTriggered(ReminderChanged):
    """The reminder after the change, and what its user is shown."""

    task_title: Annotated[str, Field(description="The title of the task.")]
    reminder_message: Annotated[str | None, Field(description="The reminder's message.")]
    late_by_s: Annotated[float, Field(description="Seconds from `remind_at` to the event.")]


class ReminderFailed(ReminderChanged):
    """The reminder, which is as it was, and what did not get through."""

    channel: Annotated[str, Field(description="By which outside channel it was not told of.")]
    reason: Annotated[str, Field(description="Why, in a sentence without address or content.")]


class NotificationCreated(NotificationRepresentation):
    """The new notification."""


class NotificationChanged(NotificationRepresentation):
    """The notification after the change."""

    changes: Changes


class UserRegistered(AccountRepresentation):
    """The new account."""


class SettingsChanged(SettingsRepresentation):
    """All settings after the change."""

    changes: Changes


class UserDeleted(TypedDict):
    """The account that is gone."""

    id: Annotated[str, Field(description="The user's id.")]


EventData = (
    TaskCreated
    | TaskChanged
    | RecurrenceSet
    | OccurrenceSpawned
    | ReminderScheduled
    | ReminderChanged
    | ReminderTriggered
    | ReminderFailed
    | NotificationCreated
    | NotificationChanged
    | UserRegistered
    | SettingsChanged
    | UserDeleted
)
"""What an event of some type may say; which of them a type says is in `events.EVENT_TYPES`."""
