"""Replays of the log: the tasks rebuilt beside the live ones and compared with them (E7)."""

import threading
from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from taskflow import clock
from taskflow.domain.events import Cause
from taskflow.domain.replay import ReplayRequest
from taskflow.domain.text import JsonObject
from taskflow.domain.times import parse_rfc3339
from taskflow.eventing import CronRun
from taskflow.eventing import replaying as module
from taskflow.eventing.replaying import Worker
from taskflow.kafka.replayed import ReplayProducer
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import (
    erasure_store,
    events,
    publication_store,
    replay_store,
    transaction,
)
from taskflow.storage.replay_store import ReplayNotHeld
from taskflow.storage.tables import REPLAY_DIFFERENCES, REPLAYS, SHADOW_TASKS
from tests.support.data.accounts import (
    A_CAUSE,
    SignedIn,
    a_user,
    an_administrator,
    delete_account,
)
from tests.support.data.builders import a_stored_task, log_of
from tests.support.data.user_resources import stored_resources
from tests.support.database.snapshot import snapshot
from tests.support.database.tampering import tamper
from tests.support.database.temporary import a_database
from tests.support.delivery.replays import REPLAYS as PATH
from tests.support.delivery.replays import finished, shown, started
from tests.support.delivery.subscribers import assert_taken, tick
from tests.support.functions.client import Api, content
from tests.support.functions.problems import assert_invalid, assert_refused
from tests.support.functions.tasks import created, pages
from tests.support.settings import changed_settings

SetClock = Callable[[datetime], None]

OWN_TABLES = {REPLAYS.name, SHADOW_TASKS.name, REPLAY_DIFFERENCES.name}
A_RUN = Cause(correlation_id="a-run", traceparent="", actor="", origin="")


@pytest.fixture(scope="module")
def replays_database(database: EmbeddedPostgres) -> Generator[None]:
    with a_database(database):
        yield


@pytest.fixture(autouse=True)
def _no_other_replays(replays_database: None) -> None:  # noqa: ARG001 - it must be there
    """Have each test find no replay of another one, which would have its turn first."""
    with transaction(A_CAUSE) as tx:
        for table in (REPLAYS, SHADOW_TASKS, REPLAY_DIFFERENCES):
            tx.connection.execute(table.delete())


@pytest.fixture
def admin(replays_database: None) -> Api:  # noqa: ARG001 - as above
    return Api(an_administrator())


@pytest.fixture
def user(replays_database: None) -> SignedIn:  # noqa: ARG001 - as above
    return a_user()


def of_user(admin: Api, user: SignedIn, **wanted: Any) -> JsonObject:  # noqa: ANN401 - what JSON may hold
    """Have one user's events replayed to the end."""
    return finished(admin, started(admin, user_id=user.user_id, **wanted))


def a_changed_task(api: Api, **fields: object) -> JsonObject:
    """Create a task, and change it in several ways."""
    task = created(api, **fields)
    path = f"/api/tasks/{task['id']}"
    api.patch(path, {"description": "more", "metadata": {"price": 1.10, "deep": {"a": [None]}}})
    api.put(f"{path}/due-date", {"due_date": "2126-05-01T09:00:00+02:00"})
    api.post(f"{path}/complete")
    return content(api.get(path))


def tasks_left(replay: JsonObject) -> int:
    with transaction(A_CAUSE) as tx:
        query = select(func.count()).where(SHADOW_TASKS.c.replay_id == UUID(replay["id"]))
        return tx.connection.execute(query).scalar_one()


# What it gives


def test_the_log_gives_the_live_tasks_of_all_users_field_by_field(
    database: EmbeddedPostgres,
) -> None:
    with a_database(database):
        admin, user = Api(an_administrator()), a_user()
        api = Api(user)
        for title in ("a", "b", "c"):
            a_changed_task(api, title=title)
        stored_resources(user.user_id)
        deleted = created(api)
        api.delete(f"/api/tasks/{deleted['id']}")
        a_stored_task(a_user().user_id)

        found = finished(admin, started(admin))
        from_the_second = finished(admin, started(admin, from_seq=2))

    assert (found["state"], found["equal"], found["differences"]) == ("done", True, [])
    assert found["tasks_same"] == 6
    assert found["events_done"] == found["events_total"] > 20
    assert from_the_second["equal"]
    assert from_the_second["events_done"] == found["events_done"] - 3
    assert admin.user
    assert (found["requested_by"], found["ended_at"] is None) == (admin.user.user_id, False)


