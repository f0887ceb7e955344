"""The whole system with a Kafka: what it publishes, with no request waiting (E3-E5, E8, L5)."""

import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from cloudevents.kafka import (
    KafkaMessage,
    from_binary,  # pyright: ignore[reportUnknownVariableType] - the SDK leaves a type open
)
from confluent_kafka import Message, Producer

from taskflow import clock
from taskflow.standalone.kafka_events import ATTRIBUTE_MAX_BYTES
from tests.support.data.accounts import SignedIn, an_administrator
from tests.support.database.connection import database_of
from tests.support.delivery.subscribers import assert_taken, tick
from tests.support.kafka.broker import PASSWORD, USER, Broker, quiet_settings
from tests.support.kafka.topics import Topics, all_messages_in
from tests.support.load.chaos import JWT_SECRET
from tests.support.network.remote_api import RemoteApi, a_new_user
from tests.support.network.remote_audit import RemoteAudit
from tests.support.network.sockets import ResumingClient, seqs
from tests.support.polling import eventually
from tests.support.processes.command_line import taskflow
from tests.support.processes.roles import consumers_workers, delivery, wait_for
from tests.support.processes.system import System

TASKS, REMINDERS, DEAD_LETTERS = "tasks.events", "reminders.events", "dead-letters"
CONSUMER = "record-audit-entry"
SOON_S = 30
PROMPTLY_S = 10
UNDELAYED_S = 2.0
"""Of a request on a machine with two busy cores; waiting for Kafka takes ten seconds at least."""

STOPPED_WITHIN_S = 9.0
AN_EVENT = {
    "event_id",
    "event_type",
    "user_id",
    "aggregate_id",
    "timestamp",
    "correlation_id",
    "data",
    "version",
    "schema_version",
    "seq",
}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Generator[Broker]:
    started = Broker(tmp_path_factory.mktemp("kafka"), secured=True)
    started.start()
    yield started
    started.kill()


@pytest.fixture(scope="module")
def system(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Generator[System]:
    """Run a system that speaks to Kafka over TLS, by name and password."""
    secrets = over_tls(broker)
    made = taskflow("topics", **secrets)
    assert made.returncode == 0, made.stderr
    running = System(
        tmp_path_factory.mktemp("system") / "data",
        JWT_SECRET=JWT_SECRET,
        LOG_LEVEL="info",
        WEB_CONCURRENCY="1",
        **secrets,
    )
    running.start()
    yield running
    running.kill()


@pytest.fixture(scope="module")
def administrator(system: System) -> SignedIn:
    """Open an administrator's account, whose event shows that consumers are being delivered to."""
    with database_of(system):
        opened = an_administrator()
    wait_until_audited(system, opened, opened, 1)
    return opened


@pytest.fixture
def user(system: System) -> SignedIn:
    return a_new_user(system)


@pytest.fixture
def prepare(tmp_path: Path) -> Generator[Callable[..., System]]:
    """Return a function that prepares a system, which the test starts."""
    prepared: list[System] = []

    def a_system(**settings: str) -> System:
        data = tmp_path / f"data-{len(prepared)}"
        prepared.append(System(data, JWT_SECRET=JWT_SECRET, LOG_LEVEL="info", **settings))
        return prepared[-1]

    yield a_system
    for each in prepared:
        each.kill()


def over_tls(broker: Broker, mechanism: str = "SCRAM-SHA-256") -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": broker.tls_bootstrap_servers,
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SSL_CA_LOCATION": str(broker.ca_file),
        "KAFKA_SASL_MECHANISM": mechanism,
        "KAFKA_SASL_USERNAME": USER,
        "KAFKA_SASL_PASSWORD": PASSWORD,
    }


def in_clear(broker: Broker, password: str = PASSWORD) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": broker.sasl_bootstrap_servers,
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": USER,
        "KAFKA_SASL_PASSWORD": password,
    }


FOLLOWING, NOT_FOLLOWING = "following Kafka", "Kafka brings nothing; following the log"


