"""Statistics: what is open, overdue and was completed, in the user's zone (T9, T8, A3)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from taskflow.domain.times import rfc3339
from tests.support.data.accounts import SignedIn, a_user
from tests.support.data.builders import a_stored_task
from tests.support.functions.client import Api, content

pytestmark = pytest.mark.usefixtures("database")

NOW = datetime(2026, 3, 30, 12, tzinfo=UTC)
A_MINUTE, AN_HOUR, A_DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

Travel = Callable[[SignedIn, datetime], Api]


def _statistics(api: Api) -> dict[str, Any]:
    answer = api.get("/api/{user_id}/statistics")
    assert answer.status_code == 200, answer.text
    return content(answer)


def _completed(shown: dict[str, Any]) -> dict[str, int]:
    """Return the days on which something was completed, and how much."""
    return {day["date"]: day["count"] for day in shown["completed_per_day"] if day["count"]}


def test_someone_without_tasks_has_zeros_for_everything(user: SignedIn, travel: Travel) -> None:
    shown = _statistics(travel(user, NOW))

    assert shown["open_by_priority"] == dict.fromkeys(["low", "medium", "high", "urgent"], 0)
    assert shown["overdue"] == 0
    assert [day["count"] for day in shown["completed_per_day"]] == [0] * 30
    assert shown["completed_per_day"][0]["date"] == "2026-03-01"
    assert shown["completed_per_day"][-1]["date"] == "2026-03-30"
    assert shown["open_by_tag"] == []
    assert shown["timezone"] == "UTC"


def test_open_tasks_are_counted_by_priority_and_those_whose_time_has_passed(
    user: SignedIn, other: SignedIn, travel: Travel
) -> None:
    api = travel(user, NOW)
    passed, to_come = rfc3339(NOW - A_MINUTE), rfc3339(NOW + A_MINUTE)
    for fields in (
        {"priority": "low"},
        {"priority": "high", "due_date": passed},
        {"priority": "high", "due_date": to_come, "status": "in_progress"},
        {"priority": "urgent", "due_date": passed, "status": "in_progress"},
        # What is over, in one way or another.
        {"priority": "urgent", "due_date": passed, "status": "completed"},
        {"priority": "urgent", "due_date": passed, "status": "cancelled"},
    ):
        a_stored_task(user.user_id, **fields)
    api.delete(f"/api/tasks/{a_stored_task(user.user_id, due_date=passed).id}")
    a_stored_task(other.user_id, due_date=passed)

    shown = _statistics(api)

    assert shown["open_by_priority"] == {"low": 1, "medium": 0, "high": 2, "urgent": 1}
    assert shown["overdue"] == 2


def test_the_tags_of_open_tasks_are_counted_the_most_used_first(
    user: SignedIn, other: SignedIn, travel: Travel
) -> None:
    api = travel(user, NOW)
    a_stored_task(user.user_id, tags=["work", "home"])
    a_stored_task(user.user_id, tags=["home"], status="in_progress", due_date=rfc3339(NOW))
    a_stored_task(user.user_id, tags=["done"], status="completed")
    api.delete(f"/api/tasks/{a_stored_task(user.user_id, tags=['deleted']).id}")
    a_stored_task(other.user_id, tags=["home"])

    shown = _statistics(api)

    assert shown["open_by_tag"] == [{"tag": "home", "count": 2}, {"tag": "work", "count": 1}]


def test_completed_tasks_are_counted_on_the_day_of_their_user(
    travel: Travel, set_clock: Callable[[datetime], None]
) -> None:
    user = a_user(timezone="Europe/Berlin")
    # On the 29th, clocks go forward: the day is 23 hours long.
    begin = datetime(2026, 3, 28, 23, tzinfo=UTC)
    for at in (
        begin - A_MINUTE,
        begin,
        begin + 23 * AN_HOUR - A_MINUTE,
        begin + 23 * AN_HOUR,
        NOW,
        # The first of the thirty days, and the last before it.
        datetime(2026, 2, 28, 23, tzinfo=UTC),
        datetime(2026, 2, 28, 23, tzinfo=UTC) - A_MINUTE,
    ):
        set_clock(at)
        a_stored_task(user.user_id, status="completed")

    shown = _statistics(travel(user, NOW))

    assert _completed(shown) == {
        "2026-03-01": 1,
        "2026-03-28": 1,
        "2026-03-29": 2,
        "2026-03-30": 2,
    }


def test_completed_tasks_are_counted_for_as_many_days_as_asked_for(
    user: SignedIn, travel: Travel, set_clock: Callable[[datetime], None]
) -> None:
    set_clock(NOW - 89 * A_DAY)
    a_stored_task(user.user_id, status="completed")
    api = travel(user, NOW)

    of_a_year = content(api.get("/api/{user_id}/statistics?days=366"))
    of_90_days = content(api.get("/api/{user_id}/statistics?days=90"))

    assert len(of_a_year["completed_per_day"]) == 366
    assert _completed(of_a_year) == _completed(of_90_days) == {"2025-12-31": 1}
    assert of_90_days["completed_per_day"][0]["date"] == "2025-12-31"
    assert _completed(_statistics(api)) == {}


@pytest.mark.parametrize("days", ["0", "367", "many"])
def test_days_beyond_a_year_are_refused(user: SignedIn, travel: Travel, days: str) -> None:
    answer = travel(user, NOW).get(f"/api/{{user_id}}/statistics?days={days}")

    assert answer.status_code == 422
    assert content(answer)["errors"][0]["pointer"] == "/days"


def test_only_what_is_still_completed_counts_and_only_once(user: SignedIn, travel: Travel) -> None:
    api = travel(user, NOW - 2 * A_DAY)
    kept, reopened, deleted = (a_stored_task(user.user_id) for _ in range(3))
    for task in (kept, reopened, deleted):
        api.post(f"/api/tasks/{task.id}/complete")
    api = travel(user, NOW)
    api.patch(f"/api/tasks/{reopened.id}", {"status": "pending"})
    api.patch(f"/api/tasks/{kept.id}", {"title": "Changed later"})
    api.delete(f"/api/tasks/{deleted.id}")

    assert _completed(_statistics(api)) == {"2026-03-28": 1}
    api.post(f"/api/tasks/{reopened.id}/complete")
    assert _completed(_statistics(api)) == {"2026-03-28": 1, "2026-03-30": 1}


def test_a_new_zone_moves_the_days(user: SignedIn, travel: Travel) -> None:
    api = travel(user, datetime(2026, 3, 29, 20, tzinfo=UTC))
    a_stored_task(user.user_id, status="completed")

    assert _completed(_statistics(api)) == {"2026-03-29": 1}
    api.put("/api/settings", {"timezone": "Asia/Tokyo"})
    shown = _statistics(api)

    assert _completed(shown) == {"2026-03-30": 1}
    assert shown["timezone"] == "Asia/Tokyo"
    assert shown["completed_per_day"][-1]["date"] == "2026-03-30"
