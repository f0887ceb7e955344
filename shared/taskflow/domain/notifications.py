"""Notifications: what stands in a user's inbox, of a reminder or from an operator (N6)."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from taskflow.domain.accounts import USER_ID_MAX_CHARS
from taskflow.domain.content import Content, examples
from taskflow.domain.event_data import EventData, NotificationChanged
from taskflow.domain.events import EventType, NewEvent, changed_fields
from taskflow.domain.identifiers import new_id
from taskflow.domain.representations import NotificationRepresentation
from taskflow.domain.text import NotBlank, Text
from taskflow.domain.times import rfc3339

MESSAGE_MAX_CHARS = 1000

Message = Annotated[NotBlank, Field(max_length=MESSAGE_MAX_CHARS, description="What to be told.")]


class NotificationDraft(Content):
    """What an operator sends to have a user notified."""

    model_config = examples(
        {
            "user_id": "019ad3f0-8c00-7000-8000-0000000000aa",
            "message": "Tonight from 22:00 to 23:00 UTC there is maintenance.",
        }
    )

    user_id: Annotated[
        Text,
        Field(min_length=1, max_length=USER_ID_MAX_CHARS, description="Who is to be notified."),
    ]
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A notification as it stands; `version` counts its events.

    One that an operator has sent is of no task and no reminder, and has no title. `late_by_s` is
    how long after its time the reminder came; None where that was not kept yet, or there is none.
    """

    id: UUID
    user_id: str
    task_id: UUID | None
    reminder_id: UUID | None
    title: str | None
    message: str | None
    created_at: datetime
    read_at: datetime | None
    version: int
    late_by_s: float | None


def represent(notification: Notification) -> NotificationRepresentation:
    """Return a notification as answers and events show it."""
    read_at = notification.read_at
    return {
        "id": str(notification.id),
        "user_id": notification.user_id,
        "task_id": _id(notification.task_id),
        "reminder_id": _id(notification.reminder_id),
        "title": notification.title,
        "message": notification.message,
        "late_by_s": notification.late_by_s,
        "created_at": rfc3339(notification.created_at),
        "read_at": None if read_at is None else rfc3339(read_at),
    }


def create(
    *,
    user_id: str,
    task_id: UUID,
    reminder_id: UUID,
    title: str,
    message: str | None,
    late_by_s: float,
    now: datetime,
) -> tuple[Notification, NewEvent]:
    """Put a notification of a reminder into a user's inbox."""
    notification = Notification(
        id=new_id(now),
        user_id=user_id,
        task_id=task_id,
        reminder_id=reminder_id,
        title=title,
        message=message,
        created_at=now,
        read_at=None,
        version=1,
        late_by_s=late_by_s,
    )
    return notification, _created(notification)


def send(draft: NotificationDraft, *, now: datetime) -> tuple[Notification, NewEvent]:
    """Put an operator's message into a user's inbox."""
    return tell(draft.user_id, draft.message, now=now)


def tell(user_id: str, message: str, *, now: datetime) -> tuple[Notification, NewEvent]:
    """Put a message into a user's inbox that is of no task."""
    notification = Notification(
        id=new_id(now),
        user_id=user_id,
        task_id=None,
        reminder_id=None,
        title=None,
        message=message,
        created_at=now,
        read_at=None,
        version=1,
        late_by_s=None,
    )
    return notification, _created(notification)


def read(notification: Notification, *, now: datetime) -> tuple[Notification, list[NewEvent]]:
    """Mark a notification as read; doing so twice changes nothing the second time."""
    if notification.read_at is not None:
        return notification, []
    after = replace(notification, read_at=now, version=notification.version + 1)
    new = represent(after)
    data: NotificationChanged = {
        **new,
        "changes": changed_fields(represent(notification), new),
    }
    return after, [_event(EventType.NOTIFICATION_READ, after, data, now=now)]


def _created(notification: Notification) -> NewEvent:
    event_type, now = EventType.NOTIFICATION_CREATED, notification.created_at
    return _event(event_type, notification, represent(notification), now=now)


def _id(one: UUID | None) -> str | None:
    return None if one is None else str(one)


def _event(
    event_type: EventType, notification: Notification, data: EventData, *, now: datetime
) -> NewEvent:
    return NewEvent(
        event_type=event_type,
        user_id=notification.user_id,
        aggregate_id=str(notification.id),
        version=notification.version,
        timestamp=now,
        data=data,
    )
