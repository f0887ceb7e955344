"""Quick add through the API: a line of text becomes a task, and its preview none (T10, A5)."""

from datetime import UTC, datetime
from typing import Any

import pytest

from taskflow.domain.quick_add import TEXT_MAX_CHARS
from tests.functions.conftest import Travel
from tests.support.data.accounts import SignedIn
from tests.support.data.builders import log_of
from tests.support.data.quick_add_vectors import VECTORS
from tests.support.events.explanation import assert_events_explain_the_change, state_of
from tests.support.functions.client import Api, content
from tests.support.functions.problems import assert_invalid
from tests.support.functions.tasks import items, shown, types_of

pytestmark = pytest.mark.usefixtures("database")

NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)
LINE = "Pay rent tomorrow 9:00 every month #home !high remind 1h before"
QUICK, PREVIEW = "/api/{user_id}/tasks/quick", "/api/{user_id}/tasks/quick/preview"


@pytest.fixture
def api(user: SignedIn, travel: Travel) -> Api:
    """Sign in, in Berlin on a Monday morning."""
    api = travel(user, NOW)
    assert api.put("/api/settings", {"timezone": "Europe/Berlin"}).status_code == 200
    return api


def _preview(api: Api, text: str) -> dict[str, Any]:
    answer = api.post(PREVIEW, {"text": text})
    assert answer.status_code == 200, answer.text
    return content(answer)


def test_a_line_becomes_a_task_with_its_series_and_its_reminders(user: SignedIn, api: Api) -> None:
    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.post(QUICK, {"text": LINE})

    task = content(answer)
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/{user.user_id}/tasks/{task['id']}"
    assert answer.headers["ETag"] == '"2"'
    assert task["title"] == "Pay rent"
    assert task["due_date"] == "2026-12-01T08:00:00.000000Z"
    assert task["recurrence_rule"] == "FREQ=MONTHLY"
    assert (task["priority"], task["tags"]) == ("high", ["home"])
    assert types_of(happened) == ["task.created", "recurrence.set", "reminder.scheduled"]
    assert shown(api, task["id"]) == task
    [reminder] = items(api, "/api/reminders/pending")
    assert reminder["remind_at"] == "2026-12-01T07:00:00.000000Z"


def test_a_line_sent_again_under_its_key_makes_no_second_task(user: SignedIn, api: Api) -> None:
    key = {"Idempotency-Key": "typed once"}

    first, second = (api.post(QUICK, {"text": LINE}, headers=key) for _ in range(2))

    assert second.status_code == first.status_code == 201
    assert second.text == first.text
    assert second.headers["Location"] == first.headers["Location"]
    assert len(items(api, f"/api/{user.user_id}/tasks")) == 1


def test_a_preview_shows_the_parts_of_a_line_and_makes_nothing(user: SignedIn, api: Api) -> None:
    before, log_before = state_of(user.user_id), log_of(user.user_id)

    preview = _preview(api, LINE)

    assert preview["task"]["reminders"] == [
        {
            "remind_at": "2026-12-01T07:00:00.000000Z",
            "before_due": "PT1H",
            "fires_immediately": False,
        }
    ]
    assert preview["parts"][:2] == [
        {"kind": "date", "text": "tomorrow", "start": 9, "end": 17},
        {"kind": "time", "text": "9:00", "start": 18, "end": 22},
    ]
    assert state_of(user.user_id) == before
    assert log_of(user.user_id) == log_before


@pytest.mark.parametrize(
    "text", [each.text for each in VECTORS if each.now == NOW and each.refused is None][::9]
)
def test_the_task_is_the_one_that_the_preview_showed(api: Api, text: str) -> None:
    previewed = _preview(api, text)["task"]

    task = content(api.post(QUICK, {"text": text}))

    assert {name: task[name] for name in previewed if name != "reminders"} == {
        name: value for name, value in previewed.items() if name != "reminders"
    }
    mine = [each for each in items(api, "/api/reminders/pending") if each["task_id"] == task["id"]]
    expected = sorted(one["remind_at"] for one in previewed["reminders"])
    assert [each["remind_at"] for each in mine] == expected


def test_a_line_is_read_in_its_users_zone(api: Api) -> None:
    in_berlin = _preview(api, "Call Bob tomorrow 9:00")["task"]["due_date"]
    assert api.put("/api/settings", {"timezone": "Asia/Tokyo"}).status_code == 200

    in_tokyo = content(api.post(QUICK, {"text": "Call Bob tomorrow 9:00"}))["due_date"]

    assert in_berlin == "2026-12-01T08:00:00.000000Z"
    assert in_tokyo == "2026-12-01T00:00:00.000000Z"


@pytest.mark.parametrize("path", [QUICK, PREVIEW])
@pytest.mark.parametrize(
    "text", [None, 1, "", " ", "tomorrow #home", "x" * (TEXT_MAX_CHARS + 1), "x\0", "x" * 256]
)
def test_a_text_that_makes_no_task_is_refused(
    user: SignedIn, api: Api, path: str, text: object
) -> None:
    log_before = log_of(user.user_id)

    answer = api.post(path, {"text": text})

    assert_invalid(answer, "/text")
    assert log_of(user.user_id) == log_before


@pytest.mark.parametrize("path", [QUICK, PREVIEW])
@pytest.mark.parametrize(
    "default_text", [None, 1, "at home", "today\0", " today" * (TEXT_MAX_CHARS // 6 + 1)]
)
def test_a_default_text_that_is_none_is_refused(
    user: SignedIn, api: Api, path: str, default_text: object
) -> None:
    log_before = log_of(user.user_id)

    answer = api.post(path, {"text": "Buy milk", "default_text": default_text})

    assert_invalid(answer, "/default_text")
    assert log_of(user.user_id) == log_before


def test_a_default_text_counts_in_the_preview_and_in_the_task(api: Api) -> None:
    line = {"text": "Buy milk", "default_text": "2026-12-24 #home"}

    previewed = content(api.post(PREVIEW, line))
    task = content(api.post(QUICK, line))

    assert previewed["default_kinds"] == ["date", "tag"]
    assert previewed["task"]["due_date"] == task["due_date"] == "2026-12-24T22:59:00.000000Z"
    assert previewed["task"]["tags"] == task["tags"] == ["home"]
