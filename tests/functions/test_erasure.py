"""Deleting an account: its data are erased, its tokens dead, and the log can be verified (S7)."""

import json
import math
from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from taskflow import clock
from taskflow.domain import accounts, tasks
from taskflow.domain.cloudevents import attributes_of
from taskflow.domain.errors import AccountNotFound
from taskflow.domain.events import Event
from taskflow.domain.replay import Replay
from taskflow.domain.times import rfc3339
from taskflow.serving import ended_sessions, passwords
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import (
    Transaction,
    account_store,
    bulk,
    claims,
    delivery_store,
    erasure_store,
    events,
    idempotency_store,
    publication_store,
    task_changes,
    transaction,
)
from taskflow.storage.tables import CLAIMS, EVENTS, LOGIN_ATTEMPTS, METADATA, SESSIONS
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user, an_administrator
from tests.support.data.builders import a_draft, a_stored_task, log_of
from tests.support.data.user_resources import stored_resources
from tests.support.database.tampering import tamper
from tests.support.database.temporary import a_database
from tests.support.delivery.subscribers import SINK, assert_taken, deliver, post, tick
from tests.support.functions.client import Api, content
from tests.support.functions.problems import assert_refused

PASSWORD = "correct horse battery staple"
ACCOUNT = {"password": PASSWORD}


