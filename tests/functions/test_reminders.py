"""Reminders: adding, listing, snoozing and removing them, and their fate with their task."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from taskflow.domain import accounts, tasks
from taskflow.domain.accounts import SettingsChanges
from taskflow.storage import account_store, events, task_changes, task_store, transaction
from tests.functions.conftest import Travel
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user, an_administrator
from tests.support.events.explanation import assert_events_explain_the_change
from tests.support.functions.client import Api, content
from tests.support.functions.problems import assert_invalid, assert_refused
from tests.support.functions.tasks import created, data_of, items, pages, types_of
from tests.support.functions.tokens import signed_in_at
from tests.support.polling import eventually

pytestmark = pytest.mark.usefixtures("database")

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
NOW_TEXT = "2026-03-02T08:00:00.000000Z"
DUE = "2026-03-04T09:00:00.000000Z"
TO_COME = "2026-03-03T08:00:00.000000Z"
PAST = "2026-03-01T08:00:00.000000Z"
WAIT_S = 10
FIRED = ["reminder.scheduled", "reminder.triggered", "notification.created", "reminder.sent"]


@pytest.fixture
def api(user: SignedIn, travel: Travel) -> Api:
    """Sign in on a day in March."""
    return travel(user, NOW)


def _path(task: dict[str, Any]) -> str:
    return f"/api/{{user_id}}/tasks/{task['id']}/reminders"


def _added(api: Api, task: dict[str, Any], **fields: object) -> dict[str, Any]:
    answer = api.post(_path(task), fields)
    assert answer.status_code == 201, answer.text
    return content(answer)


def _of(reminder: dict[str, Any]) -> str:
    return f"/api/{{user_id}}/reminders/{reminder['id']}"


def _pending(api: Api) -> list[dict[str, Any]]:
    return items(api, "/api/{user_id}/reminders/pending")


# To add


def test_an_absolute_reminder_is_added(user: SignedIn, api: Api) -> None:
    task = created(api)

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.post(
            _path(task), {"remind_at": "2026-03-03T09:00:00+01:00", "message": "Take the can"}
        )

    reminder = content(answer)
    assert answer.status_code == 201
    assert UUID(reminder["id"]).version == 7
    assert reminder == {
        "id": reminder["id"],
        "task_id": task["id"],
        "user_id": user.user_id,
        "remind_at": TO_COME,
        "before_due": None,
        "message": "Take the can",
        "status": "scheduled",
        "notified": False,
        "fires_immediately": False,
        "created_at": NOW_TEXT,
    }
    [scheduled] = happened
    assert (scheduled.event_type, scheduled.version) == ("reminder.scheduled", 1)
    assert scheduled.aggregate_id == reminder["id"]
    assert data_of(scheduled) == reminder
    assert _pending(api) == [reminder]


@pytest.mark.parametrize(
    ("before_due", "shown", "at"),
    [
        ("P1D", "P1D", "2026-03-03T09:00:00.000000Z"),
        ("PT24H", "PT24H", "2026-03-03T09:00:00.000000Z"),
        ("P0W", "PT0S", DUE),
        ("PT90M", "PT1H30M", "2026-03-04T07:30:00.000000Z"),
        ("P1DT1S", "P1DT1S", "2026-03-03T08:59:59.000000Z"),
        ("PT0S", "PT0S", DUE),
    ],
)
def test_a_reminder_before_the_due_date_is_added(
    user: SignedIn, api: Api, before_due: str, shown: str, at: str
) -> None:
    task = created(api, due_date=DUE)

    with assert_events_explain_the_change(user.user_id):
        reminder = _added(api, task, before_due=before_due)

    assert (reminder["before_due"], reminder["remind_at"]) == (shown, at)
    assert reminder["message"] is None


@pytest.mark.parametrize("fields", [{"remind_at": PAST}, {"before_due": "P7D"}], ids=str)
def test_a_reminder_at_a_past_time_fires_at_once_and_says_so(
    user: SignedIn, api: Api, fields: dict[str, str]
) -> None:
    task = created(api, due_date=DUE)

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.post(_path(task), {**fields, "message": "Late"})

    reminder = content(answer)
    assert answer.status_code == 201
    assert (reminder["status"], reminder["notified"]) == ("sent", True)
    assert reminder["fires_immediately"] is True
    assert types_of(happened) == FIRED
    assert _pending(api) == []
    [notification] = items(api, "/api/notifications")
    assert notification["reminder_id"] == reminder["id"]


def test_a_reminder_at_the_present_time_fires_at_once(api: Api) -> None:
    reminder = _added(api, created(api), remind_at=NOW_TEXT)

    assert reminder["fires_immediately"] is True


def test_a_second_reminder_at_the_same_time_is_the_first_one(user: SignedIn, api: Api) -> None:
    task = created(api, due_date=DUE)
    first = _added(api, task, remind_at="2026-03-03T09:00:00Z", message="First")

    with assert_events_explain_the_change(user.user_id) as happened:
        answers = [
            api.post(_path(task), {"remind_at": "2026-03-03T10:00:00+01:00", "message": "Second"}),
            api.post(_path(task), {"before_due": "P1D"}),
        ]

    for answer in answers:
        assert (answer.status_code, answer.json) == (200, first)
    assert happened == []
    assert _pending(api) == [first]


def test_a_day_before_and_24_hours_before_are_two_reminders(user: SignedIn, api: Api) -> None:
    task = created(api, due_date=DUE)

    with assert_events_explain_the_change(user.user_id):
        day, hours = (_added(api, task, before_due=text) for text in ("P1D", "PT24H"))
        api.put("/api/settings", {"timezone": "Europe/Berlin"})
        api.put(f"/api/tasks/{task['id']}/due-date", {"due_date": "2026-03-29T09:00:00+02:00"})

    assert day["remind_at"] == hours["remind_at"]
    assert [(one["id"], one["remind_at"]) for one in _pending(api)] == [
        (hours["id"], "2026-03-28T07:00:00.000000Z"),
        (day["id"], "2026-03-28T08:00:00.000000Z"),
    ]


def test_a_reminder_that_fired_at_once_does_not_fire_again(user: SignedIn, api: Api) -> None:
    task = created(api)
    first = _added(api, task, remind_at=PAST)

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.post(_path(task), {"remind_at": PAST})

    assert answer.status_code == 200
    assert answer.json == {**first, "fires_immediately": False}
    assert happened == []


def test_a_reminder_at_the_time_of_a_removed_one_or_another_tasks_is_a_new_one(api: Api) -> None:
    task, another = created(api), created(api)
    removed = _added(api, task, remind_at=TO_COME)
    api.delete(_of(removed))
    _added(api, another, remind_at=TO_COME)

    again = _added(api, task, remind_at=TO_COME)

    assert again["id"] != removed["id"]


def test_a_request_to_add_a_reminder_that_is_sent_again_adds_one(user: SignedIn, api: Api) -> None:
    task, key = created(api), {"Idempotency-Key": "remind"}

    with assert_events_explain_the_change(user.user_id) as happened:
        answers = [api.post(_path(task), {"remind_at": PAST}, headers=key) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json == answers[1].json
    assert types_of(happened) == FIRED


def test_every_wrong_field_of_a_reminder_is_named(user: SignedIn, api: Api) -> None:
    task, undated = created(api, due_date=DUE), created(api)
    wrong: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
        (task, {}, ["/remind_at"]),
        (task, {"remind_at": None, "before_due": None, "message": "x"}, ["/remind_at"]),
        (task, {"remind_at": TO_COME, "before_due": "P1D"}, ["/before_due"]),
        (task, {"remind_at": "2026-03-03T09:00:00"}, ["/remind_at"]),
        (task, {"remind_at": 1_772_000_000}, ["/remind_at"]),
        (task, {"before_due": "1D"}, ["/before_due"]),
        (task, {"before_due": "-P1D"}, ["/before_due"]),
        (task, {"before_due": "P"}, ["/before_due"]),
        (task, {"before_due": "P1M"}, ["/before_due"]),
        (task, {"before_due": "P367D"}, ["/before_due"]),
        (task, {"before_due": "P99999999999999999D"}, ["/before_due"]),
        (task, {"before_due": 3600}, ["/before_due"]),
        (task, {"remind_at": TO_COME, "message": ""}, ["/message"]),
        (task, {"remind_at": TO_COME, "message": " \n"}, ["/message"]),
        (task, {"remind_at": TO_COME, "message": "x" * 1001}, ["/message"]),
        (task, {"remind_at": TO_COME, "message": "\0"}, ["/message"]),
        (task, {"remind_at": TO_COME, "status": "sent"}, ["/status"]),
        (
            task,
            {"remind_at": "x", "before_due": "x", "message": 1, "x": 1},
            ["/remind_at", "/before_due", "/message", "/x"],
        ),
        (undated, {"before_due": "P1D"}, ["/before_due"]),
    ]

    with assert_events_explain_the_change(user.user_id) as happened:
        answers = [api.post(_path(of), fields) for of, fields, _ in wrong]

    for answer, (_, _, pointers) in zip(answers, wrong, strict=True):
        assert_invalid(answer, *pointers)
    assert happened == []


def test_every_wrong_reminder_of_a_new_task_is_named(user: SignedIn, api: Api) -> None:
    wrong: list[tuple[dict[str, Any], list[str]]] = [
        ({"reminders": "PT1H"}, ["/reminders"]),
        ({"reminders": [1, {"before_due": 1}]}, ["/reminders/0", "/reminders/1/before_due"]),
        ({"reminders": [{"remind_at": TO_COME}] * 51}, ["/reminders"]),
        (
            {"reminders": [{"before_due": "PT1H"}, {}]},
            [
                "/reminders/0/before_due",
                "/reminders/1/remind_at",
            ],
        ),
        ({"reminders": [{"remind_at": TO_COME}], "completed": True}, ["/reminders"]),
        ({"reminders": [{"remind_at": TO_COME}], "status": "cancelled"}, ["/reminders"]),
        ({"reminders": [{"remind_at": "x", "x": 1}]}, ["/reminders/0/remind_at", "/reminders/0/x"]),
    ]

    with assert_events_explain_the_change(user.user_id) as happened:
        answers = [api.post("/api/tasks", {"title": "Water", **fields}) for fields, _ in wrong]

    for answer, (_, pointers) in zip(answers, wrong, strict=True):
        assert_invalid(answer, *pointers)
    assert happened == []


def test_a_reminder_before_the_first_of_all_times_is_refused(user: SignedIn, api: Api) -> None:
    ancient = created(api, due_date="0001-01-01T00:00:00Z")

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.post(_path(ancient), {"before_due": "P1D"})

    assert_invalid(answer, "/before_due")
    assert happened == []


def test_a_due_date_at_the_first_of_all_times_may_have_a_reminder(user: SignedIn, api: Api) -> None:
    task = created(api, due_date=DUE)
    _added(api, task, before_due="P1D")

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.put(f"/api/tasks/{task['id']}/due-date", {"due_date": "0001-01-01T00:00:00Z"})

    assert answer.status_code == 200
    assert [event.event_type for event in happened] == [
        "task.due_date_changed",
        "reminder.rescheduled",
    ]


def test_a_task_has_a_maximum_of_reminders(user: SignedIn, api: Api) -> None:
    task = created(api, due_date=DUE, reminders=[{"before_due": f"PT{n}M"} for n in range(50)])

    with assert_events_explain_the_change(user.user_id):
        refused = api.post(_path(task), {"remind_at": TO_COME})
        present = api.post(_path(task), {"before_due": "PT49M"})
        api.delete(_of(_pending(api)[0]))
        taken = api.post(_path(task), {"remind_at": TO_COME})

    assert_invalid(refused, "")
    assert present.status_code == 200
    assert taken.status_code == 201


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_a_reminder_of_a_closed_task_is_refused(user: SignedIn, api: Api, status: str) -> None:
    task = created(api, due_date=DUE, status=status)

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.post(_path(task), {"before_due": "P1D"})

    assert_refused(answer, 409, "task-is-closed")
    assert happened == []


def test_a_reminder_of_an_unknown_task_is_refused(api: Api) -> None:
    deleted = created(api)
    api.delete(f"/api/tasks/{deleted['id']}")

    for task in (deleted, {"id": uuid4()}):
        assert_refused(api.post(_path(task), {"remind_at": TO_COME}), 404, "task-not-found")


@pytest.mark.parametrize(
    ("zone", "due", "before_due", "at"),
    [
        ("Europe/Berlin", "2026-03-29T09:00:00+02:00", "P1D", "2026-03-28T08:00:00"),
        ("Europe/Berlin", "2026-10-25T09:00:00+01:00", "P1D", "2026-10-24T07:00:00"),
        ("Europe/Berlin", "2026-10-25T09:00:00+01:00", "P1W", "2026-10-18T07:00:00"),
        ("Europe/Berlin", "2026-03-29T09:00:00+02:00", "P1DT2H", "2026-03-28T06:00:00"),
        ("Europe/Berlin", "2026-03-29T09:00:00+02:00", "PT24H", "2026-03-28T07:00:00"),
        ("America/New_York", "2026-03-08T09:00:00-04:00", "P1D", "2026-03-07T14:00:00"),
        ("America/New_York", "2026-11-01T09:00:00-05:00", "P1D", "2026-10-31T13:00:00"),
        ("Australia/Lord_Howe", "2026-04-05T09:00:00+10:30", "P1D", "2026-04-03T22:00:00"),
        ("Pacific/Kiritimati", "9999-12-31T23:59:59Z", "P1D", "9999-12-30T23:59:59"),
    ],
)
def test_a_reminder_a_day_before_nine_is_at_nine_across_a_change_of_clocks(
    travel: Travel, zone: str, due: str, before_due: str, at: str
) -> None:
    user = a_user(timezone=zone)
    api = travel(user, NOW)
    moving = created(api, due_date="2026-03-05T09:00:00Z", reminders=[{"before_due": before_due}])

    with assert_events_explain_the_change(user.user_id):
        added = _added(api, created(api, due_date=due), before_due=before_due)
        together = created(api, due_date=due, reminders=[{"before_due": before_due}])
        api.put(f"/api/tasks/{moving['id']}/due-date", {"due_date": due})

    [with_its_task] = [one for one in _pending(api) if one["task_id"] == together["id"]]
    [moved] = [one for one in _pending(api) if one["task_id"] == moving["id"]]
    expected = f"{at}.000000Z"
    assert added["remind_at"] == with_its_task["remind_at"] == moved["remind_at"] == expected


# A new time zone


def test_a_new_zone_moves_coming_reminders_days_before_across_a_change_of_clocks(
    user: SignedIn, api: Api
) -> None:
    over = created(api, due_date="2026-03-29T09:00:00Z")
    day, other_day = (_added(api, over, before_due=text) for text in ("P1D", "P1DT2H"))
    _added(api, over, before_due="PT24H")
    _added(api, over, remind_at=TO_COME)
    snoozed = _added(api, over, before_due="P2D")
    api.post(f"{_of(snoozed)}/snooze", {"until": "2026-03-28T10:00:00Z"})
    api.delete(_of(_added(api, over, before_due="P3D")))
    _added(api, created(api, due_date=DUE), before_due="P1D")
    sent = _added(api, over, before_due="P30D")
    unmoved = [one for one in _pending(api) if one["id"] not in (day["id"], other_day["id"])]

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.put("/api/settings", {"timezone": "Europe/Berlin"})

    assert answer.status_code == 200
    assert types_of(happened) == ["user.settings_changed", *["reminder.rescheduled"] * 2]
    changes = {event.aggregate_id: data_of(event)["changes"] for event in happened[1:]}
    assert changes[day["id"]] == {
        "remind_at": {"old": "2026-03-28T09:00:00.000000Z", "new": "2026-03-28T10:00:00.000000Z"}
    }
    pending = _pending(api)
    assert sent["status"] == "sent"
    assert [one for one in pending if one in unmoved] == unmoved
    assert sorted(
        (one["before_due"], one["remind_at"]) for one in pending if one not in unmoved
    ) == [("P1D", "2026-03-28T10:00:00.000000Z"), ("P1DT2H", "2026-03-28T08:00:00.000000Z")]


def test_a_task_that_was_closed_while_its_user_moved_has_its_reminders_in_the_new_zone(
    user: SignedIn, api: Api
) -> None:
    task = created(api, due_date="2026-03-29T09:00:00Z", reminders=[{"before_due": "P1D"}])
    api.post(f"/api/tasks/{task['id']}/complete")

    with assert_events_explain_the_change(user.user_id) as happened:
        api.put("/api/settings", {"timezone": "Europe/Berlin"})
        api.post(f"/api/tasks/{task['id']}/complete", {"completed": False})

    assert types_of(happened)[0::2] == ["user.settings_changed", "reminder.scheduled"]
    [pending] = _pending(api)
    assert pending["remind_at"] == "2026-03-28T10:00:00.000000Z"


def test_a_reminder_changed_while_its_user_moves_is_in_the_new_zone(
    user: SignedIn, api: Api
) -> None:
    task = created(api, due_date="2026-03-29T09:00:00Z", reminders=[{"before_due": "P1D"}])
    api.post(f"/api/tasks/{task['id']}/complete")

    with ThreadPoolExecutor(1) as pool, assert_events_explain_the_change(user.user_id):
        with transaction(A_CAUSE) as tx:
            # A reminder that is cancelled as the new zone comes, and armed in the old one.
            closed = task_store.lock(tx, user.user_id, UUID(task["id"]))
            moving = pool.submit(api.put, "/api/settings", {"timezone": "Europe/Berlin"})
            eventually(_assert_someone_waits)
            reopened = tasks.set_completed(closed, False, now=NOW)  # noqa: FBT003 - the domain's own
            task_changes.save(tx, closed, reopened)
        assert moving.result(WAIT_S).status_code == 200

    [pending] = _pending(api)
    assert pending["remind_at"] == "2026-03-28T10:00:00.000000Z"


def test_a_reminder_added_while_its_user_moves_is_in_the_new_zone(user: SignedIn, api: Api) -> None:
    due = {"due_date": "2026-03-29T09:00:00Z"}
    task = created(api, **due)
    with transaction(A_CAUSE) as tx:
        account = account_store.lock(tx, user.user_id)
    berlin = SettingsChanges.model_validate({"timezone": "Europe/Berlin"})

    with ThreadPoolExecutor(2) as pool:
        with transaction(A_CAUSE) as tx:
            moved, happened = accounts.change_settings(account, berlin, now=NOW)
            account_store.lock(tx, user.user_id)
            account_store.save(tx, moved)
            events.append(tx, happened)
            adding = [
                pool.submit(api.post, _path(task), {"before_due": "P1D"}),
                pool.submit(
                    api.post,
                    "/api/tasks",
                    {"title": "Water", **due, "reminders": [{"before_due": "P1D"}]},
                ),
            ]
            eventually(lambda: _assert_someone_waits(2))
        assert [one.result(WAIT_S).status_code for one in adding] == [201, 201]

    assert [one["remind_at"] for one in _pending(api)] == ["2026-03-28T10:00:00.000000Z"] * 2


def _assert_someone_waits(count: int = 1) -> None:
    with transaction(A_CAUSE) as tx:
        statement = text(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        assert tx.connection.execute(statement).scalar_one() >= count


# To list


def test_pending_reminders_are_listed_the_next_one_first_and_in_pages(
    user: SignedIn, api: Api
) -> None:
    task, another = created(api, due_date=DUE), created(api)
    added = [
        *(_added(api, task, before_due=f"PT{minutes}M") for minutes in (5, 30, 10)),
        *(_added(api, another, remind_at=at) for at in (TO_COME, "2026-03-04T08:50:00Z", PAST)),
    ]
    gone = _added(api, task, before_due="PT20M")
    api.delete(_of(gone))
    expected = sorted(added[:5], key=lambda one: (one["remind_at"], one["id"]))

    whole = _pending(api)
    found = pages(api, "/api/{user_id}/reminders/pending?limit=2")

    assert user.user_id == whole[0]["user_id"]
    assert whole == expected
    assert [one for page in found for one in page] == expected
    assert [len(page) for page in found] == [2, 2, 1]


def test_the_pending_reminders_of_one_task_are_listed(api: Api) -> None:
    task, another = created(api, due_date=DUE), created(api)
    own = [_added(api, task, before_due=f"PT{minutes}M") for minutes in (30, 10)]
    _added(api, another, remind_at=TO_COME)
    path = f"/api/{{user_id}}/reminders/pending?task_id={task['id']}"

    assert items(api, path) == own
    assert [len(page) for page in pages(api, f"{path}&limit=1")] == [1, 1]


# To snooze


def test_a_reminder_is_snoozed(user: SignedIn, api: Api) -> None:
    reminder = _added(api, created(api), remind_at=TO_COME)

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.post(f"{_of(reminder)}/snooze", {"until": "2026-03-03T10:00:00+01:00"})

    later = "2026-03-03T09:00:00.000000Z"
    assert answer.status_code == 200
    assert answer.json == {**reminder, "remind_at": later}
    [rescheduled] = happened
    assert (rescheduled.event_type, rescheduled.version) == ("reminder.rescheduled", 2)
    assert data_of(rescheduled)["changes"] == {"remind_at": {"old": TO_COME, "new": later}}
    assert _pending(api) == [content(answer)]


def test_a_reminder_that_was_sent_comes_again_when_snoozed(user: SignedIn, api: Api) -> None:
    reminder = _added(api, created(api), remind_at=PAST)

    with assert_events_explain_the_change(user.user_id) as happened:
        snoozed = content(api.post(f"{_of(reminder)}/snooze", {"until": TO_COME}))

    assert (snoozed["status"], snoozed["notified"]) == ("scheduled", False)
    assert types_of(happened) == ["reminder.rescheduled"]
    assert _pending(api) == [snoozed]


def test_a_reminder_is_snoozed_only_until_a_coming_time(user: SignedIn, api: Api) -> None:
    reminder = _added(api, created(api), remind_at=TO_COME)
    wrong: list[tuple[object, list[str]]] = [
        ({"until": PAST}, ["/until"]),
        ({"until": NOW_TEXT}, ["/until"]),
        ({"until": "2026-03-03T09:00:00"}, ["/until"]),
        ({"until": None}, ["/until"]),
        ({}, ["/until"]),
        ({"until": "x", "for": "PT1H"}, ["/until", "/for"]),
    ]

    with assert_events_explain_the_change(user.user_id) as happened:
        answers = [api.post(f"{_of(reminder)}/snooze", body) for body, _ in wrong]

    for answer, (_, pointers) in zip(answers, wrong, strict=True):
        assert_invalid(answer, *pointers)
    assert happened == []


def test_snoozing_until_the_same_time_twice_changes_nothing(user: SignedIn, api: Api) -> None:
    reminder = _added(api, created(api), remind_at=TO_COME)
    first = api.post(f"{_of(reminder)}/snooze", {"until": DUE})

    with assert_events_explain_the_change(user.user_id) as happened:
        second = api.post(f"{_of(reminder)}/snooze", {"until": DUE})

    assert second.json == first.json
    assert happened == []


@pytest.mark.parametrize(
    ("method", "suffix"), [("POST", "/complete"), ("DELETE", "")], ids=["completed", "deleted"]
)
def test_a_reminder_of_a_closed_task_can_be_removed_and_not_snoozed(
    user: SignedIn, api: Api, method: str, suffix: str
) -> None:
    task = created(api)
    reminder = _added(api, task, remind_at=TO_COME)
    api.request(method, f"/api/tasks/{task['id']}{suffix}")

    with assert_events_explain_the_change(user.user_id) as happened:
        snoozed = api.post(f"{_of(reminder)}/snooze", {"until": DUE})
    with assert_events_explain_the_change(user.user_id):
        removed = api.delete(_of(reminder))

    assert_refused(snoozed, 409, "task-is-closed")
    assert happened == []
    assert removed.status_code == 204


# To remove


def test_a_reminder_is_removed_once(user: SignedIn, api: Api) -> None:
    reminder = _added(api, created(api), remind_at=TO_COME)

    with assert_events_explain_the_change(user.user_id) as happened:
        first, second = api.delete(_of(reminder)), api.delete(_of(reminder))
        snoozed = api.post(f"{_of(reminder)}/snooze", {"until": DUE})

    assert (first.status_code, first.data) == (204, b"")
    for answer in (second, snoozed):
        assert_refused(answer, 404, "reminder-not-found")
    [cancelled] = happened
    assert (cancelled.event_type, cancelled.version) == ("reminder.cancelled", 2)
    assert data_of(cancelled)["changes"] == {"status": {"old": "scheduled", "new": "cancelled"}}
    assert _pending(api) == []


def test_a_removed_reminder_never_comes_back(user: SignedIn, api: Api) -> None:
    task = created(api, due_date=DUE)
    api.delete(_of(_added(api, task, before_due="PT1H")))
    path = f"/api/tasks/{task['id']}"

    with assert_events_explain_the_change(user.user_id) as happened:
        api.post(f"{path}/complete")
        api.post(f"{path}/complete", {"completed": False})
        api.put(f"{path}/due-date", {"due_date": "2026-03-05T09:00:00Z"})

    assert {event.event_type.partition(".")[0] for event in happened} == {"task"}
    assert _pending(api) == []


# What becomes of them with their task


@pytest.mark.parametrize(
    ("close", "reopen"),
    [
        (("POST", "/complete", None), ("POST", "/complete", {"completed": False})),
        (("PATCH", "", {"completed": True}), ("PATCH", "", {"status": "in_progress"})),
        (("PUT", "", {"status": "cancelled"}), ("PUT", "", {"status": "pending"})),
        (("DELETE", "", None), ("POST", "/restore", None)),
    ],
    ids=["completed", "patched to completed", "cancelled", "deleted"],
)
def test_closing_a_task_cancels_its_reminders_and_reopening_brings_them_back(
    user: SignedIn,
    travel: Travel,
    close: tuple[str, str, object],
    reopen: tuple[str, str, object],
) -> None:
    api = travel(user, NOW)
    task = created(api, due_date=DUE)
    soon = _added(api, task, remind_at="2026-03-02T09:00:00Z")
    later, relative = _added(api, task, remind_at=TO_COME), _added(api, task, before_due="PT1H")
    sent = _added(api, task, remind_at=PAST)

    with assert_events_explain_the_change(user.user_id) as closed:
        _send(api, task, close)
        left = _pending(api)
    with assert_events_explain_the_change(user.user_id) as reopened:
        # When the time of one of them is past.
        later_api = travel(user, NOW + timedelta(hours=2))
        _send(later_api, task, reopen)
        again = _pending(later_api)

    assert left == []
    assert types_of(closed)[1:] == ["reminder.cancelled"] * 3
    assert {event.aggregate_id for event in closed[1:]} == {
        one["id"] for one in (soon, later, relative)
    }
    assert again == [later, relative]
    assert types_of(reopened)[1:] == ["reminder.scheduled"] * 2
    assert sent["id"] not in {event.aggregate_id for event in [*closed, *reopened]}


def _send(api: Api, task: dict[str, Any], wanted: tuple[str, str, object]) -> None:
    method, suffix, body = wanted
    options: dict[str, Any] = {} if body is None else {"json": body}
    answer = api.request(method, f"/api/tasks/{task['id']}{suffix}", **options)
    assert answer.status_code < 300, answer.text


def test_completing_twice_or_beginning_a_task_leaves_its_reminders_alone(
    user: SignedIn, api: Api
) -> None:
    task = created(api, reminders=[{"remind_at": TO_COME}])
    path = f"/api/tasks/{task['id']}"

    with assert_events_explain_the_change(user.user_id) as happened:
        api.patch(path, {"status": "in_progress", "title": "Water all the plants"})
        api.post(f"{path}/complete", {"completed": False})
        api.post(f"{path}/complete")
        api.post(f"{path}/complete")
        api.patch(path, {"status": "cancelled"})

    assert types_of(happened) == [
        *("task.updated", "task.completed", "reminder.cancelled", "task.uncompleted"),
    ]


@pytest.mark.parametrize(("method", "suffix"), [("PUT", "/due-date"), ("PATCH", "")])
def test_relative_reminders_move_with_the_due_date(
    user: SignedIn, api: Api, method: str, suffix: str
) -> None:
    task = created(api, due_date=DUE)
    relative, absolute = _added(api, task, before_due="PT1H"), _added(api, task, remind_at=TO_COME)
    wanted = {"due_date": "2026-03-06T09:00:00Z"}

    with assert_events_explain_the_change(user.user_id) as happened:
        _send(api, task, (method, suffix, wanted))

    assert types_of(happened) == ["task.due_date_changed", "reminder.rescheduled"]
    moved = {**relative, "remind_at": "2026-03-06T08:00:00.000000Z"}
    assert _pending(api) == [absolute, moved]


def test_clearing_the_due_date_cancels_relative_reminders_until_there_is_a_new_one(
    user: SignedIn, api: Api
) -> None:
    task = created(api, due_date=DUE)
    _added(api, task, before_due="PT1H")
    absolute = _added(api, task, remind_at=TO_COME)
    path = f"/api/tasks/{task['id']}/due-date"

    with assert_events_explain_the_change(user.user_id) as happened:
        api.put(path, {"due_date": None})
        left = _pending(api)
        api.put(path, {"due_date": "2026-03-06T09:00:00Z"})

    assert left == [absolute]
    assert types_of(happened) == [
        *("task.due_date_changed", "reminder.cancelled"),
        *("task.due_date_changed", "reminder.scheduled"),
    ]
    assert [one["remind_at"] for one in _pending(api)] == [TO_COME, "2026-03-06T08:00:00.000000Z"]


def test_a_sent_reminder_comes_again_when_its_due_date_moves_later(
    user: SignedIn, api: Api
) -> None:
    task = created(api, due_date="2026-03-02T08:30:00Z")
    sent = _added(api, task, before_due="PT1H")

    with assert_events_explain_the_change(user.user_id) as happened:
        api.put(f"/api/tasks/{task['id']}/due-date", {"due_date": DUE})

    assert sent["status"] == "sent"
    assert types_of(happened) == ["task.due_date_changed", "reminder.rescheduled"]
    [again] = _pending(api)
    assert (again["id"], again["remind_at"]) == (sent["id"], "2026-03-04T08:00:00.000000Z")


def test_a_due_date_moved_so_close_that_its_reminder_is_past_leaves_it_due_now(
    user: SignedIn, api: Api
) -> None:
    task = created(api, due_date=DUE)
    _added(api, task, before_due="P1D")

    with assert_events_explain_the_change(user.user_id) as happened:
        api.put(f"/api/tasks/{task['id']}/due-date", {"due_date": "2026-03-02T12:00:00Z"})

    assert types_of(happened) == ["task.due_date_changed", "reminder.rescheduled"]
    [due_now] = _pending(api)
    assert due_now["remind_at"] == "2026-03-01T12:00:00.000000Z"


def test_an_administrators_correction_cancels_reminders_too(user: SignedIn, api: Api) -> None:
    task = created(api, reminders=[{"remind_at": TO_COME}])
    correcting = Api(signed_in_at(an_administrator(), NOW, roles=["user", "admin"]))

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = correcting.post(f"/api/admin/tasks/{task['id']}/correct", {"completed": True})

    assert answer.status_code == 200
    assert types_of(happened) == ["task.corrected", "reminder.cancelled"]
    assert _pending(api) == []


def test_the_history_of_a_task_is_without_that_of_its_reminders(api: Api) -> None:
    task = created(api, reminders=[{"remind_at": PAST}])

    history = items(api, f"/api/tasks/{task['id']}/history")

    assert [event["event_type"] for event in history] == ["task.created"]


def test_a_refused_change_of_a_task_leaves_its_reminders_alone(user: SignedIn, api: Api) -> None:
    task = created(api, due_date=DUE, reminders=[{"before_due": "PT1H"}])
    path, stale = f"/api/tasks/{task['id']}", {"If-Match": '"7"'}

    with assert_events_explain_the_change(user.user_id) as happened:
        refused = [
            api.post(f"{path}/complete", headers=stale),
            api.put(f"{path}/due-date", {"due_date": None}, headers=stale),
            api.delete(path, headers=stale),
        ]

    for answer in refused:
        assert_refused(answer, 412, "version-is-stale")
    assert happened == []
