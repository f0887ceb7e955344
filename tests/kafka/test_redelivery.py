"""What was asked for again comes again by Kafka, for one consumer, until it has it (E8)."""

import json
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pytest
from confluent_kafka import Message
from sqlalchemy import select
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from taskflow import clock
from taskflow.domain.cloudevents import RECIPIENT
from taskflow.domain.events import EventType
from taskflow.eventing import CronRun
from taskflow.eventing.consumer import Consumer
from taskflow.kafka import redelivery
from taskflow.kafka.publisher import Publisher, publisher
from taskflow.kafka.redelivery import publish_redeliveries
from taskflow.kafka.replay import compare_with_kafka
from taskflow.kafka.topics import make
from taskflow.standalone.kafka_source import KafkaSource
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import consumer_store, delivery_store, transaction
from taskflow.storage.dead_letter_store import DeadLetter, add
from taskflow.storage.tables import AUDIT_ENTRIES, CLAIMS, EVENTS, REDELIVERIES
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user, an_administrator
from tests.support.data.builders import a_stored_task, log_of
from tests.support.data.bulk_events import add_events
from tests.support.database.temporary import a_database
from tests.support.delivery.dead_letters import give_up
from tests.support.delivery.deliverers import delivering
from tests.support.delivery.scripted_subscriber import serving
from tests.support.delivery.subscribers import (
    CONSUMERS,
    SINK,
    SUBSCRIBERS,
    assert_taken,
    deliver,
    tick,
)
from tests.support.functions.client import Api
from tests.support.kafka.broker import Broker, ExternalBroker
from tests.support.kafka.settings import KafkaSettings, kafka_settings, using
from tests.support.kafka.topics import Topics, all_messages_in
from tests.support.polling import eventually
from tests.support.settings import changed_settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SOON_S = 40
AUDIT, SPAWN = "record-audit-entry", "spawn-next-occurrence"
TAKEN = {one.name: one.types for one in CONSUMERS}

SetClock = Callable[[datetime], None]


@pytest.fixture
def kafka(
    database: EmbeddedPostgres, broker: Broker | ExternalBroker, topics: Topics
) -> Generator[KafkaSettings]:
    """Give a test a database of its own: all redeliveries are published."""
    here = kafka_settings(topics, broker.bootstrap_servers)
    with a_database(database), using(here), publisher.replaced_by(Publisher()) as used:
        yield here
        used.stop()


@pytest.fixture
def user(kafka: KafkaSettings) -> SignedIn:
    """Open an account with three events, of which Kafka has all."""
    del kafka
    user = a_user()
    for title in "ab":
        a_stored_task(user.user_id, title=title)
    publish_log()
    return user


def publish_log() -> None:
    own = Publisher()
    own.sweep(CronRun(SOON_S).is_over)
    own.stop()


def request(consumer: str, *places: tuple[str, int]) -> None:
    with transaction(A_CAUSE) as tx:
        delivery_store.request_redeliveries(tx, consumer, places, now=clock.now())


def claim(consumer: str, user: SignedIn, seq: int) -> None:
    with transaction(A_CAUSE) as tx:
        event_id = log_of(user.user_id)[seq - 1].event_id
        tx.connection.execute(
            CLAIMS.insert().values(consumer=consumer, event_id=event_id, claimed_at=clock.now())
        )


def waiting() -> list[tuple[str, int]]:
    """Return the consumer and `seq` of what is still to be brought again."""
    with transaction(A_CAUSE) as tx:
        rows = tx.connection.execute(select(REDELIVERIES.c.consumer, REDELIVERIES.c.seq)).all()
    return sorted((row.consumer, row.seq) for row in rows)


def publish_again(is_over: Callable[[], bool] = lambda: False) -> None:
    publish_redeliveries(TAKEN, is_over)


def headers_of(message: Message) -> dict[str, bytes]:
    return dict(cast("list[tuple[str, bytes]]", message.headers() or ()))


def copies(kafka: KafkaSettings) -> list[tuple[str, str, int]]:
    """Return whom each event published again is for, whose it is, and its `seq`, in order."""
    found: list[tuple[str, str, int]] = []
    for message in all_messages_in(kafka.bootstrap_servers, kafka.tasks):
        recipient = headers_of(message).get(f"ce_{RECIPIENT}")
        if recipient is not None:
            event: dict[str, Any] = json.loads(message.value() or b"")
            found.append((recipient.decode(), event["user_id"], event["seq"]))
    return found


