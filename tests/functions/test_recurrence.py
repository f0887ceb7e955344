"""Recurring tasks: to set, show, list, preview and end a series (R1-R4, R7, T2, T8)."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.functions.conftest import Travel
from tests.support.data.accounts import SignedIn, a_user, an_administrator
from tests.support.events.explanation import assert_events_explain_the_change
from tests.support.functions.client import Api, content
from tests.support.functions.problems import assert_invalid, assert_refused
from tests.support.functions.tasks import created, data_of, items, pages, shown, types_of
from tests.support.functions.tokens import signed_in_at

pytestmark = pytest.mark.usefixtures("database")

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
"""A Monday, with clocks in America moving on the next Sunday."""

DUE = "2026-03-02T09:00:00.000000Z"
NEXT_DAY = "2026-03-03T09:00:00.000000Z"
NEXT_WEEK = "2026-03-09T09:00:00.000000Z"
WEEKLY = {"recurrence_rule": "FREQ=WEEKLY;BYDAY=MO"}
DEFAULTS = {"timezone": None, "mode": "schedule", "missed": "all", "skip": "backward"}

WRONG_SERIES: list[tuple[dict[str, Any], list[str]]] = [
    ({"recurrence_rule": None}, ["recurrence_rule"]),
    ({"recurrence_rule": "FREQ=HOURLY"}, ["recurrence_rule"]),
    ({"recurrence_rule": "FREQ=DAILY;BYHOUR=9"}, ["recurrence_rule"]),
    ({"recurrence_rule": "FREQ=DAILY;COUNT=2;UNTIL=20270101"}, ["recurrence_rule"]),
    ({"recurrence_rule": "every day"}, ["recurrence_rule"]),
    ({"recurrence_rule": ""}, ["recurrence_rule"]),
    ({"recurrence_rule": f"FREQ=WEEKLY;BYDAY={','.join(['MO'] * 90)}"}, ["recurrence_rule"]),
    ({"start": "2026-03-02T09:00:00"}, ["start"]),
    ({"start": "tomorrow"}, ["start"]),
    ({"start": "1899-12-31T09:00:00Z"}, ["start"]),
    ({"start": "9999-06-01T09:00:00Z"}, ["start"]),
    ({"timezone": "Berlin"}, ["timezone"]),
    ({"timezone": 1}, ["timezone"]),
    ({"mode": "sometimes"}, ["mode"]),
    ({"mode": None}, ["mode"]),
    ({"missed": "none"}, ["missed"]),
    ({"skip": "sideways"}, ["skip"]),
    ({"count": 3}, ["count"]),
    (
        {"recurrence_rule": 1, "start": 1, "timezone": "x", "mode": 1, "missed": 1, "skip": 1},
        ["recurrence_rule", "start", "timezone", "mode", "missed", "skip"],
    ),
]


@pytest.fixture
def api(user: SignedIn, travel: Travel) -> Api:
    """Sign in on a Monday in March."""
    return travel(user, NOW)


def _path(task: dict[str, Any]) -> str:
    return f"/api/{{user_id}}/tasks/{task['id']}/recurrence"


# To set


def test_a_task_is_made_to_recur_and_the_series_is_answered(user: SignedIn, api: Api) -> None:
    task = created(api, due_date=DUE)

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.post(_path(task), WEEKLY)

    assert answer.status_code == 200
    assert answer.json == {
        "task_id": task["id"],
        **WEEKLY,
        "start": DUE,
        "local_start": "2026-03-02T09:00:00",
        **DEFAULTS,
        "next_occurrence": NEXT_WEEK,
    }
    [set_] = happened
    assert (set_.event_type, set_.version) == ("recurrence.set", 2)
    assert set_.aggregate_id == task["id"]
    assert data_of(set_)["series"] == {
        name: value
        for name, value in content(answer).items()
        if name not in {"task_id", "next_occurrence"}
    }
    assert set(data_of(set_)["changes"]) == {"recurrence_rule", "is_recurring", "next_occurrence"}
    assert shown(api, task["id"]) == {
        **task,
        **WEEKLY,
        "is_recurring": True,
        "next_occurrence": NEXT_WEEK,
        "updated_at": "2026-03-02T08:00:00.000000Z",
        "version": 2,
    }
    assert api.get(_path(task)).json == answer.json


def test_every_field_of_a_series_is_kept(user: SignedIn, api: Api) -> None:
    task = created(api, due_date=DUE)
    wanted = {
        "recurrence_rule": "FREQ=MONTHLY;BYMONTHDAY=31",
        "timezone": "America/New_York",
        "mode": "schedule",
        "missed": "latest",
        "skip": "forward",
    }

    with assert_events_explain_the_change(user.user_id):
        answer = api.post(_path(task), {**wanted, "start": "2026-01-31T09:30:00-05:00"})

    assert content(answer) == {
        "task_id": task["id"],
        **wanted,
        "start": "2026-01-31T14:30:00.000000Z",
        "local_start": "2026-01-31T09:30:00",
        "next_occurrence": "2026-03-31T13:30:00.000000Z",
    }


def test_a_series_begins_now_where_its_task_has_no_due_date(api: Api) -> None:
    task = created(api)

    answer = api.post(_path(task), {"recurrence_rule": "FREQ=DAILY"})

    assert content(answer)["start"] == "2026-03-02T08:00:00.000000Z"
    assert content(answer)["next_occurrence"] == "2026-03-03T08:00:00.000000Z"


def test_a_series_without_a_zone_is_in_that_of_its_user(travel: Travel) -> None:
    api = travel(a_user(timezone="America/New_York"), NOW)
    task = created(api, due_date="2026-03-02T14:00:00Z")

    series = content(api.post(_path(task), WEEKLY))

    assert (series["timezone"], series["local_start"]) == (None, "2026-03-02T09:00:00")
    # Clocks moved the day before: nine o'clock comes an hour earlier.
    assert series["next_occurrence"] == "2026-03-09T13:00:00.000000Z"


def test_occurrences_before_the_series_was_set_are_not_made_up_for(api: Api) -> None:
    task = created(api, due_date="2025-12-01T09:00:00Z")

    series = content(api.post(_path(task), WEEKLY))

    assert series["start"] == "2025-12-01T09:00:00.000000Z"
    assert series["next_occurrence"] == DUE


def test_a_series_whose_last_time_is_past_has_no_next_occurrence(user: SignedIn, api: Api) -> None:
    task = created(api, due_date="2025-12-01T09:00:00Z")

    with assert_events_explain_the_change(user.user_id):
        series = content(api.post(_path(task), {"recurrence_rule": "FREQ=DAILY;COUNT=5"}))

    assert series["next_occurrence"] is None
    assert shown(api, task["id"])["is_recurring"] is True


def test_a_series_that_follows_completions_has_no_next_occurrence_before_one(api: Api) -> None:
    task = created(api, due_date=DUE)

    series = content(api.post(_path(task), {**WEEKLY, "mode": "after_completion"}))

    assert (series["mode"], series["next_occurrence"]) == ("after_completion", None)


def test_a_series_is_changed_by_setting_it_again(user: SignedIn, api: Api) -> None:
    task = created(api, due_date=DUE, **WEEKLY)

    with assert_events_explain_the_change(user.user_id) as happened:
        series = content(api.post(_path(task), {"recurrence_rule": "FREQ=DAILY"}))

    assert (series["recurrence_rule"], series["next_occurrence"]) == ("FREQ=DAILY", NEXT_DAY)
    assert types_of(happened) == ["recurrence.set"]
    assert data_of(happened[0])["changes"] == {
        "recurrence_rule": {"old": WEEKLY["recurrence_rule"], "new": "FREQ=DAILY"},
        "next_occurrence": {"old": NEXT_WEEK, "new": NEXT_DAY},
    }


def test_setting_the_same_series_twice_changes_nothing(user: SignedIn, api: Api) -> None:
    task = created(api, due_date=DUE, **WEEKLY, reminders=[{"before_due": "PT1H"}])

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.post(_path(task), WEEKLY)

    assert answer.status_code == 200
    assert happened == []


def test_a_cancelled_task_keeps_its_series_until_it_is_pending_again(
    user: SignedIn, api: Api
) -> None:
    task = created(api, due_date=DUE, status="cancelled")

    with assert_events_explain_the_change(user.user_id):
        series = content(api.post(_path(task), WEEKLY))
        going_on = content(api.patch(f"/api/tasks/{task['id']}", {"status": "pending"}))

    assert series["next_occurrence"] is None
    assert going_on["next_occurrence"] == NEXT_WEEK


def test_every_wrong_field_of_a_series_is_named(user: SignedIn, api: Api) -> None:
    task = created(api, due_date=DUE)

    with assert_events_explain_the_change(user.user_id) as happened:
        answers = [api.post(_path(task), {**WEEKLY, **wrong}) for wrong, _ in WRONG_SERIES]

    for answer, (_, fields) in zip(answers, WRONG_SERIES, strict=True):
        assert_invalid(answer, *(f"/{field}" for field in fields))
    assert happened == []


def test_a_part_of_a_rule_that_is_not_supported_is_named(api: Api) -> None:
    task = created(api, due_date=DUE)

    problem = assert_invalid(
        api.post(_path(task), {"recurrence_rule": "FREQ=DAILY;BYHOUR=9"}), "/recurrence_rule"
    )

    assert "BYHOUR" in problem["errors"][0]["detail"]


@pytest.mark.parametrize("due", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_a_series_of_a_task_due_where_no_series_can_begin_is_refused(
    travel: Travel, due: str, zone: str
) -> None:
    user = a_user(timezone=zone)
    api = travel(user, NOW)
    task = created(api, due_date=due)

    with assert_events_explain_the_change(user.user_id) as happened:
        set_ = api.post(_path(task), WEEKLY)
        new = api.post("/api/tasks", {"title": "Never", "due_date": due, **WEEKLY})

    assert_refused(set_, 422, "invalid-content")
    assert_refused(new, 422, "invalid-content")
    assert happened == []


def test_an_unknown_task_cannot_recur(api: Api) -> None:
    deleted = created(api, due_date=DUE)
    api.delete(f"/api/tasks/{deleted['id']}")

    for task in (deleted, {"id": uuid4()}):
        assert_refused(api.post(_path(task), WEEKLY), 404, "task-not-found")
        assert_refused(api.get(_path(task)), 404, "task-not-found")
        assert_refused(api.delete(_path(task)), 404, "task-not-found")


def test_a_series_is_not_set_or_ended_with_a_stale_version(user: SignedIn, api: Api) -> None:
    task = created(api, due_date=DUE, **WEEKLY)
    stale, fresh = {"If-Match": '"1"'}, {"If-Match": f'"{task["version"]}"'}

    with assert_events_explain_the_change(user.user_id) as happened:
        refused = [
            api.post(_path(task), {"recurrence_rule": "FREQ=DAILY"}, headers=stale),
            api.delete(_path(task), headers=stale),
        ]
    taken = api.delete(_path(task), headers=fresh)

    for answer in refused:
        assert_refused(answer, 412, "version-is-stale")
    assert happened == []
    assert taken.status_code == 204


# To create with


def test_a_task_is_created_with_its_series_and_reminders(user: SignedIn, api: Api) -> None:
    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.post(
            "/api/tasks",
            {
                "title": "Water the plants",
                "due_date": DUE,
                "recurrence": {**WEEKLY, "timezone": "Europe/Berlin", "missed": "skip"},
                "reminders": [
                    {"before_due": "PT30M", "message": "Soon"},
                    {"remind_at": "2026-03-02T07:00:00Z"},
                    {"before_due": "P7D"},
                    {"remind_at": "2026-03-02T09:30:00+01:00"},
                ],
            },
        )

    task = content(answer)
    assert answer.status_code == 201
    assert answer.headers["ETag"] == '"2"'
    assert task["recurrence_rule"] == WEEKLY["recurrence_rule"]
    assert (task["is_recurring"], task["next_occurrence"]) == (True, NEXT_WEEK)
    assert shown(api, task["id"]) == task
    assert types_of(happened) == [
        *("task.created", "recurrence.set"),
        "reminder.scheduled",
        *("reminder.scheduled", "reminder.triggered", "notification.created", "reminder.sent"),
        *("reminder.scheduled", "reminder.triggered", "notification.created", "reminder.sent"),
    ]
    # The last of them is the same time as the first.
    [pending] = items(api, "/api/reminders/pending")
    assert (pending["remind_at"], pending["message"]) == ("2026-03-02T08:30:00.000000Z", "Soon")
    assert len(items(api, "/api/notifications")) == 2


def test_a_rule_alone_is_a_series_with_the_defaults(api: Api) -> None:
    task = created(api, due_date=DUE, **WEEKLY)

    series = content(api.get(_path(task)))

    assert {name: series[name] for name in DEFAULTS} == DEFAULTS
    assert (series["start"], series["next_occurrence"]) == (DUE, NEXT_WEEK)


def test_every_wrong_field_of_a_new_tasks_series_is_named(user: SignedIn, api: Api) -> None:
    drafts = [{"title": "", "recurrence": {**WEEKLY, **wrong}} for wrong, _ in WRONG_SERIES]

    with assert_events_explain_the_change(user.user_id) as happened:
        answers = [api.post("/api/tasks", draft) for draft in drafts]

    for answer, (_, fields) in zip(answers, WRONG_SERIES, strict=True):
        assert_invalid(answer, "/title", *(f"/recurrence/{field}" for field in fields))
    assert happened == []


@pytest.mark.parametrize(
    ("fields", "pointers"),
    [
        ({"recurrence_rule": "FREQ=SECONDLY"}, ["/recurrence_rule"]),
        ({"recurrence_rule": 1, "recurrence": "FREQ=DAILY"}, ["/recurrence_rule", "/recurrence"]),
        ({"recurrence": {}}, ["/recurrence/recurrence_rule"]),
        ({"recurrence": WEEKLY, **WEEKLY}, ["/recurrence_rule"]),
        (
            {"recurrence": WEEKLY, **WEEKLY, "reminders": [{"before_due": "P1D"}, {}]},
            ["/recurrence_rule", "/reminders/0/before_due", "/reminders/1/remind_at"],
        ),
        ({"is_recurring": True}, ["/is_recurring"]),
    ],
    ids=str,
)
def test_contradicting_fields_of_a_new_tasks_series_are_refused(
    user: SignedIn, api: Api, fields: dict[str, Any], pointers: list[str]
) -> None:
    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.post("/api/tasks", {"title": "Water the plants", **fields})

    assert_invalid(answer, *pointers)
    assert happened == []


def test_a_request_to_create_a_series_that_is_sent_again_creates_one(
    user: SignedIn, api: Api
) -> None:
    reminders = [{"before_due": "PT5M"}]
    draft = {"title": "Water the plants", "due_date": DUE, **WEEKLY, "reminders": reminders}

    with assert_events_explain_the_change(user.user_id) as happened:
        answers = [
            api.post("/api/tasks", draft, headers={"Idempotency-Key": "water"}) for _ in range(2)
        ]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json == answers[1].json
    assert types_of(happened) == ["task.created", "recurrence.set", "reminder.scheduled"]


# To show, and to end


def test_a_task_that_does_not_recur_has_no_series(user: SignedIn, api: Api) -> None:
    task = created(api, due_date=DUE)

    with assert_events_explain_the_change(user.user_id) as happened:
        answers = [api.get(_path(task)), api.delete(_path(task))]

    for answer in answers:
        assert_refused(answer, 404, "no-recurrence")
    assert happened == []


def test_a_series_is_ended_once(user: SignedIn, api: Api) -> None:
    task = created(api, due_date=DUE, **WEEKLY)

    with assert_events_explain_the_change(user.user_id) as happened:
        first, second = api.delete(_path(task)), api.delete(_path(task))

    assert (first.status_code, first.data) == (204, b"")
    assert_refused(second, 404, "no-recurrence")
    [removed] = happened
    assert (removed.event_type, removed.version) == ("recurrence.removed", task["version"] + 1)
    assert data_of(removed)["changes"] == {
        "recurrence_rule": {"old": WEEKLY["recurrence_rule"], "new": None},
        "is_recurring": {"old": True, "new": False},
        "next_occurrence": {"old": NEXT_WEEK, "new": None},
    }
    assert shown(api, task["id"])["is_recurring"] is False


def test_the_history_of_a_task_shows_the_changes_of_its_series(api: Api) -> None:
    task = created(api, due_date=DUE)
    api.post(_path(task), WEEKLY)
    api.patch(f"/api/tasks/{task['id']}", {"title": "Water all the plants"})
    api.post(_path(task), {"recurrence_rule": "FREQ=DAILY"})
    api.delete(_path(task))

    history = items(api, f"/api/tasks/{task['id']}/history")

    assert [event["event_type"] for event in history] == [
        *("task.created", "recurrence.set", "task.updated", "recurrence.set"),
        "recurrence.removed",
    ]
    assert [event["version"] for event in history] == [1, 2, 3, 4, 5]
    assert history[1]["data"]["series"]["recurrence_rule"] == WEEKLY["recurrence_rule"]


# What other changes do to a series


@pytest.mark.parametrize(
    ("change", "undo"),
    [
        (("DELETE", "", None), ("POST", "/restore", None)),
        (("PATCH", "", {"status": "cancelled"}), ("PATCH", "", {"status": "in_progress"})),
        (("PUT", "", {"status": "cancelled"}), ("POST", "/complete", None)),
    ],
    ids=["deleted and restored", "cancelled and begun", "cancelled and completed"],
)
def test_a_deleted_or_cancelled_task_ends_its_series_until_it_is_back(
    user: SignedIn,
    travel: Travel,
    change: tuple[str, str, object],
    undo: tuple[str, str, object],
) -> None:
    task = created(travel(user, NOW), due_date=DUE, recurrence_rule="FREQ=DAILY")
    path = f"/api/tasks/{task['id']}"

    with assert_events_explain_the_change(user.user_id) as happened:
        away = _send(travel(user, NOW), path, change)
        back = _send(travel(user, NOW + timedelta(days=10)), path, undo)

    assert (away, back) in {(200, 200), (204, 200)}
    stopped, going_on = (data_of(event) for event in happened)
    assert stopped["changes"]["next_occurrence"] == {"old": NEXT_DAY, "new": None}
    assert stopped["is_recurring"] is True
    assert going_on["next_occurrence"] == "2026-03-12T09:00:00.000000Z"


def _send(api: Api, path: str, wanted: tuple[str, str, object]) -> int:
    method, suffix, body = wanted
    options: dict[str, Any] = {} if body is None else {"json": body}
    return api.request(method, path + suffix, **options).status_code


def test_completing_or_moving_a_recurring_task_leaves_its_series_alone(
    user: SignedIn, api: Api
) -> None:
    task = created(api, due_date=DUE, **WEEKLY)
    path = f"/api/tasks/{task['id']}"
    series = content(api.get(_path(task)))

    with assert_events_explain_the_change(user.user_id) as happened:
        api.post(f"{path}/complete")
        api.post(f"{path}/complete", {"completed": False})
        api.put(f"{path}/due-date", {"due_date": "2026-03-04T09:00:00Z"})
        api.put(f"{path}/due-date", {"due_date": None})
        api.patch(path, {"priority": "high", "due_date": DUE})

    assert content(api.get(_path(task))) == series
    assert "next_occurrence" not in {
        name for event in happened for name in data_of(event)["changes"]
    }


def test_a_shown_recurring_task_may_be_put_back(user: SignedIn, api: Api) -> None:
    task = created(api, due_date=DUE, **WEEKLY)

    with assert_events_explain_the_change(user.user_id) as happened:
        put = api.put(f"/api/tasks/{task['id']}", {**task, "title": "Water all the plants"})
        changed = api.patch(
            f"/api/tasks/{task['id']}", {"recurrence_rule": "FREQ=DAILY", "next_occurrence": None}
        )

    assert put.status_code == 200
    assert_invalid(changed, "/recurrence_rule", "/next_occurrence")
    assert types_of(happened) == ["task.updated"]


def test_an_administrators_correction_may_end_a_series_for_a_while(
    user: SignedIn, travel: Travel
) -> None:
    api, administrator = travel(user, NOW), an_administrator()
    task = created(api, due_date=DUE, **WEEKLY, reminders=[{"before_due": "PT5M"}])
    token = {"roles": ["user", "admin"]}
    correcting = Api(signed_in_at(administrator, NOW, **token))
    path = f"/api/admin/tasks/{task['id']}/correct"

    with assert_events_explain_the_change(user.user_id) as happened:
        cancelled = correcting.post(path, {"status": "cancelled"})
        again = correcting.post(path, {"status": "pending", "due_date": NEXT_DAY})

    assert (cancelled.status_code, again.status_code) == (200, 200)
    assert content(cancelled)["next_occurrence"] is None
    assert content(again)["next_occurrence"] == NEXT_WEEK
    assert types_of(happened) == [
        *("task.corrected", "reminder.cancelled"),
        *("task.corrected", "reminder.scheduled"),
    ]
    [pending] = items(api, "/api/reminders/pending")
    assert pending["remind_at"] == "2026-03-03T08:55:00.000000Z"


# A new time zone


def test_a_new_zone_moves_the_series_that_follow_the_user_and_no_others(
    user: SignedIn, api: Api
) -> None:
    following = created(api, due_date=DUE, recurrence={"recurrence_rule": "FREQ=DAILY"})
    own_zone = created(api, due_date=DUE, recurrence={**WEEKLY, "timezone": "UTC"})
    deleted = created(api, due_date=DUE, **WEEKLY)
    api.delete(f"/api/tasks/{deleted['id']}")
    after_completion = created(api, due_date=DUE, recurrence={**WEEKLY, "mode": "after_completion"})
    single = created(api, due_date=DUE)

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.put("/api/{user_id}/settings", {"timezone": "Asia/Kolkata"})

    assert answer.status_code == 200
    assert types_of(happened) == ["user.settings_changed", "recurrence.set"]
    moved = happened[1]
    assert moved.aggregate_id == following["id"]
    assert data_of(moved)["changes"] == {
        "next_occurrence": {"old": NEXT_DAY, "new": "2026-03-03T03:30:00.000000Z"}
    }
    for unmoved in (own_zone, after_completion, single):
        assert shown(api, unmoved["id"]) == unmoved
    series = content(api.get(_path(following)))
    assert (series["timezone"], series["local_start"]) == (None, "2026-03-02T09:00:00")


def test_an_ended_series_goes_on_in_the_new_zone_of_its_user(user: SignedIn, api: Api) -> None:
    task = created(api, due_date=DUE, recurrence_rule="FREQ=DAILY")
    api.delete(f"/api/tasks/{task['id']}")
    api.put("/api/settings", {"timezone": "Asia/Kolkata"})

    with assert_events_explain_the_change(user.user_id):
        restored = content(api.post(f"/api/tasks/{task['id']}/restore"))

    assert restored["next_occurrence"] == "2026-03-03T03:30:00.000000Z"


def test_settings_other_than_the_zone_leave_every_series_alone(user: SignedIn, api: Api) -> None:
    task = created(api, due_date=DUE, **WEEKLY)

    with assert_events_explain_the_change(user.user_id) as happened:
        api.put("/api/settings", {"notification_channels": ["email"], "timezone": "UTC"})

    assert types_of(happened) == ["user.settings_changed"]
    assert shown(api, task["id"]) == task


# To list


def test_recurring_tasks_are_listed_newest_first_and_in_pages(
    user: SignedIn, travel: Travel
) -> None:
    made = [
        created(travel(user, NOW + number * timedelta(seconds=1)), **WEEKLY) for number in range(5)
    ]
    api = travel(user, NOW + timedelta(seconds=9))
    created(api)
    ended, deleted = created(api, **WEEKLY), created(api, **WEEKLY)
    api.delete(_path(ended))
    api.delete(f"/api/tasks/{deleted['id']}")

    whole = items(api, "/api/{user_id}/tasks/recurring")
    found = pages(api, "/api/{user_id}/tasks/recurring?limit=2")

    assert whole == made[::-1]
    assert [task for page in found for task in page] == whole
    assert [len(page) for page in found] == [2, 2, 1]


def test_a_list_of_tasks_is_filtered_by_recurring(api: Api) -> None:
    recurring, single = created(api, **WEEKLY), created(api)

    assert items(api, "/api/tasks?recurring=true") == [recurring]
    assert items(api, "/api/tasks?recurring=false") == [single]


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("limit=0", ["/limit"]),
        ("limit=201", ["/limit"]),
        ("cursor=x", ["/cursor"]),
        ("limit=x&cursor=&sort=title", ["/limit", "/sort"]),
    ],
)
@pytest.mark.parametrize("path", ["tasks/recurring", "reminders/pending", "notifications"])
def test_every_wrong_parameter_of_a_list_is_named(
    api: Api, path: str, query: str, pointers: list[str]
) -> None:
    assert_invalid(api.get(f"/api/{path}?{query}"), *pointers)


def test_a_cursor_is_good_for_its_own_list_only(api: Api) -> None:
    created(api, **WEEKLY)
    created(api, **WEEKLY)
    cursor = content(api.get("/api/tasks/recurring?limit=1"))["next_cursor"]

    for path in ("tasks", "reminders/pending", "notifications"):
        assert_invalid(api.get(f"/api/{path}?cursor={cursor}"), "/cursor")


# To preview


def test_a_preview_shows_the_times_and_the_days_moved_or_skipped(user: SignedIn, api: Api) -> None:
    wanted = {
        "recurrence_rule": "FREQ=MONTHLY;BYMONTHDAY=29,31",
        "start": "2027-01-31T02:30:00-05:00",
        "timezone": "America/New_York",
        "limit": 4,
    }

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.post("/api/{user_id}/recurrence/preview", wanted)

    assert answer.status_code == 200
    assert content(answer)["next_cursor"] is None
    shown_items = content(answer)["items"]
    assert [(one["local"], one["utc"], one["fate"]) for one in shown_items] == [
        ("2027-01-31T02:30:00", "2027-01-31T07:30:00.000000Z", "kept"),
        (None, None, "skipped"),
        ("2027-02-28T02:30:00", "2027-02-28T07:30:00.000000Z", "moved"),
        ("2027-03-29T02:30:00", "2027-03-29T06:30:00.000000Z", "kept"),
        ("2027-03-31T02:30:00", "2027-03-31T06:30:00.000000Z", "kept"),
    ]
    for one in shown_items:
        assert set(one) == {"local", "utc", "fate", "reason"}
        assert (one["reason"] is None) == (one["fate"] == "kept")
    assert happened == []


def test_a_preview_says_which_time_a_change_of_clocks_moved(api: Api) -> None:
    wanted = {
        "recurrence_rule": "FREQ=DAILY",
        "start": "2027-03-13T02:30:00-05:00",
        "timezone": "America/New_York",
        "limit": 3,
    }

    _, moved, _ = content(api.post("/api/recurrence/preview", wanted))["items"]

    assert moved == {
        "local": "2027-03-14T03:30:00",
        "utc": "2027-03-14T07:30:00.000000Z",
        "fate": "moved",
        "reason": "2027-03-14 02:30 does not exist in America/New_York",
    }


def test_a_preview_has_by_default_ten_times_from_now_in_the_zone_of_its_user(
    travel: Travel,
) -> None:
    api = travel(a_user(timezone="Asia/Kolkata"), NOW)

    found = content(api.post("/api/recurrence/preview", {"recurrence_rule": "FREQ=DAILY"}))

    assert len(found["items"]) == 10
    assert found["items"][0]["local"] == "2026-03-02T13:30:00"
    assert found["items"][0]["utc"] == "2026-03-02T08:00:00.000000Z"


def test_every_wrong_field_of_a_preview_is_named(api: Api) -> None:
    for wrong, fields in WRONG_SERIES:
        answer = api.post("/api/recurrence/preview", {**WEEKLY, **wrong, "limit": 101})

        assert_invalid(answer, "/limit", *(f"/{field}" for field in fields))


@pytest.mark.parametrize("limit", [0, "3", None, 1.5])
def test_a_preview_of_no_length_is_refused(api: Api, limit: object) -> None:
    assert_invalid(api.post("/api/recurrence/preview", {**WEEKLY, "limit": limit}), "/limit")


def test_a_preview_shows_the_next_occurrences_that_setting_the_series_makes(api: Api) -> None:
    task = created(api, due_date=DUE)
    wanted = {**WEEKLY, "start": DUE, "timezone": "America/New_York", "skip": "omit"}

    previewed = content(api.post("/api/recurrence/preview", wanted))["items"]
    series = content(api.post(_path(task), wanted))

    assert [previewed[0]["utc"], previewed[1]["utc"]] == [DUE, series["next_occurrence"]]
    assert UUID(series["task_id"]) == UUID(task["id"])
