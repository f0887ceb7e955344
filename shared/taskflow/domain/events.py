"""Events: what has happened to a task or an account, before and after the log took it."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from taskflow.domain.text import JsonObject, compact_json
from taskflow.domain.times import rfc3339

_MESSAGE_TYPES = {"reminder.triggered": "reminder"}
"""What sockets call a type where it is not the same."""

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


_OF_TASKS = ("task.", "recurrence.", "recurring.")


def is_of_task(event_type: str) -> bool:
    """Say whether the aggregate of such an event is a task, which its data then show."""
    return event_type.startswith(_OF_TASKS)


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
        return self._spliced(
            {
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
        )

    def message_json(self) -> str:
        """Write the event as sockets and long-polls show it."""
        return self._spliced(
            {
                "type": _MESSAGE_TYPES.get(self.event_type, self.event_type),
                "timestamp": rfc3339(self.timestamp),
                "correlation_id": self.correlation_id,
                "seq": self.seq,
                "event_id": str(self.event_id),
            }
        )

    def _spliced(self, envelope: JsonObject) -> str:
        # The data goes in as the text it is: parsing and writing it again for each of many
        # sockets would be most of the cost of a push.
        return f'{compact_json(envelope)[:-1]},"data":{self.data_json}}}'
