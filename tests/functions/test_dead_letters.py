"""Dead letters: undeliverable events are kept, shown, resent or discarded (E5, E8)."""

import json
from base64 import b64encode
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from taskflow import clock
from taskflow.domain.cloudevents import attributes_of
from taskflow.domain.events import SCHEMA_VERSION, Event, EventType, NewEvent
from taskflow.domain.times import parse_rfc3339, rfc3339
from taskflow.serving.pages import write_cursor
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import dead_letter_store, delivery_store, events, transaction
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user, an_administrator
from tests.support.data.builders import a_stored_task, append, log_of
from tests.support.database.temporary import a_database
from tests.support.delivery.dead_letters import errors_of, give_up
from tests.support.delivery.subscribers import SINK, assert_taken, client_of, post, reconcile, tick
from tests.support.events.old_events import OldEvents, old_events
from tests.support.functions.client import Api
from tests.support.functions.problems import assert_invalid, assert_refused
from tests.support.functions.tokens import a_token, with_token

SetClock = Callable[[datetime], None]

LETTERS = "/api/admin/dead-letters"
CONSUMER, ANOTHER = "record-audit-entry", "spawn-next-occurrence"
AN_ID = "01938b0a-7c50-7000-8000-00000000abcd"
SUMMARY = {
    *("id", "consumer", "event_id", "event_type", "user_id", "seq", "error_code", "error_text"),
    *("state", "received_at", "deaths"),
}


@pytest.fixture(scope="module")
def letters_database(database: EmbeddedPostgres) -> Generator[None]:
    with a_database(database):
        yield


@pytest.fixture
def user(letters_database: None) -> SignedIn:  # noqa: ARG001 - it must be there
    return a_user()


@pytest.fixture
def admin(letters_database: None) -> Api:  # noqa: ARG001 - it must be there
    return Api(an_administrator())


def a_letter(admin: Api, user: SignedIn, consumer: str = CONSUMER, **errors: str) -> str:
    """Have an event of a user given up; return the id of its dead letter."""
    a_stored_task(user.user_id)
    event = log_of(user.user_id)[-1]
    give_up(event, consumer, **errors)
    [letter] = listed(admin, "?limit=1")
    assert str(event.event_id) in letter["event_id"]
    return letter["id"]