def log_messages(system: System, level: str = "") -> list[str]:
    """Return the messages in the log of a system, of one level or of all."""
    lines = [line for line in system.log.read_text().splitlines() if line.startswith("{")]
    found = [json.loads(line) for line in lines]
    return [line["message"] for line in found if level in {"", line["level"]}]


def wait_for_log_message(system: System, what: str) -> None:
    def check() -> None:
        assert any(what in message for message in log_messages(system)), log_messages(system)[-100:]

    eventually(check, within_s=SOON_S)


def wait_until_it_follows_kafka(system: System) -> None:
    eventually(lambda: _check_it_follows_kafka(system), within_s=SOON_S)


def create_until_it_follows_kafka(system: System, remote: RemoteApi) -> int:
    """Create tasks until one of their events was brought by Kafka; return how many."""
    count = 0

    def check() -> None:
        nonlocal count
        remote.create("More")
        count += 1
        eventually(lambda: _check_it_follows_kafka(system), within_s=0.3)

    eventually(check, within_s=SOON_S)
    return count


def _check_it_follows_kafka(system: System) -> None:
    changes = [message for message in log_messages(system) if message in {FOLLOWING, NOT_FOLLOWING}]
    assert changes[-1:] == [FOLLOWING]


def messages_of(broker: Broker, user: SignedIn, topic: str = TASKS) -> list[Message]:
    """Return the messages of a user in the topic, as an independent consumer reads them."""
    found = all_messages_in(broker.bootstrap_servers, topic)
    return [message for message in found if message.key() == user.user_id.encode()]


def wait_for_messages(broker: Broker, user: SignedIn, *expected: int) -> list[Message]:
    """Wait until the topic holds these messages of a user in this order, doubles dropped."""

    def check() -> list[Message]:
        found = messages_of(broker, user)
        held = [json.loads(message.value() or b"")["seq"] for message in found]
        assert list(dict.fromkeys(held)) == list(expected)
        return found

    return eventually(check, within_s=SOON_S)


def audited(system: System, administrator: SignedIn, user: SignedIn) -> list[int]:
    """Return the `seq` of each audit entry of a user, in order."""
    return RemoteAudit(system, administrator).seqs_of(user)


def wait_until_audited(
    system: System,
    administrator: SignedIn,
    user: SignedIn,
    newest: int,
    *,
    within_s: float = SOON_S,
) -> None:
    """Wait until there is one audit entry for each event of a user."""

    def check() -> None:
        assert audited(system, administrator, user) == list(range(1, newest + 1))

    eventually(check, within_s=within_s)


def metric_value(system: System, metric: str) -> float:
    """Return the value that `/metrics` shows of a metric with its labels."""
    lines = requests.get(f"{system.url}/metrics", timeout=SOON_S).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(metric + " "))


def test_an_ordinary_kafka_consumer_reads_events_written_through_rest(
    broker: Broker, system: System, user: SignedIn
) -> None:
    with RemoteApi(system, user) as remote:
        task = remote.create("Buy milk", metadata={"price": 1.10})
        changed = remote.request("PATCH", f"tasks/{task['id']}", {"title": "Buy oat milk"})
        remote.request("POST", f"tasks/{task['id']}/complete")
        remote.request("DELETE", f"tasks/{task['id']}")

    messages = wait_for_messages(broker, user, 1, 2, 3, 4, 5)

    found = [json.loads(message.value() or b"") for message in messages]
    assert [event["event_type"] for event in found] == [
        "user.registered",
        "task.created",
        "task.updated",
        "task.completed",
        "task.deleted",
    ]
    assert all(event.keys() == AN_EVENT for event in found)
    assert found[1]["data"]["metadata"] == {"price": 1.10}
    assert found[2]["aggregate_id"] == task["id"]
    assert found[2]["version"] == task["version"] + 1
    assert found[2]["data"]["changes"]["title"] == {"old": "Buy milk", "new": "Buy oat milk"}
    assert found[2]["correlation_id"] == changed.headers["X-Correlation-ID"]


