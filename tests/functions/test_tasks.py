"""Tasks: create, read, list, change, complete, delete, restore, correct (T1-T6, A6-A9, E1)."""

import base64
import json
import random
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from werkzeug.test import TestResponse

from taskflow import clock
from taskflow.domain.identifiers import new_id
from taskflow.domain.tasks import Task
from taskflow.serving.pages import write_cursor
from taskflow.storage import events, task_lists, transaction
from taskflow.storage.collation import sort_key
from tests.support.data.accounts import (
    A_CAUSE,
    SignedIn,
    a_user,
    an_administrator,
    delete_account,
)
from tests.support.data.builders import a_stored_task, log_of
from tests.support.events.explanation import assert_events_explain_the_change
from tests.support.functions.client import Api, content
from tests.support.functions.pages import next_link, pages_of
from tests.support.functions.problems import assert_invalid, assert_refused
from tests.support.functions.tokens import a_token, with_token

pytestmark = pytest.mark.usefixtures("database")

FIELDS = {
    *("id", "user_id", "title", "description", "status", "completed", "priority", "tags"),
    *("metadata", "due_date", "recurrence_rule", "is_recurring", "next_occurrence"),
    *("completed_at", "created_at", "updated_at", "version", "recurring_task_id"),
    "occurrence_at",
}
READ_ONLY = sorted(
    FIELDS
    - {"title", "description", "status", "completed", "priority", "tags", "metadata", "due_date"}
)
A_SECOND = timedelta(seconds=1)
DUE = "2026-05-01T09:00:00.000000Z"


def _shown(api: Api, task_id: object) -> dict[str, Any]:
    answer = api.get(f"/api/tasks/{task_id}")
    assert answer.status_code == 200, answer.text
    return content(answer)


def _created(api: Api, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - what JSON may hold
    answer = api.post("/api/tasks", {"title": "Buy milk", **fields})
    assert answer.status_code == 201, answer.text
    return content(answer)


def _merge(api: Api, method: str, task_id: object, changes: dict[str, Any]) -> TestResponse:
    """Change a task: by PUT, by PATCH, or as an administrator corrects it."""
    if method == "correct":
        return Api(an_administrator()).post(f"/api/admin/tasks/{task_id}/correct", changes)
    return api.request(method, f"/api/tasks/{task_id}", json=changes)


def _types(happened: Sequence[Any]) -> list[tuple[str, int]]:
    return [(event.event_type, event.version) for event in happened]


# Create


def test_a_new_task_has_every_field_and_its_defaults(user: SignedIn, api: Api) -> None:
    before = clock.now()

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.post("/api/{user_id}/tasks", {"title": "Buy milk"})

    task = content(answer)
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/{user.user_id}/tasks/{task['id']}"
    assert answer.headers["ETag"] == '"1"'
    assert set(task) == FIELDS
    assert uuid.UUID(task["id"]).version == 7
    assert before <= datetime.fromisoformat(task["created_at"]) <= clock.now()
    assert task == {
        **dict.fromkeys(FIELDS),
        "id": task["id"],
        "user_id": user.user_id,
        "title": "Buy milk",
        "status": "pending",
        "completed": False,
        "priority": "medium",
        "tags": [],
        "metadata": {},
        "is_recurring": False,
        "created_at": task["created_at"],
        "updated_at": task["created_at"],
        "version": 1,
    }
    assert _types(happened) == [("task.created", 1)]
    assert api.get(answer.headers["Location"]).json == task


def test_a_new_task_keeps_every_field_that_was_sent(user: SignedIn, api: Api) -> None:
    sent: dict[str, Any] = {
        "title": " Buy “milk” 🥛 ",
        "description": "Two\nlines\t\\ and \"quotes\" 'x' %s",
        "status": "in_progress",
        "priority": "urgent",
        "tags": ["home", "a,b", "{}", 'q"', "ü", "NULL"],
        "metadata": {"z": [1, 2.5, None, True, {"ä": "🦉"}], "a": {}, "n": 10**30, "f": 1.0},
        "due_date": "2026-05-01T11:00:00.123456+02:00",
    }

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.post("/api/tasks", sent)

    task = content(answer)
    assert {name: task[name] for name in sent} == {
        **sent,
        "due_date": "2026-05-01T09:00:00.123456Z",
    }
    assert list(task["metadata"]) == ["z", "a", "n", "f"], "in the order it was sent"
    assert '"f":1.0' in answer.text, "numbers as they were sent"
    assert _types(happened) == [("task.created", 1)]
    assert _shown(api, task["id"]) == task


def test_a_task_may_be_created_completed(user: SignedIn, api: Api) -> None:
    with assert_events_explain_the_change(user.user_id) as happened:
        task = _created(api, status="completed")

    assert task["completed"] is True
    assert task["completed_at"] == task["created_at"]
    assert _types(happened) == [("task.created", 1)]


def test_null_in_a_new_task_is_the_default(api: Api) -> None:
    cleared = dict.fromkeys(["description", "priority", "tags", "metadata", "due_date"])

    task = _created(api, **cleared, recurrence_rule=None, recurrence=None, reminders=None)

    assert (task["priority"], task["tags"], task["metadata"]) == ("medium", [], {})


def test_the_limits_of_every_field_are_inclusive(api: Api) -> None:
    sent = {
        "title": "t" * 255,
        "description": "d" * 10_000,
        "tags": [f"{number:064}" for number in range(50)],
        "metadata": {"m": "x" * (16 * 1024 - len('{"m":""}'))},
    }

    task = _created(api, **sent)

    assert {name: task[name] for name in sent} == sent


@pytest.mark.parametrize(
    ("fields", "pointers"),
    [
        ({"title": ""}, ["/title"]),
        ({"title": " \t\n"}, ["/title"]),
        ({"title": None}, ["/title"]),
        ({"title": 7}, ["/title"]),
        ({"title": "t" * 256}, ["/title"]),
        ({"title": "t" * 10_000}, ["/title"]),
        ({"title": "a\0b"}, ["/title"]),
        ({"description": "d" * 10_001}, ["/description"]),
        ({"description": "\0"}, ["/description"]),
        ({"description": ["x"]}, ["/description"]),
        ({"status": "done"}, ["/status"]),
        ({"status": 1}, ["/status"]),
        ({"priority": "highest"}, ["/priority"]),
        ({"tags": "home"}, ["/tags"]),
        ({"tags": {"home": 1}}, ["/tags"]),
        ({"tags": [str(number) for number in range(51)]}, ["/tags"]),
        ({"tags": ["ok", "t" * 65, "", " ", 7, None]}, [f"/tags/{n}" for n in range(1, 6)]),
        ({"tags": ["a\0"]}, ["/tags/0"]),
        ({"metadata": []}, ["/metadata"]),
        ({"metadata": "{}"}, ["/metadata"]),
        ({"metadata": {"m": "x" * 16_384}}, ["/metadata"]),
        ({"metadata": {"m": "ü" * 8_190}}, ["/metadata"]),
        ({"metadata": {"m": "\0"}}, ["/metadata"]),
        ({"metadata": {"\0": 1}}, ["/metadata"]),
        ({"metadata": {"m": ["\ud800"]}}, ["/metadata"]),
        ({"due_date": "2026-05-01T09:00:00"}, ["/due_date"]),
        ({"due_date": "2026-05-01"}, ["/due_date"]),
        ({"due_date": "tomorrow"}, ["/due_date"]),
        ({"due_date": 1_777_000_000}, ["/due_date"]),
        ({"due_date": "2026-02-30T09:00:00Z"}, ["/due_date"]),
        ({"due_date": "0001-01-01T00:00:00+23:59"}, ["/due_date"]),
        ({"due_date": "9999-12-31T23:59:59-00:01"}, ["/due_date"]),
        ({"completed": "yes"}, ["/completed"]),
        ({"id": "x", "user_id": "y"}, ["/id", "/user_id"]),
    ],
    ids=repr,
)
def test_a_wrong_field_is_named(
    user: SignedIn, api: Api, fields: dict[str, Any], pointers: list[str]
) -> None:
    answer = api.post("/api/tasks", {"title": "Buy milk", **fields})

    assert_invalid(answer, *pointers)
    assert len(log_of(user.user_id)) == 1
    assert content(api.get("/api/tasks"))["items"] == []


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"title": "x" * 256}, "must be at most 255 characters"),
        ({"title": "x" * 100_000}, "must be at most 255 characters"),
        ({"description": "x" * 10_001}, "must be at most 10000 characters"),
        ({"tags": ["x" * 65]}, "must be at most 64 characters"),
        ({"tags": [str(n) for n in range(51)]}, "must be at most 50 items"),
        (
            {"recurrence": {"recurrence_rule": f"FREQ=DAILY;INTERVAL={'1' * 300}"}},
            "must be at most 255 characters",
        ),
        (
            {"reminders": [{"remind_at": "2030-01-01T00:00:00Z", "message": "x" * 1001}]},
            "must be at most 1000 characters",
        ),
        (
            {"reminders": [{"remind_at": "2030-01-01T00:00:00Z"}] * 51},
            "must be at most 50 items",
        ),
    ],
)
def test_a_too_long_field_is_refused_with_its_limit(
    api: Api, fields: dict[str, Any], detail: str
) -> None:
    answer = api.post("/api/tasks", {"title": "Buy milk", **fields})

    assert [error["detail"] for error in content(answer)["errors"]] == [detail]


