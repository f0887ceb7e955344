"""Notices: what a user is told outside TaskFlow, of a reminder or by an operator."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


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