def listed(admin: Api, query: str = "") -> list[dict[str, Any]]:
    answer = admin.get(LETTERS + query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json or {}
    return page["items"]


def shown(admin: Api, letter_id: str) -> dict[str, Any]:
    answer = admin.get(f"{LETTERS}/{letter_id}")
    assert answer.status_code == 200, answer.text
    return answer.json or {}


def requested_redeliveries(consumer: str = CONSUMER) -> list[tuple[str, int]]:
    with transaction(A_CAUSE) as tx:
        found = delivery_store.redeliveries(tx, consumer, limit=1000)
    return [(event.user_id, event.seq) for event in found]


# What is kept


def test_a_dead_letter_says_its_event_consumer_and_failure(user: SignedIn, admin: Api) -> None:
    [event] = log_of(user.user_id)
    before = clock.now()

    give_up(event, CONSUMER, text=b64encode("Zażółć\nno mail today".encode()).decode())

    [letter] = [one for one in listed(admin) if one["event_id"] == str(event.event_id)]
    assert set(letter) == SUMMARY
    assert rfc3339(before) <= letter.pop("received_at") <= rfc3339(clock.now())
    assert letter == {
        "id": letter["id"],
        "consumer": CONSUMER,
        "event_id": str(event.event_id),
        "event_type": "user.registered",
        "user_id": user.user_id,
        "seq": 1,
        "error_code": 503,
        "error_text": "Zażółć\nno mail today",
        "state": "dead",
        "deaths": 1,
    }


def test_a_dead_letter_is_shown_with_all_that_was_sent(user: SignedIn, admin: Api) -> None:
    letter_id = a_letter(admin, user)
    event = log_of(user.user_id)[-1]

    letter = shown(admin, letter_id)

    assert set(letter) == SUMMARY | {"attributes", "body"}
    assert letter["body"] == event.record_json()
    assert letter["attributes"] == {**attributes_of(event), **errors_of(CONSUMER)}


def test_a_dead_letter_that_comes_twice_is_one_with_two_deaths(user: SignedIn, admin: Api) -> None:
    letter_id = a_letter(admin, user)
    event = log_of(user.user_id)[-1]

    give_up(event, CONSUMER, code="400", text="another reason")
    give_up(event, ANOTHER)

    mine = [one for one in listed(admin) if str(event.event_id) in one["event_id"]]
    assert {(one["consumer"], one["deaths"], one["error_text"]) for one in mine} == {
        (CONSUMER, 2, "another reason"),
        (ANOTHER, 1, "the mail server is away"),
    }
    assert shown(admin, letter_id)["deaths"] == 2


NASTY: dict[str, tuple[dict[str, str], bytes]] = {
    "nothing at all": ({}, b""),
    "no event": ({"id": "1", "type": "t", "source": "s", "specversion": "1.0"}, b"\x00\xff\xfe"),
    "a Kafka record": ({"id": "partition:0/offset:1", "type": "dev.knative.kafka.event"}, b"x"),
    "null characters": (
        {"id": "a\0b", "type": "\0", "knativeerrordest": "http://a\0b/", "knativeerrordata": "\0"},
        b"\0",
    ),
    "null characters in an event": (
        {"id": AN_ID, "type": "task.created", "source": "s", "specversion": "1.0"},
        json.dumps(
            {
                "event_id": AN_ID,
                "event_type": "task.created",
                "user_id": "a\0b",
                "aggregate_id": "\0",
                "timestamp": "2026-03-01T12:00:00Z",
                "correlation_id": "\0",
                "data": {},
                "version": 1,
                "schema_version": 1,
                "seq": 1,
            }
        ).encode(),
    ),
    "a broken destination": ({"id": "2", "knativeerrordest": "http://[::1"}, b""),
    "no destination": ({"id": "3", "knativeerrordest": "///"}, b""),
    "a strange code": ({"id": "4", "knativeerrorcode": "-1"}, b""),
    "a long code": ({"id": "5", "knativeerrorcode": "9" * 4000}, b""),
    "a code of other digits": ({"id": "6", "knativeerrorcode": "٥٠٣"}, b""),
    "a long text": ({"id": "7", "knativeerrordata": "Ż" * 1000}, b""),
    "a long id": ({"id": "".join(f"{n:x}" for n in range(1200))}, b""),
    "a long destination": ({"id": "8", "knativeerrordest": f"http://{'x' * 5000}.svc/"}, b""),
    "a large body": ({"id": "9"}, b"\xff" * 1_000_000),
}


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.usefixtures("user")
def test_the_sink_accepts_any_request(name: str, admin: Api) -> None:
    attributes, body = NASTY[name]
    before = {letter["id"] for letter in listed(admin, "?limit=200")}

    assert_taken(post(SINK.name, attributes, body))

    [new] = [one for one in listed(admin, "?limit=200") if one["id"] not in before]
    assert new["state"] == "dead"
    assert (new["user_id"], new["seq"]) == (None, None)
    assert shown(admin, new["id"])["body"] == body.decode("utf-8", "replace")


@pytest.mark.usefixtures("user")
def test_the_sink_keeps_headers_as_they_were_sent(admin: Api) -> None:
    """KafkaSource: header values are not percent-encoded, and a literal %41 is no A."""
    headers = {"ce-id": "é?%41", "CE-Type": '"a type"', "ce-": "x", "Content-Type": "text/plain"}

    assert_taken(client_of(SINK.name).post("/", headers=headers, data=b"x"))

    letter = shown(admin, listed(admin, "?limit=1")[0]["id"])
    assert letter["event_id"] == "#é?%41"
    assert letter["attributes"] == {
        "id": "é?%41",
        "type": '"a type"',
        "": "x",
        "datacontenttype": "text/plain",
    }


@pytest.mark.usefixtures("user")
def test_two_dead_letters_without_an_id_are_stored_apart(admin: Api) -> None:
    before = len(listed(admin, "?limit=200"))

    for body in (b"one", b"two", b"two"):
        assert_taken(post(SINK.name, errors_of(CONSUMER), body))

    new = listed(admin, "?limit=200")[: len(listed(admin, "?limit=200")) - before]
    assert {shown(admin, one["id"])["body"] for one in new} == {"one", "two"}


# What is listed


def test_dead_letters_are_listed_newest_first_by_state_and_consumer(
    user: SignedIn, admin: Api
) -> None:
    first, second, third = (a_letter(admin, user) for _ in range(3))
    other = a_letter(admin, user, consumer="a-consumer-that-is-none")
    admin.delete(f"{LETTERS}/{second}")
    admin.post(f"{LETTERS}/{third}/resend")

    def ids(query: str) -> list[str]:
        mine = {first, second, third, other}
        return [one["id"] for one in listed(admin, f"?limit=200{query}") if one["id"] in mine]

    assert ids("") == [other, third, second, first]
    assert ids("&state=dead") == [other, first]
    assert ids("&state=discarded") == [second]
    assert ids("&state=resent") == [third]
    assert ids("&consumer=unknown") == [other]
    assert ids(f"&consumer={CONSUMER}&state=dead") == [first]
    assert ids("&consumer=nobody") == []


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_the_pages_of_dead_letters_hold_all_of_them(user: SignedIn, admin: Api, limit: int) -> None:
    expected = [a_letter(admin, user, consumer=ANOTHER) for _ in range(4)][::-1]
    seen: list[str] = []
    query: str | None = f"?consumer={ANOTHER}&limit={limit}"

    while query:
        page: dict[str, Any] = admin.get(LETTERS + query).json or {}
        seen += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"]
        query = f"?consumer={ANOTHER}&limit={limit}&cursor={cursor}" if cursor else None

    assert seen[:4] == expected
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("limit=0&state=alive", ["/limit", "/state"]),
        ("consumer=%00", ["/consumer"]),
        ("surprise=1", ["/surprise"]),
        ("cursor=garbage", ["/cursor"]),
        (f"cursor={write_cursor('audit', '2026-03-01T12:00:00Z', AN_ID)}", ["/cursor"]),
        (f"cursor={write_cursor('dead', 'yesterday', AN_ID)}", ["/cursor"]),
    ],
)
def test_every_wrong_parameter_of_a_query_is_named(
    admin: Api, query: str, pointers: list[str]
) -> None:
    assert_invalid(admin.get(f"{LETTERS}?{query}"), *pointers)


