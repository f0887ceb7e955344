"""Builders: a task with only what a test cares about spelled out."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from taskflow import clock
from taskflow.domain import recurring, reminders, tasks
from taskflow.domain.events import Event, EventType, NewEvent
from taskflow.domain.recurring import RecurrenceDraft
from taskflow.domain.reminders import Reminder, ReminderDraft
from taskflow.domain.tasks import Task, TaskDraft
from taskflow.domain.text import compact_json
from taskflow.storage import events, task_changes, transaction
from tests.support.data.accounts import A_CAUSE

A_TIME = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def a_draft(**fields: Any) -> TaskDraft:  # noqa: ANN401 - what JSON may hold
    """Make the content of a request that creates a task."""
    return TaskDraft.model_validate({"title": "Buy milk", **fields})


def a_task(*, user_id: str = "somebody", now: datetime = A_TIME, **fields: Any) -> Task:  # noqa: ANN401 - as above
    """Make a task that is not stored."""
    task, _ = tasks.create(a_draft(**fields), user_id=user_id, now=now)
    return task


def a_series(rule: str = "FREQ=DAILY", **fields: Any) -> RecurrenceDraft:  # noqa: ANN401 - as above
    """Make the content of a request that makes a task recur."""
    return RecurrenceDraft.model_validate({"recurrence_rule": rule, **fields})


def a_recurring_task(
    rule: str = "FREQ=DAILY",
    *,
    zone: str = "UTC",
    lead: timedelta = timedelta(0),
    now: datetime = A_TIME,
    user_id: str = "somebody",
    **series: Any,  # noqa: ANN401 - as above
) -> Task:
    """Make a task that recurs from `now` on and is not stored; its user lives in `zone`."""
    task = a_task(user_id=user_id, now=now)
    task, _ = recurring.set_recurrence(task, a_series(rule, **series), zone, lead=lead, now=now)
    return task


def a_reminder(
    task: Task,
    *,
    zone: str = "UTC",
    now: datetime = A_TIME,
    **fields: Any,  # noqa: ANN401 - as above
) -> Reminder:
    """Make a reminder that is not stored; its user lives in `zone`."""
    return reminders.add(task, ReminderDraft.model_validate(fields), [], zone, now=now).reminder


def a_stored_task(user_id: str, **fields: Any) -> Task:  # noqa: ANN401 - as above
    """Store a task of a user, with its event."""
    task, happened = tasks.create(a_draft(**fields), user_id=user_id, now=clock.now())
    with transaction(A_CAUSE) as tx:
        task_changes.save_all(tx, new_tasks=[task], events=happened)
    return task


def a_settings_event(user_id: str, *, version: int, at: datetime) -> NewEvent:
    """Make an event of an account whose settings are as they were."""
    return NewEvent(
        event_type=EventType.USER_SETTINGS_CHANGED,
        user_id=user_id,
        aggregate_id=user_id,
        version=version,
        timestamp=at,
        data={
            "timezone": "UTC",
            "notification_channels": [],
            "quiet_hours": None,
            "email_digest": True,
            "changes": {},
        },
    )


def append(*happened: NewEvent) -> None:
    """Append events to the log."""
    with transaction(A_CAUSE) as tx:
        events.append(tx, happened)


def json_data(event: NewEvent) -> dict[str, Any]:
    """Return the data of an event that is not stored yet, as read back from JSON."""
    return json.loads(compact_json(event.data))


def log_of(user_id: str) -> Sequence[Event]:
    """Return all events of a user."""
    found: list[Event] = []
    with transaction(A_CAUSE) as tx:
        while page := events.after(tx, user_id, found[-1].seq if found else 0):
            found += page
    return found
