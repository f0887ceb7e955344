"""One user's requests wait among themselves; another's are answered meanwhile."""

import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.pool import NullPool

from taskflow.domain.tasks import Task
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import driver, shares, transactions
from taskflow.storage.shares import NoTurn, Shares, share_of
from tests.support.accounts import SignedIn, an_administrator
from tests.support.api import Api
from tests.support.attached import database_at
from tests.support.builders import a_stored_task
from tests.support.eventually import eventually
from tests.support.refused import assert_refused

POOL_SIZE = 9
SHARE = 3
AT_ONCE = 40


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


def test_changes_that_wait_for_one_task_hold_the_share_of_their_user_alone(
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


def test_repeats_that_wait_for_their_first_hold_the_share_of_their_user_alone(
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


def test_whoever_waits_too_long_for_their_share_is_told_to_try_again(
    outside: Engine, user: SignedIn, other: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "_POOL_TIMEOUT_S", 0.05)
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


def test_too_many_who_wait_are_refused_at_once_and_turns_go_in_the_order_of_asking(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shares, "WAITING_MAX", 2)
    queue = Shares()
    done: list[int] = []
    may_end = threading.Event()

    def wait(number: int) -> None:
        with share_of("ada"), queue.turn(1, timeout_s=10):
            may_end.wait(10)
            done.append(number)

    with ThreadPoolExecutor(3) as threads:
        for number in range(3):
            threads.submit(wait, number)
            eventually(lambda: _check(lambda: queue.names == {"ada"}))
            eventually(lambda n=number: _check(lambda: queue.waiting("ada") == n))
        with share_of("ada"), pytest.raises(NoTurn), queue.turn(1, timeout_s=10):
            pytest.fail("two wait already")
        with share_of("bob"), queue.turn(1, timeout_s=0):
            pass
        may_end.set()

    assert done == [0, 1, 2]
    assert (queue.names, queue.waiting("ada")) == (set(), 0)
