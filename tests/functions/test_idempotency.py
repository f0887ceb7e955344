"""Idempotency-Key: one effect and one answer, however often a request is sent (A5)."""

import uuid
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text
from werkzeug.test import TestResponse

from taskflow import clock
from taskflow.storage import idempotency_store, transaction, transactions
from tests.functions.conftest import Travel
from tests.support.data.accounts import A_CAUSE, SignedIn, an_administrator
from tests.support.data.builders import a_stored_task, log_of
from tests.support.events.explanation import assert_events_explain_the_change
from tests.support.functions.client import Api, content
from tests.support.functions.problems import assert_invalid, assert_refused
from tests.support.polling import eventually

pytestmark = pytest.mark.usefixtures("database")

A_KEY = {"Idempotency-Key": "a key"}
A_SECOND = timedelta(seconds=1)


def _create(api: Api, title: object = "Buy milk", key: str = "a key") -> TestResponse:
    return api.post("/api/tasks", {"title": title}, headers={"Idempotency-Key": key})


def _titles(api: Api) -> list[str]:
    return [item["title"] for item in content(api.get("/api/tasks"))["items"]]


@contextmanager
def _patience(lock_timeout_ms: int) -> Generator[None]:
    """Let every transaction of the block wait for a lock only so long."""

    def shorten(connection: Any, *_: object) -> None:  # noqa: ANN401 - a driver's connection
        connection.cursor().execute(f"SET LOCAL lock_timeout = {lock_timeout_ms}")

    engine = transactions.engine()
    event.listen(engine, "checkout", shorten)
    try:
        yield
    finally:
        event.remove(engine, "checkout", shorten)


def test_a_request_sent_fifty_times_at_once_takes_effect_once(user: SignedIn, api: Api) -> None:
    with assert_events_explain_the_change(user.user_id) as happened, ThreadPoolExecutor(50) as pool:
        sent = [pool.submit(lambda: _create(Api(user))) for _ in range(50)]

    answers = [answer.result() for answer in sent]
    assert {answer.status_code for answer in answers} == {201}
    assert {answer.text for answer in answers} == {answers[0].text}
    assert {answer.headers["Location"] for answer in answers} == {answers[0].headers["Location"]}
    assert {answer.headers["ETag"] for answer in answers} == {'"1"'}
    assert {answer.content_type for answer in answers} == {"application/json"}
    assert len({answer.headers["X-Correlation-ID"] for answer in answers}) == 50
    assert [new.event_type for new in happened] == ["task.created"]
    assert _titles(api) == ["Buy milk"]


REPEATED: dict[str, Callable[[Api, str], TestResponse]] = {
    "create": lambda api, _: _create(api),
    "update": lambda api, path: api.patch(path, {"title": "Buy bread"}, headers=A_KEY),
    "complete": lambda api, path: api.post(f"{path}/complete", headers=A_KEY),
    "due date": lambda api, path: api.put(
        f"{path}/due-date", {"due_date": "2026-05-01T09:00:00Z"}, headers=A_KEY
    ),
    "delete": lambda api, path: api.delete(path, headers=A_KEY),
    "restore": lambda api, path: api.post(f"{path}/restore", headers=A_KEY),
    "settings": lambda api, _: api.put(
        "/api/settings", {"timezone": "Europe/Berlin"}, headers=A_KEY
    ),
}


@pytest.mark.parametrize("send", REPEATED.values(), ids=REPEATED)
def test_a_repeat_gives_the_first_answer_whatever_happened_since(
    user: SignedIn, api: Api, send: Callable[[Api, str], TestResponse]
) -> None:
    task = a_stored_task(user.user_id)
    path = f"/api/tasks/{task.id}"

    first = send(api, path)
    api.patch(path, {"description": "something else"})
    api.put("/api/settings", {"timezone": "Asia/Tokyo"})
    with assert_events_explain_the_change(user.user_id) as happened:
        repeat = send(api, path)

    assert first.status_code in {200, 201, 204}
    assert (repeat.status_code, repeat.data) == (first.status_code, first.data)
    for name in ("Content-Type", "ETag", "Location"):
        assert repeat.headers.get(name) == first.headers.get(name)
    assert happened == []


