"""The history of a task, and the messages since a `seq` (E2, E6, L3 by `/events`)."""

import json
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest

from taskflow.domain.events import Event
from taskflow.domain.resume import MISSED_MAX
from taskflow.serving.pages import write_cursor
from taskflow.storage import events, transaction
from taskflow.storage.tables import STREAMS
from tests.support.data.accounts import A_CAUSE, SignedIn, an_administrator
from tests.support.data.builders import A_TIME, a_settings_event, a_stored_task, log_of
from tests.support.functions.client import Api, content
from tests.support.functions.problems import assert_invalid, assert_refused

pytestmark = pytest.mark.usefixtures("database")

RECORD = {
    *("event_id", "event_type", "user_id", "aggregate_id", "timestamp", "correlation_id", "data"),
    *("version", "schema_version", "seq"),
}
MESSAGE = {"type", "data", "timestamp", "correlation_id", "seq", "event_id"}
PATH = "/api/{user_id}/events"


def _history(api: Api, task_id: object, query: str = "") -> dict[str, Any]:
    answer = api.get(f"/api/{{user_id}}/tasks/{task_id}/history{query}")
    assert answer.status_code == 200, answer.text
    return content(answer)


def _messages(api: Api, query: str) -> dict[str, Any]:
    answer = api.get(f"{PATH}{query}")
    assert answer.status_code == 200, answer.text
    return content(answer)


def _a_task_with_history(user: SignedIn) -> str:
    """Change a task in every way; return its id."""
    api = Api(user)
    task_id = str(content(api.post("/api/tasks", {"title": "Buy milk"}))["id"])
    path = f"/api/tasks/{task_id}"
    api.patch(path, {"title": "Buy bread", "status": "in_progress"})
    api.put(f"{path}/due-date", {"due_date": "2026-05-01T09:00:00Z"})
    api.post(f"{path}/complete")
    api.post(f"{path}/complete", {"completed": False})
    Api(an_administrator()).post(f"/api/admin/tasks/{task_id}/correct", {"priority": "high"})
    api.delete(path)
    api.post(f"{path}/restore")
    api.delete(path)
    return task_id


LIFE = [
    "task.created",
    "task.updated",
    "task.due_date_changed",
    "task.completed",
    "task.uncompleted",
    "task.corrected",
    "task.deleted",
    "task.restored",
    "task.deleted",
]


def _expected_message(event: Event) -> dict[str, Any]:
    return {
        "type": event.event_type,
        "data": json.loads(event.data_json),
        "timestamp": event.timestamp.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "correlation_id": event.correlation_id,
        "seq": event.seq,
        "event_id": str(event.event_id),
    }


def _fill(user_id: str, newest: int) -> None:
    """Bring a user's log to `newest` events."""
    with transaction(A_CAUSE) as tx:
        seq = events.newest_seq(tx, user_id)
        happened = [
            a_settings_event(user_id, version=version, at=A_TIME)
            for version in range(seq + 1, newest + 1)
        ]
        events.append(tx, happened)


@contextmanager
def _newest(user_id: str, seq: int) -> Generator[None]:
    """Pretend that a log has so many events: to append them would take seconds."""
    set_seq = STREAMS.update().where(STREAMS.c.user_id == user_id)
    with transaction(A_CAUSE) as tx:
        before = events.newest_seq(tx, user_id)
        tx.connection.execute(set_seq.values(seq=seq))
    yield
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(set_seq.values(seq=before))


# History


def test_the_history_tells_a_tasks_whole_life_in_order(user: SignedIn, api: Api) -> None:
    task_id = _a_task_with_history(user)

    history = _history(api, task_id)

    items = history["items"]
    assert set(history) == {"items", "next_cursor"}
    assert history["next_cursor"] is None
    assert [item["event_type"] for item in items] == LIFE
    assert [item["version"] for item in items] == list(range(1, 10))
    assert [item["seq"] for item in items] == list(range(2, 11))
    for item, event in zip(items, log_of(user.user_id)[1:], strict=True):
        assert set(item) == RECORD
        assert item["user_id"] == user.user_id
        assert item["aggregate_id"] == task_id
        assert item["schema_version"] == 1
        assert uuid.UUID(item["event_id"]).version == 7
        assert datetime.fromisoformat(item["timestamp"]) == event.timestamp
        assert item["timestamp"].endswith("Z")
        assert item["data"] == json.loads(event.data_json)