def test_a_too_long_number_in_a_query_is_refused_without_internal_words(api: Api) -> None:
    answer = api.get(f"/api/tasks?limit={'9' * 5000}")

    problem = assert_invalid(answer, "/limit")
    assert problem["errors"][0]["detail"] == "has too many digits"


def test_a_too_long_number_is_refused_without_internal_words(api: Api) -> None:
    raw = f'{{"title": "Buy milk", "metadata": {{"n": {"9" * 5000}}}}}'

    answer = api.post("/api/tasks", data=raw, headers={"Content-Type": "application/json"})

    problem = assert_refused(answer, 400, "not-json")
    assert "too many digits" in problem["detail"]
    assert "sys" not in problem["detail"]


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("limit=1&limit=2", ["/limit"]),
        ("sort=title&sort=title", ["/sort"]),
        ("limit=&limit=2", ["/limit"]),
        ("limit=1&limit=2&tag=a&tag=b&sort=title&sort=due_date", ["/limit", "/sort"]),
    ],
)
def test_a_query_parameter_that_is_no_list_is_refused_when_given_twice(
    api: Api, query: str, pointers: list[str]
) -> None:
    assert_invalid(api.get(f"/api/tasks?{query}"), *pointers)


def test_every_wrong_field_is_named_at_once(api: Api) -> None:
    wrong = {
        "title": "",
        "description": 1,
        "status": "x",
        "priority": "x",
        "tags": ["ok", ""],
        "metadata": 1,
        "due_date": "2026-05-01T09:00:00",
        "a/b~c": 1,
    }

    created = api.post("/api/tasks", wrong)
    changed = api.patch(f"/api/tasks/{uuid.uuid4()}", {**wrong, "completed": "x"})

    pointers = [f"/{name}" for name in wrong if name not in {"tags", "a/b~c"}]
    pointers += ["/tags/1", "/a~1b~0c"]
    assert_invalid(created, *pointers)
    assert_invalid(changed, *pointers, "/completed")


@pytest.mark.parametrize(
    "metadata",
    [
        '{"m": 1e999}',
        '{"m": -1e999}',
        '{"m": [[{"a": 1e400}]]}',
        '{"m": ' + "[" * 100 + "]" * 100 + "}",
    ],
)
def test_metadata_that_no_json_parser_takes_back_is_refused(api: Api, metadata: str) -> None:
    raw = f'{{"title": "Buy milk", "metadata": {metadata}}}'

    answer = api.post("/api/tasks", data=raw, headers={"Content-Type": "application/json"})

    assert_invalid(answer, "/metadata")


def test_an_empty_body_is_refused_with_the_missing_fields(api: Api) -> None:
    for answer in (api.post("/api/tasks"), api.post("/api/tasks", {})):
        problem = assert_invalid(answer, "/title")
        assert problem["errors"][0]["detail"] == "is required"


@pytest.mark.parametrize(
    "sub",
    ["a b", "ü/ö", "tasks", "admin", "100%41", "🦉", "a?b#c", "..", "<x>", "a;b=c", "+", "x" * 255],
)
def test_an_account_of_any_name_can_use_the_api(user: SignedIn, sub: str) -> None:
    odd = with_token(SignedIn(sub, user.email, user.token), a_token(sub))
    with transaction(A_CAUSE) as tx:
        events.open_stream(tx, sub)
    api = Api(odd)

    created = [api.post("/api/tasks", {"title": f"Task {number}"}) for number in range(3)]
    found = [api.get(answer.headers["Location"]) for answer in created]
    page = api.get("/api/tasks?limit=2")
    rest = api.get(next_link(page.headers["Link"]))

    assert [answer.status_code for answer in [*created, *found, page, rest]] == [201] * 3 + [
        200
    ] * 5
    assert [answer.json for answer in found] == [answer.json for answer in created]
    assert len(content(rest)["items"]) == 1
    if "/" not in sub and sub not in {"tasks", "admin", ".."}:
        long = api.get(f"/api/{quote(sub, safe='')}/tasks?limit=2")
        assert long.json == page.json
        assert created[0].headers["Location"].startswith(f"/api/{quote(sub, safe='')}/tasks/")
        rest_of_long = api.get(next_link(long.headers["Link"]))
        assert rest_of_long.json == rest.json
        assert long.headers["Link"].isascii()