# What is published again


def test_an_event_that_was_asked_for_again_is_published_for_its_consumer_as_it_was(
    kafka: KafkaSettings, user: SignedIn
) -> None:
    request(AUDIT, (user.user_id, 2))

    publish_again()

    first, again = [
        message
        for message in all_messages_in(kafka.bootstrap_servers, kafka.tasks)
        if json.loads(message.value() or b"")["seq"] == 2
    ]
    assert (again.key(), again.value()) == (first.key(), first.value())
    assert headers_of(again) == {**headers_of(first), "ce_recipient": AUDIT.encode()}


def test_all_redeliveries_of_a_user_are_published_in_order(
    kafka: KafkaSettings, user: SignedIn
) -> None:
    request(AUDIT, *[(user.user_id, seq) for seq in (3, 1, 2)])

    publish_again()

    assert copies(kafka) == [(AUDIT, user.user_id, seq) for seq in (1, 2, 3)]


def test_a_published_redelivery_waits_for_its_claim_and_is_not_repeated_at_once(
    kafka: KafkaSettings, user: SignedIn
) -> None:
    request(AUDIT, (user.user_id, 1), (user.user_id, 2))
    publish_again()
    claim(AUDIT, user, 2)

    publish_again()

    assert waiting() == [(AUDIT, 1)]
    assert len(copies(kafka)) == 2


def test_a_copy_that_its_consumer_never_claims_is_repeated(
    kafka: KafkaSettings, user: SignedIn, set_clock: SetClock
) -> None:
    request(AUDIT, (user.user_id, 1))
    publish_again()

    set_clock(clock.now() + redelivery.REPEATED_AFTER + timedelta(seconds=1))
    publish_again()

    assert copies(kafka) == [(AUDIT, user.user_id, 1)] * 2
    assert waiting() == [(AUDIT, 1)]


def test_an_event_that_is_asked_for_once_more_is_published_at_once(
    kafka: KafkaSettings, user: SignedIn
) -> None:
    request(AUDIT, (user.user_id, 1))
    publish_again()
    request(AUDIT, (user.user_id, 1))

    publish_again()

    assert len(copies(kafka)) == 2


def test_a_redelivery_of_a_claimed_event_is_removed_and_not_published(
    kafka: KafkaSettings, user: SignedIn
) -> None:
    request(AUDIT, (user.user_id, 1))
    claim(AUDIT, user, 1)

    publish_again()

    assert (waiting(), copies(kafka)) == ([], [])


@pytest.mark.parametrize(("state", "left"), [("dead", 0), ("discarded", 0), ("resent", 1)])
def test_a_redelivery_of_a_dead_letter_is_left_to_the_administrator(
    user: SignedIn, state: str, left: int
) -> None:
    event = log_of(user.user_id)[0]
    request(AUDIT, (user.user_id, 1))
    letter = DeadLetter(
        id=uuid4(),
        consumer=AUDIT,
        event_id=str(event.event_id),
        event_type=event.event_type,
        user_id=user.user_id,
        seq=1,
        attributes={},
        body=b"",
        error_code=400,
        error_text="",
        state=state,
        received_at=clock.now(),
        deaths=1,
    )
    with transaction(A_CAUSE) as tx:
        add(tx, letter)

    publish_again()

    assert len(waiting()) == left


def test_a_redelivery_of_an_event_that_its_consumer_never_takes_is_removed(
    kafka: KafkaSettings, user: SignedIn
) -> None:
    with transaction(A_CAUSE) as tx:
        consumer_store.start(tx, AUDIT, "now", now=clock.now())
    request(AUDIT, (user.user_id, 1))
    request(SPAWN, (user.user_id, 1))

    publish_again()

    assert (waiting(), copies(kafka)) == ([], [])


def test_a_redelivery_for_an_unknown_consumer_is_kept(kafka: KafkaSettings, user: SignedIn) -> None:
    request("a-removed-consumer", (user.user_id, 1))

    publish_again()

    assert waiting() == [("a-removed-consumer", 1)]
    assert copies(kafka) == []


def test_no_event_is_published_again_before_the_first_time(
    kafka: KafkaSettings, user: SignedIn
) -> None:
    a_stored_task(user.user_id)
    request(AUDIT, (user.user_id, 4))

    publish_again()
    before = copies(kafka)
    publish_log()
    publish_again()

    assert before == []
    assert copies(kafka) == [(AUDIT, user.user_id, 4)]


