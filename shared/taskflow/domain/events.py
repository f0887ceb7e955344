"""Events: what has happened to a task or an account, before and after the log took it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field
from typing_extensions import TypedDict

from taskflow.domain.event_data import (
    Change,
    EventData,
    NotificationChanged,
    NotificationCreated,
    OccurrenceSpawned,
    RecurrenceSet,
    ReminderChanged,
    ReminderFailed,
    ReminderScheduled,
    ReminderTriggered,
    SettingsChanged,
    TaskChanged,
    TaskCreated,
    UserDeleted,
    UserRegistered,
)
from taskflow.domain.identifiers import IdText
from taskflow.domain.text import JsonObject, compact_json, differ_as_json
from taskflow.domain.times import TimeText, rfc3339

SCHEMA_VERSION = 1
"""The version of the shape of `data`; when it is raised is said in docs/decisions/0015."""


class EventType(StrEnum):
    """The types of events, as clients and consumers see them."""

    TASK_CREATED = "task.created"
    TASK_UPDATED = "task.updated"
    TASK_DUE_DATE_CHANGED = "task.due_date_changed"
    TASK_COMPLETED = "task.completed"
    TASK_UNCOMPLETED = "task.uncompleted"
    TASK_DELETED = "task.deleted"
    TASK_RESTORED = "task.restored"
    TASK_CORRECTED = "task.corrected"
    RECURRENCE_SET = "recurrence.set"
    RECURRENCE_REMOVED = "recurrence.removed"
    RECURRING_SPAWNED = "recurring.spawned"
    REMINDER_SCHEDULED = "reminder.scheduled"
    REMINDER_RESCHEDULED = "reminder.rescheduled"
    REMINDER_TRIGGERED = "reminder.triggered"
    REMINDER_SENT = "reminder.sent"
    REMINDER_FAILED = "reminder.failed"
    REMINDER_CANCELLED = "reminder.cancelled"
    NOTIFICATION_CREATED = "notification.created"
    NOTIFICATION_READ = "notification.read"
    USER_REGISTERED = "user.registered"
    USER_SETTINGS_CHANGED = "user.settings_changed"
    USER_DELETED = "user.deleted"


class Topic(StrEnum):
    """The topics on which events travel, by their default names; the settings may rename them."""

    TASKS = "tasks.events"
    REMINDERS = "reminders.events"


class Aggregate(StrEnum):
    """The kind of object that an event is about, with its id as `aggregate_id`, and a version."""

    TASK = "task"
    REMINDER = "reminder"
    NOTIFICATION = "notification"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Declaration:
    """The declaration of all events of a type.

    `data` is the model of their data, `happened` says what has happened, `message` is the `type` of
    their socket message, `since` the `schema_version` they appeared in.
    """

    aggregate: Aggregate
    topic: Topic
    message: str
    data: type[EventData]
    happened: str
    since: int = 1


def _task(
    event_type: EventType, data: type[EventData], happened: str
) -> tuple[EventType, Declaration]:
    return event_type, Declaration(Aggregate.TASK, Topic.TASKS, event_type.value, data, happened)


def _reminder(
    event_type: EventType, data: type[EventData], happened: str, *, message: str | None = None
) -> tuple[EventType, Declaration]:
    return event_type, Declaration(
        Aggregate.REMINDER, Topic.REMINDERS, message or event_type.value, data, happened
    )


def _notification(
    event_type: EventType, data: type[EventData], happened: str
) -> tuple[EventType, Declaration]:
    return event_type, Declaration(
        Aggregate.NOTIFICATION, Topic.REMINDERS, event_type.value, data, happened
    )


def _account(
    event_type: EventType, data: type[EventData], happened: str
) -> tuple[EventType, Declaration]:
    return event_type, Declaration(Aggregate.ACCOUNT, Topic.TASKS, event_type.value, data, happened)


EVENT_TYPES: Mapping[EventType, Declaration] = dict(
    [
        _task(
            EventType.TASK_CREATED,
            TaskCreated,
            "A task was created: by its user, or as an occurrence of a series.",
        ),
        _task(
            EventType.TASK_UPDATED,
            TaskChanged,
            "Fields of a task were changed; its due date and its completion have events of their"
            " own.",
        ),
        _task(
            EventType.TASK_DUE_DATE_CHANGED, TaskChanged, "A task's due date was moved or cleared."
        ),
        _task(EventType.TASK_COMPLETED, TaskChanged, "A task was completed."),
        _task(
            EventType.TASK_UNCOMPLETED,
            TaskChanged,
            "A completed task was given another status.",
        ),
        _task(EventType.TASK_DELETED, TaskChanged, "A task was deleted; it can be restored."),
        _task(EventType.TASK_RESTORED, TaskChanged, "A deleted task was restored."),
        _task(EventType.TASK_CORRECTED, TaskChanged, "An administrator corrected a task."),
        _task(
            EventType.RECURRENCE_SET,
            RecurrenceSet,
            "A task was given a series or another one, or its series goes on from another time.",
        ),
        _task(
            EventType.RECURRENCE_REMOVED,
            TaskChanged,
            "A task's series was ended; its occurrences stay.",
        ),
        _task(
            EventType.RECURRING_SPAWNED,
            OccurrenceSpawned,
            "An occurrence was created from a recurring task.",
        ),
        _reminder(
            EventType.REMINDER_SCHEDULED,
            ReminderScheduled,
            "A reminder was added, or one that was cancelled is to come again.",
        ),
        _reminder(
            EventType.REMINDER_RESCHEDULED,
            ReminderChanged,
            "A reminder was given another time: snoozed by its user, or moved with the due date.",
        ),
        _reminder(
            EventType.REMINDER_TRIGGERED,
            ReminderTriggered,
            "A reminder's time came; clients show it.",
            message="reminder",
        ),
        _reminder(
            EventType.REMINDER_SENT, ReminderChanged, "A reminder was put into its user's inbox."
        ),
        _reminder(
            EventType.REMINDER_FAILED,
            ReminderFailed,
            "An outside channel has given up telling of a reminder; it is in the inbox all the"
            " same.",
        ),
        _reminder(
            EventType.REMINDER_CANCELLED,
            ReminderChanged,
            "A reminder was removed, or there is nothing left to be reminded of.",
        ),
        _notification(
            EventType.NOTIFICATION_CREATED,
            NotificationCreated,
            "A notification was put into a user's inbox.",
        ),
        _notification(
            EventType.NOTIFICATION_READ, NotificationChanged, "A notification was marked as read."
        ),
        _account(EventType.USER_REGISTERED, UserRegistered, "An account was opened."),
        _account(
            EventType.USER_SETTINGS_CHANGED, SettingsChanged, "A user's settings were changed."
        ),
        _account(
            EventType.USER_DELETED,
            UserDeleted,
            "An account was deleted, and with it all that was its user's; what happened before is"
            " erased.",
        ),
    ]
)
"""All that the type of an event decides."""

_BY_NAME = {event_type.value: declared for event_type, declared in EVENT_TYPES.items()}
_BY_NOUN = {name.partition(".")[0]: declared for name, declared in _BY_NAME.items()}


def declaration_of(event_type: str) -> Declaration | None:
    """Return the declaration of a type of events.

    A type that this code does not know, for newer code appends it, has the declaration of another
    type with the same noun in front; None where there is no such type.
    """
    known = _BY_NAME.get(event_type)
    if known is not None:
        return known
    alike = _BY_NOUN.get(event_type.partition(".")[0])
    return alike and replace(alike, message=event_type)


def data_model_of(event_type: str) -> type[EventData] | None:
    """Return the model of the data of a type; None for one that this code does not know."""
    known = _BY_NAME.get(event_type)
    return known and known.data


def is_of_task(event_type: str) -> bool:
    """Say whether the aggregate of such an event is a task, which its data then show."""
    declared = declaration_of(event_type)
    return declared is not None and declared.aggregate is Aggregate.TASK


def message_json(envelope: JsonObject, data_json: str) -> str:
    """Write an event as sockets and long-polls show it; `envelope` has the fields of a record.

    Raises KeyError where one is missing.
    """
    event_type = envelope["event_type"]
    declared = declaration_of(event_type)
    message = {
        "type": event_type if declared is None else declared.message,
        **{name: envelope[name] for name in ("timestamp", "correlation_id", "seq", "event_id")},
    }
    return _spliced(message, data_json)


def _spliced(envelope: JsonObject, data_json: str) -> str:
    # The data goes in as the text it is: parsing and writing it again for each of many sockets
    # would be most of the cost of a push, and a client's own numbers would not survive it.
    return f'{compact_json(envelope)[:-1]},"data":{data_json}}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Where a change comes from; kept with every event that it appends.

    `actor` is the user id of who asked (not always the owner), `origin` the address and client
    they asked from. Neither ever leaves through sockets. None of these holds a line break.
    """

    correlation_id: str
    traceparent: str
    actor: str
    origin: str

    def by(self, actor: str) -> "Cause":
        """Return the same cause with another actor: an account's own, when it is being opened."""
        return replace(self, actor=actor)

    def from_nowhere(self) -> "Cause":
        """Return the same cause without the address and the client: of who is to be forgotten."""
        return replace(self, origin="")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event as the domain makes it; the log adds its `seq` and its hash."""

    event_type: EventType
    user_id: str
    aggregate_id: str
    version: int
    timestamp: datetime
    data: EventData


def changed_fields(
    old: Mapping[str, object],
    new: Mapping[str, object],
    *,
    unmentioned: Collection[str] = frozenset(),
) -> dict[str, Change]:
    """Return the `changes` of an event: the old and the new value of each field that differs.

    `old` and `new` are representations with the same fields; `unmentioned` fields are left out.
    """
    return {
        name: {"old": old[name], "new": value}
        for name, value in new.items()
        if differ_as_json(old[name], value) and name not in unmentioned
    }


class EventRepresentation(TypedDict):
    """An event as the history and Kafka show it."""

    event_id: Annotated[IdText, Field(description="The event's id.")]
    event_type: Annotated[str, Field(description="What has happened.")]
    user_id: Annotated[str, Field(description="Whose stream it is in.")]
    aggregate_id: Annotated[str, Field(description="The id of what it is about.")]
    timestamp: Annotated[TimeText, Field(description="When it happened.")]
    correlation_id: Annotated[str, Field(description="As part of which request.")]
    version: Annotated[int, Field(description="Of the aggregate: 1, 2, 3, …")]
    schema_version: Annotated[int, Field(description="Of the shape of `data`.")]
    seq: Annotated[int, Field(description="Its place in its user's stream: 1, 2, 3, …")]
    data: Annotated[JsonObject, Field(description="More, as its type has it.")]


class MessageRepresentation(TypedDict):
    """An event as sockets and long-polls show it."""

    type: Annotated[str, Field(description="What has happened.")]
    timestamp: Annotated[TimeText, Field(description="When it happened.")]
    correlation_id: Annotated[str, Field(description="As part of which request.")]
    seq: Annotated[int, Field(description="Its place in its user's stream: 1, 2, 3, …")]
    event_id: Annotated[IdText, Field(description="The event's id.")]
    data: Annotated[JsonObject, Field(description="More, as its type has it.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event as the log holds it: per user, `seq` counts 1, 2, 3, … in commit order.

    `data_json` is the JSON of `data`, kept as the text that was appended: it is hashed, and
    most readers only pass it on.
    """

    event_id: UUID
    event_type: str
    user_id: str
    aggregate_id: str
    seq: int
    version: int
    schema_version: int
    timestamp: datetime
    correlation_id: str
    traceparent: str
    actor: str
    origin: str
    data_json: str

    def record_json(self) -> str:
        """Write the event as the history and Kafka show it: without actor and origin."""
        return _spliced(self._envelope(), self.data_json)

    def message_json(self) -> str:
        """Write the event as sockets and long-polls show it."""
        return message_json(self._envelope(), self.data_json)

    def _envelope(self) -> JsonObject:
        return {
            "event_id": str(self.event_id),
            "event_type": self.event_type,
            "user_id": self.user_id,
            "aggregate_id": self.aggregate_id,
            "timestamp": rfc3339(self.timestamp),
            "correlation_id": self.correlation_id,
            "version": self.version,
            "schema_version": self.schema_version,
            "seq": self.seq,
        }