# Read


def test_a_task_is_shown_with_its_etag_and_not_sent_again_unchanged(api: Api) -> None:
    task = _created(api)
    path = f"/api/tasks/{task['id']}"

    first = api.get(path)
    known = [
        api.get(path, headers={"If-None-Match": tag})
        for tag in (first.headers["ETag"], 'W/"1"', '"7", "1"', "*")
    ]
    stale = api.get(path, headers={"If-None-Match": '"0"'})

    assert first.headers["ETag"] == '"1"'
    for answer in known:
        assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", '"1"')
        assert "Content-Type" not in answer.headers
    assert stale.status_code == 200


def test_a_changed_task_is_sent_again(api: Api) -> None:
    task = _created(api)
    api.patch(f"/api/tasks/{task['id']}", {"title": "Buy bread"})

    answer = api.get(f"/api/tasks/{task['id']}", headers={"If-None-Match": '"1"'})

    assert (answer.status_code, answer.headers["ETag"]) == (200, '"2"')


# Update: a merge


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_an_update_changes_the_named_fields_and_no_other(
    user: SignedIn, api: Api, method: str
) -> None:
    task = _created(api, description="two", tags=["home"], metadata={"a": 1}, due_date=DUE)

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.request(method, f"/api/tasks/{task['id']}", json={"title": "Buy bread"})

    changed = content(answer)
    assert answer.status_code == 200
    assert answer.headers["ETag"] == '"2"'
    unchanged = {**changed, "title": "Buy milk", "version": 1, "updated_at": task["updated_at"]}
    assert unchanged == task
    assert changed["updated_at"] > task["updated_at"]
    assert _shown(api, task["id"]) == changed
    assert _types(happened) == [("task.updated", 2)]
    assert json.loads(happened[0].data_json)["changes"] == {
        "title": {"old": "Buy milk", "new": "Buy bread"}
    }


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_null_clears_a_field_to_its_default(user: SignedIn, api: Api, method: str) -> None:
    filled = {"description": "x", "priority": "high", "tags": ["home"], "metadata": {"a": 1}}
    task = _created(api, **filled, due_date=DUE)

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.request(
            method, f"/api/tasks/{task['id']}", json=dict.fromkeys([*filled, "due_date"])
        )

    changed = content(answer)
    assert [changed[name] for name in (*filled, "due_date")] == [None, "medium", [], {}, None]
    assert changed["title"] == "Buy milk"
    assert _types(happened) == [("task.updated", 2), ("task.due_date_changed", 3)]


METADATA = {"kept": 1, "gone": 2, "inner": {"kept": [1, None], "gone": {"x": 1}}, "list": [1, 2]}


@pytest.mark.parametrize("method", ["PUT", "PATCH", "correct"])
@pytest.mark.parametrize(
    ("patch", "merged"),
    [
        ({"a": True}, {**METADATA, "a": True}),
        ({"gone": None}, {name: METADATA[name] for name in ("kept", "inner", "list")}),
        (
            {"inner": {"gone": None, "new": {"x": None, "y": [None]}}},
            {**METADATA, "inner": {"kept": [1, None], "new": {"y": [None]}}},
        ),
        ({"list": {"0": None, "1": 3}}, {**METADATA, "list": {"1": 3}}),
        ({"list": [{"x": None}]}, {**METADATA, "list": [{"x": None}]}),
    ],
    ids=repr,
)
def test_metadata_merges_key_by_key_at_every_depth(
    user: SignedIn, api: Api, method: str, patch: dict[str, Any], merged: dict[str, Any]
) -> None:
    task = _created(api, metadata=METADATA)

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = _merge(api, method, task["id"], {"metadata": patch})

    assert json.dumps(content(answer)["metadata"]) == json.dumps(merged)
    [event] = happened
    assert json.loads(event.data_json)["changes"] == {
        "metadata": {"old": METADATA, "new": merged},
    }


@pytest.mark.parametrize("method", ["PUT", "PATCH", "correct"])
@pytest.mark.parametrize(
    "patch",
    [{}, {"kept": 1}, {"absent": None}, {"inner": {}}, {"inner": {"absent": None}}, METADATA],
    ids=repr,
)
def test_metadata_merged_to_the_same_leave_no_event(
    user: SignedIn, api: Api, method: str, patch: dict[str, Any]
) -> None:
    task = _created(api, metadata=METADATA)

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = _merge(api, method, task["id"], {"metadata": patch})

    assert (answer.status_code, answer.json) == (200, task)
    assert happened == []


@pytest.mark.parametrize("method", ["PUT", "PATCH", "correct"])
def test_the_limits_of_metadata_count_after_the_merge(api: Api, method: str) -> None:
    most = 16 * 1024 - len('{"a":"","b":""}')
    task = _created(api, metadata={"a": "x" * most, "b": ""})
    deepest = f'{{"d":{"[" * 64}1{"]" * 64}}}'

    over = _merge(api, method, task["id"], {"metadata": {"b": "y"}})
    nothing_but_nulls = dict.fromkeys((f"absent {number}" for number in range(2000)), None)
    moved = _merge(
        api, method, task["id"], {"metadata": {**nothing_but_nulls, "a": None, "b": "y"}}
    )
    too_deep = _merge(api, method, task["id"], {"metadata": {"d": json.loads(deepest)}})
    null_character = _merge(api, method, task["id"], {"metadata": {"b": {"\0": 1}}})

    assert_invalid(over, "/metadata")
    assert content(moved)["metadata"] == {"b": "y"}
    assert_invalid(too_deep, "/metadata")
    assert_invalid(null_character, "/metadata")


def test_a_null_in_new_metadata_is_no_key(api: Api) -> None:
    task = _created(api, metadata={"a": None, "b": {"c": None}, "d": [None]})

    assert task["metadata"] == {"b": {}, "d": [None]}
    assert content(api.put(f"/api/tasks/{task['id']}", task)) == task