def test_an_unknown_dead_letter_is_not_found(admin: Api) -> None:
    path = f"{LETTERS}/{uuid4()}"

    for answer in (admin.get(path), admin.delete(path), admin.post(f"{path}/resend")):
        assert_refused(answer, 404, "dead-letter-not-found")


def test_dead_letters_are_shown_only_with_the_permission_to_replay(
    user: SignedIn, admin: Api
) -> None:
    path = f"{LETTERS}/{a_letter(admin, user)}"
    operator = Api(with_token(user, a_token(user.user_id, permissions=["events:replay"])))
    auditor = Api(
        with_token(user, a_token(user.user_id, permissions=["audit:read", "tasks:write"]))
    )

    for refused in (auditor, Api(user)):
        assert_refused(refused.get(LETTERS), 403, "missing-permission")
        assert_refused(refused.get(path), 403, "missing-permission")
        assert_refused(refused.delete(path), 403, "missing-permission")
        assert_refused(refused.post(f"{path}/resend"), 403, "missing-permission")
    assert operator.get(LETTERS).status_code == 200
    assert operator.get(path).status_code == 200
    assert operator.delete(path).status_code == 204


# What is believed


def event_that_both_take(user: SignedIn) -> Event:
    """Complete a task of the user's."""
    path = f"/api/tasks/{a_stored_task(user.user_id).id}/complete"
    assert Api(user).post(path).status_code == 200
    return log_of(user.user_id)[-1]


FORGERIES: dict[str, Callable[[dict[str, str], dict[str, Any]], None]] = {
    "another source": lambda attributes, _: attributes.update(source="/apis/v1#tasks"),
    "no source": lambda attributes, _: attributes.update(source=""),
    "no consumer": lambda attributes, _: attributes.update(knativeerrordest=""),
    "an undeclared consumer": lambda attributes, _: attributes.update(
        knativeerrordest="http://record-audit-entries/"
    ),
    "other data": lambda _, body: body["data"].update(title="forged"),
    "more data": lambda _, body: body["data"].update(forged=True),
    "another version": lambda _, body: body.update(version=7),
    "another time": lambda _, body: body.update(timestamp="2026-03-01T12:00:00Z"),
    "another correlation": lambda _, body: body.update(correlation_id="forged"),
    "another user": lambda _, body: body.update(user_id="somebody-else"),
    "another seq": lambda _, body: body.update(seq=1),
    "another type": lambda attributes, body: (
        attributes.update(type="task.created"),
        body.update(event_type="task.created"),
    )[0],
    "another id": lambda attributes, body: (
        attributes.update(id=AN_ID),
        body.update(event_id=AN_ID),
    )[0],
}


