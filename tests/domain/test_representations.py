"""Representations: answers and events have the fields of their type, each of its own type."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from taskflow.domain import accounts, notifications, recurring, reminders, tasks
from taskflow.domain.accounts import (
    AccountRepresentation,
    Registration,
    SettingsChanges,
    SettingsRepresentation,
)
from taskflow.domain.events import changed_fields
from taskflow.domain.notifications import NotificationRepresentation
from taskflow.domain.recurring import PreviewDraft, PreviewedRepresentation, SeriesRepresentation
from taskflow.domain.reminders import ReminderRepresentation
from taskflow.domain.tasks import TaskRepresentation
from tests.support.data.builders import A_TIME, a_recurring_task, a_reminder, a_task

TASK = a_task(due_date="2026-05-01T09:00:00Z", metadata={"a": [1, {"b": None}]}, tags=["x"])
RECURRING = a_recurring_task()
REMINDER = a_reminder(TASK, before_due="PT1H", message="Now")
FIRED = reminders.trigger(REMINDER, TASK, now=A_TIME)
ACCOUNT, _ = accounts.register(
    Registration(email="somebody@example.com", password="a long password"), now=A_TIME
)
QUIET, _ = accounts.change_settings(
    ACCOUNT,
    SettingsChanges.model_validate(
        {"quiet_hours": {"start": "22:00", "end": "07:00"}, "notification_channels": ["email"]}
    ),
    now=A_TIME,
)
SKIPPING = PreviewDraft.model_validate(
    {"recurrence_rule": "FREQ=MONTHLY;BYMONTHDAY=31", "skip": "omit", "limit": 5}
)

REPRESENTED: dict[Any, Sequence[Mapping[str, object]]] = {
    TaskRepresentation: [
        tasks.represent(TASK),
        tasks.represent(RECURRING),
        tasks.represent(replace(TASK, completed_at=A_TIME)),
    ],
    SeriesRepresentation: [recurring.represent(RECURRING)],
    PreviewedRepresentation: recurring.represent_preview(SKIPPING, "UTC", now=A_TIME),
    ReminderRepresentation: [
        reminders.represent(REMINDER),
        reminders.represent(FIRED.reminder, fires_immediately=True),
    ],
    NotificationRepresentation: [notifications.represent(FIRED.notification)],
    AccountRepresentation: [
        accounts.represent(ACCOUNT),
        accounts.represent(replace(ACCOUNT, email=None)),
    ],
    SettingsRepresentation: [
        accounts.represent_settings(ACCOUNT),
        accounts.represent_settings(QUIET),
    ],
}


@pytest.mark.parametrize("kind", REPRESENTED, ids=lambda kind: kind.__name__)
def test_a_representation_is_as_its_type_declares(kind: Any) -> None:  # noqa: ANN401 - a TypedDict
    assert REPRESENTED[kind]
    for shown in REPRESENTED[kind]:
        read = TypeAdapter[Any](kind).validate_json(json.dumps(shown), strict=True)

        assert read == shown


def test_a_time_or_an_id_in_another_form_is_no_representation() -> None:
    shown = tasks.represent(TASK)

    for wrong in ({"created_at": "2026-05-01 09:00"}, {"id": "1"}, {"status": "done"}):
        with pytest.raises(ValidationError):
            TypeAdapter(TaskRepresentation).validate_json(json.dumps({**shown, **wrong}))


def test_fields_that_differ_as_json_alone_are_changes() -> None:
    old, new = {"a": {"x": 1}, "b": 1, "version": 1}, {"a": {"x": True}, "b": 1, "version": 2}

    changes = changed_fields(old, new, unmentioned={"version"})

    assert changes == {"a": {"old": {"x": 1}, "new": {"x": True}}}
