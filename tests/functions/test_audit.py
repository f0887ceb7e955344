"""The audit: what an administrator is shown, and that tampering is found (E6)."""

from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from taskflow import clock
from taskflow.domain.times import rfc3339
from taskflow.serving.pages import write_cursor
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import audit_store, claims, delivery_store, transaction
from taskflow.storage.tables import AUDIT_ENTRIES, EVENTS, STREAMS
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user, an_administrator
from tests.support.data.builders import a_settings_event, a_stored_task, append, log_of
from tests.support.database.tampering import tamper
from tests.support.database.temporary import a_database
from tests.support.delivery.subscribers import assert_taken, deliver, reconcile, tick
from tests.support.functions.client import Api
from tests.support.functions.problems import assert_invalid, assert_refused
from tests.support.functions.tokens import a_token, with_token

CONSUMER = "record-audit-entry"
AUDIT, VERIFY = "/api/admin/audit", "/api/admin/audit/verify?settled=true"
AN_ID = "01938b0a-7c50-7000-8000-00000000abcd"
SetClock = Callable[[datetime], None]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _own_database(audited_database: None) -> None:
    """Use a database of the tests' own, whose logs may be tampered with."""


@pytest.fixture(scope="module")
def audited_database(database: EmbeddedPostgres) -> Generator[None]:
    with a_database(database):
        yield


@pytest.fixture
def user(audited_database: None) -> SignedIn:  # noqa: ARG001 - it must be there
    return a_user()


@pytest.fixture
def other(audited_database: None) -> SignedIn:  # noqa: ARG001 - it must be there
    return a_user()


@pytest.fixture
def admin(audited_database: None) -> Api:  # noqa: ARG001 - it must be there
    return Api(an_administrator())


def audit(*user_ids: str) -> None:
    """Deliver to the consumer the events of these users that it has not had."""
    for user_id in user_ids:
        for event in log_of(user_id):
            assert_taken(deliver(CONSUMER, event))


def settle(admin: Api) -> None:
    """Deliver all events to the consumer, so that a whole log can be verified."""
    with transaction(A_CAUSE) as tx:
        missing = audit_store.differing(tx, user_id=None, before=clock.now(), limit=1000)
    audit(*{user_id for user_id, _ in missing})
    assert verified(admin)["ok"]


def verified(admin: Api, query: str = "") -> dict[str, Any]:
    answer = admin.get(VERIFY + query)
    assert answer.status_code == 200, answer.text
    return answer.json or {}


