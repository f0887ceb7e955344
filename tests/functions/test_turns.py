"""Turns: the requests of one user wait for each other, and not those of another user."""

import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.pool import NullPool

from taskflow.domain.tasks import Task
from taskflow.push import feed
from taskflow.serving import turns as serving_turns
from taskflow.serving.turns import Turns, turns
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import driver
from tests.support.data.accounts import SignedIn, an_administrator
from tests.support.data.builders import a_stored_task
from tests.support.database.connection import database_at
from tests.support.functions.client import Api
from tests.support.functions.problems import assert_refused
from tests.support.polling import eventually

POOL_SIZE = 9
SHARE = 3
AT_ONCE = 40
WAIT_S = 10


@pytest.fixture
def outside(database: EmbeddedPostgres) -> Generator[Engine]:
    """Return connections beside the pool, which is small."""
    with database_at(database.url, pool_size=POOL_SIZE):
        # The functions are loaded once, and not by many threads at the same time.
        assert Api().get("/health").status_code == 200
        yield driver.engine(database.url, poolclass=NullPool)


@contextmanager
def _locked(outside: Engine, task: Task) -> Generator[None]:
    with outside.connect() as connection:
        connection.execute(text("SELECT 1 FROM tasks WHERE id = :id FOR UPDATE"), {"id": task.id})
        yield


def _waiting_for_locks(outside: Engine) -> int:
    with outside.connect() as connection:
        return connection.execute(
            text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        ).scalar_one()


def _check(is_so: Callable[[], bool]) -> None:
    assert is_so()


def test_changes_that_wait_for_a_task_use_up_the_turns_of_their_own_user_alone(
    outside: Engine, user: SignedIn, other: SignedIn
) -> None:
    task = a_stored_task(user.user_id)
    administrator = an_administrator()

    def change(number: int) -> int:
        if number % 2:
            path = f"/api/admin/tasks/{task.id}/correct"
            return Api(administrator).post(path, {"title": str(number)}).status_code
        return Api(user).patch(f"/api/tasks/{task.id}", {"title": str(number)}).status_code

    with ThreadPoolExecutor(AT_ONCE) as devices:
        with _locked(outside, task):
            changed = [devices.submit(change, number) for number in range(AT_ONCE)]
            eventually(lambda: _check(lambda: _waiting_for_locks(outside) == 2 * SHARE))
            listed = [Api(other).get("/api/tasks").status_code for _ in range(AT_ONCE)]
            created = Api(other).post("/api/tasks", {"title": "Meanwhile"}).status_code
            still_waiting = _waiting_for_locks(outside)
            none_is_done = not any(each.done() for each in changed)
        statuses = {each.result() for each in changed}

    assert set(listed) == {200}
    assert created == 201
    assert still_waiting == 2 * SHARE
    assert none_is_done
    assert statuses == {200}


def test_repeats_that_wait_for_a_first_request_use_up_the_turns_of_their_own_user_alone(
    outside: Engine, user: SignedIn, other: SignedIn
) -> None:
    task = a_stored_task(user.user_id)
    headers = {"Idempotency-Key": "one"}

    def change(_: int) -> int:
        path = f"/api/tasks/{task.id}"
        return Api(user).patch(path, {"title": "Once"}, headers=headers).status_code

    with ThreadPoolExecutor(AT_ONCE) as devices:
        with _locked(outside, task):
            changed = [devices.submit(change, number) for number in range(AT_ONCE)]
            eventually(lambda: _check(lambda: _waiting_for_locks(outside) == SHARE))
            listed = Api(other).get("/api/tasks").status_code
        statuses = {each.result() for each in changed}

    assert listed == 200
    assert statuses == {200}


def test_a_request_that_waits_too_long_for_its_turn_is_told_to_try_again(
    outside: Engine, user: SignedIn, other: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_turns, "TIMEOUT_S", 0.05)
    task = a_stored_task(user.user_id)

    def change() -> int:
        return Api(user).patch(f"/api/tasks/{task.id}", {"title": "Late"}).status_code

    with ThreadPoolExecutor(SHARE) as devices:
        with _locked(outside, task):
            changed = [devices.submit(change) for _ in range(SHARE)]
            eventually(lambda: _check(lambda: _waiting_for_locks(outside) == SHARE))
            refused = Api(user).get("/api/tasks")
            listed = Api(other).get("/api/tasks")
        assert {each.result() for each in changed} == {200}

    assert_refused(refused, 503, "unavailable")
    assert refused.headers["Retry-After"] == "1"
    assert listed.status_code == 200
    assert Api(user).get("/api/tasks").status_code == 200


def test_a_long_poll_holds_no_turn(
    outside: Engine, user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = a_stored_task(user.user_id)
    waits = threading.Barrier(SHARE + 1)

    def wait_for_news(*_: object) -> None:
        waits.wait(WAIT_S)
        waits.wait(WAIT_S)

    monkeypatch.setattr(feed(), "wait_for_news", wait_for_news)
    with ThreadPoolExecutor(SHARE) as devices:
        polled = [
            devices.submit(Api(user).get, "/api/events?since=2&wait=55") for _ in range(SHARE)
        ]
        waits.wait(WAIT_S)
        with _locked(outside, task):
            # The last turn but one is theirs, and there are others.
            listed = Api(user).get("/api/tasks")
        waits.wait(WAIT_S)
        statuses = {each.result().status_code for each in polled}

    assert listed.status_code == 200
    assert statuses == {200}
    assert turns().active_keys == set()


def test_a_refused_request_takes_a_turn_of_its_network(
    user: SignedIn,
) -> None:
    taken: list[str] = []

    class Noting(Turns):
        def take(self, key: str) -> None:
            super().take(key)
            taken.append(key)

    with turns.replaced_by(Noting(lambda: 1)):
        Api().get("/api/tasks")
        Api().get("/nowhere")
        Api().get("/health")
        Api().get("/health/liveness")
        Api().post("/api/auth/login", {"email": 1})
        Api(user).get("/api/tasks")
        Api(user).get("/api/somebody/tasks")

    network = "unknown"
    assert taken == [
        network,
        network,
        network,
        f"probes {network}",
        network,
        user.user_id,
        user.user_id,
    ]
