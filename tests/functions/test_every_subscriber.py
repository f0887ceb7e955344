"""What every subscriber promises, checked over all of them (E5)."""

import io
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, TYPE_CHECKING
from uuid import uuid4

import pytest
from gunicorn.http.errors import ChunkMissingTerminator, InvalidChunkSize, NoMoreData
from sqlalchemy import text
from werkzeug.test import Client, EnvironBuilder, TestResponse
from werkzeug.wrappers import Response

from taskflow.domain.cloudevents import attributes_of
from taskflow.domain.events import Event, EventType
from taskflow.domain.tasks import (
    DESCRIPTION_MAX_CHARS,
    METADATA_MAX_BYTES,
    TAG_MAX_CHARS,
    TAGS_MAX,
    TITLE_MAX_CHARS,
)
from taskflow.eventing import subscriptions
from taskflow.eventing.bindings.knative import headers_of
from taskflow.eventing.consumer import Consumer
from taskflow.eventing.frame import BODY_MAX_BYTES
from taskflow.serving import health
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import transaction
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user, an_administrator
from tests.support.data.builders import log_of
from tests.support.database.connection import NOWHERE, database_at
from tests.support.database.snapshot import assert_nothing_changed, snapshot
from tests.support.database.temporary import a_database
from tests.support.delivery.subscribers import (
    CONSUMERS,
    CRONS,
    SINK,
    SUBSCRIBERS,
    assert_refused_for_good,
    assert_taken,
    client_of,
    deliver,
    post,
    tick,
)
from tests.support.functions.client import Api, all_functions, content
from tests.support.functions.problems import assert_refused
from tests.support.outbound.giving_up import rejected_outside
from tests.support.settings import changed_settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


IN_CHUNKS = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}

each_subscriber = pytest.mark.parametrize("name", sorted(SUBSCRIBERS))
each_consumer = pytest.mark.parametrize("consumer", CONSUMERS, ids=lambda one: one.name)
each_cron = pytest.mark.parametrize("name", [cron.name for cron in CRONS])


@pytest.fixture(scope="module", autouse=True)
def _own_database(database: EmbeddedPostgres) -> Generator[None]:
    """Use a database without other writers, so that all of it can be compared."""
    with a_database(database):
        yield


@pytest.fixture(scope="module")
def log(_own_database: None) -> list[Event]:
    """Return events of every type, from the history of a user and the end of another's."""
    user = a_user()
    api = Api(user)
    path = f"/api/tasks/{content(api.post('/api/tasks', {'title': 'Buy milk'}))['id']}"
    api.patch(path, {"title": "Buy bread"})
    api.put(f"{path}/due-date", {"due_date": "2026-05-01T09:00:00Z"})
    api.post(f"{path}/complete")
    api.post(f"{path}/complete", {"completed": False})
    Api(an_administrator()).post(
        path.replace("/api/", "/api/admin/") + "/correct", {"priority": "low"}
    )
    api.delete(path)
    api.post(f"{path}/restore")
    api.put("/api/settings", {"timezone": "Europe/Warsaw", "notification_channels": ["email"]})
    _recur_and_remind(api)
    found = [*log_of(user.user_id), *_log_of_a_deleted_account()]
    assert {event.event_type for event in found} == {event_type.value for event_type in EventType}
    return found


def _log_of_a_deleted_account() -> Sequence[Event]:
    """Register somebody and delete their account; return the event that is left."""
    account = {"email": f"{uuid4()}@example.com", "password": "a long password"}
    signed_in = content(Api().post("/api/auth/register", account))
    user = SignedIn(signed_in["user"]["id"], account["email"], signed_in["access_token"])
    password = {"password": account["password"]}
    assert Api(user).delete("/api/{user_id}/account", json=password).status_code == 204
    return log_of(user.user_id)