def test_thousands_are_published_in_batches_each_once_and_in_order(kafka: KafkaSettings) -> None:
    add_events(3_000, over=timedelta(days=1), claimed_by="another")
    publish_log()
    with transaction(A_CAUSE) as tx:
        query = select(EVENTS.c.user_id, EVENTS.c.seq)
        places = [(row.user_id, row.seq) for row in tx.connection.execute(query)]
        delivery_store.request_redeliveries(tx, AUDIT, places, now=clock.now())

    publish_again()

    found = copies(kafka)
    assert Counter(found) == Counter((AUDIT, *place) for place in places)
    for user_id in {place[0] for place in places}:
        seqs = [seq for _, whose, seq in found if whose == user_id]
        assert seqs == sorted(seqs)


# What goes wrong


def test_a_run_that_ends_before_kafka_has_confirmed_leaves_the_rest_to_the_next(
    kafka: KafkaSettings, user: SignedIn, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redelivery, "EVENTS_MAX", 1)
    request(AUDIT, *[(user.user_id, seq) for seq in (1, 2, 3)])
    topics.delete_all()
    publish_again(CronRun(1).is_over)
    make(partitions=6)

    publish_again(lambda: True)
    publish_again()

    # Of what the first run had sent nothing, or the first event, was taken after all.
    found = [seq for _, _, seq in copies(kafka)]
    assert list(dict.fromkeys(found)) == [1, 2, 3]
    assert waiting() == [(AUDIT, seq) for seq in (1, 2, 3)]


def test_a_redelivery_confirmed_but_not_recorded_is_published_twice_and_not_lost(
    kafka: KafkaSettings, user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_args: object, **_named: object) -> None:
        raise KeyboardInterrupt

    request(AUDIT, (user.user_id, 1))
    with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
        patched.setattr(delivery_store, "mark_redeliveries_published", killed)
        publish_again()

    publish_again()

    assert copies(kafka) == [(AUDIT, user.user_id, 1)] * 2
    assert waiting() == [(AUDIT, 1)]


def test_an_event_that_kafka_refuses_holds_up_no_other_user(
    kafka: KafkaSettings, user: SignedIn, topics: Topics
) -> None:
    others = [a_user() for _ in range(3)]
    a_stored_task(user.user_id, description=secrets.token_hex(5_000))
    publish_log()
    request(AUDIT, (user.user_id, 4), *[(other.user_id, 1) for other in others])
    topics.set(kafka.tasks, {"max.message.bytes": "4000"})

    publish_again(CronRun(SOON_S).is_over)

    # What was on its way beside the one that was refused may come twice.
    assert set(copies(kafka)) == {(AUDIT, other.user_id, 1) for other in others}


# Whom it concerns


def test_an_event_for_one_consumer_changes_nothing_for_another(
    kafka: KafkaSettings, user: SignedIn
) -> None:
    del kafka
    task = a_stored_task(user.user_id)
    assert Api(user).post(f"/api/tasks/{task.id}/complete").status_code == 200
    event = log_of(user.user_id)[-1]

    for name in (AUDIT, SPAWN):
        other = SPAWN if name == AUDIT else AUDIT
        assert_taken(deliver(name, event, recipient=other))
    with transaction(A_CAUSE) as tx:
        before = tx.connection.execute(select(CLAIMS.c.consumer)).scalars().all()
    assert_taken(deliver(AUDIT, event, recipient=AUDIT))
    with transaction(A_CAUSE) as tx:
        after = tx.connection.execute(select(CLAIMS.c.consumer)).scalars().all()

    assert (before, after) == ([], [AUDIT])


def test_replay_passes_over_what_was_published_again(kafka: KafkaSettings, user: SignedIn) -> None:
    del kafka
    request(AUDIT, *[(user.user_id, seq) for seq in (1, 2, 3)])
    publish_again()

    found = compare_with_kafka(lambda _read, _of: None)

    assert found.is_equal
    assert (found.records, found.doubled, found.same) == (6, 0, 2)