@pytest.fixture(autouse=True)
def _own_database(
    erased_database: None,  # noqa: ARG001 - it must be there
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Use a database of the tests' own, in which each look at ended sessions is a new one."""
    monkeypatch.setattr(ended_sessions, "LOOK_EVERY_S", 0)


@pytest.fixture(scope="module")
def erased_database(database: EmbeddedPostgres) -> Generator[None]:
    with a_database(database):
        yield


@pytest.fixture
def user(erased_database: None) -> SignedIn:  # noqa: ARG001 - it must be there
    """Register somebody whose email says who they are, with something of every kind."""
    email = f"{uuid4().hex}@example.com"
    registered = content(Api().post("/api/auth/register", {"email": email} | ACCOUNT))
    user = SignedIn(registered["user"]["id"], email, registered["access_token"])
    api = Api(user)
    api.post("/api/tasks", {"title": email}, headers={"Idempotency-Key": "once"})
    stored_resources(user.user_id, title=email)
    deleted = content(api.post("/api/tasks", {"title": email, "tags": [email]}))
    api.delete(f"/api/tasks/{deleted['id']}")
    api.post("/api/calendar-feed")
    return user


def _delete(user: SignedIn, password: str = PASSWORD) -> Any:  # noqa: ANN401 - werkzeug's
    return Api(user).delete("/api/{user_id}/account", json={"password": password})


def _deleted(user: SignedIn) -> None:
    assert _delete(user).status_code == 204


def _audit(user: SignedIn) -> None:
    for event in log_of(user.user_id):
        assert_taken(deliver("record-audit-entry", event))


def _verified() -> dict[str, Any]:
    answer = Api(an_administrator()).get("/api/admin/audit/verify")
    assert answer.status_code == 200, answer.text
    return content(answer)


def _rows_of(user_id: str) -> dict[str, list[str]]:
    """Return the rows of all tables that name a user anywhere, as text."""
    with transaction(A_CAUSE) as tx:
        found = {
            name: list(
                tx.connection.execute(
                    text(f'SELECT rows::text FROM "{name}" rows WHERE rows::text LIKE :part'),  # noqa: S608 - our own table
                    {"part": f"%{user_id}%"},
                ).scalars()
            )
            for name in METADATA.tables
        }
    return {name: rows for name, rows in found.items() if rows}


def _all_text() -> str:
    with transaction(A_CAUSE) as tx:
        return "\n".join(
            row
            for name in METADATA.tables
            for row in tx.connection.execute(
                text(f'SELECT rows::text FROM "{name}" rows')  # noqa: S608 - as above
            ).scalars()
        )


def test_a_deleted_account_leaves_no_word_of_its_user(user: SignedIn) -> None:
    _audit(user)
    before = _all_text()

    _deleted(user)

    assert user.email in before
    left = _all_text()
    assert user.email not in left
    assert set(_rows_of(user.user_id)) <= erasure_store.KEPT


def test_every_table_that_knows_users_is_emptied_of_an_erased_one_or_kept_on_purpose() -> None:
    knowing = {name for name, table in METADATA.tables.items() if "user_id" in table.columns}

    # Each of these is filled by the user above, or named in the erasure.
    assert knowing - erasure_store.KEPT == erasure_store.ERASED


def test_the_event_of_the_deletion_is_all_that_is_left_of_the_log(user: SignedIn) -> None:
    before = log_of(user.user_id)

    _deleted(user)

    [left] = log_of(user.user_id)
    assert (left.event_type, left.seq) == ("user.deleted", len(before) + 1)
    assert json.loads(left.data_json) == {"id": user.user_id}
    assert (left.actor, left.origin) == (user.user_id, "")


def test_a_wrong_password_deletes_nothing(user: SignedIn) -> None:
    before = _rows_of(user.user_id)

    answer = _delete(user, "a wrong password")

    assert_refused(answer, 401, "credentials-are-wrong")
    assert {name: len(rows) for name, rows in _rows_of(user.user_id).items()} == {
        name: len(rows) for name, rows in before.items()
    }


def test_guessing_the_password_with_a_stolen_token_is_limited(user: SignedIn) -> None:
    for _ in range(10):
        assert_refused(_delete(user, "a wrong password"), 401, "credentials-are-wrong")

    answer = _delete(user)

    assert_refused(answer, 429, "too-many-attempts")
    assert len(log_of(user.user_id)) > 1


def test_the_tokens_of_a_deleted_account_are_refused_at_once(user: SignedIn) -> None:
    without_session = Api(a_user())
    assert without_session.user is not None

    _deleted(user)

    assert_refused(Api(user).get("/api/tasks"), 401, "invalid-token")
    assert_refused(_delete(user), 401, "invalid-token")
    assert without_session.get("/api/tasks").status_code == 200
    log_in = Api().post("/api/auth/login", {"email": user.email} | ACCOUNT)
    assert_refused(log_in, 401, "credentials-are-wrong")


def _deletes_meanwhile(user: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have another request delete the account while the password is looked at."""
    is_right = passwords.is_right

    def looked_at(password_hash: str | None, password: str) -> bool:
        with transaction(A_CAUSE) as tx:
            _begin_erasure(tx, user)
        return is_right(password_hash, password)

    monkeypatch.setattr(passwords, "is_right", looked_at)


def _undecided() -> int:
    with transaction(A_CAUSE) as tx:
        query = select(func.coalesce(func.sum(LOGIN_ATTEMPTS.c.undecided), 0))
        return tx.connection.execute(query).scalar_one()


def test_a_log_in_whose_account_is_deleted_meanwhile_is_refused(
    user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    undecided = _undecided()
    _deletes_meanwhile(user, monkeypatch)

    answer = Api().post("/api/auth/login", {"email": user.email} | ACCOUNT)

    assert_refused(answer, 401, "credentials-are-wrong")
    assert _undecided() == undecided
    while _erase_some():
        pass
    assert set(_rows_of(user.user_id)) <= erasure_store.KEPT


def test_of_two_deletions_at_once_one_finds_no_account(
    user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    undecided = _undecided()
    _deletes_meanwhile(user, monkeypatch)

    answer = _delete(user)

    assert_refused(answer, 401, "account-not-found")
    assert _undecided() == undecided


def test_a_token_that_counts_elsewhere_for_some_seconds_leaves_nothing(
    user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, key = Api(user), {"Idempotency-Key": "after the deletion"}
    assert api.get("/api/tasks").status_code == 200
    monkeypatch.setattr(ended_sessions, "LOOK_EVERY_S", math.inf)
    with transaction(A_CAUSE) as tx:
        _begin_erasure(tx, user)
    while _erase_some():
        pass

    for answer in (
        api.post("/api/calendar-feed"),
        api.delete("/api/calendar-feed", headers=key),
        api.post("/api/ws-ticket"),
        api.put("/api/settings", {"timezone": "UTC"}, headers=key),
        api.post("/api/tasks", {"title": user.email}, headers=key),
    ):
        assert_refused(answer, 401, "account-not-found")

    assert set(_rows_of(user.user_id)) <= erasure_store.KEPT


def test_the_address_of_a_deleted_account_can_open_another(user: SignedIn) -> None:
    _deleted(user)

    again = Api().post("/api/auth/register", {"email": user.email} | ACCOUNT)

    assert again.status_code == 201
    assert content(again)["user"]["id"] != user.user_id
    fresh = SignedIn(content(again)["user"]["id"], "", content(again)["access_token"])
    assert content(Api(fresh).get("/api/tasks"))["items"] == []
    _deleted(fresh)


def test_a_log_with_erased_accounts_is_verified_as_erased_and_not_as_broken(
    user: SignedIn,
) -> None:
    _audit(user)
    before, erased = _verified(), len(log_of(user.user_id))

    _deleted(user)

    _audit(user)
    after = _verified()
    assert after["broken_chains"] == before["broken_chains"]
    assert after["differing_entries"] == before["differing_entries"]
    assert after["erased_events"] == before["erased_events"] + erased
    assert after["erased_users"] == before["erased_users"] + 1


@pytest.mark.parametrize(
    ("change", "broken_at"),
    [
        ("DELETE FROM erased_events WHERE user_id = :user AND seq = 2", 2),
        ("UPDATE erased_events SET digest = sha256('') WHERE user_id = :user AND seq = 2", 2),
        ("UPDATE erased_events SET hash = sha256('') WHERE user_id = :user AND seq = 3", 3),
        ("DELETE FROM erasures WHERE user_id = :user", 1),
        ("UPDATE erasures SET seq = 2 WHERE user_id = :user", 2),
        ("UPDATE events SET event_type = 'task.created' WHERE user_id = :user", None),
    ],
)
def test_tampering_with_what_an_erasure_leaves_is_found(
    user: SignedIn, change: str, broken_at: int | None
) -> None:
    _deleted(user)

    tamper(change, user=user.user_id)

    with transaction(A_CAUSE) as tx:
        found = events.verify(tx, user.user_id)
    last = max(log_of(user.user_id), key=lambda event: event.seq).seq
    assert found.broken == {user.user_id: broken_at or last}


def test_an_event_that_was_tampered_with_is_found_after_its_erasure_too(user: SignedIn) -> None:
    tamper("UPDATE events SET data = '{}' WHERE user_id = :user AND seq = 2", user=user.user_id)

    _deleted(user)

    with transaction(A_CAUSE) as tx:
        assert events.broken_link(tx, user.user_id) == 2


def test_an_event_cannot_be_erased_where_no_account_was_deleted() -> None:
    user = a_user()
    a_stored_task(user.user_id)
    forged = """
    INSERT INTO erased_events (user_id, seq, digest, hash)
    SELECT user_id, seq, sha256(''), hash FROM events WHERE user_id = :user
    """

    with pytest.raises(DBAPIError, match="immutable"), transaction(A_CAUSE) as tx:  # noqa: PT012 - one transaction
        tx.connection.execute(text(forged), {"user": user.user_id})
        tx.connection.execute(EVENTS.delete().where(EVENTS.c.user_id == user.user_id))

    assert len(log_of(user.user_id)) == 2


def test_what_is_left_of_erased_events_cannot_be_changed(user: SignedIn) -> None:
    _deleted(user)

    for statement in (
        "DELETE FROM erased_events",
        "UPDATE erased_events SET digest = ''",
        "TRUNCATE erased_events",
    ):
        with pytest.raises(DBAPIError, match="immutable"), transaction(A_CAUSE) as tx:
            tx.connection.execute(text(statement))


def test_a_change_that_was_under_way_as_the_account_was_deleted_is_refused(
    user: SignedIn,
) -> None:
    task, happened = tasks.create(a_draft(), user_id=user.user_id, now=clock.now())
    _deleted(user)

    for changes in (happened, [*happened, *happened]):
        with pytest.raises(AccountNotFound), transaction(A_CAUSE) as tx:
            task_changes.save_all(tx, new_tasks=[task], events=changes)

    assert set(_rows_of(user.user_id)) <= erasure_store.KEPT


def test_a_large_account_is_erased_by_the_hourly_run(
    user: SignedIn, monkeypatch: pytest.MonkeyPatch, long_runs: None
) -> None:
    del long_runs
    monkeypatch.setattr(erasure_store, "EVENTS_MAX", 2)
    monkeypatch.setattr(bulk, "DELETE_BATCH_MAX", 1)
    module = Api(user)
    for _ in range(5):
        module.post("/api/tasks", {"title": user.email})
    with transaction(A_CAUSE) as tx:
        _begin_erasure(tx, user)

    halfway = [_erase_some() for _ in range(6)]
    with transaction(A_CAUSE) as tx:
        broken_halfway = events.broken_link(tx, user.user_id)
    assert_taken(tick("purge-expired"))

    assert all(halfway)
    assert broken_halfway is None
    assert user.email not in _all_text()
    assert set(_rows_of(user.user_id)) <= erasure_store.KEPT
    with transaction(A_CAUSE) as tx:
        assert events.broken_link(tx, user.user_id) is None
    assert _erase_some() == 0


def _begin_erasure(tx: Transaction, user: SignedIn) -> None:
    account = account_store.lock(tx, user.user_id)
    erasure_store.begin(tx, accounts.delete(account, now=clock.now()), now=clock.now())


def _erase_some() -> int:
    with transaction(A_CAUSE) as tx:
        return erasure_store.erase_some(tx, now=clock.now())


def test_no_reminder_and_no_occurrence_comes_after_the_deletion(
    user: SignedIn, set_clock: Callable[[datetime], None]
) -> None:
    _deleted(user)
    left = len(log_of(user.user_id))

    set_clock(clock.now() + timedelta(days=10))
    assert_taken(tick("run-schedule"))

    assert len(log_of(user.user_id)) == left
    assert set(_rows_of(user.user_id)) <= erasure_store.KEPT


def test_what_is_due_of_an_account_that_is_being_erased_does_not_hold_up_others(
    user: SignedIn, set_clock: Callable[[datetime], None], long_runs: None
) -> None:
    del long_runs
    other = a_user()
    theirs = stored_resources(other.user_id)
    with transaction(A_CAUSE) as tx:
        _begin_erasure(tx, user)
    before = len(log_of(user.user_id))

    set_clock(clock.now() + timedelta(days=4))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("taskflow.eventing.CronRun.is_over", _after(30))
        assert_taken(tick("run-schedule"))

    assert len(log_of(user.user_id)) == before
    assert "recurring.spawned" in {event.event_type for event in log_of(other.user_id)}
    assert theirs


def _after(times: int) -> Callable[[object], bool]:
    calls = iter(range(times))
    return lambda _: next(calls, None) is None


@pytest.mark.parametrize("consumer", ["record-audit-entry", "spawn-next-occurrence"])
def test_a_consumer_that_meets_an_event_of_a_deleted_account_does_nothing(
    user: SignedIn, consumer: str
) -> None:
    task = content(Api(user).post("/api/tasks", {"title": user.email}))
    Api(user).patch(f"/api/tasks/{task['id']}/complete")
    in_flight = log_of(user.user_id)
    _deleted(user)

    for event in in_flight:
        assert_taken(deliver(consumer, event))

    assert set(_rows_of(user.user_id)) <= erasure_store.KEPT
    assert user.email not in _all_text()
    with transaction(A_CAUSE) as tx:
        claimed = select(func.count()).where(
            CLAIMS.c.event_id.in_([event.event_id for event in in_flight])
        )
        assert tx.connection.execute(claimed).scalar_one() == 0


def test_an_event_of_a_deleted_account_becomes_no_dead_letter(user: SignedIn) -> None:
    event = log_of(user.user_id)[1]
    _deleted(user)

    assert_taken(_die(event))

    assert user.email not in _all_text()
    assert set(_rows_of(user.user_id)) <= erasure_store.KEPT


def _die(event: Event) -> Any:  # noqa: ANN401 - werkzeug's
    dead = {"knativeerrordest": "http://record-audit-entry", "knativeerrorcode": "500"}
    return post(SINK.name, {**attributes_of(event), **dead}, event.record_json().encode())


def test_the_publisher_goes_on_with_the_event_of_the_deletion(user: SignedIn) -> None:
    _deleted(user)

    [last] = log_of(user.user_id)
    with transaction(A_CAUSE) as tx:
        assert publication_store.behind(tx, limit=100_000)[user.user_id] == last.seq
        after = events.after_each(tx, {user.user_id: last.seq - 1})
        published = tx.connection.execute(
            text("SELECT seq FROM publications WHERE user_id = :user"), {"user": user.user_id}
        ).scalar_one()
    assert [event.seq for event in after] == [last.seq]
    assert published == last.seq - 1


def test_an_event_of_the_deletion_is_claimed_as_any_other(user: SignedIn) -> None:
    _deleted(user)
    [last] = log_of(user.user_id)

    with transaction(A_CAUSE) as tx:
        places = {last.event_id: (last.user_id, last.seq)}
        first = claims.claim(tx, "a-consumer", places, now=clock.now())
        second = claims.claim(tx, "a-consumer", places, now=clock.now())

    assert first == {last.event_id}
    assert second == set()


def test_the_sessions_and_the_redeliveries_of_a_deleted_account_are_gone(user: SignedIn) -> None:
    with transaction(A_CAUSE) as tx:
        delivery_store.request_redeliveries(
            tx, "record-audit-entry", [(user.user_id, 2)], now=clock.now()
        )
        idempotency_store.claim(tx, user.user_id, "another key", b"print", now=clock.now())

    _deleted(user)

    with transaction(A_CAUSE) as tx:
        sessions = select(func.count()).where(SESSIONS.c.user_id == user.user_id)
        assert tx.connection.execute(sessions).scalar_one() == 0
    assert set(_rows_of(user.user_id)) <= erasure_store.KEPT


def test_a_replay_that_reaches_the_deletion_forgets_the_tasks(user: SignedIn) -> None:
    other = a_user()
    a_stored_task(other.user_id)
    before, others = log_of(user.user_id), log_of(other.user_id)
    _deleted(user)
    replay = Replay()

    for event in (*before, *others, *log_of(user.user_id), *before):
        replay.apply(json.loads(event.record_json()))

    assert {state.fields["user_id"] for state in replay.states.values()} == {other.user_id}


def test_a_series_of_very_many_occurrences_is_erased_with_them(user: SignedIn) -> None:
    now = clock.now()
    made = stored_resources(user.user_id)
    happened = [
        tasks.create(a_draft(), user_id=user.user_id, now=now + timedelta(microseconds=number))
        for number in range(3)
    ]
    with transaction(A_CAUSE) as tx:
        task_changes.save_all(
            tx,
            new_tasks=[task for task, _ in happened],
            events=[event for _, each in happened for event in each],
        )
    for number, (task, _) in enumerate(happened):
        at = rfc3339(now + timedelta(days=100 + number))
        tamper(
            "UPDATE tasks SET recurring_task_id = :series, occurrence_at = CAST(:at AS timestamptz)"
            " WHERE id = :id",
            series=made.task.id,
            at=at,
            id=task.id,
        )

    _deleted(user)

    assert set(_rows_of(user.user_id)) <= erasure_store.KEPT