def _recur_and_remind(api: Api) -> None:
    """Have occurrences created, reminders sent and notifications read."""
    recurrence = {"recurrence_rule": "FREQ=DAILY", "mode": "after_completion"}
    due = {"due_date": "2126-05-01T09:00:00Z", "reminders": [{"before_due": "PT1H"}]}
    task = content(api.post("/api/tasks", {"title": "Water", "recurrence": recurrence, **due}))
    path = f"/api/tasks/{task['id']}"
    api.post(f"{path}/complete")
    [completed] = [
        event
        for event in log_of(task["user_id"])
        if event.aggregate_id == task["id"] and event.event_type == "task.completed"
    ]
    assert_taken(deliver("spawn-next-occurrence", completed))
    api.post(f"{path}/complete", {"completed": False})
    api.delete(f"{path}/recurrence")
    [pending, _] = content(api.get("/api/reminders/pending"))["items"]
    api.post(f"/api/reminders/{pending['id']}/snooze", {"until": "2127-01-01T00:00:00Z"})
    api.delete(f"/api/reminders/{pending['id']}")
    api.post(f"{path}/reminders", {"remind_at": "2026-01-01T00:00:00Z"})
    [notification] = content(api.get("/api/notifications"))["items"]
    api.post(f"/api/notifications/{notification['id']}/read")
    [triggered] = [
        event for event in log_of(task["user_id"]) if event.event_type == "reminder.triggered"
    ]
    rejected_outside(triggered)


@pytest.fixture
def fresh(log: list[Event]) -> list[Event]:
    """Return events like those of the log, of a user without any delivery."""
    del log
    user = a_user()
    recurrence = {"recurrence_rule": "FREQ=DAILY", "mode": "after_completion"}
    draft = {"title": "Buy milk", "recurrence": recurrence}
    task = content(Api(user).post("/api/tasks", draft))
    Api(user).post(f"/api/tasks/{task['id']}/reminders", {"remind_at": "2026-01-01T00:00:00Z"})
    Api(user).post(f"/api/tasks/{task['id']}/complete")
    return list(log_of(user.user_id))


def _taken(name: str, happened: Sequence[Event]) -> Event:
    """Return the first event that a subscriber takes."""
    subscriber = SUBSCRIBERS[name]
    types = subscriber.types if isinstance(subscriber, Consumer) else {*EventType}
    return next(event for event in happened if event.event_type in types)


# Deliveries


@each_consumer
def test_a_delivery_is_answered_with_204_and_nothing(consumer: Consumer, log: list[Event]) -> None:
    for event in log:
        assert_taken(deliver(consumer.name, event))


@each_consumer
def test_a_second_delivery_changes_nothing(consumer: Consumer, log: list[Event]) -> None:
    for event in log:
        deliver(consumer.name, event)
    before = snapshot()

    for event in [*log, *reversed(log)]:
        assert_taken(deliver(consumer.name, event))

    assert_nothing_changed(before)


@each_consumer
def test_a_replayed_event_changes_nothing_for_who_has_had_it(
    consumer: Consumer, log: list[Event]
) -> None:
    for event in log:
        deliver(consumer.name, event)
    before = snapshot()

    for event in log:
        assert_taken(deliver(consumer.name, event, replay=str(uuid4())))

    assert_nothing_changed(before)


@each_consumer
def test_a_replayed_event_without_a_claim_adds_at_most_an_entry_of_the_audit(
    consumer: Consumer, fresh: list[Event]
) -> None:
    before = snapshot()

    for event in fresh:
        assert_taken(deliver(consumer.name, event, replay=str(uuid4())))

    after = snapshot()
    changed = {name for name, rows in after.items() if rows != before[name]} - {"consumers"}
    is_audit = consumer.name == "record-audit-entry"
    assert changed == ({"audit_entries", "claims"} if is_audit else set())


@each_consumer
def test_deliveries_at_the_same_time_have_the_effect_once(
    consumer: Consumer, fresh: list[Event]
) -> None:
    event = _taken(consumer.name, fresh)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(deliver, [consumer.name] * 16, [event] * 16))

    for answer in answers:
        assert_taken(answer)
    before = snapshot()
    assert [row for row in before["claims"] if str(event.event_id) in row and consumer.name in row]
    assert_taken(deliver(consumer.name, event))
    assert_nothing_changed(before)


@each_consumer
def test_a_delivery_with_the_further_attributes_of_kafka_is_taken(
    consumer: Consumer, fresh: list[Event]
) -> None:
    extensions = {"knativekafkapartition": "3", "knativekafkaoffset": "12", "key": "somebody"}

    assert_taken(deliver(consumer.name, _taken(consumer.name, fresh), **extensions))


@each_consumer
def test_a_type_that_is_not_taken_is_answered_with_204_and_leaves_no_trace(
    consumer: Consumer, fresh: list[Event]
) -> None:
    event = replace(fresh[0], event_type="something.else")
    before = snapshot()

    assert_taken(deliver(consumer.name, event))

    assert_nothing_changed(before)


