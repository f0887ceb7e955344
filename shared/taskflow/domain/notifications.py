"""Notifications: what stands in a user's inbox."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from taskflow.domain.event_data import EventData, NotificationChanged
from taskflow.domain.events import EventType, NewEvent, changed_fields
from taskflow.domain.identifiers import new_id
from taskflow.domain.representations import NotificationRepresentation
from taskflow.domain.times import rfc3339


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A notification as it stands; `version` counts its events.

    `late_by_s` is how long after its time the reminder came; None where that was not kept yet.
    """

    id: UUID
    user_id: str
    task_id: UUID
    reminder_id: UUID
    title: str
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
        "task_id": str(notification.task_id),
        "reminder_id": str(notification.reminder_id),
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
    data = represent(notification)
    return notification, _event(EventType.NOTIFICATION_CREATED, notification, data, now=now)


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