def test_a_socket_has_the_events_of_both_topics_in_one_order(
    broker: Broker, system: System, user: SignedIn
) -> None:
    an_hour_ago = {"remind_at": "2026-01-01T08:00:00Z"}

    with ResumingClient(system, user) as client, RemoteApi(system, user) as remote:
        for number in range(20):
            remote.create(str(number), reminders=[an_hour_ago])
        client.wait_for(101, within_s=SOON_S)

    of_reminders = eventually(lambda: messages_up_to(broker, user, REMINDERS, 101), within_s=SOON_S)
    types = [json.loads(message.value() or b"")["event_type"] for message in of_reminders]
    assert seqs(client.messages) == list(range(1, 102))
    assert types[:4] == [
        "reminder.scheduled",
        "reminder.triggered",
        "notification.created",
        "reminder.sent",
    ]
    assert Counter(types) == dict.fromkeys(types[:4], 20)


def messages_up_to(broker: Broker, user: SignedIn, topic: str, newest: int) -> list[Message]:
    """Return the messages of a user in a topic, each once, if this `seq` is among them."""
    found = {
        json.loads(message.value() or b"")["seq"]: message
        for message in messages_of(broker, user, topic)
    }
    assert newest in found
    assert list(found) == sorted(found)
    return list(found.values())


def test_the_sdk_of_cloudevents_reads_each_message_by_its_headers(
    broker: Broker, system: System, user: SignedIn
) -> None:
    with RemoteApi(system, user) as remote:
        for _ in range(10):
            remote.create()

    messages = wait_for_messages(broker, user, *range(1, 12))

    read = [_by_the_sdk(message) for message in messages]
    for event in read:
        data: dict[str, Any] = event.data
        assert event["specversion"] == "1.0"
        assert (event["id"], event["type"]) == (data["event_id"], data["event_type"])
        assert (event["source"], event["subject"]) == ("/taskflow", data["aggregate_id"])
        assert (event["time"], event["userid"]) == (data["timestamp"], user.user_id)
        assert (event["partitionkey"], event["correlationid"]) == (
            user.user_id.encode(),
            data["correlation_id"],
        )
        assert int(event["sequence"]) == data["seq"]
        assert event["datacontenttype"] == "application/json"
        assert event["traceparent"].startswith("00-")
    sequences = [event["sequence"] for event in read]
    assert sequences == sorted(sequences)


def _by_the_sdk(message: Message) -> Any:  # noqa: ANN401 - the SDK's event has attributes of any type
    headers = {name: value for name, value in message.headers() or () if isinstance(value, bytes)}
    return from_binary(KafkaMessage(headers, message.key(), message.value() or b""))


def test_audit_and_sockets_have_every_event_once_and_the_metrics_show_it(
    system: System, administrator: SignedIn, user: SignedIn
) -> None:
    delivered = f'taskflow_deliveries_total{{consumer="{CONSUMER}",outcome="done"}}'
    confirmed = 'taskflow_published_events_total{outcome="confirmed"}'
    before = metric_value(system, delivered), metric_value(system, confirmed)

    with ResumingClient(system, user) as client, RemoteApi(system, user) as remote:
        for number in range(30):
            remote.create(str(number))
        client.wait_for(31, within_s=SOON_S)
    wait_until_audited(system, administrator, user, 31)

    assert seqs(client.messages) == list(range(1, 32))
    assert client.connected == 1

    def check() -> None:
        assert metric_value(system, delivered) >= before[0] + 30
        assert metric_value(system, confirmed) >= before[1] + 30

    # What is shown may be a second old.
    eventually(check)


def test_the_command_makes_the_topics_finds_them_right_and_changes_none(broker: Broker) -> None:
    names = [f"{name}-{uuid4().hex}" for name in ("tasks", "reminders", "dead")]
    variables = ("TOPIC_TASKS", "TOPIC_REMINDERS", "TOPIC_DEAD_LETTERS")
    named = {**in_clear(broker), **dict(zip(variables, names, strict=True))}
    kafka = Topics(broker.bootstrap_servers)

    made, found = taskflow("topics", **named), taskflow("topics", **named)
    kafka.set(names[0], {"retention.ms": "60000"})
    differing = taskflow("topics", "--partitions", "7", **named)
    again = taskflow("topics", **named)

    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.splitlines() == [f"{name}: created" for name in names]
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.splitlines() == [f"{name}: as it should be" for name in names]
    assert differing.returncode != 0
    assert "Traceback" not in differing.stderr
    for name in names:
        assert f"{name} has 6 partitions, not 7" in differing.stderr
    assert f"{names[0]} has retention.ms 60000, not 604800000" in differing.stderr
    assert again.returncode != 0
    assert again.stderr.strip() == f"{names[0]} has retention.ms 60000, not 604800000"


