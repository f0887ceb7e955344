"""Kafka as the source of deliveries: order per key, committed late, nothing lost (E5)."""

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from taskflow import clock
from taskflow.domain.cloudevents import attributes_of
from taskflow.domain.events import EventType, Topic
from taskflow.eventing import CronRun
from taskflow.eventing.consumer import Consumer
from taskflow.kafka.publisher import Publisher
from taskflow.kafka.topics import name_of
from taskflow.standalone import kafka_source as module
from taskflow.standalone.kafka_source import KafkaSource
from taskflow.storage import consumer_store, transaction
from taskflow.storage.consumer_store import Start, Starts
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.data.builders import a_stored_task, log_of
from tests.support.delivery.deliverers import SINK, RunningDeliverers, attempts, delivering
from tests.support.delivery.scripted_subscriber import NO_CONTENT, Delivered, ScriptedSubscriber
from tests.support.kafka.broker import Broker, ExternalBroker, quiet_settings
from tests.support.kafka.settings import KafkaSettings, kafka_settings, using
from tests.support.kafka.topics import Topics, all_messages_in
from tests.support.polling import eventually

SOON_S = 40
TYPES = list(EventType)

pytestmark = pytest.mark.usefixtures("own_database", "short_waits")


def a_consumer(types: list[EventType] = TYPES, *, starts: Starts = "beginning") -> Consumer:
    def handler(*_: object) -> None: ...

    handler.__name__ = f"consumer_{uuid4().hex[:8]}"
    return Consumer(handler, types, starts=starts, ordering="unordered", scale="often")


def started(consumer: Consumer) -> Start:
    with transaction(A_CAUSE) as tx:
        return consumer_store.start(tx, consumer.name, consumer.starts, now=clock.now())


@contextmanager
def delivering_from_kafka(
    served: Path, consumer: Consumer, member: str = "one"
) -> Generator[RunningDeliverers]:
    source = KafkaSource(consumer, member, started(consumer))
    with delivering(served, consumer.name, source) as running:
        yield running


def published(*users: SignedIn, tasks: int) -> None:
    for user in users:
        for number in range(tasks):
            a_stored_task(user.user_id, title=str(number))
    publisher = Publisher()
    publisher.sweep(CronRun(SOON_S).is_over)
    publisher.stop()


def wait_for(
    subscriber: ScriptedSubscriber, consumer: Consumer, user: SignedIn, seqs: list[int]
) -> None:
    def check() -> None:
        assert subscriber.seqs(consumer.name, user.user_id) == seqs

    eventually(check, within_s=SOON_S)


@pytest.fixture
def users(kafka: KafkaSettings) -> list[SignedIn]:
    del kafka
    return [a_user() for _ in range(4)]


def test_every_event_is_delivered_in_order_as_from_the_log_but_with_its_place(
    served: Path, subscriber: ScriptedSubscriber, users: list[SignedIn]
) -> None:
    consumer = a_consumer()
    published(*users, tasks=10)

    with delivering_from_kafka(served, consumer):
        for user in users:
            wait_for(subscriber, consumer, user, list(range(1, 12)))

    for event, delivered in zip(
        log_of(users[0].user_id),
        subscriber.received(consumer.name, users[0].user_id),
        strict=True,
    ):
        attributes = {**delivered.attributes}
        assert attributes.pop("knativekafkaoffset").isdecimal()
        assert attributes.pop("knativekafkapartition") in set("012345")
        assert attributes == attributes_of(event)
        assert delivered.body.decode() == event.record_json()