@pytest.mark.parametrize("what", FORGERIES)
def test_an_unverifiable_dead_letter_does_not_stop_a_later_delivery(
    user: SignedIn, admin: Api, set_clock: SetClock, what: str
) -> None:
    event = event_that_both_take(user)
    attributes = {**attributes_of(event), **errors_of(CONSUMER)}
    body: dict[str, Any] = json.loads(event.record_json())
    FORGERIES[what](attributes, body)

    assert_taken(post(SINK.name, attributes, json.dumps(body).encode()))
    letter = listed(admin, "?limit=1")[0]
    reconcile(set_clock)

    assert (letter["user_id"], letter["seq"]) == (None, None)
    assert letter["consumer"] in {CONSUMER, "unknown"}
    assert (user.user_id, event.seq) in requested_redeliveries()


def test_an_unverifiable_dead_letter_does_not_replace_another(user: SignedIn, admin: Api) -> None:
    letter_id = a_letter(admin, user)
    event = log_of(user.user_id)[-1]
    before = shown(admin, letter_id)

    assert_taken(post(SINK.name, {**attributes_of(event), **errors_of(CONSUMER)}, b"forged"))

    forged = listed(admin, "?limit=1")[0]
    assert forged["event_id"] == f"/taskflow#{event.event_id}"
    assert forged["user_id"] is None
    assert shown(admin, letter_id) == before


def test_a_dead_letter_of_a_type_that_its_consumer_does_not_take_is_unverifiable(
    user: SignedIn, admin: Api
) -> None:
    [event] = log_of(user.user_id)

    give_up(event, ANOTHER)

    letter = listed(admin, "?limit=1")[0]
    assert (letter["consumer"], letter["user_id"]) == (ANOTHER, None)


def test_a_dead_letter_of_the_same_event_written_otherwise_is_the_same(
    user: SignedIn, admin: Api
) -> None:
    [event] = log_of(user.user_id)
    spaced = json.dumps(json.loads(event.record_json()), indent=1, sort_keys=True)

    assert_taken(post(SINK.name, {**attributes_of(event), **errors_of(CONSUMER)}, spaced.encode()))

    letter = listed(admin, "?limit=1")[0]
    assert (letter["user_id"], letter["seq"]) == (user.user_id, 1)


@pytest.mark.usefixtures("user")
def test_records_of_two_topics_at_one_offset_are_two_dead_letters(admin: Api) -> None:
    place = {"id": "partition:0/offset:0", "type": "dev.knative.kafka.event", **errors_of(CONSUMER)}

    for topic in ("tasks.events", "reminders.events", "tasks.events"):
        source = f"/apis/v1/namespaces/taskflow/kafkasources/audit#{topic}"
        assert_taken(post(SINK.name, {**place, "source": source}, b"no event"))

    newest, older = listed(admin, "?limit=2")
    assert (newest["deaths"], older["deaths"]) == (2, 1)
    assert older["event_id"].endswith("audit#reminders.events#partition:0/offset:0")


@pytest.mark.usefixtures("user")
def test_records_at_one_place_of_different_times_are_two_dead_letters(admin: Api) -> None:
    """As after a broker has lost its data, and begins with offset 0 again."""
    source = "/apis/v1/namespaces/taskflow/kafkasources/audit#lost"
    place = {"id": "partition:0/offset:0", "source": source, **errors_of(CONSUMER)}

    for day in ("2026-03-01", "2026-03-02", "2026-03-01"):
        record = {**place, "type": "dev.knative.kafka.event", "time": f"{day}T09:00:00Z"}
        assert_taken(post(SINK.name, record, b"no event"))

    newest, older = listed(admin, "?limit=2")
    assert (newest["deaths"], older["deaths"]) == (2, 1)


@pytest.mark.usefixtures("user")
def test_long_ids_that_begin_alike_are_two_dead_letters(admin: Api) -> None:
    for end in ("a", "b"):
        assert_taken(post(SINK.name, {"id": "x" * 1000 + end, "source": "/long"}, b""))

    newest, older = listed(admin, "?limit=2")
    assert newest["event_id"] != older["event_id"]
    assert {len(one["event_id"]) for one in (newest, older)} == {255}


