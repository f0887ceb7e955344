"""Notifications: told by one event when they come, and by one when they are read (N4, E1)."""

import json
from datetime import timedelta
from uuid import uuid4

from taskflow.domain import notifications
from taskflow.domain.events import NewEvent
from taskflow.domain.notifications import Notification
from tests.support.data.builders import A_TIME

LATER = A_TIME + timedelta(minutes=1)


def _created() -> tuple[Notification, NewEvent]:
    return notifications.create(
        user_id="somebody",
        task_id=uuid4(),
        reminder_id=uuid4(),
        title="Buy milk",
        message=None,
        late_by_s=1.5,
        now=A_TIME,
    )


def test_a_notification_is_told_by_one_event_with_all_fields_of_its_representation() -> None:
    notification, created = _created()

    assert (created.event_type.value, created.version) == ("notification.created", 1)
    assert (created.user_id, created.aggregate_id) == ("somebody", str(notification.id))
    assert created.timestamp == notification.created_at == A_TIME
    assert created.data == notifications.represent(notification)
    assert json.loads(json.dumps(created.data)) == {
        "id": str(notification.id),
        "user_id": "somebody",
        "task_id": str(notification.task_id),
        "reminder_id": str(notification.reminder_id),
        "title": "Buy milk",
        "message": None,
        "late_by_s": 1.5,
        "created_at": "2026-03-01T09:00:00.000000Z",
        "read_at": None,
    }


def test_reading_a_notification_appends_one_event_with_the_time() -> None:
    notification, _ = _created()

    read, [event] = notifications.read(notification, now=LATER)

    at = "2026-03-01T09:01:00.000000Z"
    assert (read.read_at, read.version) == (LATER, 2)
    assert (event.event_type.value, event.version) == ("notification.read", 2)
    assert event.data == {
        **notifications.represent(read),
        "changes": {"read_at": {"old": None, "new": at}},
    }


def test_reading_a_notification_again_changes_nothing() -> None:
    notification, _ = _created()
    read, _ = notifications.read(notification, now=LATER)

    assert notifications.read(read, now=LATER + timedelta(hours=1)) == (read, [])