def test_a_correction_is_repeated_in_the_administrators_name(user: SignedIn) -> None:
    task, admin = a_stored_task(user.user_id), Api(an_administrator())
    path = f"/api/admin/tasks/{task.id}/correct"

    with assert_events_explain_the_change(user.user_id) as happened:
        answers = [admin.post(path, {"title": "x"}, headers=A_KEY) for _ in range(2)]

    assert answers[0].text == answers[1].text
    assert [new.event_type for new in happened] == ["task.corrected"]


def test_the_key_of_another_request_is_refused(user: SignedIn, api: Api) -> None:
    task = a_stored_task(user.user_id)
    path = f"/api/tasks/{task.id}"
    _create(api)

    others = [
        _create(api, "Buy bread"),
        api.post("/api/tasks", {"title": "Buy milk", "tags": []}, headers=A_KEY),
        api.patch(path, {"title": "Buy milk"}, headers=A_KEY),
        api.delete(path, headers=A_KEY),
        api.post(f"{path}/complete", headers=A_KEY),
    ]

    for answer in others:
        assert_refused(answer, 422, "idempotency-key-reused")
    assert sorted(_titles(api)) == ["Buy milk", "Buy milk"]
    assert len(log_of(user.user_id)) == 3


def test_the_key_of_the_same_change_to_another_task_is_refused(user: SignedIn, api: Api) -> None:
    first, second = a_stored_task(user.user_id), a_stored_task(user.user_id)
    api.post(f"/api/tasks/{first.id}/complete", headers=A_KEY)

    answer = api.post(f"/api/tasks/{second.id}/complete", headers=A_KEY)

    assert_refused(answer, 422, "idempotency-key-reused")


def test_the_key_of_the_same_change_under_another_condition_is_refused(
    user: SignedIn, api: Api
) -> None:
    path = f"/api/tasks/{a_stored_task(user.user_id).id}"
    api.patch(path, {"title": "x"}, headers={**A_KEY, "If-Match": '"1"'})

    answer = api.patch(path, {"title": "x"}, headers={**A_KEY, "If-Match": '"2"'})

    assert_refused(answer, 422, "idempotency-key-reused")


def test_both_forms_of_a_path_are_one_request(user: SignedIn, api: Api) -> None:
    body = {"title": "Buy milk"}

    short = api.post("/api/tasks", body, headers=A_KEY)
    long = api.post("/api/{user_id}/tasks", body, headers=A_KEY)
    slash = api.post("/api/tasks/", body, headers=A_KEY)

    assert short.text == long.text == slash.text
    assert len(log_of(user.user_id)) == 2


def test_two_users_may_choose_the_same_key(user: SignedIn, other: SignedIn) -> None:
    first, second = _create(Api(user)), _create(Api(other))

    assert content(first)["user_id"] == user.user_id
    assert content(second)["user_id"] == other.user_id


@pytest.mark.parametrize("key", ["x", "x" * 255, "with space", "!~", "'; --"])
def test_a_key_is_any_printable_text(user: SignedIn, api: Api, key: str) -> None:
    assert _create(api, key=key).text == _create(api, key=key).text
    assert len(log_of(user.user_id)) == 2


def test_without_a_key_every_request_takes_effect(api: Api) -> None:
    for _ in range(2):
        api.post("/api/tasks", {"title": "Buy milk"})

    assert len(_titles(api)) == 2


def test_a_request_that_failed_may_be_mended_and_sent_again(user: SignedIn, api: Api) -> None:
    assert_invalid(_create(api, ""), "/title")

    mended = _create(api)

    assert mended.status_code == 201
    assert len(log_of(user.user_id)) == 2


def test_a_refusal_is_not_stored(user: SignedIn, api: Api) -> None:
    path = f"/api/tasks/{a_stored_task(user.user_id).id}"
    stale = {**A_KEY, "If-Match": '"2"'}

    refused = api.patch(path, {"title": "x"}, headers=stale)
    api.patch(path, {"title": "y"})
    repeat = api.patch(path, {"title": "x"}, headers=stale)

    assert_refused(refused, 412)
    assert repeat.status_code == 200