def test_unverifiable_dead_letters_are_kept_up_to_a_number_and_a_size(
    user: SignedIn, admin: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = a_letter(admin, user)
    monkeypatch.setattr(dead_letter_store, "UNCHECKED_MAX", 5)
    monkeypatch.setattr(dead_letter_store, "UNCHECKED_MAX_BYTES", 10_000)

    def kept_after(ids: Sequence[str], body: bytes) -> list[str]:
        for one in ids:
            assert_taken(post(SINK.name, {"id": one, "source": "/flood"}, body))
        return [one["event_id"] for one in listed(admin, "?limit=200") if not one["user_id"]]

    small = kept_after([f"{number}" for number in range(8)], b"x")
    large = kept_after(["a", "b", "c"], b"x" * 3_000)
    alone = kept_after(["d"], b"x" * 20_000)

    assert small == [f"/flood#{number}" for number in (7, 6, 5, 4, 3)]
    assert large[:3] == ["/flood#c", "/flood#b", "/flood#a"]
    assert alone == ["/flood#d"]
    assert shown(admin, checked)["state"] == "dead"


@pytest.mark.usefixtures("user")
def test_the_attributes_of_a_dead_letter_are_kept_up_to_a_number_and_a_length(admin: Api) -> None:
    many = {f"x{number:03}": "y" * 5000 for number in range(100)}

    assert_taken(post(SINK.name, {"id": "many", **many}, b""))

    kept = shown(admin, listed(admin, "?limit=1")[0]["id"])["attributes"]
    assert len(kept) == 64
    assert {len(value) for name, value in kept.items() if name != "id"} == {2048}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("", ""),
        (b"the mail server is away", "the mail server is away"),
        ("the mail server is away", "the mail server is away"),
        ("Zażółć".encode(), "Zażółć"),
        ("Zażółć".encode()[:-1], "Zażół"),
        (b"a\0b", "a\ufffdb"),
        ("failed", "failed"),
        ("test", "test"),
        ("not now", "not now"),
        (b"\xff\xfe\xfd", "//79"),
        ("not base64, but it ends so=", "not base64, but it ends so="),
        (b"x" * 1024, "x" * 1024),
        (b"x" * 5000, "x" * 1024),
        ("x " * 2000, "x " * 512),
    ],
    ids=lambda value: f"{value!r:.30}{len(value)}",
)
@pytest.mark.usefixtures("user")
def test_the_failure_of_a_dead_letter_is_read_in_base64_or_plain(
    admin: Api, data: str | bytes, text: str
) -> None:
    written = data if isinstance(data, str) else b64encode(data).decode()

    attributes = {"id": str(uuid4()), **errors_of(CONSUMER, text=written)}
    assert_taken(post(SINK.name, attributes, b""))

    assert listed(admin, "?limit=1")[0]["error_text"] == text


# Sending again, and giving up


def test_a_dead_letter_is_resent(user: SignedIn, admin: Api) -> None:
    letter_id = a_letter(admin, user)

    answer = admin.post(f"{LETTERS}/{letter_id}/resend")

    assert answer.status_code == 202
    assert answer.json == {**shown_summary(admin, letter_id), "state": "resent"}
    assert requested_redeliveries().count((user.user_id, 2)) == 1


def shown_summary(admin: Api, letter_id: str) -> dict[str, Any]:
    return {name: value for name, value in shown(admin, letter_id).items() if name in SUMMARY}


@pytest.mark.parametrize("old", old_events(), ids=lambda old: old.written_on)
def test_a_dead_letter_of_an_event_in_an_old_shape_is_resent(
    user: SignedIn, admin: Api, old: OldEvents
) -> None:
    before = len(log_of(user.user_id))
    append(*(_again(record, user.user_id) for record in old.events))
    written = log_of(user.user_id)[before:]

    for event in written:
        give_up(event, CONSUMER)
        [letter] = listed(admin, "?limit=1")

        assert (letter["user_id"], letter["seq"]) == (user.user_id, event.seq)
        assert admin.post(f"{LETTERS}/{letter['id']}/resend").status_code == 202
    mine = [seq for user_id, seq in requested_redeliveries() if user_id == user.user_id]
    assert mine == [event.seq for event in written]


def _again(record: Mapping[str, Any], user_id: str) -> NewEvent:
    """Make an event of another user that says the same."""
    return NewEvent(
        event_type=EventType(record["event_type"]),
        user_id=user_id,
        aggregate_id=record["aggregate_id"],
        version=record["version"],
        timestamp=parse_rfc3339(record["timestamp"]),
        data=record["data"],
    )