def test_a_task_that_was_changed_by_hand_is_named_with_its_fields(
    admin: Api, user: SignedIn
) -> None:
    api = Api(user)
    task, other = a_changed_task(api), a_changed_task(api)
    tamper("UPDATE tasks SET title = 'forged', priority = 4 WHERE id = :id", id=task["id"])

    found = of_user(admin, user)

    assert found["equal"] is False
    assert (found["tasks_same"], found["tasks_differing"]) == (1, 1)
    assert found["differences"] == [
        {
            "task_id": task["id"],
            "user_id": user.user_id,
            "kind": "differs",
            "fields": ["priority", "title"],
        }
    ]
    assert other["id"] not in str(found["differences"])


def test_a_task_that_is_on_one_side_alone_is_named(admin: Api, user: SignedIn) -> None:
    gone, kept, unlogged = (a_stored_task(user.user_id, title=title) for title in "abc")
    tamper("DELETE FROM tasks WHERE id = :id", id=gone.id)
    tamper("DELETE FROM events WHERE aggregate_id = :id", id=str(unlogged.id))

    found = of_user(admin, user)

    assert found["tasks_same"] == 1
    assert (found["tasks_only_live"], found["tasks_only_rebuilt"]) == (1, 1)
    assert {each["task_id"]: each["kind"] for each in found["differences"]} == {
        str(gone.id): "only-rebuilt",
        str(unlogged.id): "only-live",
    }
    assert str(kept.id) not in str(found["differences"])


def test_an_event_of_a_newer_schema_version_is_refused_and_counted(
    admin: Api, user: SignedIn
) -> None:
    task = a_changed_task(Api(user))
    tamper(
        "UPDATE events SET schema_version = 2 WHERE aggregate_id = :id AND version = 1",
        id=task["id"],
    )

    found = of_user(admin, user)

    assert (found["events_newer"], found["tasks_same"], found["equal"]) == (1, 1, False)


def test_one_users_events_are_replayed_alone(admin: Api, user: SignedIn) -> None:
    other = a_user()
    theirs, _ = a_stored_task(other.user_id), a_stored_task(user.user_id)
    tamper("UPDATE tasks SET title = 'forged' WHERE id = :id", id=theirs.id)

    found = of_user(admin, user)

    assert (found["equal"], found["tasks_same"], found["events_done"]) == (True, 1, 2)


def test_from_a_later_event_on_only_the_tasks_that_have_one_are_compared(
    admin: Api, user: SignedIn
) -> None:
    early, _ = a_stored_task(user.user_id), a_stored_task(user.user_id)
    tamper("UPDATE tasks SET title = 'forged' WHERE id = :id", id=early.id)

    found = of_user(admin, user, from_seq=3)

    assert (found["equal"], found["tasks_same"], found["events_total"]) == (True, 1, 1)


def test_more_differences_than_are_named_are_counted(
    admin: Api, user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_store, "DIFFERENCES_MAX", 2)
    for number in range(3):
        task = a_stored_task(user.user_id, title=str(number))
        tamper("UPDATE tasks SET title = 'forged' WHERE id = :id", id=task.id)

    found = of_user(admin, user)

    assert (found["tasks_differing"], len(found["differences"])) == (3, 2)


def test_nothing_but_the_replays_own_tables_is_changed(admin: Api, user: SignedIn) -> None:
    stored_resources(user.user_id)
    replay = started(admin, user_id=user.user_id)
    before = snapshot()

    assert finished(admin, replay)["equal"]

    after = snapshot()
    assert {name for name, rows in after.items() if rows != before[name]} <= OWN_TABLES


# While others write


def test_what_is_written_during_a_replay_is_no_difference(admin: Api, user: SignedIn) -> None:
    api = Api(user)
    changed, deleted = created(api, title="a"), created(api, title="b")
    replay = started(admin, user_id=user.user_id)
    # Its events have been read, and what comes now is behind them.
    assert_taken(tick("advance-replays"))
    assert shown(admin, replay)["events_done"] > 0
    api.patch(f"/api/tasks/{changed['id']}", {"title": "c"})
    api.delete(f"/api/tasks/{deleted['id']}")
    created(api, title="new")

    found = finished(admin, replay)

    assert (found["equal"], found["tasks_same"]) == (True, 3), found


def test_what_is_written_and_forged_during_a_replay_is_a_difference(
    admin: Api, user: SignedIn
) -> None:
    task = created(Api(user))
    replay = started(admin, user_id=user.user_id)
    assert_taken(tick("advance-replays"))
    tamper("UPDATE tasks SET version = 2, title = 'forged' WHERE id = :id", id=task["id"])

    found = finished(admin, replay)

    assert [each["fields"] for each in found["differences"]] == [["title", "version"]]


# While an account is erased


def erase_some(user: SignedIn) -> int:
    with transaction(A_CAUSE) as tx:
        return erasure_store.erase_some(tx, user.user_id, now=clock.now())