def listed(admin: Api, query: str) -> list[dict[str, Any]]:
    answer = admin.get(AUDIT + query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json or {}
    return page["items"]


def seqs(items: list[dict[str, Any]]) -> list[int]:
    return [item["seq"] for item in items]


def a_log(user_id: str, *times: datetime) -> None:
    """Append an event of the account at each of these times."""
    known = len(log_of(user_id))
    append(
        *(
            a_settings_event(user_id, version=known + number, at=at)
            for number, at in enumerate(times, start=1)
        )
    )


# What is listed


def test_an_audit_entry_says_its_actor_event_time_origin_and_correlation(
    user: SignedIn, admin: Api
) -> None:
    given = {"User-Agent": "a-telling-client", "X-Correlation-ID": "a-request-of-mine"}
    Api(user).post("/api/tasks", {"title": "Buy milk"}, headers=given)
    audit(user.user_id)
    created = log_of(user.user_id)[1]

    [entry, _] = listed(admin, f"?user_id={user.user_id}")

    assert entry == {
        "event_id": str(created.event_id),
        "event_type": "task.created",
        "user_id": user.user_id,
        "aggregate_id": created.aggregate_id,
        "task_id": created.aggregate_id,
        "timestamp": rfc3339(created.timestamp),
        "correlation_id": "a-request-of-mine",
        "version": 1,
        "seq": 2,
        "actor": user.user_id,
        "origin": "unknown a-telling-client",
    }


def test_a_change_by_an_administrator_has_the_administrator_as_its_actor(
    user: SignedIn, admin: Api
) -> None:
    task = a_stored_task(user.user_id)
    admin.post(f"/api/admin/tasks/{task.id}/correct", {"priority": "high"})
    audit(user.user_id)

    entry = listed(admin, f"?user_id={user.user_id}")[0]

    assert entry["event_type"] == "task.corrected"
    assert admin.user is not None
    assert entry["actor"] == admin.user.user_id


def test_an_audit_entry_of_an_account_names_no_task(user: SignedIn, admin: Api) -> None:
    audit(user.user_id)

    [entry] = listed(admin, f"?user_id={user.user_id}")

    assert (entry["task_id"], entry["aggregate_id"]) == (None, user.user_id)


def test_audit_entries_are_listed_newest_first(user: SignedIn, admin: Api) -> None:
    for _ in range(4):
        a_stored_task(user.user_id)
    audit(user.user_id)

    assert seqs(listed(admin, f"?user_id={user.user_id}")) == [5, 4, 3, 2, 1]


def test_audit_entries_are_filtered_by_user_task_and_type(
    user: SignedIn, other: SignedIn, admin: Api
) -> None:
    task, _ = a_stored_task(user.user_id), a_stored_task(user.user_id)
    Api(user).post(f"/api/tasks/{task.id}/complete")
    a_stored_task(other.user_id)
    audit(user.user_id, other.user_id)

    assert seqs(listed(admin, f"?user_id={user.user_id}")) == [4, 3, 2, 1]
    assert seqs(listed(admin, f"?task_id={task.id}")) == [4, 2]
    assert seqs(listed(admin, f"?user_id={user.user_id}&type=task.created")) == [3, 2]
    assert seqs(listed(admin, f"?user_id={other.user_id}&type=task.completed")) == []
    assert seqs(listed(admin, f"?user_id={other.user_id}&task_id={task.id}")) == []
    assert listed(admin, "?user_id=nobody") == []
    assert listed(admin, f"?task_id={uuid4()}") == []


def test_audit_entries_are_filtered_by_time_from_since_to_before_until(
    user: SignedIn, admin: Api
) -> None:
    a_log(user.user_id, *(NOON + timedelta(hours=hour) for hour in range(4)))
    audit(user.user_id)
    mine = f"?user_id={user.user_id}&type=user.settings_changed"

    def between(since: str, until: str) -> list[int]:
        return seqs(listed(admin, f"{mine}{since}{until}"))

    assert between("&since=2026-03-01T13:00:00Z", "") == [5, 4, 3]
    assert between("", "&until=2026-03-01T13:00:00Z") == [2]
    assert between("&since=2026-03-01T13:00:00Z", "&until=2026-03-01T15:00:00Z") == [4, 3]
    assert between("&since=2026-03-01T15:00:00%2B02:00", "&until=2026-03-01T14:00:00Z") == [3]
    assert between("&since=2026-03-01T15:00:00Z", "&until=2026-03-01T13:00:00Z") == []


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 200])
def test_the_pages_of_audit_entries_hold_all_even_with_equal_times(
    user: SignedIn, admin: Api, limit: int
) -> None:
    a_log(user.user_id, *[NOON] * 5, NOON - timedelta(hours=1))
    audit(user.user_id)
    mine = f"?user_id={user.user_id}&limit={limit}"
    seen: list[str] = []
    query: str | None = mine

    while query:
        answer = admin.get(AUDIT + query)
        page: dict[str, Any] = answer.json or {}
        seen += [item["event_id"] for item in page["items"]]
        query = f"{mine}&cursor={page['next_cursor']}" if page["next_cursor"] else None
        assert len(page["items"]) <= limit
        assert ("Link" in answer.headers) == (page["next_cursor"] is not None)

    assert sorted(seen) == sorted(str(event.event_id) for event in log_of(user.user_id))
    assert seen == [item["event_id"] for item in listed(admin, f"?user_id={user.user_id}")]


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("limit=0", ["/limit"]),
        ("limit=201&surprise=1", ["/limit", "/surprise"]),
        ("task_id=1&type=task.invented", ["/task_id", "/type"]),
        ("since=2026-03-01T12:00:00&until=yesterday", ["/since", "/until"]),
        ("user_id=%00", ["/user_id"]),
        ("cursor=garbage", ["/cursor"]),
        (f"cursor={write_cursor('dead', rfc3339(NOON), AN_ID)}", ["/cursor"]),
        (f"cursor={write_cursor('audit', 'yesterday', AN_ID)}", ["/cursor"]),
        (f"cursor={write_cursor('audit', rfc3339(NOON), 'x')}", ["/cursor"]),
        (f"cursor={write_cursor('audit', rfc3339(NOON))}", ["/cursor"]),
    ],
)
def test_every_wrong_parameter_of_a_query_is_named(
    admin: Api, query: str, pointers: list[str]
) -> None:
    assert_invalid(admin.get(f"{AUDIT}?{query}"), *pointers)


