"""Settings: the zone, the channels and the quiet hours of a user (T8)."""

import json
from typing import Any

import pytest

from tests.support.data.accounts import SignedIn
from tests.support.events.explanation import assert_events_explain_the_change
from tests.support.functions.client import Api, content
from tests.support.functions.problems import assert_invalid

pytestmark = pytest.mark.usefixtures("database")

DEFAULTS: dict[str, Any] = {
    "timezone": "UTC",
    "notification_channels": [],
    "quiet_hours": None,
    "email_digest": True,
}
PATH = "/api/{user_id}/settings"


def test_a_new_account_has_the_defaults(api: Api) -> None:
    answer = api.get(PATH)

    assert (answer.status_code, answer.json) == (200, DEFAULTS)


@pytest.mark.parametrize(
    "changes",
    [
        {"timezone": "America/Argentina/Buenos_Aires"},
        {"notification_channels": ["push", "email"]},
        {"quiet_hours": {"start": "22:00", "end": "07:30"}},
        {"quiet_hours": {"start": "00:00", "end": "23:59"}},
        {"email_digest": False},
        {
            "timezone": "Asia/Kolkata",
            "notification_channels": ["email"],
            "quiet_hours": {"start": "13:00", "end": "14:00"},
            "email_digest": False,
        },
    ],
    ids=repr,
)
def test_the_named_settings_change_and_the_event_says_so(
    user: SignedIn, api: Api, changes: dict[str, Any]
) -> None:
    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.put(PATH, changes)

    assert (answer.status_code, answer.json) == (200, {**DEFAULTS, **changes})
    assert api.get(PATH).json == answer.json
    [changed] = happened
    assert (changed.event_type, changed.version) == ("user.settings_changed", 2)
    assert changed.aggregate_id == user.user_id
    assert json.loads(changed.data_json)["changes"] == {
        name: {"old": DEFAULTS[name], "new": value} for name, value in changes.items()
    }


def test_unnamed_settings_stay_as_they_are(user: SignedIn, api: Api) -> None:
    filled = {
        "timezone": "Europe/Berlin",
        "notification_channels": ["email"],
        "quiet_hours": {"start": "22:00", "end": "07:00"},
        "email_digest": False,
    }
    api.put(PATH, filled)

    with assert_events_explain_the_change(user.user_id) as happened:
        moved = api.put(PATH, {"timezone": "Europe/Paris"}).json
        loud = api.put(PATH, {"quiet_hours": None}).json
        silent = api.put(PATH, {"notification_channels": []}).json

    assert moved == {**filled, "timezone": "Europe/Paris"}
    assert loud == {**filled, "timezone": "Europe/Paris", "quiet_hours": None}
    assert silent == {**DEFAULTS, "timezone": "Europe/Paris", "email_digest": False}
    assert [event.version for event in happened] == [3, 4, 5]


@pytest.mark.parametrize("body", [None, {}, DEFAULTS, {"timezone": "UTC"}])
def test_a_change_to_the_same_settings_leaves_no_event(
    user: SignedIn, api: Api, body: object
) -> None:
    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.put(PATH, body)

    assert (answer.status_code, answer.json) == (200, DEFAULTS)
    assert happened == []


def test_one_bound_of_the_quiet_hours_can_be_changed_alone(user: SignedIn, api: Api) -> None:
    api.put(PATH, {"quiet_hours": {"start": "22:00", "end": "07:00"}})

    with assert_events_explain_the_change(user.user_id) as happened:
        moved = content(api.put(PATH, {"quiet_hours": {"end": "08:00"}}))
        same = content(api.put(PATH, {"quiet_hours": {}}))

    assert moved["quiet_hours"] == same["quiet_hours"] == {"start": "22:00", "end": "08:00"}
    assert len(happened) == 1


def test_a_channel_named_twice_is_stored_once(api: Api) -> None:
    answer = api.put(PATH, {"notification_channels": ["push", "email", "push"]})

    assert content(answer)["notification_channels"] == ["push", "email"]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"timezone": "Berlin"}, ["/timezone"]),
        ({"timezone": None}, ["/timezone"]),
        ({"timezone": "europe/berlin"}, ["/timezone"]),
        ({"notification_channels": None}, ["/notification_channels"]),
        ({"notification_channels": "email"}, ["/notification_channels"]),
        ({"notification_channels": ["email", "fax"]}, ["/notification_channels/1"]),
        ({"quiet_hours": {}}, ["/quiet_hours/end", "/quiet_hours/start"]),
        ({"quiet_hours": {"start": "22:00"}}, ["/quiet_hours/end"]),
        (
            {"quiet_hours": {"start": "24:00", "end": "7:00"}},
            ["/quiet_hours/end", "/quiet_hours/start"],
        ),
        (
            {"quiet_hours": {"start": "22:60", "end": "07:00:00"}},
            ["/quiet_hours/end", "/quiet_hours/start"],
        ),
        (
            {"quiet_hours": {"start": "\uff12\uff12:00", "end": "07:00\n"}},
            ["/quiet_hours/end", "/quiet_hours/start"],
        ),
        ({"quiet_hours": {"start": 22, "end": None}}, ["/quiet_hours/end", "/quiet_hours/start"]),
        ({"quiet_hours": {"start": "22:00", "end": "07:00", "days": 7}}, ["/quiet_hours/days"]),
        ({"quiet_hours": ["22:00", "07:00"]}, ["/quiet_hours"]),
        ({"email_digest": None}, ["/email_digest"]),
        ({"email_digest": "no"}, ["/email_digest"]),
        ({"email_digest": 0}, ["/email_digest"]),
        ({"email": "x@example.com", "roles": ["admin"]}, ["/email", "/roles"]),
        ({"timezone": "x", "notification_channels": 1}, ["/notification_channels", "/timezone"]),
    ],
    ids=repr,
)
def test_a_wrong_setting_is_named(
    user: SignedIn, api: Api, body: dict[str, Any], pointers: list[str]
) -> None:
    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.put(PATH, body)

    assert_invalid(answer, *pointers)
    assert happened == []


def test_the_settings_of_one_user_do_not_change_those_of_another(
    user: SignedIn, other: SignedIn
) -> None:
    Api(user).put(PATH, {"timezone": "Europe/Berlin"})

    assert Api(other).get(PATH).json == DEFAULTS