def test_a_request_that_was_not_found_may_be_sent_again_with_its_key(
    user: SignedIn, api: Api
) -> None:
    path = f"/api/tasks/{a_stored_task(user.user_id).id}"
    api.delete(path)

    assert_refused(api.patch(path, {"title": "x"}, headers=A_KEY), 404)
    api.post(f"{path}/restore")

    assert api.patch(path, {"title": "x"}, headers=A_KEY).status_code == 200


def test_an_answer_is_kept_for_a_day(user: SignedIn, travel: Travel) -> None:
    start = clock.now()
    first = _create(travel(user, start))

    kept = _create(travel(user, start + timedelta(hours=24) - A_SECOND))
    again = _create(travel(user, start + timedelta(hours=24)))
    repeat = _create(travel(user, start + timedelta(hours=25)))

    assert kept.text == first.text
    assert content(again)["id"] != content(first)["id"]
    assert repeat.text == again.text
    assert len(log_of(user.user_id)) == 3


def test_after_a_day_the_key_may_name_another_request(user: SignedIn, travel: Travel) -> None:
    start = clock.now()
    _create(travel(user, start))

    answer = _create(travel(user, start + timedelta(hours=24)), "Buy bread")

    assert answer.status_code == 201


def test_a_repeat_that_waits_too_long_is_told_to_come_back(user: SignedIn, api: Api) -> None:
    with transaction(replace(A_CAUSE, actor=user.user_id)) as first, _patience(100):
        idempotency_store.claim(first, user.user_id, "a key", b"a request", now=clock.now())

        answer = _create(api)
        unrelated = _create(api, key="another key")

        assert_refused(answer, 409, "request-still-running")
        assert int(answer.headers["Retry-After"]) >= 1
        assert unrelated.status_code == 201


def test_a_repeat_waits_for_the_first_and_takes_over_when_it_fails(user: SignedIn) -> None:
    with ThreadPoolExecutor(1) as pool:
        connection = transactions.engine().connect()
        tx = transactions.Transaction(connection, A_CAUSE)
        idempotency_store.claim(tx, user.user_id, "a key", b"a request", now=clock.now())
        repeat = pool.submit(lambda: _create(Api(user)))
        _until_somebody_waits_for_a_lock()
        connection.rollback()
        connection.close()

    assert repeat.result().status_code == 201
    assert len(log_of(user.user_id)) == 2


def _until_somebody_waits_for_a_lock() -> None:
    def check() -> None:
        with transaction(A_CAUSE) as tx:
            waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            assert tx.connection.execute(waiting).scalar_one() >= 1

    eventually(check)


def test_an_answer_that_holds_a_token_is_never_stored(api: Api) -> None:
    path = "/api/{user_id}/ws-ticket"

    first, second = api.post(path, headers=A_KEY), api.post(path, headers=A_KEY)

    assert first.status_code == second.status_code == 201
    assert content(first)["ticket"] != content(second)["ticket"]
    assert first.headers["Cache-Control"] == "no-store"


def test_a_key_is_ignored_by_functions_that_sign_in() -> None:
    credentials = {"email": f"{uuid.uuid4()}@example.com", "password": "a long password"}
    registered = Api().post("/api/auth/register", credentials, headers=A_KEY)

    again = Api().post("/api/auth/register", credentials, headers=A_KEY)
    tokens = {
        content(Api().post("/api/auth/login", credentials, headers=A_KEY))["refresh_token"]
        for _ in range(2)
    }

    assert registered.status_code == 201
    assert_refused(again, 409, "email-is-taken")
    assert len(tokens) == 2


def test_a_key_on_a_read_is_ignored(user: SignedIn, api: Api) -> None:
    empty = content(api.get("/api/tasks", headers=A_KEY))
    a_stored_task(user.user_id)

    full = content(api.get("/api/tasks", headers=A_KEY))

    assert (len(empty["items"]), len(full["items"])) == (0, 1)