@pytest.fixture(scope="module")
def large_records_allowed(broker: Broker, system: System) -> None:
    """Let the topic take records larger than any of ours."""
    del system
    Topics(broker.bootstrap_servers).set(TASKS, {"max.message.bytes": str(4 * 1024 * 1024)})


Headers = Sequence[tuple[str, bytes]]
MANY_BYTES = b"x" * 3 * 1024 * 1024
# Beyond Latin-1: in a header as many question marks.
LONG = "\u6f22" * 1000
AS_LARGE_AS_HTTP_TAKES = {
    f"ce_x{number:02}": b"x" * (ATTRIBUTE_MAX_BYTES - len("x00")) for number in range(70)
}


def headers_of(body: Mapping[str, object], **changed: bytes) -> Headers:
    """Return the headers of an event with this body, but for those that are `changed`."""
    own = {
        "ce_specversion": b"1.0",
        "ce_id": str(body["event_id"]).encode(),
        "ce_type": str(body["event_type"]).encode(),
        "ce_source": b"/taskflow",
        "ce_userid": str(body["user_id"]).encode(),
        "ce_sequence": b"0000000000999999999",
        "content-type": b"application/json",
    }
    return list({**own, **changed}.items())


def an_event_of(user: SignedIn, **changed: object) -> dict[str, object]:
    return {
        "event_id": str(uuid4()),
        "event_type": "task.created",
        "user_id": user.user_id,
        "aggregate_id": str(uuid4()),
        "timestamp": "2026-03-01T09:00:00Z",
        "correlation_id": "a-poison",
        "version": 1,
        "schema_version": 1,
        "seq": 999_999_999,
        "data": {},
        **changed,
    }


def malformed_records_for(user: SignedIn) -> Mapping[str, tuple[Headers, bytes | None]]:
    """Return records that are no events, by the name of their defect.

    A tombstone of an event of ours is not among them: its body is empty, as one is that was lost
    on its way, and so it is tried again first.
    """

    def written(event: Mapping[str, object], value: bytes | None = None, **changed: bytes) -> Any:  # noqa: ANN401 - as below
        body = json.dumps(event, separators=(",", ":")).encode() if value is None else value
        return headers_of(event, **changed), body

    event = an_event_of
    return {
        "not JSON": written(event(user), b"not json"),
        "no headers": ([], b'{"a": "plain message"}'),
        "another type in the headers": written(event(user), ce_type=b"task.deleted"),
        "a version from the future": written(event(user, schema_version=2)),
        "large": written(event(user), MANY_BYTES),
        "an id that is not UTF-8": written(event(user), ce_id=b"\xff\xfe"),
        "an empty id": written(event(user), ce_id=b""),
        "an invalid time": written(event(user), ce_time=b"yesterday"),
        "an invalid source": written(event(user), ce_source=b"not a URI"),
        "headers as large as HTTP takes": written(
            event(user), ce_id=b"x", **AS_LARGE_AS_HTTP_TAKES
        ),
        "structured mode, and no JSON": (
            [("content-type", b"application/cloudevents+json")],
            b"not json",
        ),
        "structured mode, and no event": (
            [("content-type", b"application/cloudevents+json")],
            json.dumps({"specversion": "1.0", "id": "1", "type": "t", "source": "/s"}).encode(),
        ),
        "a header too long for HTTP": written(event(user), ce_subject=b"x" * 20_000),
        "a long version": written(event(user), ce_specversion=LONG.encode()),
        "a long type": written(event(user), ce_type=LONG.encode()),
        "a name too long for HTTP": written(event(user), **{"ce_" + "x" * 20_000: b"x"}),
        "a sequence that is no number": written(event(user), ce_sequence=b"9" * 5_000),
        "nested too deeply": written(event(user), b"[" * 100_000 + b',"data":{}}'),
    }