def test_the_history_does_not_tell_the_actor_and_the_origin(user: SignedIn, api: Api) -> None:
    task_id = _a_task_with_history(user)
    headers = {"User-Agent": "a-telling-client"}
    api.post(f"/api/tasks/{task_id}/restore", headers=headers)
    corrected = log_of(user.user_id)[6]
    restored = log_of(user.user_id)[-1]

    shown = [
        api.get(f"/api/tasks/{task_id}/history").text,
        api.get(f"{PATH}?since=0").text,
    ]

    assert corrected.actor != user.user_id
    assert restored.origin.endswith("a-telling-client")
    for page in shown:
        assert corrected.actor not in page
        assert "a-telling-client" not in page
        assert '"actor"' not in page
        assert '"origin"' not in page


def test_the_history_holds_the_events_of_its_task_alone(user: SignedIn, api: Api) -> None:
    task, _ = a_stored_task(user.user_id), a_stored_task(user.user_id)

    history = _history(api, task.id)

    assert [item["aggregate_id"] for item in history["items"]] == [str(task.id)]


@pytest.mark.parametrize("limit", [1, 2, 4, 9, 200])
def test_the_pages_of_a_history_hold_all_its_events(user: SignedIn, api: Api, limit: int) -> None:
    task_id = _a_task_with_history(user)
    seen: list[str] = []
    pages, query = 0, f"?limit={limit}"

    while query:
        answer = api.get(f"/api/{{user_id}}/tasks/{task_id}/history{query}")
        page = content(answer)
        pages, seen = pages + 1, seen + [item["event_type"] for item in page["items"]]
        cursor = page["next_cursor"]
        query = f"?limit={limit}&cursor={cursor}" if cursor else ""
        assert ("Link" in answer.headers) == bool(cursor)

    assert seen == LIFE
    assert pages == -(-9 // limit)


@pytest.mark.parametrize("query", ["", "?limit=1", "?cursor={cursor}"])
def test_the_history_of_another_users_task_is_not_found(
    user: SignedIn, other: SignedIn, query: str
) -> None:
    task_id = _a_task_with_history(other)
    own = a_stored_task(user.user_id)
    Api(user).patch(f"/api/tasks/{own.id}", {"title": "x"})
    cursor = _history(Api(user), own.id, "?limit=1")["next_cursor"]

    for nobodys in (task_id, uuid.uuid4()):
        answer = Api(user).get(f"/api/tasks/{nobodys}/history{query.format(cursor=cursor)}")

        assert_refused(answer, 404, "task-not-found")
        assert "Buy" not in answer.text


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("limit=0", ["/limit"]),
        ("limit=201", ["/limit"]),
        ("since=1", ["/since"]),
        ("cursor=garbage", ["/cursor"]),
        (f"cursor={write_cursor('-created_at', 1)}", ["/cursor"]),
        (f"cursor={write_cursor('history', 'x')}", ["/cursor"]),
        (f"cursor={write_cursor('history', 1 << 63)}", ["/cursor"]),
        (f"cursor={write_cursor('history', 1, 2)}", ["/cursor"]),
    ],
)
def test_a_wrong_query_of_a_history_is_named(
    user: SignedIn, api: Api, query: str, pointers: list[str]
) -> None:
    task = a_stored_task(user.user_id)

    answer = api.get(f"/api/tasks/{task.id}/history?{query}")

    assert_invalid(answer, *pointers)


# Messages


def test_messages_are_the_events_after_since(user: SignedIn, api: Api) -> None:
    _a_task_with_history(user)
    log = log_of(user.user_id)

    for since in range(len(log) + 1):
        page = _messages(api, f"?since={since}")

        assert page == {
            "items": [_expected_message(event) for event in log[since:]],
            "seq": 10,
            "resync": False,
        }
        for message in page["items"]:
            assert set(message) == MESSAGE


def test_messages_without_since_begin_now(user: SignedIn, api: Api) -> None:
    _a_task_with_history(user)

    assert _messages(api, "") == {"items": [], "seq": 10, "resync": False}


def test_a_since_beyond_the_newest_asks_to_read_the_lists(user: SignedIn, api: Api) -> None:
    a_stored_task(user.user_id)

    for since in (3, 1_000_000, 10**30):
        assert _messages(api, f"?since={since}") == {"items": [], "seq": 2, "resync": True}


def test_a_client_that_missed_too_much_is_asked_to_read_the_lists(user: SignedIn, api: Api) -> None:
    newest = MISSED_MAX + 1

    with _newest(user.user_id, newest):
        too_much = _messages(api, "?since=0")
        just_not = _messages(api, "?since=1")

    assert too_much == {"items": [], "seq": newest, "resync": True}
    assert just_not == {"items": [], "seq": newest, "resync": False}