def test_what_is_about_to_be_erased_is_not_rebuilt(admin: Api, user: SignedIn) -> None:
    a_changed_task(Api(user))
    delete_account(user)

    of_all, own = finished(admin, started(admin)), of_user(admin, user)

    assert user.user_id not in str(of_all["differences"])
    assert (own["equal"], own["tasks_same"], tasks_left(own)) == (True, 0, 0)


def test_what_is_erased_during_a_replay_is_no_difference(
    admin: Api, user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure_store, "EVENTS_MAX", 1)
    api = Api(user)
    task = created(api)
    replay = started(admin, user_id=user.user_id)
    assert_taken(tick("advance-replays"))
    assert shown(admin, replay)["events_done"] > 0
    api.patch(f"/api/tasks/{task['id']}", {"title": "changed"})
    delete_account(user)
    # The task is there without its last event.
    assert erase_some(user) == 1
    assert [event.seq for event in log_of(user.user_id)] == [1, 2, 4]

    found = finished(admin, replay)

    assert (found["equal"], found["differences"], tasks_left(found)) == (True, [], 0)


def test_events_that_were_erased_are_not_counted(admin: Api, user: SignedIn) -> None:
    a_changed_task(Api(user))
    delete_account(user)
    while erase_some(user):
        pass

    found = of_user(admin, user)

    assert (found["events_done"], found["events_total"]) == (1, 1)


# In steps


def test_a_replay_goes_on_where_a_run_has_left_it(
    admin: Api, user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "READ_MAX", 2)
    monkeypatch.setattr(module, "COMPARED_MAX", 2)
    for number in range(5):
        a_stored_task(user.user_id, title=str(number))
    replay = started(admin, user_id=user.user_id)
    assert (replay["state"], replay["advanced_at"]) == ("waiting", None)
    seen: list[tuple[str, str, int, int]] = []

    while not seen or seen[-1][0] == "running":
        # Each run takes one step.
        assert_taken(tick("advance-replays"))
        at = shown(admin, replay)
        seen.append((at["state"], at["phase"], at["events_done"], at["tasks_same"]))

    assert seen == [
        ("running", "events", 2, 0),
        ("running", "events", 4, 0),
        ("running", "events", 6, 0),
        ("running", "rebuilt-tasks", 6, 0),
        ("running", "rebuilt-tasks", 6, 2),
        ("running", "rebuilt-tasks", 6, 4),
        ("running", "rebuilt-tasks", 6, 5),
        *[("running", "live-tasks", 6, 5)] * 2,
        ("done", "live-tasks", 6, 5),
    ]


def test_what_a_killed_run_holds_is_taken_on_once_its_time_is_over(
    admin: Api, user: SignedIn
) -> None:
    a_stored_task(user.user_id)
    replay = started(admin, user_id=user.user_id)
    with transaction(A_CAUSE) as tx:
        assert replay_store.hold(tx, uuid4(), ["shadow"], now=clock.now())
    assert_taken(tick("advance-replays"))
    assert shown(admin, replay)["events_done"] == 0

    tamper("UPDATE replays SET held_until = now() - interval '1 second'")

    assert finished(admin, replay)["equal"]


def test_a_replay_that_does_not_come_further_is_seen_as_stalled(
    admin: Api, user: SignedIn, set_clock: SetClock
) -> None:
    a_stored_task(user.user_id)
    replay = started(admin, user_id=user.user_id)
    assert_taken(tick("advance-replays"))
    advanced_at = parse_rfc3339(shown(admin, replay)["advanced_at"])

    set_clock(advanced_at + timedelta(minutes=5))
    assert shown(admin, replay)["state"] == "running"
    set_clock(advanced_at + timedelta(minutes=5, seconds=1))
    assert shown(admin, replay)["state"] == "stalled"

    assert finished(admin, replay)["equal"]


def test_a_replay_that_begins_while_kafka_is_away_is_seen_as_stalled(
    admin: Api, user: SignedIn, set_clock: SetClock
) -> None:
    wanted = ReplayRequest(to="topic", user_id=user.user_id)
    with transaction(A_CAUSE) as tx:
        replay = replay_store.add(tx, wanted, requested_by="", now=clock.now())
        publication_store.release(tx, uuid4(), {user.user_id: 1})
    path = f"{PATH}/{replay.id}"

    with changed_settings(kafka_bootstrap_servers=("127.0.0.1:1",)):
        Worker(CronRun(0), A_RUN, ReplayProducer().publish).advance_all()

    begun = content(admin.get(path))
    assert (begun["state"], begun["events_done"]) == ("running", 0)
    set_clock(clock.now() + timedelta(minutes=5, seconds=1))
    assert content(admin.get(path))["state"] == "stalled"