def test_a_record_that_is_no_event_goes_to_the_dead_letters_and_holds_up_no_event(
    broker: Broker,
    system: System,
    administrator: SignedIn,
    user: SignedIn,
    large_records_allowed: None,
) -> None:
    del large_records_allowed
    malformed = malformed_records_for(user)

    with ResumingClient(system, user) as client, RemoteApi(system, user) as remote:
        for seq, (what, (headers, value)) in enumerate(malformed.items(), 2):
            produce(broker, user, headers, value)
            remote.create(what)
            client.wait_for(seq, within_s=PROMPTLY_S)
            wait_until_audited(system, administrator, user, seq, within_s=PROMPTLY_S)

    assert seqs(client.messages) == list(range(1, len(malformed) + 2))
    letters = dead_letters(system, administrator)
    # The other consumer refuses those of them whose type it can't pass over.
    assert sum(letter["consumer"] == CONSUMER for letter in letters) == len(malformed)
    assert {letter["deaths"] for letter in letters} == {1}
    assert not [text for text in log_messages(system) if text.startswith("Kafka can't be read")]
    assert "Traceback" not in system.log.read_text()


def produce(broker: Broker, user: SignedIn, headers: Headers, value: bytes | None) -> None:
    """Write a record into the partition of the user's own events."""
    options = {"partitioner": "murmur2_random", "message.max.bytes": 4 * 1024 * 1024}
    producer = Producer(quiet_settings(broker.bootstrap_servers, **options))
    producer.produce(TASKS, key=user.user_id.encode(), value=value, headers=list(headers))
    assert producer.flush(SOON_S) == 0


