"""The functions behind a PgBouncer whose two connections all of them share."""

import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import text

from taskflow import clock
from taskflow.eventing import subscriptions
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import driver
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.data.builders import log_of
from tests.support.database.connection import database_at
from tests.support.database.pgbouncer import PgBouncer, a_pooler
from tests.support.database.snapshot import assert_nothing_changed, snapshot
from tests.support.database.temporary import a_database
from tests.support.delivery.subscribers import CONSUMERS, CRONS, assert_taken, deliver, tick
from tests.support.events.explanation import assert_events_explain_the_change
from tests.support.functions.client import Api, content
from tests.support.functions.tasks import created, items, shown, types_of

SOON_S = 20
LONG_S = 50
A_KEY = {"Idempotency-Key": "a key"}
CONFIGURED = ("lock_timeout", "enable_sort", "enable_seqscan", "synchronous_commit")
"""Some of what transactions set for themselves."""


@pytest.fixture(scope="module")
def direct_url(database: EmbeddedPostgres) -> Generator[str]:
    with a_database(database) as url:
        yield url


@pytest.fixture(scope="module")
def pooler(database: EmbeddedPostgres) -> Generator[PgBouncer]:
    with a_pooler(database, connections=2) as started:
        yield started


@pytest.fixture(autouse=True)
def _pooled(pooler: PgBouncer, direct_url: str) -> Generator[None]:
    """Have the functions reach their database through the pooler."""
    with database_at(pooler.url(direct_url)):
        yield


@pytest.fixture
def user(_pooled: None) -> SignedIn:
    """Open an account."""
    return a_user()


def _left_behind(url: str) -> set[tuple[str, ...]]:
    """Return what CONFIGURED is on both connections, to who sets nothing."""
    stranger = driver.engine(url)
    with stranger.connect() as one, stranger.connect() as other:
        found = {
            tuple(each.execute(text(f"SHOW {name}")).scalar_one() for name in CONFIGURED)
            for each in (one, other)
        }
    stranger.dispose()
    return found


def test_a_task_is_created_listed_changed_completed_and_deleted(
    pooler: PgBouncer, direct_url: str, user: SignedIn, api: Api
) -> None:
    with assert_events_explain_the_change(user.user_id) as happened:
        task = created(api, tags=["home"], due_date="2026-05-01T09:00:00Z")
        path = f"/api/tasks/{task['id']}"
        for sort in ("created_at", "-due_date", "title", "priority"):
            assert [one["id"] for one in items(api, f"/api/tasks?sort={sort}&tag=home")] == [
                task["id"]
            ]
        api.patch(path, {"title": "Buy bread"})
        api.post(f"{path}/complete")
        assert shown(api, task["id"])["status"] == "completed"
        api.delete(path)

    assert types_of(happened) == ["task.created", "task.updated", "task.completed", "task.deleted"]
    assert items(api, "/api/tasks") == []
    assert _left_behind(pooler.url(direct_url)) == {("0", "on", "on", "off")}


def test_a_request_sent_twenty_times_at_once_takes_effect_once(user: SignedIn, api: Api) -> None:
    with ThreadPoolExecutor(20) as pool:
        sent = [
            pool.submit(lambda: Api(user).post("/api/tasks", {"title": "Once"}, headers=A_KEY))
            for _ in range(20)
        ]
        answers = [one.result() for one in sent]

    assert {answer.status_code for answer in answers} == {201}
    assert {answer.text for answer in answers} == {answers[0].text}
    assert len(items(api, "/api/tasks")) == 1


def test_a_long_poll_holds_no_connection_and_is_woken_by_a_change(user: SignedIn, api: Api) -> None:
    began_s = time.monotonic()

    # More of them than there are connections.
    with ThreadPoolExecutor(6) as pool:
        query = f"since=1&wait={LONG_S}"
        polls = [
            pool.submit(lambda: Api(user).get(f"/api/{{user_id}}/events?{query}")) for _ in range(6)
        ]
        task = created(api)
        answers = [content(poll.result(LONG_S)) for poll in polls]

    assert [answer["items"][0]["data"]["id"] for answer in answers] == [task["id"]] * 6
    assert time.monotonic() - began_s < SOON_S


def test_a_session_is_opened_refreshed_and_ended() -> None:
    account = {"email": "ada@example.com", "password": "correct horse battery"}
    anonymous = Api()

    opened = anonymous.post("/api/auth/register", account)
    entered = anonymous.post("/api/auth/login", account)
    token = content(entered)["refresh_token"]
    refreshed = anonymous.post("/api/auth/refresh", {"refresh_token": token})
    ended = anonymous.post(
        "/api/auth/logout",
        headers={"Authorization": f"Bearer {content(refreshed)['access_token']}"},
    )

    assert [opened.status_code, entered.status_code, refreshed.status_code] == [201, 200, 200]
    assert ended.status_code == 204


def test_a_delivery_takes_effect_once_at_every_consumer(user: SignedIn, api: Api) -> None:
    subscriptions.start_all(A_CAUSE)
    recurrence = {"recurrence_rule": "FREQ=DAILY", "mode": "after_completion"}
    task = created(api, recurrence=recurrence, due_date="2126-05-01T09:00:00Z")
    api.post(f"/api/tasks/{task['id']}/complete")
    happened = list(log_of(user.user_id))

    with ThreadPoolExecutor(8) as pool:
        for consumer in CONSUMERS:
            for answer in pool.map(partial(deliver, consumer.name), happened):
                assert_taken(answer)
    assert len(items(api, "/api/tasks")) == 2, "the next occurrence was spawned"

    before = snapshot()
    for consumer in CONSUMERS:
        for event in happened:
            assert_taken(deliver(consumer.name, event))
    assert_nothing_changed(before)


def test_every_cron_function_does_its_work(api: Api) -> None:
    due = clock.now() - timedelta(minutes=1)
    created(api, reminders=[{"remind_at": due.isoformat(), "message": "Now"}])

    for cron in CRONS:
        assert_taken(tick(cron.name))

    [notification] = items(api, "/api/notifications")
    assert notification["message"] == "Now"


def test_a_restart_of_the_pooler_costs_some_seconds_and_nothing_else(
    pooler: PgBouncer, user: SignedIn, api: Api
) -> None:
    created(api)

    pooler.stop()
    refused = api.post("/api/tasks", {"title": "Too early"})
    health = api.get("/health")
    pooler.start()
    created(api)

    assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
    assert health.status_code == 503
    assert len(items(api, "/api/tasks")) == 2
    assert types_of(log_of(user.user_id)) == ["user.registered", "task.created", "task.created"]


def test_a_pooler_that_stands_still_is_503_in_time_and_used_again_when_it_goes_on(
    pooler: PgBouncer, direct_url: str, user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskflow.storage.transactions.ANSWER_TIMEOUT_S", 1.0)
    monkeypatch.setattr("taskflow.storage.driver.CONNECT_TIMEOUT_S", 1.0)
    api = Api(user)

    with database_at(pooler.url(direct_url)):
        before = api.get("/api/tasks")
        pooler.pause()
        try:
            began_s = time.monotonic()
            # The first on a connection that is there, the second on one that is to be made.
            meanwhile = [api.get("/api/tasks") for _ in range(2)]
            took_s = time.monotonic() - began_s
        finally:
            pooler.resume()
        after = api.get("/api/tasks")

    assert (before.status_code, after.status_code) == (200, 200)
    assert [(one.status_code, one.headers["Retry-After"]) for one in meanwhile] == [(503, "1")] * 2
    assert took_s < SOON_S