def test_a_step_of_who_does_not_hold_the_replay_any_more_is_undone(
    admin: Api, user: SignedIn
) -> None:
    a_stored_task(user.user_id)
    replay = started(admin, user_id=user.user_id)
    slow, other = uuid4(), uuid4()
    with transaction(A_CAUSE) as tx:
        held = replay_store.hold(tx, slow, ["shadow"], now=clock.now())
        assert held
    tamper("UPDATE replays SET held_until = now() - interval '1 second'")
    with transaction(A_CAUSE) as tx:
        assert replay_store.hold(tx, other, ["shadow"], now=clock.now())

    with pytest.raises(ReplayNotHeld), transaction(A_CAUSE) as tx:
        replay_store.save(tx, held, slow, now=clock.now())

    assert shown(admin, replay)["events_done"] == 0


def test_several_runs_at_the_same_time_take_each_step_once(
    admin: Api, user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(module, "COMPARED_MAX", 3)
    for number in range(20):
        a_stored_task(user.user_id, title=str(number))
    first, second = (started(admin, user_id=user.user_id) for _ in range(2))

    runs = [threading.Thread(target=Worker(CronRun(30), A_RUN, None).advance_all) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()

    for replay in (first, second):
        found = shown(admin, replay)
        assert (found["equal"], found["tasks_same"]) == (True, 20)


# Administrators


def test_a_cancelled_replay_comes_no_further(admin: Api, user: SignedIn) -> None:
    a_stored_task(user.user_id)
    replay = started(admin, user_id=user.user_id)
    assert_taken(tick("advance-replays"))
    before = shown(admin, replay)

    answer = admin.delete(f"{PATH}/{replay['id']}")
    assert_taken(tick("advance-replays"))

    assert answer.status_code == 204
    after = shown(admin, replay)
    assert (after["state"], after["equal"]) == ("cancelled", None)
    assert after["events_done"] == before["events_done"]
    assert_refused(admin.delete(f"{PATH}/{replay['id']}"), 409, "replay-is-over")


def test_an_unknown_replay_is_not_found(admin: Api) -> None:
    unknown = f"{PATH}/{uuid4()}"

    assert_refused(admin.get(unknown), 404, "replay-not-found")
    assert_refused(admin.delete(unknown), 404, "replay-not-found")


def test_replays_are_listed_newest_first(admin: Api) -> None:
    first, second, third = (started(admin, from_seq=number) for number in (1, 2, 3))

    found = pages(admin, f"{PATH}?limit=2")

    assert [[each["id"] for each in page] for page in found] == [
        [third["id"], second["id"]],
        [first["id"]],
    ]


def test_no_more_replays_wait_than_are_allowed(admin: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_store, "RUNNING_MAX", 1)
    replay = started(admin)

    assert_refused(admin.post(PATH, {"to": "shadow"}), 409, "too-many-replays")

    finished(admin, replay)
    started(admin)


def test_there_is_no_replay_to_a_topic_without_kafka(admin: Api) -> None:
    assert_refused(admin.post(PATH, {"to": "topic"}), 409, "no-kafka")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/to"),
        ({"to": "tables"}, "/to"),
        ({"to": "shadow", "from_seq": 0}, "/from_seq"),
        ({"to": "shadow", "from_seq": 1 << 63}, "/from_seq"),
        ({"to": "shadow", "user_id": ""}, "/user_id"),
        ({"to": "shadow", "user_id": "nobody"}, "/user_id"),
        ({"to": "topic", "events_per_s": 0}, "/events_per_s"),
    ],
)
def test_a_request_that_says_no_replay_is_invalid(
    admin: Api, body: dict[str, Any], pointer: str
) -> None:
    assert_invalid(admin.post(PATH, body), pointer)


def test_an_old_replay_is_forgotten_with_what_it_left(
    admin: Api, user: SignedIn, set_clock: SetClock
) -> None:
    task = a_stored_task(user.user_id)
    tamper("UPDATE tasks SET title = 'forged' WHERE id = :id", id=task.id)
    old = of_user(admin, user)
    set_clock(clock.now() + replay_store.KEPT - timedelta(minutes=1))
    admin_then = Api(an_administrator())
    running = started(admin_then)
    assert_taken(tick("purge-expired"))
    assert tasks_left(old) == 1

    set_clock(clock.now() + timedelta(minutes=2))
    for _ in range(3):
        assert_taken(tick("purge-expired"))

    assert_refused(admin_then.get(f"{PATH}/{old['id']}"), 404, "replay-not-found")
    assert tasks_left(old) == 0
    assert shown(admin_then, running)["state"] == "waiting"