def dead_letters(system: System, administrator: SignedIn) -> Sequence[Mapping[str, Any]]:
    answer = requests.get(
        f"{system.url}/api/admin/dead-letters",
        params={"limit": "200"},
        headers=administrator.headers,
        timeout=SOON_S,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


@pytest.mark.parametrize("harm", ["kill", "pause"])
def test_a_broker_that_goes_away_delays_no_request_and_is_sent_the_rest_in_order(
    broker: Broker, system: System, administrator: SignedIn, user: SignedIn, harm: str
) -> None:
    with ResumingClient(system, user) as client, RemoteApi(system, user) as remote:
        slowest_s = [_create(remote, 20)]
        client.wait_for(21, within_s=SOON_S)
        wait_until_it_follows_kafka(system)
        warned = len(log_messages(system, "warning"))

        broker.pause() if harm == "pause" else broker.kill()
        slowest_s.append(_create(remote, 60, pause_s=0.05))
        client.wait_for(81, within_s=PROMPTLY_S)
        warned = len(log_messages(system, "warning")) - warned

        broker.resume() if harm == "pause" else broker.start()
        slowest_s.append(_create(remote, 20))
        wait_for_messages(broker, user, *range(1, 102))
        client.wait_for(101, within_s=PROMPTLY_S)
        wait_until_audited(system, administrator, user, 101)
        wait_until_it_follows_kafka(system)

    assert max(slowest_s) < UNDELAYED_S
    assert seqs(client.messages) == list(range(1, 102))
    assert (client.connected, client.resyncs) == (1, 0)
    assert warned < 20


def _create(remote: RemoteApi, count: int, *, pause_s: float = 0) -> float:
    """Create tasks; return how long the slowest request took."""
    slowest_s = 0.0
    for number in range(count):
        began_s = time.monotonic()
        remote.create(str(number))
        slowest_s = max(slowest_s, time.monotonic() - began_s)
        time.sleep(pause_s)
    return slowest_s


def test_events_that_kafka_lost_are_brought_to_the_consumers_from_the_log(
    broker: Broker,
    system: System,
    administrator: SignedIn,
    user: SignedIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ResumingClient(system, user) as client, RemoteApi(system, user) as remote:
        _create(remote, 20)
        wait_until_audited(system, administrator, user, 21)

        # The consumers hang, and who delivers dies with all it has read.
        workers = wait_for(consumers_workers, system)
        for worker in workers:
            worker.suspend()
        _create(remote, 20)
        wait_for_messages(broker, user, *range(1, 42))
        broker.kill()
        broker.wipe()
        for process in wait_for(delivery, system):
            process.kill()
        for worker in workers:
            worker.resume()
        broker.start()
        made = taskflow("topics", **over_tls(broker))
        _create(remote, 20)
        wait_for_messages(broker, user, *range(42, 62))
        eventually(lambda: _has(audited(system, administrator, user), 61), within_s=SOON_S)
        client.wait_for(61, within_s=PROMPTLY_S)
        lost = set(range(1, 62)) - set(audited(system, administrator, user))

        with database_of(system):
            assert_taken(tick("reconcile-consumers"))
            set_forward(monkeypatch, timedelta(minutes=6))
            assert_taken(tick("reconcile-consumers"))
            monkeypatch.undo()
        wait_until_audited(system, administrator, user, 61)

    assert made.stdout.splitlines() == [
        f"{name}: created" for name in (TASKS, REMINDERS, DEAD_LETTERS)
    ]
    # All but the one that was on its way when the consumers hung.
    assert len(lost) >= 19
    assert seqs(client.messages) == list(range(1, 62))
    assert (client.connected, client.resyncs) == (1, 0)


def _has(found: Sequence[int], seq: int) -> None:
    assert seq in found


def set_forward(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    now = clock.now() + by
    monkeypatch.setattr(clock, "now", lambda: now)


def test_a_kafka_configured_later_is_sent_and_delivers_all_events(
    tmp_path: Path, prepare: Callable[..., System]
) -> None:
    broker = Broker(tmp_path / "kafka", secured=True)
    system = prepare(**in_clear(broker))
    system.start()
    user = a_new_user(system)
    with database_of(system):
        administrator = an_administrator()

    with ResumingClient(system, user) as client, RemoteApi(system, user) as remote:
        slowest_s = _create(remote, 20)
        client.wait_for(21, within_s=PROMPTLY_S)
        wait_for_log_message(system, "events wait for Kafka: ")
        wait_for_log_message(system, f"{CONSUMER}: Kafka: ")
        broker.start()
        wait_for_log_message(system, "`taskflow topics` makes the topics")
        made = taskflow("topics", **in_clear(broker))
        wait_for_messages(broker, user, *range(1, 22))
        wait_until_audited(system, administrator, user, 21)
        newest = 21 + create_until_it_follows_kafka(system, remote)
        client.wait_for(newest, within_s=PROMPTLY_S)

    assert made.returncode == 0, made.stderr
    assert slowest_s < UNDELAYED_S
    assert seqs(client.messages) == list(range(1, newest + 1))
    assert client.connected == 1
    broker.pause()
    assert_stops_in_time(system)
    broker.kill()


def assert_stops_in_time(system: System) -> None:
    """Stop a system, and check that it ends at once and in order."""
    began_s = time.monotonic()
    assert system.stop(signal.SIGTERM) == 0
    assert time.monotonic() - began_s < STOPPED_WITHIN_S


def test_a_wrong_password_of_kafka_is_logged_and_delays_no_request(
    broker: Broker, prepare: Callable[..., System]
) -> None:
    system = prepare(**in_clear(broker, password="not this one"))
    system.start()
    user = a_new_user(system)

    with ResumingClient(system, user) as client, RemoteApi(system, user) as remote:
        slowest_s = _create(remote, 20)
        client.wait_for(21, within_s=PROMPTLY_S)
        wait_for_log_message(system, "events wait for Kafka: ")
        [why] = [text for text in log_messages(system, "warning") if text.startswith("events wait")]

    assert "uthentication failed" in why
    assert slowest_s < UNDELAYED_S
    assert_stops_in_time(system)


def test_a_system_stops_in_time_while_kafka_is_down(broker: Broker, system: System) -> None:
    broker.kill()

    assert_stops_in_time(system)