@each_consumer
@pytest.mark.parametrize(
    "changed",
    [
        {"specversion": ""},
        {"specversion": "0.3"},
        {"id": ""},
        {"id": "another"},
        {"type": ""},
        {"type": "dev.knative.kafka.event"},
        {"source": ""},
    ],
    ids=str,
)
def test_a_malformed_delivery_is_refused_and_leaves_no_trace(
    consumer: Consumer, fresh: list[Event], changed: dict[str, str]
) -> None:
    before = snapshot()

    assert_refused_for_good(deliver(consumer.name, fresh[0], **changed))

    assert_nothing_changed(before)


@each_consumer
@pytest.mark.parametrize(
    "body",
    [b" ", b"{}", b"\xff", b"[" * 100_000, b'{"user_id":"\\u0000"}', b"x" * BODY_MAX_BYTES],
    ids=lambda body: repr(body[:8]),
)
def test_a_body_that_is_no_event_is_refused_and_leaves_no_trace(
    consumer: Consumer, fresh: list[Event], body: bytes
) -> None:
    before = snapshot()

    assert_refused_for_good(post(consumer.name, attributes_of(fresh[0]), body))

    assert_nothing_changed(before)


@each_consumer
def test_an_event_whose_numbers_no_database_holds_is_refused(
    consumer: Consumer, fresh: list[Event]
) -> None:
    event = replace(fresh[0], seq=10**30)

    assert_refused_for_good(deliver(consumer.name, event))


def test_an_event_that_the_domain_refuses_is_refused_and_not_claimed(fresh: list[Event]) -> None:
    forged = replace(fresh[0], event_id=uuid4())
    elsewhere = replace(fresh[0], user_id="nobody at all")
    before = snapshot()

    for event in (forged, elsewhere):
        assert_refused_for_good(deliver("record-audit-entry", event))

    assert_nothing_changed(before)


@each_subscriber
def test_while_the_database_is_away_deliveries_are_wanted_again(
    name: str, fresh: list[Event]
) -> None:
    # With a Kafka there is something to publish; it is not asked.
    with database_at(NOWHERE), changed_settings(kafka_bootstrap_servers=("127.0.0.1:9",)):
        answer = deliver(name, _taken(name, fresh))

    assert answer.status_code == 503
    assert answer.headers["Retry-After"]


@each_consumer
def test_a_consumer_answers_the_same_without_its_app(
    consumer: Consumer, fresh: list[Event]
) -> None:
    past = Client(consumer.serve, use_cookies=False)
    event = _taken(consumer.name, fresh)
    attributes, body = attributes_of(event), event.record_json().encode()
    named_otherwise = headers_of({**attributes, "id": "🐘"})
    statuses: list[int] = []

    for method, path, headers, data in (
        ("POST", "/", headers_of(attributes), body),
        ("POST", "/", named_otherwise, body),
        ("POST", "/", headers_of(attributes), b""),
        ("GET", "/", {}, b""),
        ("GET", "/health/liveness", {}, b""),
    ):
        one, other = (
            client.open(path, method=method, headers=headers, data=data)
            for client in (client_of(consumer.name), past)
        )
        assert (one.status_code, one.data) == (other.status_code, other.data)
        assert dict(one.headers) == dict(other.headers)
        statuses.append(other.status_code)

    assert statuses == [204, 400, 503, 405, 200]


# Bodies


def _sent(app: "WSGIApplication", body: IO[bytes], **environ: object) -> Response:
    builder = EnvironBuilder(method="POST")
    return Response.from_app(app, {**builder.get_environ(), "wsgi.input": body, **environ})


def _with_and_without_app(name: str) -> "list[WSGIApplication]":
    """Return a subscriber with its app, as the cluster calls it, and without."""
    [app] = [function.app for function in all_functions() if function.name == name]
    return [app, SUBSCRIBERS[name].serve]


@each_subscriber
def test_a_body_over_the_limit_is_refused_unread_and_leaves_no_trace(name: str) -> None:
    before = snapshot()

    for app in _with_and_without_app(name):
        body = io.BytesIO(b"x" * 20)
        for length in (BODY_MAX_BYTES + 2, 20_000_000, 10**17):
            answer = _sent(app, body, CONTENT_LENGTH=str(length))

            assert (answer.status_code, body.tell()) == (413, 0)
            assert str(BODY_MAX_BYTES) in answer.get_data(as_text=True)
        whole = io.BytesIO(b"x" * (BODY_MAX_BYTES + 1))
        assert _sent(app, whole, CONTENT_LENGTH=str(BODY_MAX_BYTES + 1)).status_code == 413

    assert_nothing_changed(before)