def test_six_devices_that_change_six_keys_keep_all_six(user: SignedIn, api: Api) -> None:
    task = _created(api, metadata={"deep": {"old": 0}})

    def send(number: int) -> int:
        patch = {"metadata": {f"k{number}": number, "deep": {f"k{number}": number}}}
        return Api(user).patch(f"/api/tasks/{task['id']}", patch).status_code

    with assert_events_explain_the_change(user.user_id), ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(send, range(6)))

    keys = {f"k{number}": number for number in range(6)}
    assert statuses == [200] * 6
    assert _shown(api, task["id"])["metadata"] == {"deep": {"old": 0, **keys}, **keys}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("body", [{}, {"title": "Buy milk", "tags": [], "due_date": None}])
def test_an_update_that_changes_nothing_leaves_no_event(
    user: SignedIn, api: Api, method: str, body: dict[str, Any]
) -> None:
    task = _created(api)

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.request(method, f"/api/tasks/{task['id']}", json=body)

    assert (answer.status_code, answer.json) == (200, task)
    assert happened == []


@pytest.mark.parametrize("title", [None, "", " "])
def test_a_title_cannot_be_cleared(api: Api, title: object) -> None:
    task = _created(api)

    answer = api.patch(f"/api/tasks/{task['id']}", {"title": title})

    assert_invalid(answer, "/title")


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(
    ("edit", "types"),
    [
        ({}, []),
        ({"title": "Buy bread"}, ["task.updated"]),
        ({"status": "completed"}, ["task.completed"]),
        ({"completed": True}, ["task.completed"]),
        ({"due_date": None}, ["task.due_date_changed"]),
    ],
    ids=repr,
)
def test_a_shown_task_can_be_edited_and_put_back(
    user: SignedIn, api: Api, method: str, edit: dict[str, Any], types: list[str]
) -> None:
    task = _created(api, due_date=DUE, tags=["home"], metadata={"a": {"b": [1.0, 1, True]}})

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.request(method, f"/api/tasks/{task['id']}", json={**task, **edit})

    assert answer.status_code == 200, answer.text
    assert [event.event_type for event in happened] == types
    for name, value in edit.items():
        assert content(answer)[name] == value


def test_a_completed_task_can_be_put_back_too(user: SignedIn, api: Api) -> None:
    task = _created(api, status="completed")

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.put(f"/api/tasks/{task['id']}", {**task, "title": "Bought milk"})

    assert answer.status_code == 200, answer.text
    assert content(answer)["completed_at"] == task["completed_at"]
    assert _types(happened) == [("task.updated", 2)]


def test_every_read_only_field_that_differs_is_named(user: SignedIn, api: Api) -> None:
    task = _created(api)
    wrong = dict.fromkeys(READ_ONLY, "something else")

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.put(f"/api/tasks/{task['id']}", {**task, **wrong, "title": "Buy bread"})

    assert_invalid(answer, *(f"/{name}" for name in READ_ONLY))
    assert happened == []


@pytest.mark.parametrize("field", READ_ONLY)
def test_a_read_only_field_is_never_changed(api: Api, field: str) -> None:
    task = _created(api)

    for value in ("x", 7, ["x"], {"x": 1}, "2026-01-01T00:00:00Z"):
        assert_invalid(api.patch(f"/api/tasks/{task['id']}", {field: value}), f"/{field}")

    assert _shown(api, task["id"]) == task


def test_a_task_put_back_with_a_stale_version_is_refused(api: Api) -> None:
    task = _created(api)
    api.patch(f"/api/tasks/{task['id']}", {"tags": ["home"]})

    answer = api.put(f"/api/tasks/{task['id']}", {**task, "title": "Buy bread"})

    problem = assert_refused(answer, 422)
    assert {error["pointer"] for error in problem["errors"]} == {"/version", "/updated_at"}


MOVES: list[tuple[str, dict[str, Any], tuple[str, list[str]]]] = [
    ("pending", {"status": "in_progress"}, ("in_progress", ["task.updated"])),
    ("pending", {"status": "cancelled"}, ("cancelled", ["task.updated"])),
    ("pending", {"status": "completed"}, ("completed", ["task.completed"])),
    ("pending", {"completed": True}, ("completed", ["task.completed"])),
    ("pending", {"completed": False}, ("pending", [])),
    ("in_progress", {"completed": False}, ("in_progress", [])),
    ("cancelled", {"completed": True}, ("completed", ["task.completed"])),
    ("completed", {"completed": False}, ("pending", ["task.uncompleted"])),
    ("completed", {"status": "pending"}, ("pending", ["task.uncompleted"])),
    ("completed", {"status": "in_progress"}, ("in_progress", ["task.uncompleted"])),
    ("completed", {"status": "cancelled"}, ("cancelled", ["task.uncompleted"])),
    ("completed", {"status": "completed"}, ("completed", [])),
    ("completed", {"completed": True}, ("completed", [])),
    ("pending", {"status": "completed", "completed": True}, ("completed", ["task.completed"])),
    (
        "completed",
        {"status": "cancelled", "completed": False},
        ("cancelled", ["task.uncompleted"]),
    ),
    (
        "pending",
        {"status": "in_progress", "completed": False},
        ("in_progress", ["task.updated"]),
    ),
]


@pytest.mark.parametrize(("before", "sent", "after_and_types"), MOVES, ids=repr)
def test_status_and_completed_move_together(
    user: SignedIn,
    api: Api,
    before: str,
    sent: dict[str, Any],
    after_and_types: tuple[str, list[str]],
) -> None:
    task, (after, types) = _created(api, status=before), after_and_types

    with assert_events_explain_the_change(user.user_id) as happened:
        changed = content(api.patch(f"/api/tasks/{task['id']}", sent))

    assert changed["status"] == after
    assert changed["completed"] == (after == "completed")
    assert (changed["completed_at"] is not None) == (after == "completed")
    assert [event.event_type for event in happened] == types


@pytest.mark.parametrize(
    ("before", "sent"),
    [
        ("pending", {"status": "in_progress", "completed": True}),
        ("pending", {"status": "cancelled", "completed": True}),
        ("cancelled", {"status": "pending", "completed": True}),
    ],
    ids=repr,
)
def test_a_status_and_completed_that_contradict_each_other_are_refused(
    user: SignedIn, api: Api, before: str, sent: dict[str, Any]
) -> None:
    task = _created(api, status=before)

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.patch(f"/api/tasks/{task['id']}", sent)

    assert_invalid(answer, "/completed")
    assert happened == []


