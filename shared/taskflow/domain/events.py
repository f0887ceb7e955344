"""Events: what has happened to a task or an account, before and after the log took it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from taskflow.domain.text import JsonObject, compact_json, differ_as_json
from taskflow.domain.times import rfc3339

SCHEMA_VERSION = 1
"""The version of the shape of `data`; raised when a consumer would have to know the difference."""


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
    REMINDER_CANCELLED = "reminder.cancelled"
    NOTIFICATION_CREATED = "notification.created"
    NOTIFICATION_READ = "notification.read"
    USER_REGISTERED = "user.registered"
    USER_SETTINGS_CHANGED = "user.settings_changed"


class Topic(StrEnum):
    """The topics on which events travel, by their default names; the settings may rename them."""

    TASKS = "tasks.events"
    REMINDERS = "reminders.events"


class Aggregate(StrEnum):
    """What an event is about: whose id is `aggregate_id`, and whose `version` it raises."""

    TASK = "task"
    REMINDER = "reminder"
    NOTIFICATION = "notification"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Declaration:
    """What holds for all events of a type.

    `message` is the `type` of its socket message, `since` the `schema_version` it appeared in.
    """

    aggregate: Aggregate
    topic: Topic
    message: str
    since: int = 1


def _declared(
    aggregate: Aggregate, topic: Topic, *types: EventType, **messages: str
) -> dict[EventType, Declaration]:
    return {
        event_type: Declaration(aggregate, topic, messages.get(event_type.name, event_type.value))
        for event_type in types
    }


EVENT_TYPES: Mapping[EventType, Declaration] = {
    **_declared(
        Aggregate.TASK,
        Topic.TASKS,
        EventType.TASK_CREATED,
        EventType.TASK_UPDATED,
        EventType.TASK_DUE_DATE_CHANGED,
        EventType.TASK_COMPLETED,
        EventType.TASK_UNCOMPLETED,
        EventType.TASK_DELETED,
        EventType.TASK_RESTORED,
        EventType.TASK_CORRECTED,
        EventType.RECURRENCE_SET,
        EventType.RECURRENCE_REMOVED,
        EventType.RECURRING_SPAWNED,
    ),
    **_declared(
        Aggregate.REMINDER,
        Topic.REMINDERS,
        EventType.REMINDER_SCHEDULED,
        EventType.REMINDER_RESCHEDULED,
        EventType.REMINDER_TRIGGERED,
        EventType.REMINDER_SENT,
        EventType.REMINDER_CANCELLED,
        REMINDER_TRIGGERED="reminder",
    ),
    **_declared(
        Aggregate.NOTIFICATION,
        Topic.REMINDERS,
        EventType.NOTIFICATION_CREATED,
        EventType.NOTIFICATION_READ,
    ),
    **_declared(
        Aggregate.ACCOUNT,
        Topic.TASKS,
        EventType.USER_REGISTERED,
        EventType.USER_SETTINGS_CHANGED,
    ),
}
"""All that the type of an event decides."""

_BY_NAME = {event_type.value: declared for event_type, declared in EVENT_TYPES.items()}
_BY_NOUN = {name.partition(".")[0]: declared for name, declared in _BY_NAME.items()}


def declaration_of(event_type: str) -> Declaration | None:
    """Return what holds for events of a type.

    One that this code does not know, which newer code beside it may append, is as the others that
    begin with the same noun; None where there are none.
    """
    known = _BY_NAME.get(event_type)
    if known is not None:
        return known
    alike = _BY_NOUN.get(event_type.partition(".")[0])
    return alike and replace(alike, message=event_type)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """What has happened, as the domain says it; the log gives it its `seq` and its place."""

    event_type: EventType
    user_id: str
    aggregate_id: str
    version: int
    timestamp: datetime
    data: JsonObject


def changed_fields(
    old: Mapping[str, object],
    new: Mapping[str, object],
    *,
    unmentioned: Collection[str] = frozenset(),
) -> JsonObject:
    """Return the `changes` of an event: the old and the new value of each field that differs.

    `old` and `new` are representations with the same fields; `unmentioned` fields are left out.
    """
    return {
        name: {"old": old[name], "new": value}
        for name, value in new.items()
        if differ_as_json(old[name], value) and name not in unmentioned
    }


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