@each_subscriber
def test_a_body_in_chunks_is_read_up_to_the_limit(name: str) -> None:
    before = snapshot()

    for app in _with_and_without_app(name):
        body = io.BytesIO(b"x" * 3 * BODY_MAX_BYTES)
        answer = _sent(app, body, **IN_CHUNKS)

        assert answer.status_code == 413
        assert body.tell() <= BODY_MAX_BYTES + 64 * 1024

    assert_nothing_changed(before)


@each_subscriber
def test_a_body_that_is_cut_off_is_wanted_again_and_leaves_no_trace(
    name: str, fresh: list[Event]
) -> None:
    """A source reads "never" from 400, and the event, which is as it should be, would be dead."""
    whole = _taken(name, fresh).record_json().encode()
    before = snapshot()

    for app in _with_and_without_app(name):
        for come in (b"", whole[:1], whole[:-1]):
            answer = _sent(app, io.BytesIO(come), CONTENT_LENGTH=str(len(whole)))

            assert_wanted_again(answer)

    assert_nothing_changed(before)


class _Failing(io.RawIOBase):
    """A body whose reading fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def readable(self) -> bool:
        return True

    def readinto(self, _buffer: object) -> int:
        raise self._error


@each_subscriber
@pytest.mark.parametrize(
    ("error", "closes"),
    [
        (TimeoutError(), True),
        (ConnectionResetError(), False),
        (NoMoreData(), False),
        (InvalidChunkSize(b"zz"), True),
        (ChunkMissingTerminator(b"x"), True),
    ],
    ids=repr,
)
def test_a_body_that_the_server_cannot_read_is_wanted_again(
    name: str,
    error: Exception,
    closes: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    before = snapshot()

    for app in _with_and_without_app(name):
        answer = _sent(app, io.BufferedReader(_Failing(error)), **IN_CHUNKS)

        assert_wanted_again(answer)
        assert ("Connection" in answer.headers) == closes

    assert_nothing_changed(before)


@each_consumer
def test_an_event_whose_body_was_lost_is_wanted_again_and_a_whole_one_that_is_none_is_not(
    consumer: Consumer, fresh: list[Event]
) -> None:
    event = _taken(consumer.name, fresh)
    attributes, body = attributes_of(event), event.record_json().encode()
    before = snapshot()

    for app in _with_and_without_app(consumer.name):
        client = Client(app, use_cookies=False)

        def send(data: bytes, client: Client = client) -> TestResponse:
            return client.post("/", headers=headers_of(attributes), data=data)

        assert_wanted_again(send(b""))
        for whole in (b" ", b"{", body[:-1], body + b"}"):
            assert_refused_for_good(send(whole))

    assert_nothing_changed(before)
    assert_taken(post(consumer.name, attributes, body))


def assert_wanted_again(answer: Response) -> None:
    """Check that the answer to a delivery has every source deliver it again."""
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert answer.get_data()


@each_consumer
def test_an_event_in_chunks_is_taken(consumer: Consumer, fresh: list[Event]) -> None:
    event = _taken(consumer.name, fresh)
    named = {
        "HTTP_" + name.upper().replace("-", "_"): value
        for name, value in headers_of(attributes_of(event)).items()
    }

    for app in _with_and_without_app(consumer.name):
        body = io.BytesIO(event.record_json().encode())
        answer = _sent(app, body, **named, **IN_CHUNKS)
        assert (answer.status_code, answer.data) == (204, b"")


def test_the_largest_event_is_half_the_limit_at_most_and_is_taken() -> None:
    api = Api(a_user())
    task = content(api.post("/api/tasks", {"title": "\x01" * 255}))
    assert api.user is not None
    for kind in ("\x01", "\x02"):
        largest: dict[str, object] = {
            "title": kind * TITLE_MAX_CHARS,
            "description": kind * DESCRIPTION_MAX_CHARS,
            "tags": [f"{number:02}" + kind * (TAG_MAX_CHARS - 2) for number in range(TAGS_MAX)],
            "metadata": {"of-" + kind: "x" * (METADATA_MAX_BYTES - 16), "of-\x01": None},
        }
        changed = api.patch(f"/api/tasks/{task['id']}", largest)
        assert changed.status_code == 200, changed.text

    event = log_of(api.user.user_id)[-1]

    # Three times: as it is, as it was, and as it became.
    size = len(event.record_json().encode())
    assert 3 * (6 * DESCRIPTION_MAX_CHARS + METADATA_MAX_BYTES) < size < BODY_MAX_BYTES / 2
    assert_taken(deliver("record-audit-entry", event))


# Ticks


@each_cron
def test_a_tick_is_answered_with_204_and_nothing(name: str) -> None:
    assert_taken(tick(name))


@each_cron
def test_a_second_tick_changes_nothing(name: str, fresh: list[Event]) -> None:
    del fresh
    tick(name)
    before = snapshot()

    assert_taken(tick(name))

    assert_nothing_changed(before)


@each_cron
def test_a_cron_function_runs_whatever_its_tick_says(name: str) -> None:
    assert_taken(client_of(name).post("/"))
    assert_taken(client_of(name).post("/", headers={"ce-id": "\xff" * 5000}, data=b"\xff" * 5000))


# Health, methods, and who can reach them


@each_subscriber
@pytest.mark.parametrize("path", ["/health", "/health/liveness", "/health/readiness", "/metrics"])
def test_a_subscriber_answers_its_health_paths(name: str, path: str) -> None:
    assert client_of(name).get(path).status_code == 200


@each_subscriber
def test_a_subscriber_without_a_database_is_live_and_ready_and_not_healthy(name: str) -> None:
    """One outage would else make every pod unready, and deliveries wait without an answer (D7)."""
    with database_at(NOWHERE), health.database.renewed():
        statuses = [
            client_of(name).get(path).status_code
            for path in ("/health/liveness", "/health/readiness", "/health")
        ]

    assert statuses == [200, 200, 503]


@each_subscriber
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_than_post_are_refused(name: str, method: str) -> None:
    answer = client_of(name).open("/", method=method)

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"


@each_subscriber
def test_a_client_of_the_api_cannot_reach_a_subscriber(name: str, fresh: list[Event]) -> None:
    headers = headers_of(attributes_of(fresh[0]))
    body = fresh[0].record_json().encode()
    administrator = an_administrator()
    before = snapshot()

    refusals: dict[str, tuple[int, str]] = dict.fromkeys(
        (f"/{name}", f"/{name}/", f"/api/{name}", f"/consumers/{name}/"), (404, "no-such-path")
    )
    # Where a subscriber is reached that is alone in its process, there is the dashboard.
    refusals["/"] = (405, "method-not-allowed")
    for path, (status, kind) in refusals.items():
        for asking in (None, administrator):
            answer = Api(asking).request("POST", path, headers=headers, data=body)

            assert_refused(answer, status, kind)

    assert_nothing_changed(before)


# What others know of them


def test_the_subscriptions_equal_the_declarations_of_the_function_folders() -> None:
    declared = subscriptions.declared()

    assert {name: (one.types, one.topics, one.starts) for name, one in declared.items()} == {
        one.name: (one.types, one.topics, one.starts) for one in CONSUMERS
    }


def test_exactly_one_function_is_the_dead_letter_sink() -> None:
    assert SINK.name == "store-dead-letter"


def test_a_subscriber_counts_the_outcomes_of_its_deliveries(
    fresh: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "CACHED_FOR_S", 0)
    name = "record-audit-entry"

    def counted(outcome: str) -> float:
        text = client_of(name).get("/metrics").text
        line = f'taskflow_consumed_events_total{{consumer="{name}",outcome="{outcome}"}} '
        return float(text.partition(line)[2].partition("\n")[0] or 0)

    outcomes = ("done", "duplicate", "not-taken", "refused", "later")
    before = [counted(outcome) for outcome in outcomes]
    deliver(name, fresh[0])
    deliver(name, fresh[0])
    deliver(name, replace(fresh[0], event_type="something.else"))
    deliver(name, fresh[0], id="another")
    with database_at(NOWHERE):
        deliver(name, fresh[0])

    assert [counted(outcome) for outcome in outcomes] == [count + 1 for count in before]


def test_an_effect_that_fails_leaves_no_claim_and_is_wanted_again(fresh: list[Event]) -> None:
    before = snapshot()
    with _refusing_rows("audit_entries"):
        failed = deliver("record-audit-entry", fresh[0])
    assert_nothing_changed(before)

    answer = deliver("record-audit-entry", fresh[0])

    assert failed.status_code == 503
    assert_taken(answer)
    assert len(snapshot()["audit_entries"]) == len(before["audit_entries"]) + 1


@contextmanager
def _refusing_rows(table: str) -> Generator[None]:
    _run(f"ALTER TABLE {table} ADD CONSTRAINT nothing CHECK (false) NOT VALID")
    yield
    _run(f"ALTER TABLE {table} DROP CONSTRAINT nothing")


def _run(statement: str) -> None:
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text(statement))