def test_one_update_appends_an_event_for_each_kind_of_change(user: SignedIn, api: Api) -> None:
    task = _created(api)
    body = {"title": "Buy bread", "due_date": DUE, "status": "completed"}

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = api.patch(f"/api/tasks/{task['id']}", body)

    assert answer.headers["ETag"] == '"4"'
    assert content(answer)["version"] == 4
    assert _types(happened) == [
        ("task.updated", 2),
        ("task.due_date_changed", 3),
        ("task.completed", 4),
    ]
    assert [list(json.loads(event.data_json)["changes"]) for event in happened] == [
        ["title"],
        ["due_date"],
        ["status", "completed", "completed_at"],
    ]


def test_changes_of_different_fields_by_two_devices_are_both_kept(user: SignedIn, api: Api) -> None:
    task = _created(api)
    edits: list[dict[str, Any]] = [
        {"title": "Buy bread"},
        {"description": "Two loaves"},
        {"priority": "high"},
        {"tags": ["home"]},
        {"metadata": {"a": 1}},
        {"due_date": DUE},
        {"status": "completed"},
    ]

    def send(edit: dict[str, Any]) -> int:
        return Api(user).patch(f"/api/tasks/{task['id']}", edit).status_code

    with assert_events_explain_the_change(user.user_id) as happened, ThreadPoolExecutor(7) as pool:
        statuses = list(pool.map(send, edits))

    after = _shown(api, task["id"])
    assert statuses == [200] * 7
    assert after["version"] == 8
    assert sorted(event.version for event in happened) == list(range(2, 9))
    for edit in edits:
        for name, value in edit.items():
            assert after[name] == value


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_only_one_of_two_edits_of_the_same_version_wins(api: Api, method: str) -> None:
    task = _created(api)
    path = f"/api/tasks/{task['id']}"

    first = api.request(method, path, json={"title": "One"}, headers={"If-Match": '"1"'})
    second = api.request(method, path, json={"title": "Two"}, headers={"If-Match": '"1"'})

    assert first.status_code == 200
    assert_refused(second, 412, "version-is-stale")
    assert _shown(api, task["id"])["title"] == "One"


