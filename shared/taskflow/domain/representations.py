"""Representations: what answers and events show of tasks, reminders, notifications and accounts.

They are plain dictionaries, ready for JSON. A field that is added later is given a `Default`
(docs/decisions/0015).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal, get_args

from pydantic import ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import TypedDict

from taskflow.domain.identifiers import IdText
from taskflow.domain.text import JsonObject
from taskflow.domain.times import DurationText, TimeText

_ID = "019ad3f0-8c00-7000-8000-000000000001"
_USER_ID = "019ad3f0-8c00-7000-8000-0000000000aa"
_A_TIME = "2026-11-30T09:00:00.000000Z"
_LATER = "2026-12-01T08:00:00.000000Z"
"""Of the examples, which a test compares with what is answered."""


def example(shown: JsonObject) -> ConfigDict:
    """Return the configuration of a representation that shows what it may look like."""
    return ConfigDict(json_schema_extra={"examples": [shown]})


@dataclass(frozen=True, slots=True)
class Default:
    """The value of a field in events that were appended before there was such a field."""

    value: object

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Say so in the JSON Schema of the field."""
        return {**handler(schema), "default": self.value}


class Status(StrEnum):
    """Where a task stands."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class Priority(StrEnum):
    """How much a task matters, from least to most."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    URGENT = "urgent"


class ReminderStatus(StrEnum):
    """Where a reminder stands."""

    SCHEDULED = "scheduled"
    TRIGGERED = "triggered"
    SENT = "sent"
    CANCELLED = "cancelled"


class TaskRepresentation(TypedDict):
    """A task as answers and its events show it, flat."""

    __pydantic_config__ = example(
        {
            "id": _ID,
            "user_id": _USER_ID,
            "title": "Buy milk",
            "description": None,
            "status": "pending",
            "completed": False,
            "priority": "medium",
            "tags": [],
            "metadata": {},
            "due_date": None,
            "recurrence_rule": None,
            "is_recurring": False,
            "next_occurrence": None,
            "completed_at": None,
            "created_at": _A_TIME,
            "updated_at": _A_TIME,
            "version": 1,
            "recurring_task_id": None,
            "occurrence_at": None,
        }
    )  # pyright: ignore[reportGeneralTypeIssues] - as pydantic reads it

    id: Annotated[IdText, Field(description="The task's id.")]
    user_id: Annotated[str, Field(description="Whose task it is.")]
    title: Annotated[str, Field(description="What is to be done; never blank.")]
    description: Annotated[str | None, Field(description="More about it.")]
    status: Annotated[
        Status,
        Field(description="Where it stands."),
    ]
    completed: Annotated[bool, Field(description="Whether `status` is `completed`.")]
    priority: Annotated[Priority, Field(description="How much it matters.")]
    tags: Annotated[list[str], Field(description="Each once, in the order they were given.")]
    metadata: Annotated[JsonObject, Field(description="The client's own JSON, as it was sent.")]
    due_date: Annotated[TimeText | None, Field(description="When it is due.")]
    recurrence_rule: Annotated[
        str | None,
        Field(description="The rule (RFC 5545) of its series; null where it is not recurring."),
    ]
    is_recurring: Annotated[bool, Field(description="Whether it carries a series.")]
    next_occurrence: Annotated[
        TimeText | None, Field(description="The time of the next occurrence of its series.")
    ]
    completed_at: Annotated[
        TimeText | None, Field(description="When it was completed; null while it is not.")
    ]
    created_at: Annotated[TimeText, Field(description="When it was created.")]
    updated_at: Annotated[TimeText, Field(description="When it was last changed.")]
    version: Annotated[
        int, Field(ge=1, description="How many events have changed it; its entity tag.")
    ]
    recurring_task_id: Annotated[
        IdText | None, Field(description="Of an occurrence: the recurring task it was made from.")
    ]
    occurrence_at: Annotated[
        TimeText | None, Field(description="Of an occurrence: its time in the series.")
    ]