def test_a_dead_letter_of_an_event_in_a_newer_shape_is_resent(
    user: SignedIn, admin: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    letter_id = a_letter(admin, user)

    assert admin.post(f"{LETTERS}/{letter_id}/resend").status_code == 202


def test_a_discarded_dead_letter_can_still_be_shown(user: SignedIn, admin: Api) -> None:
    letter_id = a_letter(admin, user)

    answer = admin.delete(f"{LETTERS}/{letter_id}")

    assert (answer.status_code, answer.data) == (204, b"")
    assert shown(admin, letter_id)["state"] == "discarded"
    assert (user.user_id, 2) not in requested_redeliveries()


@pytest.mark.parametrize("first", ["resend", "discard"])
@pytest.mark.parametrize("second", ["resend", "discard"])
def test_a_settled_dead_letter_is_not_settled_again(
    user: SignedIn, admin: Api, first: str, second: str
) -> None:
    path = f"{LETTERS}/{a_letter(admin, user)}"
    settle = {
        "resend": lambda: admin.post(f"{path}/resend"),
        "discard": lambda: admin.delete(path),
    }
    assert settle[first]().status_code in {202, 204}
    before = admin.get(path).text

    answer = settle[second]()

    assert_refused(answer, 409)
    assert admin.get(path).text == before


def test_one_of_many_simultaneous_requests_settles_a_dead_letter(
    user: SignedIn, admin: Api
) -> None:
    path = f"{LETTERS}/{a_letter(admin, user)}"

    def settle(number: int) -> int:
        answer = admin.post(f"{path}/resend") if number % 2 else admin.delete(path)
        return answer.status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(settle, range(8)))

    assert statuses[0] in {202, 204}
    assert statuses[1:] == [409] * 7


def test_a_repeated_resend_with_a_key_is_answered_again_and_done_once(
    user: SignedIn, admin: Api
) -> None:
    path = f"{LETTERS}/{a_letter(admin, user)}/resend"
    key = {"Idempotency-Key": f'"{uuid4()}"'}

    answers = [admin.post(path, headers=key) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json == answers[1].json
    assert requested_redeliveries().count((user.user_id, 2)) == 1


def test_a_resent_dead_letter_that_fails_again_is_dead_again(user: SignedIn, admin: Api) -> None:
    letter_id = a_letter(admin, user)
    admin.post(f"{LETTERS}/{letter_id}/resend")

    give_up(log_of(user.user_id)[-1], CONSUMER)

    letter = shown(admin, letter_id)
    assert (letter["state"], letter["deaths"]) == ("dead", 2)
    assert admin.post(f"{LETTERS}/{letter_id}/resend").status_code == 202


def test_a_dead_letter_that_is_no_event_of_the_log_cannot_be_resent(
    user: SignedIn, admin: Api
) -> None:
    [event] = log_of(user.user_id)
    another = str(uuid4())
    forged = attributes_of(event) | {"id": another} | errors_of(CONSUMER)
    body = event.record_json().replace(str(event.event_id), another).encode()
    assert_taken(post(SINK.name, forged, body))
    letter_of_forged = listed(admin, "?limit=1")[0]
    assert_taken(post(SINK.name, {"id": str(uuid4()), **errors_of(CONSUMER)}, b"no event"))
    letter_of_nothing = listed(admin, "?limit=1")[0]

    for letter in (letter_of_forged, letter_of_nothing):
        answer = admin.post(f"{LETTERS}/{letter['id']}/resend")

        assert_refused(answer, 409, "not-an-event-of-ours")
        assert shown(admin, letter["id"])["state"] == "dead"
    assert (user.user_id, 1) not in requested_redeliveries()


def test_dead_letters_are_kept_for_ninety_days(
    user: SignedIn, admin: Api, set_clock: SetClock
) -> None:
    letter_id = a_letter(admin, user)
    received = clock.now()

    set_clock(received + timedelta(days=90) - timedelta(minutes=1))
    tick("purge-expired")
    kept = letter_id in _all_ids()
    set_clock(received + timedelta(days=90) + timedelta(minutes=1))
    tick("purge-expired")

    assert kept
    assert letter_id not in _all_ids()


def _all_ids() -> set[str]:
    with transaction(A_CAUSE) as tx:
        found = dead_letter_store.list_of(tx, state=None, consumer=None, after=None, limit=1000)
    return {str(letter.id) for letter in found}