def test_messages_come_in_portions_that_join_without_a_gap(user: SignedIn, api: Api) -> None:
    _fill(user.user_id, 450)
    seen: list[int] = []

    while portion := _messages(api, f"?since={seen[-1] if seen else 0}")["items"]:
        assert len(portion) <= 200
        seen += [message["seq"] for message in portion]

    assert seen == list(range(1, 451))


def test_a_portion_of_messages_is_as_large_as_asked(user: SignedIn, api: Api) -> None:
    _a_task_with_history(user)

    page = _messages(api, "?since=0&limit=3")

    assert [message["seq"] for message in page["items"]] == [1, 2, 3]


def test_a_waiting_request_is_answered_at_once_with_existing_messages(
    user: SignedIn, api: Api
) -> None:
    a_stored_task(user.user_id)

    assert _messages(api, "?since=0&wait=55") == _messages(api, "?since=0")
    assert _messages(api, "?since=9&wait=55") == _messages(api, "?since=9")


def test_a_request_that_waits_in_vain_is_answered_empty_with_its_seq(api: Api) -> None:
    assert _messages(api, "?since=1&wait=0.01") == {"items": [], "seq": 1, "resync": False}


def test_a_user_sees_their_own_messages_alone(user: SignedIn, other: SignedIn) -> None:
    _a_task_with_history(other)

    page = _messages(Api(user), "?since=0")

    assert [message["type"] for message in page["items"]] == ["user.registered"]
    assert page["seq"] == 1


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("since=-1", ["/since"]),
        ("since=x", ["/since"]),
        ("since=", ["/since"]),
        ("since=1.5", ["/since"]),
        ("since=" + "9" * 5_000, ["/since"]),
        ("limit=0&since=x", ["/limit", "/since"]),
        ("cursor=x", ["/cursor"]),
        ("wait=-1", ["/wait"]),
        ("wait=56", ["/wait"]),
        ("wait=nan", ["/wait"]),
        ("wait=inf", ["/wait"]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_query_of_messages_is_named(api: Api, query: str, pointers: Sequence[str]) -> None:
    assert_invalid(api.get(f"{PATH}?{query}"), *pointers)


def test_a_client_that_goes_on_from_the_seq_of_an_answer_misses_no_message(user: SignedIn) -> None:
    api = Api(user)
    for number in range(5):
        a_stored_task(user.user_id, title=f"task {number}")
    received: list[int] = []

    since = 0
    while page := _messages(api, f"?since={since}&limit=4"):
        received += [item["seq"] for item in page["items"]]
        if not page["items"]:
            break
        since = page["seq"]

    assert received == [1, 2, 3, 4, 5, 6]


def test_an_account_has_no_task_history(user: SignedIn) -> None:
    answer = Api(user).get(f"/api/{{user_id}}/tasks/{user.user_id}/history")

    assert_refused(answer, 404)


def test_many_changes_of_a_long_description_come_in_pages_of_a_megabyte(user: SignedIn) -> None:
    api = Api(user)
    task_id = content(api.post("/api/tasks", {"title": "long"}))["id"]
    for number in range(30):
        api.patch(f"/api/tasks/{task_id}", {"description": f"{number:02}" + "🦉" * 9998})

    live = _all_bounded(api)
    pages = 0
    history: list[int] = []
    query = "?limit=200"
    while query:
        answer = api.get(f"/api/{{user_id}}/tasks/{task_id}/history{query}")
        assert len(answer.data) < LARGEST_PAGE_BYTES
        history += [item["seq"] for item in content(answer)["items"]]
        cursor = content(answer)["next_cursor"]
        query = cursor and f"?limit=200&cursor={cursor}"
        pages += 1

    newest = len(log_of(user.user_id))
    assert live == list(range(1, newest + 1))
    assert history == live[1:]
    assert pages > 1


LARGEST_PAGE_BYTES = events.READ_MAX_BYTES + 200_000
"""One event more than fits is the largest there can be; and what is around each."""


def _all_bounded(api: Api) -> list[int]:
    """Follow the messages from the beginning, page after page."""
    seqs: list[int] = []
    while True:
        answer = api.get(f"{PATH}?since={seqs[-1] if seqs else 0}")
        assert len(answer.data) < LARGEST_PAGE_BYTES
        items = content(answer)["items"]
        if not items:
            return seqs
        assert content(answer)["seq"] == items[-1]["seq"]
        seqs += [item["seq"] for item in items]