@pytest.mark.parametrize("path", [AUDIT, VERIFY])
def test_the_audit_is_shown_only_with_the_permission_to_read_it(
    user: SignedIn, admin: Api, path: str
) -> None:
    auditor = with_token(user, a_token(user.user_id, permissions=["audit:read"]))
    writer = with_token(user, a_token(user.user_id, permissions=["tasks:read", "events:replay"]))

    assert admin.get(path).status_code == 200
    assert Api(auditor).get(path).status_code == 200
    assert_refused(Api(writer).get(path), 403, "missing-permission")
    assert_refused(Api(user).get(path), 403, "missing-permission")
    assert_refused(Api().get(path), 401)


# What is verified


def test_the_audit_verifies_a_log_with_all_its_entries(user: SignedIn, admin: Api) -> None:
    a_stored_task(user.user_id)
    settle(admin)

    found = verified(admin)

    assert found["ok"] is True
    assert found["events"] == found["entries"] > 2
    assert found["broken_chains"] == found["differing_entries"] == []
    assert verified(admin, f"&user_id={user.user_id}")["events"] == 2


def test_an_event_without_an_audit_entry_is_found_once_its_delivery_is_overdue(
    user: SignedIn, admin: Api
) -> None:
    settle(admin)
    a_stored_task(user.user_id)
    a_log(user.user_id, clock.now() - timedelta(minutes=6))

    on_its_way: dict[str, Any] = admin.get(VERIFY.partition("?")[0]).json or {}
    settled = verified(admin)

    assert on_its_way["differing_entries"] == [{"user_id": user.user_id, "seq": 3}]
    assert settled["differing_entries"] == [
        {"user_id": user.user_id, "seq": 2},
        {"user_id": user.user_id, "seq": 3},
    ]
    assert settled["ok"] is False
    assert settled["broken_chains"] == []


CHANGES = {
    "its data": "UPDATE events SET data = '[7]' WHERE {it}",
    "its type": "UPDATE events SET event_type = 'task.deleted' WHERE {it}",
    "its time": "UPDATE events SET timestamp = timestamp - interval '1 us' WHERE {it}",
    "who": "UPDATE events SET actor = 'somebody else' WHERE {it}",
    "from where": "UPDATE events SET origin = '' WHERE {it}",
    "its hash": "UPDATE events SET hash = sha256(hash) WHERE {it}",
    "its absence": "DELETE FROM events WHERE {it}",
}


@pytest.mark.parametrize("statement", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("seq", [1, 2, 3])
def test_a_changed_event_is_found_by_verifying_all_users_or_its_own(
    user: SignedIn, other: SignedIn, admin: Api, statement: str, seq: int
) -> None:
    for _ in range(2):
        a_stored_task(user.user_id)
    settle(admin)
    here = {"user_id": user.user_id, "seq": seq}

    tamper(statement.format(it="user_id = :user_id AND seq = :seq"), **here)

    found = verified(admin)
    assert found["ok"] is False
    assert found["broken_chains"][0]["user_id"] == user.user_id
    assert found["broken_chains"][0]["seq"] <= seq
    assert verified(admin, f"&user_id={user.user_id}")["ok"] is False
    assert verified(admin, f"&user_id={other.user_id}")["ok"] is True
    _forget(user.user_id)


@pytest.mark.parametrize(
    "change",
    [
        "user_id = 'somebody else'",
        "seq = 99",
        "event_type = 'task.deleted'",
        "aggregate_id = 'another'",
        "version = 99",
        "timestamp = timestamp - interval '1 us'",
        "correlation_id = 'another'",
        "actor = 'somebody else'",
        "origin = ''",
    ],
)
def test_a_changed_audit_entry_is_found(user: SignedIn, admin: Api, change: str) -> None:
    a_stored_task(user.user_id)
    settle(admin)
    here = {"user_id": user.user_id}

    tamper(
        f"UPDATE audit_entries SET {change} WHERE user_id = :user_id AND seq = 2",  # noqa: S608 - from the list above
        **here,
    )

    found = verified(admin)
    assert found["ok"] is False
    assert found["broken_chains"] == []
    assert found["differing_entries"] == [{**here, "seq": 2}]
    _forget(user.user_id)


def test_a_deleted_audit_entry_is_found(user: SignedIn, admin: Api) -> None:
    settle(admin)

    tamper("DELETE FROM audit_entries WHERE user_id = :user_id", user_id=user.user_id)

    assert verified(admin)["differing_entries"] == [{"user_id": user.user_id, "seq": 1}]
    _forget(user.user_id)


def test_an_audit_entry_without_an_event_is_found(user: SignedIn, admin: Api) -> None:
    """A deleted last event, with all that refers to it, leaves its audit entry behind."""
    a_stored_task(user.user_id)
    settle(admin)
    mine = {"user_id": user.user_id}

    tamper("DELETE FROM events WHERE user_id = :user_id AND seq = 2", **mine)
    tamper(
        "UPDATE streams SET seq = 1, hash ="
        " (SELECT hash FROM events WHERE user_id = :user_id) WHERE user_id = :user_id",
        **mine,
    )

    found = verified(admin)
    assert found["ok"] is False
    assert found["differing_entries"] == [{**mine, "seq": 2}]
    _forget(user.user_id)


def _forget(user_id: str) -> None:
    """Take a user whose log was tampered with out of what the other tests verify."""
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text("SET LOCAL session_replication_role = replica"))
        for table in (EVENTS, AUDIT_ENTRIES, STREAMS):
            tx.connection.execute(
                table.delete().where(table.c.user_id.in_([user_id, "somebody else"]))
            )