def test_a_consumer_that_starts_now_reads_no_older_event_even_when_it_is_late(
    served: Path,
    subscriber: ScriptedSubscriber,
    users: list[SignedIn],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CLOCKS_DIFFER_BY", timedelta(0))
    consumer = a_consumer(starts="now")
    published(*users, tasks=2)
    started(consumer)
    published(*users, tasks=1)

    with delivering_from_kafka(served, consumer):
        for user in users:
            wait_for(subscriber, consumer, user, [4])
        published(*users, tasks=1)
        for user in users:
            wait_for(subscriber, consumer, user, [4, 5])


def test_a_restarted_consumer_that_started_now_goes_on_after_its_committed_offset(
    served: Path,
    subscriber: ScriptedSubscriber,
    users: list[SignedIn],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CLOCKS_DIFFER_BY", timedelta(0))
    consumer = a_consumer(starts="now")
    started(consumer)
    published(*users, tasks=1)
    with delivering_from_kafka(served, consumer):
        for user in users:
            wait_for(subscriber, consumer, user, [1, 2])
    published(*users, tasks=1)

    with delivering_from_kafka(served, consumer):
        for user in users:
            wait_for(subscriber, consumer, user, [1, 2, 3])


def test_events_of_a_partition_that_is_added_later_are_not_missed(
    served: Path,
    subscriber: ScriptedSubscriber,
    topics: Topics,
    broker: Broker | ExternalBroker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "CLOCKS_DIFFER_BY", timedelta(0))
    consumer = a_consumer(starts="now")
    with using(kafka_settings(topics, broker.bootstrap_servers, partitions=1)):
        started(consumer)
        tasks = name_of(Topic.TASKS)
        with delivering_from_kafka(served, consumer):
            topics.add_partitions(tasks, 6)
            users = [a_user() for _ in range(12)]
            published(*users, tasks=1)
            for user in users:
                wait_for(subscriber, consumer, user, [1, 2])
    used = {message.partition() for message in all_messages_in(broker.bootstrap_servers, tasks)}
    assert len(used) > 1


def test_an_event_of_a_type_that_is_not_taken_is_passed_over(
    served: Path, subscriber: ScriptedSubscriber, users: list[SignedIn]
) -> None:
    consumer = a_consumer([EventType.USER_REGISTERED])
    published(*users, tasks=3)

    with delivering_from_kafka(served, consumer):
        for user in users:
            wait_for(subscriber, consumer, user, [1])


def test_a_restarted_consumer_goes_on_where_it_was(
    served: Path, subscriber: ScriptedSubscriber, users: list[SignedIn]
) -> None:
    consumer = a_consumer()
    published(*users, tasks=2)
    with delivering_from_kafka(served, consumer):
        for user in users:
            wait_for(subscriber, consumer, user, [1, 2, 3])
    published(*users, tasks=1)

    with delivering_from_kafka(served, consumer):
        for user in users:
            wait_for(subscriber, consumer, user, [1, 2, 3, 4])


def test_an_offset_is_committed_only_after_a_delivery(
    served: Path, subscriber: ScriptedSubscriber, users: list[SignedIn]
) -> None:
    consumer, user = a_consumer(), users[0]
    published(user, tasks=3)
    hanging, go_on = threading.Event(), threading.Event()

    def script(delivered: Delivered) -> tuple[int, str]:
        if delivered.user_id == user.user_id and delivered.seq == 3:
            hanging.set()
            go_on.wait(SOON_S)
            return 503, "not now"
        return NO_CONTENT

    subscriber.script = script
    with delivering_from_kafka(served, consumer) as running:
        assert hanging.wait(SOON_S)
        for deliverer in running.deliverers:
            deliverer.stop()
        go_on.set()
    before = subscriber.seqs(consumer.name, user.user_id)
    subscriber.script = lambda _: NO_CONTENT

    with delivering_from_kafka(served, consumer):
        wait_for(subscriber, consumer, user, [*before, 3, 4])

    assert before == [1, 2, 3]


def test_a_user_whose_event_is_retried_holds_up_no_other_user(
    served: Path,
    subscriber: ScriptedSubscriber,
    kafka: KafkaSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("taskflow.eventing.bindings.knative.BACKOFF_DELAY", timedelta(hours=1))
    consumer, users = a_consumer(), [a_user() for _ in range(12)]
    subscriber.script = lambda d: (503, "") if d.user_id == users[0].user_id else NO_CONTENT
    published(*users, tasks=1)

    with delivering_from_kafka(served, consumer):
        # Twelve users in six partitions: others share his.
        for user in users[1:]:
            wait_for(subscriber, consumer, user, [1, 2])
        assert attempts(consumer.name, "again") == 1
    del kafka


def test_an_offset_is_committed_only_after_all_earlier_deliveries(
    served: Path, subscriber: ScriptedSubscriber, topics: Topics, broker: Broker | ExternalBroker
) -> None:
    consumer, users = a_consumer(), [a_user(), a_user()]
    with using(kafka_settings(topics, broker.bootstrap_servers, partitions=1)):
        published(*users, tasks=3)
        subscriber.script = lambda d: (503, "") if d.user_id == users[0].user_id else NO_CONTENT
        with delivering_from_kafka(served, consumer):
            wait_for(subscriber, consumer, users[1], [1, 2, 3, 4])
        subscriber.script = lambda _: NO_CONTENT

        with delivering_from_kafka(served, consumer):
            eventually(lambda: _all_of(subscriber, consumer, users[0], 4), within_s=SOON_S)


def _at_least(subscriber: ScriptedSubscriber, consumer: Consumer, count: int) -> None:
    assert len(subscriber.received(consumer.name)) > count


def test_the_records_that_wait_for_a_slow_consumer_are_bounded(
    served: Path,
    subscriber: ScriptedSubscriber,
    users: list[SignedIn],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "UNSETTLED_MAX", 20)
    monkeypatch.setattr(module, "UNSETTLED_MIN", 5)
    monkeypatch.setattr(module, "READ_MAX", 10)
    consumer = a_consumer()
    published(users[0], tasks=150)

    with delivering_from_kafka(served, consumer):
        wait_for(subscriber, consumer, users[0], list(range(1, 152)))


def test_a_record_that_is_no_event_goes_to_the_dead_letters_and_holds_up_no_event(
    served: Path, subscriber: ScriptedSubscriber, kafka: KafkaSettings
) -> None:
    consumer, user = a_consumer(), a_user()

    def script(delivered: Delivered) -> tuple[int, str]:
        is_poison = delivered.attributes["type"] == "dev.knative.kafka.event"
        return (400, "no event") if is_poison and delivered.subscriber != SINK else NO_CONTENT

    subscriber.script = script
    producer = Producer(quiet_settings(kafka.bootstrap_servers))
    producer.produce(kafka.tasks, key=user.user_id.encode(), value=b"no JSON")
    producer.flush(SOON_S)
    published(user, tasks=1)

    with delivering_from_kafka(served, consumer):
        eventually(lambda: _at_least(subscriber, consumer, 2), within_s=SOON_S)
        eventually(lambda: _dead(subscriber), within_s=SOON_S)

    assert [one.body for one in subscriber.received(SINK)] == [b"no JSON"]


def test_a_record_in_structured_mode_is_delivered_in_binary_mode(
    served: Path, subscriber: ScriptedSubscriber, kafka: KafkaSettings
) -> None:
    """KafkaSource: a record of content type application/cloudevents+json is unwrapped."""
    consumer, user = a_consumer(), a_user()
    [event] = log_of(user.user_id)
    members = {**attributes_of(event), "data": json.loads(event.record_json())}
    producer = Producer(quiet_settings(kafka.bootstrap_servers))
    producer.produce(
        kafka.tasks,
        key=user.user_id.encode(),
        value=json.dumps(members),
        headers={"content-type": b"application/cloudevents+json; charset=UTF-8"},
    )
    producer.flush(SOON_S)

    with delivering_from_kafka(served, consumer):
        wait_for(subscriber, consumer, user, [1])

    [delivered] = subscriber.received(consumer.name)
    attributes = {**delivered.attributes}
    assert attributes.pop("knativekafkaoffset") == "0"
    assert attributes.pop("knativekafkapartition") in set("012345")
    assert attributes == attributes_of(event)
    assert json.loads(delivered.body) == json.loads(event.record_json())


def _dead(subscriber: ScriptedSubscriber) -> None:
    assert subscriber.received(SINK)


def test_two_members_share_the_partitions_and_one_takes_over_those_of_the_other(
    served: Path, subscriber: ScriptedSubscriber, users: list[SignedIn]
) -> None:
    consumer = a_consumer()
    with delivering_from_kafka(served, consumer, "one"):
        with delivering_from_kafka(served, consumer, "two"):
            published(*users, tasks=5)
            for user in users:
                eventually(
                    lambda user=user: _all_of(subscriber, consumer, user, 6), within_s=SOON_S
                )
        published(*users, tasks=1)
        for user in users:
            eventually(lambda user=user: _all_of(subscriber, consumer, user, 7), within_s=SOON_S)


def _all_of(
    subscriber: ScriptedSubscriber, consumer: Consumer, user: SignedIn, newest: int
) -> None:
    # A partition that changes hands may be delivered again from its last commit.
    seqs = subscriber.seqs(consumer.name, user.user_id)
    assert list(dict.fromkeys(seqs)) == list(range(1, newest + 1))
