"""Notices: what a user is told outside TaskFlow, of a reminder or by an operator."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from taskflow.domain.events import Event, EventType
from taskflow.domain.times import parse_rfc3339

TOLD_OF = (EventType.REMINDER_TRIGGERED, EventType.NOTIFICATION_CREATED)
"""The events of which users are told; of a reminder by the first, though it has both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What one message tells; `id` is the same however often it is sent.

    Of a reminder: `title` is its task's and `remind_at` its time. Of an operator's message these
    and `task_id` are None. `due_date` is the task's as it is now.
    """

    id: UUID
    title: str | None
    message: str | None
    task_id: UUID | None
    remind_at: datetime | None
    due_date: datetime | None
    created_at: datetime


def is_told_of(event_type: str, data: dict[str, Any]) -> bool:
    """Say whether a user is told of such an event: a reminder's, or what is of no reminder."""
    if event_type == EventType.NOTIFICATION_CREATED:
        return data["reminder_id"] is None
    return event_type == EventType.REMINDER_TRIGGERED


def notice_of(message_id: UUID, event: Event, *, due_date: datetime | None) -> Notice:
    """Return what is told of an event; `due_date` is the task's as it is now."""
    data = json.loads(event.data_json)
    is_reminder = event.event_type == EventType.REMINDER_TRIGGERED
    task_id = data["task_id"]
    return Notice(
        id=message_id,
        title=data["task_title"] if is_reminder else data["title"],
        message=data["reminder_message"] if is_reminder else data["message"],
        task_id=None if task_id is None else UUID(task_id),
        remind_at=parse_rfc3339(data["remind_at"]) if is_reminder else None,
        due_date=due_date,
        created_at=event.timestamp,
    )