# What is mended


def requested_redeliveries() -> list[tuple[str, int]]:
    with transaction(A_CAUSE) as tx:
        found = delivery_store.redeliveries(tx, CONSUMER, limit=1000)
    return [(event.user_id, event.seq) for event in found]


def an_hour_ago() -> datetime:
    return clock.now() - timedelta(hours=1)


def test_an_unclaimed_event_is_brought_again_once_it_is_overdue(
    user: SignedIn, admin: Api, set_clock: SetClock
) -> None:
    settle(admin)
    a_log(user.user_id, an_hour_ago(), clock.now() + timedelta(hours=1))
    began = clock.now()

    asked: list[list[int]] = []
    for minutes in (0, 4, 5):
        set_clock(began + timedelta(minutes=minutes))
        assert_taken(tick("reconcile-consumers"))
        asked.append([seq for user_id, seq in requested_redeliveries() if user_id == user.user_id])

    # Whatever the times of the events say: a clock may be wrong.
    assert asked == [[], [], [2, 3]]


def test_a_claimed_event_is_not_brought_again(
    user: SignedIn, admin: Api, set_clock: SetClock
) -> None:
    a_log(user.user_id, an_hour_ago())
    settle(admin)

    reconcile(set_clock)

    assert (user.user_id, 2) not in requested_redeliveries()


def test_lost_claims_and_audit_entries_are_made_again(
    user: SignedIn, admin: Api, set_clock: SetClock
) -> None:
    a_log(user.user_id, *[an_hour_ago() for _ in range(3)])
    settle(admin)
    events = log_of(user.user_id)
    for event in events[1:]:
        lost = {"event_id": event.event_id}
        tamper("DELETE FROM claims WHERE event_id = CAST(:event_id AS uuid)", **lost)
        tamper("DELETE FROM audit_entries WHERE event_id = CAST(:event_id AS uuid)", **lost)
    assert not verified(admin)["ok"]

    reconcile(set_clock)
    again = [seq for user_id, seq in requested_redeliveries() if user_id == user.user_id]
    for event in events[1:]:
        assert_taken(deliver(CONSUMER, event))

    assert again == [2, 3, 4]
    assert verified(admin)["ok"]


def test_claims_are_kept_exactly_as_long_as_dead_letters(user: SignedIn) -> None:
    [event] = log_of(user.user_id)
    old, young = uuid4(), uuid4()
    moment = timedelta(minutes=1)
    ages = {old: claims.KEPT + moment, young: claims.KEPT - moment, event.event_id: 0 * moment}
    with transaction(A_CAUSE) as tx:
        for event_id, age in ages.items():
            places = {event_id: (user.user_id, event.seq)}
            claims.claim(tx, "a-test", places, now=clock.now() - age)

    assert_taken(tick("purge-expired"))

    with transaction(A_CAUSE) as tx:
        kept = tx.connection.execute(
            text("SELECT event_id FROM claims WHERE consumer = 'a-test'")
        ).scalars()
        assert set(kept) == {young, event.event_id}
