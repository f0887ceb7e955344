"""Notifications: the inbox, and what sockets are told when one comes (N3, N4, N6, L2)."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.functions.conftest import Travel
from tests.support.data.accounts import SignedIn, a_user, an_administrator
from tests.support.data.builders import log_of
from tests.support.events.explanation import assert_events_explain_the_change
from tests.support.functions.client import Api, content
from tests.support.functions.problems import assert_invalid, assert_refused
from tests.support.functions.tasks import created, data_of, items, pages
from tests.support.functions.tokens import a_token, with_token

pytestmark = pytest.mark.usefixtures("database")

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
NOW_TEXT = "2026-03-02T08:00:00.000000Z"
AN_HOUR_AGO = "2026-03-02T07:00:00.000000Z"
PATH = "/api/{user_id}/notifications"


@pytest.fixture
def api(user: SignedIn, travel: Travel) -> Api:
    """Sign in on a day in March."""
    return travel(user, NOW)


def _reminded(api: Api, **fields: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """Have a reminder come at once; return its task and itself."""
    task = created(api)
    answer = api.post(f"/api/tasks/{task['id']}/reminders", {"remind_at": AN_HOUR_AGO, **fields})
    assert answer.status_code == 201, answer.text
    return task, content(answer)


def test_a_reminder_that_was_sent_is_in_the_inbox(user: SignedIn, api: Api) -> None:
    with assert_events_explain_the_change(user.user_id):
        task, reminder = _reminded(api, message="Take the can")

    [notification] = items(api, PATH)
    assert UUID(notification["id"]).version == 7
    assert notification == {
        "id": notification["id"],
        "user_id": user.user_id,
        "task_id": task["id"],
        "reminder_id": reminder["id"],
        "title": "Water the plants",
        "message": "Take the can",
        "late_by_s": 3600,
        "created_at": NOW_TEXT,
        "read_at": None,
    }


def test_devices_hear_of_a_reminder_once(user: SignedIn, api: Api) -> None:
    before = len(log_of(user.user_id))

    task, reminder = _reminded(api, message="Take the can")

    answer = content(api.get(f"/api/{{user_id}}/events?since={before}"))
    messages = {message["type"]: message for message in answer["items"]}
    assert [message["type"] for message in answer["items"]] == [
        *("task.created", "reminder.scheduled", "reminder"),
        *("notification.created", "reminder.sent"),
    ]
    assert set(messages["reminder"]) == {
        *("type", "data", "timestamp", "correlation_id", "seq", "event_id"),
    }
    reminded = messages["reminder"]["data"]
    assert (reminded["task_id"], reminded["task_title"]) == (task["id"], "Water the plants")
    assert (reminded["reminder_message"], reminded["remind_at"]) == ("Take the can", AN_HOUR_AGO)
    assert (reminded["id"], reminded["late_by_s"]) == (reminder["id"], 3600)
    assert messages["notification.created"]["data"] == items(api, PATH)[0]


def test_reminders_pass_through_their_states_in_order(user: SignedIn, api: Api) -> None:
    _, reminder = _reminded(api)

    of_reminder = [event for event in log_of(user.user_id) if event.aggregate_id == reminder["id"]]
    assert [(event.event_type, event.version) for event in of_reminder] == [
        ("reminder.scheduled", 1),
        ("reminder.triggered", 2),
        ("reminder.sent", 3),
    ]
    assert [data_of(event)["status"] for event in of_reminder] == ["scheduled", "triggered", "sent"]
    assert [data_of(event)["notified"] for event in of_reminder] == [False, True, True]


def test_a_notification_is_read_once(user: SignedIn, travel: Travel) -> None:
    _reminded(travel(user, NOW))
    api = travel(user, NOW + timedelta(minutes=5))
    [notification] = items(api, PATH)
    path = f"{PATH}/{notification['id']}/read"

    with assert_events_explain_the_change(user.user_id) as happened:
        first = api.post(path)
        second = travel(user, NOW + timedelta(minutes=9)).post(path)

    read_at = "2026-03-02T08:05:00.000000Z"
    assert (first.status_code, first.json) == (200, {**notification, "read_at": read_at})
    assert (second.status_code, second.json) == (200, first.json)
    [read] = happened
    assert (read.event_type, read.version) == ("notification.read", 2)
    assert read.aggregate_id == notification["id"]
    assert data_of(read)["changes"] == {"read_at": {"old": None, "new": read_at}}


def test_a_notification_of_another_user_is_not_found(
    user: SignedIn, other: SignedIn, travel: Travel
) -> None:
    api = travel(user, NOW)
    _reminded(travel(other, NOW))
    [theirs] = items(travel(other, NOW), PATH)

    for notification_id in (theirs["id"], uuid4()):
        answer = api.post(f"/api/notifications/{notification_id}/read")

        assert_refused(answer, 404, "notification-not-found")
    assert items(api, PATH) == []
    assert items(travel(other, NOW), PATH) == [theirs]


def test_notifications_are_listed_newest_first_and_in_pages(user: SignedIn, travel: Travel) -> None:
    # Some at the same time.
    for number in range(5):
        _reminded(travel(user, NOW + number // 2 * timedelta(seconds=1)), message=f"{number}")
    api = travel(user, NOW + timedelta(seconds=9))

    whole = items(api, PATH)
    found = pages(api, f"{PATH}?limit=2")

    assert whole == sorted(whole, key=lambda one: (one["created_at"], one["id"]), reverse=True)
    assert {one["message"] for one in whole} == {"0", "1", "2", "3", "4"}
    assert [one for page in found for one in page] == whole
    assert [len(page) for page in found] == [2, 2, 1]


def test_unread_notifications_are_listed_on_all_pages(user: SignedIn, travel: Travel) -> None:
    for number in range(5):
        _reminded(travel(user, NOW + number * timedelta(seconds=1)))
    api = travel(user, NOW + timedelta(seconds=9))
    whole = items(api, PATH)
    api.post(f"{PATH}/{whole[1]['id']}/read")

    found = pages(api, f"{PATH}?unread=true&limit=3")

    assert [one["id"] for page in found for one in page] == [
        one["id"] for one in whole if one is not whole[1]
    ]
    assert [len(page) for page in found] == [3, 1]
    assert len(items(api, f"{PATH}?unread=false")) == 5


def test_every_wrong_parameter_of_the_query_is_named(api: Api) -> None:
    assert_invalid(api.get(f"{PATH}?unread=maybe&limit=0&read=1"), "/unread", "/limit", "/read")


def test_a_notification_outlives_its_task_and_its_reminder(user: SignedIn, api: Api) -> None:
    task, reminder = _reminded(api)
    before = items(api, PATH)

    with assert_events_explain_the_change(user.user_id):
        api.delete(f"/api/reminders/{reminder['id']}")
        api.patch(f"/api/tasks/{task['id']}", {"title": "Something else"})
        api.delete(f"/api/tasks/{task['id']}")

    assert items(api, PATH) == before


# What operators send

ADMIN_PATH = "/api/admin/notifications"
MAINTENANCE = "Tonight there is maintenance."


def test_what_an_operator_sends_is_in_the_inbox_and_on_devices(user: SignedIn) -> None:
    administrator, api = an_administrator(), Api(user)
    body = {"user_id": user.user_id, "message": MAINTENANCE}
    before = len(log_of(user.user_id))

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = Api(administrator).post(ADMIN_PATH, body)

    assert answer.status_code == 202
    [notification] = items(api, PATH)
    assert content(answer) == notification
    assert notification == {
        "id": notification["id"],
        "user_id": user.user_id,
        "task_id": None,
        "reminder_id": None,
        "title": None,
        "message": MAINTENANCE,
        "late_by_s": None,
        "created_at": notification["created_at"],
        "read_at": None,
    }
    [event] = happened
    assert (event.event_type, event.actor) == ("notification.created", administrator.user_id)
    [message] = content(api.get(f"/api/events?since={before}"))["items"]
    assert (message["type"], message["data"]) == ("notification.created", notification)


def test_what_an_operator_sent_is_read_as_any_other(user: SignedIn) -> None:
    admin, api = Api(an_administrator()), Api(user)
    sent = content(admin.post(ADMIN_PATH, {"user_id": user.user_id, "message": MAINTENANCE}))

    with assert_events_explain_the_change(user.user_id):
        read = content(api.post(f"{PATH}/{sent['id']}/read"))

    assert read == {**sent, "read_at": read["read_at"]}
    assert read["read_at"] >= sent["created_at"]
    assert items(api, f"{PATH}?unread=true") == []


def test_a_service_with_the_permission_may_send(user: SignedIn) -> None:
    service = a_user()
    token = a_token(service.user_id, permissions=["notifications:send"])

    answer = Api(with_token(service, token)).post(
        ADMIN_PATH, {"user_id": user.user_id, "message": MAINTENANCE}
    )

    assert answer.status_code == 202


def test_a_repeated_request_of_an_operator_sends_once(user: SignedIn) -> None:
    admin, key = Api(an_administrator()), {"Idempotency-Key": "a-maintenance"}
    body = {"user_id": user.user_id, "message": MAINTENANCE}

    answers = [admin.post(ADMIN_PATH, body, headers=key) for _ in range(2)]

    assert answers[0].json == answers[1].json
    assert len(items(Api(user), PATH)) == 1


def test_nobody_is_sent_what_has_no_recipient_or_no_message() -> None:
    admin = Api(an_administrator())

    assert_invalid(admin.post(ADMIN_PATH, {"user_id": "nobody", "message": "x"}), "/user_id")
    assert_invalid(admin.post(ADMIN_PATH, {}), "/user_id", "/message")
    assert_invalid(
        admin.post(ADMIN_PATH, {"user_id": "", "message": " " * 1001}), "/user_id", "/message"
    )