class ReminderRepresentation(TypedDict):
    """A reminder as answers and its events show it."""

    __pydantic_config__ = example(
        {
            "id": _ID,
            "task_id": _ID,
            "user_id": _USER_ID,
            "remind_at": "2126-05-01T09:00:00.000000Z",
            "before_due": None,
            "message": "It is time",
            "status": "scheduled",
            "notified": False,
            "fires_immediately": False,
            "created_at": _A_TIME,
        }
    )  # pyright: ignore[reportGeneralTypeIssues] - as pydantic reads it

    id: Annotated[IdText, Field(description="The reminder's id.")]
    task_id: Annotated[IdText, Field(description="What it reminds of.")]
    user_id: Annotated[str, Field(description="Whom it reminds.")]
    remind_at: Annotated[TimeText, Field(description="When.")]
    before_due: Annotated[
        DurationText | None,
        Field(description="How long before the due date (RFC 5545, 3.3.6); null at a fixed time."),
    ]
    message: Annotated[str | None, Field(description="What its user wants to be told.")]
    status: Annotated[
        ReminderStatus,
        Field(description="Where it stands."),
    ]
    notified: Annotated[bool, Field(description="Whether its user has been reminded.")]
    fires_immediately: Annotated[
        bool,
        Field(description="In the answer to its creation, whether its time was past; else false."),
    ]
    created_at: Annotated[TimeText, Field(description="When it was created.")]


class NotificationRepresentation(TypedDict):
    """A notification as answers and its events show it."""

    __pydantic_config__ = example(
        {
            "id": _ID,
            "user_id": _USER_ID,
            "task_id": _ID,
            "reminder_id": _ID,
            "title": "Buy milk",
            "message": "It is time",
            "late_by_s": 0.012,
            "created_at": _A_TIME,
            "read_at": _LATER,
        }
    )  # pyright: ignore[reportGeneralTypeIssues] - as pydantic reads it

    id: Annotated[IdText, Field(description="The notification's id.")]
    user_id: Annotated[str, Field(description="Whose inbox it is in.")]
    task_id: Annotated[
        IdText | None, Field(description="The task it is about; null where an operator sent it.")
    ]
    reminder_id: Annotated[
        IdText | None, Field(description="The reminder it came from; null where there is none.")
    ]
    title: Annotated[
        str | None,
        Field(description="The title of the task when it was reminded of; null without a task."),
    ]
    message: Annotated[str | None, Field(description="The reminder's message, or the operator's.")]
    late_by_s: Annotated[
        float | None,
        Field(
            description="Seconds from the time of the reminder to the notification; null where"
            " there was none, or it was not kept yet."
        ),
        Default(None),
    ]
    created_at: Annotated[TimeText, Field(description="When it was created.")]
    read_at: Annotated[TimeText | None, Field(description="When it was read; null until then.")]


class AccountRepresentation(TypedDict):
    """An account as its owner sees it."""

    __pydantic_config__ = example(
        {"id": _USER_ID, "email": "somebody@example.com", "timezone": "Europe/Berlin"}
    )  # pyright: ignore[reportGeneralTypeIssues] - as pydantic reads it

    id: Annotated[str, Field(description="The user's id.")]
    email: Annotated[
        str | None,
        Field(
            description="The email address that the account was opened with; null where an outside"
            " issuer has verified none, or another account has it."
        ),
    ]
    timezone: Annotated[str, Field(description="The user's IANA zone.")]


class QuietHoursRepresentation(TypedDict):
    """The part of a day without outside messages, in the user's zone."""

    start: Annotated[str, Field(description="Local time, `HH:MM`.")]
    end: Annotated[
        str, Field(description="Local time, `HH:MM`; before `start` it is past midnight.")
    ]


Channel = Literal["email", "push", "web_push"]
"""The outside channels, on which a notification can be sent beside the inbox."""


class SettingsRepresentation(TypedDict):
    """A user's settings as answers and their events show them."""

    __pydantic_config__ = example(
        {
            "timezone": "Europe/Berlin",
            "notification_channels": ["email"],
            "quiet_hours": {"start": "22:00", "end": "07:30"},
            "email_digest": True,
        }
    )  # pyright: ignore[reportGeneralTypeIssues] - as pydantic reads it

    timezone: Annotated[str, Field(description="The user's IANA zone.")]
    notification_channels: Annotated[
        list[str],
        Field(description=f"The outside channels: `{'`, `'.join(get_args(Channel))}`."),
    ]
    quiet_hours: Annotated[
        QuietHoursRepresentation | None, Field(description="When no outside message is sent.")
    ]
    email_digest: Annotated[
        bool,
        Field(description="Whether several mails that are due at once become one."),
        Default(value=True),
    ]