CHANGES: dict[str, Callable[[Api, str, dict[str, str]], Any]] = {
    "update": lambda api, path, headers: api.patch(path, {"title": "x"}, headers=headers),
    "complete": lambda api, path, headers: api.post(f"{path}/complete", headers=headers),
    "due date": lambda api, path, headers: api.put(
        f"{path}/due-date", {"due_date": DUE}, headers=headers
    ),
    "delete": lambda api, path, headers: api.delete(path, headers=headers),
    "recur": lambda api, path, headers: api.post(
        f"{path}/recurrence", {"recurrence_rule": "FREQ=DAILY"}, headers=headers
    ),
    "correct": lambda _, path, headers: Api(an_administrator()).post(
        f"/api/admin/{path.removeprefix('/api/')}/correct", {"title": "x"}, headers=headers
    ),
    "restore": lambda api, path, headers: api.post(f"{path}/restore", headers=headers),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("tag", ['"1"', '"3"', 'W/"2"', '""'])
def test_a_change_of_another_version_is_stale(
    user: SignedIn, api: Api, change: Callable[[Api, str, dict[str, str]], Any], tag: str
) -> None:
    task = _created(api)
    api.patch(f"/api/tasks/{task['id']}", {"title": "Two"})

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = change(api, f"/api/tasks/{task['id']}", {"If-Match": tag})

    assert_refused(answer, 412, "version-is-stale")
    assert happened == []


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("tag", ['"2"', '"1", "2"', "*"])
def test_a_change_of_the_version_in_view_is_made(
    api: Api, change: Callable[[Api, str, dict[str, str]], Any], tag: str
) -> None:
    task = _created(api)
    api.patch(f"/api/tasks/{task['id']}", {"title": "Two"})

    answer = change(api, f"/api/tasks/{task['id']}", {"If-Match": tag})

    assert answer.status_code in {200, 204}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("tag", ['"2"', '"1", "2"', "*", 'W/"2"'])
def test_a_change_of_a_version_that_if_none_match_names_is_not_made(
    user: SignedIn, api: Api, change: Callable[[Api, str, dict[str, str]], Any], tag: str
) -> None:
    task = _created(api)
    api.patch(f"/api/tasks/{task['id']}", {"title": "Two"})

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = change(api, f"/api/tasks/{task['id']}", {"If-None-Match": tag})

    assert_refused(answer, 412, "version-is-excluded")
    assert happened == []


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("tag", ['"1"', '"1", "3"', 'W/"3"', '""'])
def test_a_change_of_a_version_that_if_none_match_does_not_name_is_made(
    api: Api, change: Callable[[Api, str, dict[str, str]], Any], tag: str
) -> None:
    task = _created(api)
    api.patch(f"/api/tasks/{task['id']}", {"title": "Two"})

    answer = change(api, f"/api/tasks/{task['id']}", {"If-None-Match": tag})

    assert answer.status_code in {200, 204}


def test_if_match_is_asked_before_if_none_match_by_reads_and_writes(api: Api) -> None:
    path = f"/api/tasks/{_created(api)['id']}"
    both_fail = {"If-Match": '"7"', "If-None-Match": "*"}
    second_fails = {"If-Match": '"1"', "If-None-Match": "*"}

    assert_refused(api.patch(path, {"title": "x"}, headers=both_fail), 412, "version-is-stale")
    assert_refused(
        api.patch(path, {"title": "x"}, headers=second_fails), 412, "version-is-excluded"
    )
    assert_refused(api.get(path, headers=both_fail), 412, "version-is-stale")
    assert api.get(path, headers=second_fails).status_code == 304


def test_an_idempotency_key_covers_if_none_match(api: Api) -> None:
    path = f"/api/tasks/{_created(api)['id']}"
    key = {"Idempotency-Key": "k"}

    first = api.patch(path, {"title": "x"}, headers={**key, "If-None-Match": '"7"'})
    again = api.patch(path, {"title": "x"}, headers={**key, "If-None-Match": '"7"'})
    another = api.patch(path, {"title": "x"}, headers={**key, "If-None-Match": '"8"'})

    assert (first.status_code, again.data) == (200, first.data)
    assert_refused(another, 422, "idempotency-key-reused")


def test_a_preflight_request_tells_what_a_patch_may_be(api: Api) -> None:
    path = f"/api/tasks/{_created(api)['id']}"

    answer = api.request("OPTIONS", path)

    assert answer.headers["Accept-Patch"] == "application/json, application/merge-patch+json"


# Complete


@pytest.mark.parametrize("method", ["PATCH", "POST"])
@pytest.mark.parametrize("body", [None, {}, {"completed": True}])
def test_completing_twice_is_one_event(
    user: SignedIn, api: Api, method: str, body: dict[str, Any] | None
) -> None:
    task = _created(api)
    options = {} if body is None else {"json": body}

    with assert_events_explain_the_change(user.user_id) as happened:
        first = api.request(method, f"/api/tasks/{task['id']}/complete", **options)
        second = api.request(method, f"/api/tasks/{task['id']}/complete", **options)

    completed = content(first)
    assert (first.status_code, second.status_code) == (200, 200)
    assert completed["completed"] is True
    assert completed["status"] == "completed"
    assert completed["completed_at"] == completed["updated_at"]
    assert second.json == completed
    assert second.headers["ETag"] == first.headers["ETag"] == '"2"'
    assert _types(happened) == [("task.completed", 2)]


@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_a_completed_task_can_be_reopened(user: SignedIn, api: Api, method: str) -> None:
    task = _created(api, status="completed")

    with assert_events_explain_the_change(user.user_id) as happened:
        answers = [
            api.request(method, f"/api/tasks/{task['id']}/complete", json={"completed": False})
            for _ in range(2)
        ]

    reopened = content(answers[0])
    assert content(answers[1]) == reopened
    assert (reopened["status"], reopened["completed_at"]) == ("pending", None)
    assert _types(happened) == [("task.uncompleted", 2)]


def test_completing_many_times_at_once_is_one_event(user: SignedIn, api: Api) -> None:
    task = _created(api)

    with assert_events_explain_the_change(user.user_id) as happened, ThreadPoolExecutor(8) as pool:
        sent = [
            pool.submit(lambda: Api(user).post(f"/api/tasks/{task['id']}/complete"))
            for _ in range(16)
        ]

    assert {answer.result().text for answer in sent} == {sent[0].result().text}
    assert _types(happened) == [("task.completed", 2)]


@pytest.mark.parametrize("completed", [None, 1, "true", []])
def test_completed_is_true_or_false(api: Api, completed: object) -> None:
    task = _created(api)

    answer = api.post(f"/api/tasks/{task['id']}/complete", {"completed": completed})

    assert_invalid(answer, "/completed")


# Due date


def test_a_due_date_moves_and_is_cleared(user: SignedIn, api: Api) -> None:
    task = _created(api)
    path = f"/api/tasks/{task['id']}/due-date"

    with assert_events_explain_the_change(user.user_id) as happened:
        moved = content(api.put(path, {"due_date": "2026-05-01T11:00:00+02:00"}))
        same = content(api.put(path, {"due_date": DUE}))
        cleared = content(api.put(path, {"due_date": None}))
        still_none = content(api.put(path, {"due_date": None}))

    assert moved["due_date"] == DUE
    assert same == moved
    assert cleared["due_date"] is None
    assert still_none == cleared
    assert _types(happened) == [("task.due_date_changed", 2), ("task.due_date_changed", 3)]
    assert json.loads(happened[0].data_json)["changes"] == {"due_date": {"old": None, "new": DUE}}


def test_a_due_date_that_is_left_out_is_not_cleared(api: Api) -> None:
    task = _created(api, due_date=DUE)

    for answer in (
        api.put(f"/api/tasks/{task['id']}/due-date"),
        api.put(f"/api/tasks/{task['id']}/due-date", {}),
    ):
        assert_invalid(answer, "/due_date")

    assert _shown(api, task["id"])["due_date"] == DUE


# Delete and restore


def test_a_deleted_task_is_gone_until_it_is_restored(user: SignedIn, api: Api) -> None:
    task = _created(api, due_date=DUE, tags=["home"])
    path = f"/api/tasks/{task['id']}"

    with assert_events_explain_the_change(user.user_id) as happened:
        deleted = api.delete(path)
    gone = [api.get(path), api.patch(path, {"title": "x"}), api.delete(path)]
    gone += [api.post(f"{path}/complete"), api.put(f"{path}/due-date", {"due_date": None})]
    listed = content(api.get("/api/tasks"))

    assert (deleted.status_code, deleted.data) == (204, b"")
    assert "Content-Type" not in deleted.headers
    for answer in gone:
        assert_refused(answer, 404, "task-not-found")
    assert listed["items"] == []
    assert _types(happened) == [("task.deleted", 2)]
    assert json.loads(happened[0].data_json)["changes"] == {}

    with assert_events_explain_the_change(user.user_id) as happened:
        restored = api.post(f"{path}/restore")
        again = api.post(f"{path}/restore")

    shown = content(restored)
    assert restored.status_code == again.status_code == 200
    assert restored.headers["ETag"] == '"3"'
    assert {**shown, "version": 1, "updated_at": task["updated_at"]} == task
    assert again.json == shown == _shown(api, task["id"])
    assert _types(happened) == [("task.restored", 3)]


# Correct


def test_an_administrators_correction_appends_one_event_of_its_own_type(
    user: SignedIn, api: Api
) -> None:
    task = _created(api)
    administrator = an_administrator()
    body = {"title": "Corrected", "due_date": DUE, "status": "completed"}

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = Api(administrator).post(f"/api/admin/tasks/{task['id']}/correct", body)

    corrected = content(answer)
    assert answer.status_code == 200
    assert answer.headers["ETag"] == '"2"'
    assert corrected["user_id"] == user.user_id
    assert corrected["completed_at"] == corrected["updated_at"]
    assert _types(happened) == [("task.corrected", 2)]
    assert happened[0].actor == administrator.user_id
    assert happened[0].user_id == user.user_id
    assert set(json.loads(happened[0].data_json)["changes"]) == {
        *("title", "due_date", "status", "completed", "completed_at"),
    }
    assert _shown(api, task["id"]) == corrected


@pytest.mark.parametrize("body", [{}, {"title": "Buy milk"}])
def test_a_correction_without_changes_appends_no_event(
    user: SignedIn, api: Api, body: dict[str, Any]
) -> None:
    task = _created(api)

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = Api(an_administrator()).post(f"/api/admin/tasks/{task['id']}/correct", body)

    assert (answer.status_code, answer.json) == (200, task)
    assert happened == []


def test_a_task_of_a_deleted_account_is_not_there_to_be_corrected(user: SignedIn, api: Api) -> None:
    task = _created(api)
    delete_account(user)

    answer = Api(an_administrator()).post(f"/api/admin/tasks/{task['id']}/correct", {"title": "x"})

    assert_refused(answer, 404, "task-not-found")


def test_a_correction_keeps_the_rules_of_an_update(user: SignedIn, api: Api) -> None:
    task = _created(api)
    admin, path = Api(an_administrator()), f"/api/admin/tasks/{task['id']}/correct"

    with assert_events_explain_the_change(user.user_id) as happened:
        assert_invalid(admin.post(path, {"version": 7, "user_id": "x"}), "/version", "/user_id")
        assert_invalid(admin.post(path, {"status": "cancelled", "completed": True}), "/completed")
        assert_refused(admin.post(path, {"title": "x"}, headers={"If-Match": '"7"'}), 412)
        assert_refused(admin.post(f"/api/admin/tasks/{uuid.uuid4()}/correct", {"title": "x"}), 404)

    assert happened == []


# List


RANKS = {"low": 1, "medium": 2, "high": 3, "urgent": 4}
A_DAY = datetime(2026, 5, 1, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def many(database: object) -> tuple[SignedIn, list[Task]]:  # noqa: ARG001 - it must run
    """Store tasks of one user with many ties, and some without a due date."""
    owner, chance = a_user(), random.Random(7)
    with pytest.MonkeyPatch.context() as patch:
        stored: list[Task] = []
        for number in range(33):
            created_at = A_DAY + number // 4 * A_SECOND
            patch.setattr(clock, "now", lambda at=created_at: at)
            due = A_DAY + chance.randrange(4) * timedelta(days=1)
            stored.append(
                a_stored_task(
                    owner.user_id,
                    title=chance.choice(["apple", "Apple", "banana", "Cherry", "ärger"]),
                    priority=chance.choice(list(RANKS)),
                    status=chance.choice(["pending", "in_progress", "completed", "cancelled"]),
                    tags=chance.sample(["home", "work", "urgent", "a b", "ü"], k=2),
                    due_date=None if number % 3 == 0 else due.isoformat(),
                )
            )
    return owner, stored


KEYS: dict[str, Callable[[Task], Any]] = {
    "created_at": lambda task: task.created_at,
    "updated_at": lambda task: task.updated_at,
    "priority": lambda task: RANKS[task.priority.value],
    "title": lambda task: sort_key(task.title),
    "due_date": lambda task: task.due_date,
}


def _sorted(stored: list[Task], sort: str) -> list[str]:
    name, descending = sort.removeprefix("-"), sort.startswith("-")
    with_key = [task for task in stored if KEYS[name](task) is not None]
    without = [task for task in stored if KEYS[name](task) is None]
    ordered = sorted(with_key, key=lambda task: (KEYS[name](task), task.id), reverse=descending)
    last = sorted(without, key=lambda task: task.id, reverse=descending)
    return [str(task.id) for task in ordered + last]


@pytest.mark.parametrize("sort", [sign + name for name in KEYS for sign in ("", "-")])
@pytest.mark.parametrize("limit", [1, 7, 33, 200])
def test_the_pages_of_tasks_are_the_whole_list_in_order(
    many: tuple[SignedIn, list[Task]], sort: str, limit: int
) -> None:
    owner, stored = many

    pages = pages_of(Api(owner), f"/api/{{user_id}}/tasks?sort={sort}&limit={limit}")

    assert [task_id for page in pages for task_id in page] == _sorted(stored, sort)
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert len(pages) == -(-33 // limit)


def test_the_newest_tasks_come_first_unless_asked_otherwise(
    many: tuple[SignedIn, list[Task]],
) -> None:
    owner, stored = many

    [page] = pages_of(Api(owner), "/api/tasks")

    assert page == _sorted(stored, "-created_at")


FILTERS: dict[str, Callable[[Task], bool]] = {
    "status=pending": lambda task: task.status.value == "pending",
    "status=pending&status=cancelled": lambda task: task.status.value in {"pending", "cancelled"},
    "completed=true": lambda task: task.completed,
    "completed=false": lambda task: not task.completed,
    "priority=high": lambda task: task.priority.value == "high",
    "priority=high&priority=low": lambda task: task.priority.value in {"high", "low"},
    "tag=home": lambda task: "home" in task.tags,
    "tag=home&tag=work": lambda task: {"home", "work"} <= set(task.tags),
    "tag=a+b": lambda task: "a b" in task.tags,
    "tag=%C3%BC": lambda task: "ü" in task.tags,
    "tag=nobody": lambda _: False,
    "tag=hom": lambda _: False,
    "due_before=2026-05-03T09:00:00Z": lambda task: (
        task.due_date is not None and task.due_date < A_DAY + timedelta(days=2)
    ),
    "due_after=2026-05-02T11:00:00%2B02:00": lambda task: (
        task.due_date is not None and task.due_date > A_DAY + timedelta(days=1)
    ),
    "due_after=2026-05-01T09:00:00Z&due_before=2026-05-03T09:00:00Z": lambda task: (
        task.due_date is not None and task.due_date == A_DAY + timedelta(days=1)
    ),
    "recurring=true": lambda _: False,
    "recurring=false": lambda _: True,
    "status=pending&priority=high&tag=home": lambda task: (
        task.status.value == "pending" and task.priority.value == "high" and "home" in task.tags
    ),
}


@pytest.mark.parametrize("query", FILTERS)
def test_a_filter_narrows_the_list_and_its_pages(
    many: tuple[SignedIn, list[Task]], query: str
) -> None:
    owner, stored = many
    wanted = [task for task in stored if FILTERS[query](task)]

    pages = pages_of(Api(owner), f"/api/tasks?{query}&sort=due_date&limit=3")

    assert [task_id for page in pages for task_id in page] == _sorted(wanted, "due_date")


def test_a_task_created_between_two_pages_shifts_no_other(user: SignedIn, api: Api) -> None:
    first = [str(a_stored_task(user.user_id, title=f"Task {n}").id) for n in range(6)]

    page = api.get("/api/tasks?limit=3")
    a_stored_task(user.user_id)
    api.delete(f"/api/tasks/{first[5]}")
    rest = content(api.get(next_link(page.headers["Link"])))

    assert [item["id"] for item in content(page)["items"]] == first[:2:-1]
    assert [item["id"] for item in rest["items"]] == first[2::-1]
    assert rest["next_cursor"] is None


def test_a_page_holds_fifty_tasks_unless_asked_otherwise(user: SignedIn, api: Api) -> None:
    for _ in range(51):
        a_stored_task(user.user_id)

    pages = pages_of(api, "/api/tasks")

    assert [len(page) for page in pages] == [50, 1]


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("limit=0", ["/limit"]),
        ("limit=201", ["/limit"]),
        ("limit=-1", ["/limit"]),
        ("limit=x", ["/limit"]),
        ("limit=", ["/limit"]),
        ("limit=1.5", ["/limit"]),
        ("limit=99999999999999999999999", ["/limit"]),
        ("sort=id", ["/sort"]),
        ("sort=--title", ["/sort"]),
        ("sort=", ["/sort"]),
        ("status=done", ["/status/0"]),
        ("status=pending&status=done", ["/status/1"]),
        ("priority=5", ["/priority/0"]),
        ("completed=maybe", ["/completed"]),
        ("recurring=2", ["/recurring"]),
        ("due_before=2026-05-01T09:00:00", ["/due_before"]),
        ("due_after=2026-05-01", ["/due_after"]),
        ("due_after=2026-05-01T09:00:00+02:00", ["/due_after"]),
        ("tag=%00", ["/tag/0"]),
        ("tag=a&" * 51, ["/tag"]),
        ("offset=1&page=2", ["/offset", "/page"]),
        ("limit=0&sort=x&status=y&cursor=", ["/limit", "/sort", "/status/0"]),
    ],
    ids=lambda value: str(value)[:60],
)
def test_every_wrong_parameter_of_a_query_is_named(
    api: Api, query: str, pointers: list[str]
) -> None:
    answer = api.get(f"/api/tasks?{query}")

    assert_invalid(answer, *pointers)


def _cursors_not_of_this_list() -> dict[str, str]:
    task_id = str(new_id(A_DAY))
    return {
        "empty": "",
        "garbage": "garbage",
        "not base64": "!!!!",
        "not ASCII": "%C3%BC",
        "null": "%00",
        "a number": "MQ",
        "a text": write_cursor("x")[:4],
        "of another sort": write_cursor("title", "x", task_id),
        "of the other direction": write_cursor("created_at", A_DAY.isoformat(), task_id),
        "of the history": write_cursor("history", 1),
        "short": write_cursor("-created_at"),
        "without id": write_cursor("-created_at", A_DAY.isoformat()),
        "long": write_cursor("-created_at", A_DAY.isoformat(), task_id, "x"),
        "a wrong id": write_cursor("-created_at", A_DAY.isoformat(), "x"),
        "a number for a time": write_cursor("-created_at", 1, task_id),
        "no time": write_cursor("-created_at", "a while ago", task_id),
        "a null character": write_cursor("-created_at", "\0", task_id),
        "SQL": write_cursor("-created_at", "'; DROP TABLE tasks; --", task_id),
        # ["-created_at","\ud800","…"], which write_cursor would not write.
        "a lone surrogate": _encoded(f'["-created_at","\\ud800","{task_id}"]'),
        "deep": _encoded("[" * 5_000),
    }


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize("name", _cursors_not_of_this_list())
def test_a_cursor_that_is_not_of_this_list_is_refused(api: Api, name: str) -> None:
    answer = api.get(f"/api/tasks?cursor={_cursors_not_of_this_list()[name]}")

    assert_invalid(answer, "/cursor")


@pytest.mark.parametrize(
    ("sort", "key"),
    [("priority", "high"), ("priority", "99999999999"), ("due_date", "soon"), ("title", "a\ud800")],
)
def test_a_cursor_with_a_key_that_cannot_be_is_refused(api: Api, sort: str, key: str) -> None:
    cursor = _encoded(json.dumps([sort, key, str(new_id(A_DAY))]))

    answer = api.get(f"/api/tasks?sort={sort}&cursor={cursor}")

    assert_invalid(answer, "/cursor")


def test_the_cursor_of_another_user_shows_ones_own_tasks_alone(
    many: tuple[SignedIn, list[Task]], user: SignedIn, api: Api
) -> None:
    own = a_stored_task(user.user_id)
    of_another = content(Api(many[0]).get("/api/tasks?limit=1&sort=title"))

    answer = api.get(f"/api/tasks?limit=1&sort=title&cursor={of_another['next_cursor']}")

    assert [item["id"] for item in content(answer)["items"]] in ([], [str(own.id)])


def test_completed_alone_creates_a_completed_task(user: SignedIn) -> None:
    with assert_events_explain_the_change(user.user_id) as happened:
        task = _created(Api(user), completed=True)

    assert (task["status"], task["completed_at"]) == ("completed", task["created_at"])
    assert _types(happened) == [("task.created", 1)]


def test_a_status_that_contradicts_completed_creates_no_task(user: SignedIn) -> None:
    answer = Api(user).post("/api/tasks", {"title": "x", "status": "pending", "completed": True})

    assert_invalid(answer, "/completed")


def test_a_cleared_status_is_pending(user: SignedIn) -> None:
    task = a_stored_task(user.user_id, status="in_progress")

    with assert_events_explain_the_change(user.user_id) as happened:
        answer = Api(user).patch(f"/api/tasks/{task.id}", {"status": None})

    assert content(answer)["status"] == "pending"
    assert _types(happened) == [("task.updated", 2)]


def test_all_fields_that_contradict_the_stored_task_are_named_at_once(user: SignedIn) -> None:
    task = a_stored_task(user.user_id)
    wrong = {"version": True, "is_recurring": 0, "status": "cancelled", "completed": True}

    answer = Api(user).patch(f"/api/tasks/{task.id}", wrong)

    assert_invalid(answer, "/is_recurring", "/version", "/completed")


def test_titles_are_in_the_order_of_the_unicode_collation_on_all_pages(
    user: SignedIn, api: Api
) -> None:
    right = ["10", "Äpfel", "apple", "Apple", "éclair", "Łódź", "Zebra", "zoo", "Ёлка", "ель", "🐘"]
    right = [right[-1], *right[:-1]]
    ids = {str(a_stored_task(user.user_id, title=title).id): title for title in sorted(right)}

    up = pages_of(api, "/api/tasks?sort=title&limit=2")
    down = pages_of(api, "/api/tasks?sort=-title&limit=3")

    assert [ids[task_id] for page in up for task_id in page] == right
    assert [ids[task_id] for page in down for task_id in page] == right[::-1]


def test_an_empty_page_after_much_reading_leads_to_the_next(
    user: SignedIn, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOOKED_AT_FIRST", "FEW", "LOOKED_AT_MOST"):
        monkeypatch.setattr(task_lists, name, 2)
    wanted = a_stored_task(user.user_id, tags=["a"], priority="high")
    for number in range(4):
        a_stored_task(
            user.user_id, tags=["a"] if number % 2 else [], priority=("high", "low")[number % 2]
        )

    first = content(api.get("/api/tasks?tag=a&priority=high"))
    pages = pages_of(api, "/api/tasks?tag=a&priority=high")

    assert first["items"] == []
    assert first["next_cursor"] is not None
    assert pages == [[], [], [str(wanted.id)]]