def test_no_redelivery_is_published_where_another_process_delivers_it(
    kafka: KafkaSettings, user: SignedIn
) -> None:
    request(AUDIT, (user.user_id, 1))

    with changed_settings(publish_after_commit=False):
        assert_taken(tick("publish-outbox"))

    assert (waiting(), copies(kafka)) == ([(AUDIT, 1)], [])


# From a dead letter to its effect


class RefusingOnce:
    """Refuses the first delivery of each event for good, in front of an app."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app
        self._lock = threading.Lock()
        self.seen: Counter[str] = Counter()

    def __call__(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        with self._lock:
            self.seen[environ["HTTP_CE_ID"]] += 1
            is_first = self.seen[environ["HTTP_CE_ID"]] == 1
        if not is_first:
            return self._app(environ, start)
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start("400 BAD REQUEST", [("Content-Length", "0")])
        return [b""]


@contextmanager
def delivering_from_kafka(refusing: RefusingOnce, socket: Path) -> Generator[None]:
    audit = SUBSCRIBERS[AUDIT]
    assert isinstance(audit, Consumer)
    with transaction(A_CAUSE) as tx:
        start = consumer_store.start(tx, AUDIT, audit.starts, now=clock.now())
    app = DispatcherMiddleware(refusing, {f"/{SINK.name}": SINK.serve, f"/{AUDIT}": refusing})
    with (
        serving(app, socket),
        delivering(socket, AUDIT, KafkaSource(audit, "one", start), sink=SINK.name),
    ):
        yield


def test_a_dead_letter_that_is_resent_reaches_its_consumer_through_kafka(
    kafka: KafkaSettings, user: SignedIn, tmp_path: Path
) -> None:
    admin = Api(an_administrator())
    audit = SUBSCRIBERS[AUDIT]
    assert isinstance(audit, Consumer)
    refusing = RefusingOnce(audit.serve)

    def letters() -> list[dict[str, Any]]:
        answer = admin.get(f"/api/admin/dead-letters?consumer={AUDIT}&state=dead")
        page: dict[str, Any] = answer.json or {}
        return [one for one in page["items"] if one["user_id"] == user.user_id]

    def audited() -> list[int]:
        query = select(AUDIT_ENTRIES.c.seq).where(AUDIT_ENTRIES.c.user_id == user.user_id)
        with transaction(A_CAUSE) as tx:
            return sorted(tx.connection.execute(query).scalars())

    with delivering_from_kafka(refusing, tmp_path / "subscribers.sock"):
        eventually(lambda: _equal(len(letters()), 3), within_s=SOON_S)
        for letter in letters():
            assert admin.post(f"/api/admin/dead-letters/{letter['id']}/resend").status_code == 202
        assert audited() == []

        assert_taken(tick("publish-outbox"))

        eventually(lambda: _equal(audited(), [1, 2, 3]), within_s=SOON_S)
    assert_taken(tick("publish-outbox"))
    assert waiting() == []
    assert sorted(copies(kafka)) == [(AUDIT, user.user_id, seq) for seq in (1, 2, 3)]


def test_an_unclaimed_event_reaches_its_consumer_through_kafka(
    kafka: KafkaSettings, user: SignedIn, set_clock: SetClock
) -> None:
    assert EventType.USER_REGISTERED in TAKEN[AUDIT]
    assert_taken(tick("reconcile-consumers"))
    set_clock(clock.now() + timedelta(minutes=6))
    assert_taken(tick("reconcile-consumers"))

    assert_taken(tick("publish-outbox"))

    assert [copy for copy in copies(kafka) if copy[1] == user.user_id] == [
        (AUDIT, user.user_id, seq) for seq in (1, 2, 3)
    ]


def test_an_event_that_died_of_what_has_passed_reaches_its_consumer_through_kafka(
    kafka: KafkaSettings, user: SignedIn
) -> None:
    events = log_of(user.user_id)
    for event, code in zip(events, ("503", "400", ""), strict=True):
        give_up(event, AUDIT, code=code)

    assert_taken(tick("reconcile-consumers"))
    assert_taken(tick("publish-outbox"))
    first = copies(kafka)
    # One is taken, and the other dies once more.
    assert_taken(deliver(AUDIT, events[0], recipient=AUDIT))
    give_up(events[2], AUDIT)
    assert_taken(tick("publish-outbox"))

    assert first == [(AUDIT, user.user_id, 1), (AUDIT, user.user_id, 3)]
    assert waiting() == []


def _equal(found: object, expected: object) -> None:
    assert found == expected
