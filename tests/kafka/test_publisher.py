"""Publishing: all events of a user in the order of `seq`, through many publishers and failures."""

import json
import secrets
import threading
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

import pytest

from taskflow.domain.events import Event
from taskflow.eventing import CronRun
from taskflow.kafka.publisher import Publisher
from taskflow.kafka.topics import make
from taskflow.storage import publication_store, transaction
from taskflow.storage.tables import PUBLICATIONS
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.data.builders import a_stored_task, log_of
from tests.support.kafka.broker import Broker
from tests.support.kafka.settings import KafkaSettings, kafka_settings, using
from tests.support.kafka.topics import Topics, all_messages_in
from tests.support.polling import eventually

SOON_S = 30


@contextmanager
def publishing(count: int = 1, *, sweep_every_s: float | None = None) -> Generator[list[Publisher]]:
    publishers = [Publisher(sweep_every_s=sweep_every_s) for _ in range(count)]
    threads = [threading.Thread(target=each.run) for each in publishers]
    for thread in threads:
        thread.start()
    try:
        yield publishers
    finally:
        for each in publishers:
            each.stop()
        for thread in threads:
            thread.join(timeout=SOON_S)
            assert not thread.is_alive()


def seqs_in(kafka: KafkaSettings) -> dict[str, list[int]]:
    """Return the `seq` of each user's events in the topic, as it holds them."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for message in all_messages_in(kafka.bootstrap_servers, kafka.tasks):
        event = json.loads(message.value() or b"")
        found[event["user_id"]].append(event["seq"])
    return found


def first_of_each(seqs: Sequence[int]) -> list[int]:
    return list(dict.fromkeys(seqs))


def published(user: SignedIn) -> int:
    with transaction(A_CAUSE) as tx:
        found = tx.connection.execute(
            PUBLICATIONS.select().where(PUBLICATIONS.c.user_id == user.user_id)
        ).one_or_none()
    return 0 if found is None else found.seq


def is_published(user: SignedIn, seq: int) -> Callable[[], None]:
    def check() -> None:
        assert published(user) == seq

    return check


@pytest.fixture
def busy_user(user: SignedIn) -> SignedIn:
    for number in range(9):
        a_stored_task(user.user_id, title=str(number))
    return user


def test_a_record_is_the_event_with_the_user_as_its_key(
    kafka: KafkaSettings, user: SignedIn
) -> None:
    a_stored_task(user.user_id, metadata={"price": 1.10})

    with publishing() as [publisher]:
        publisher.notify({user.user_id: 2})
        eventually(is_published(user, 2), within_s=SOON_S)

    [_, created] = all_messages_in(kafka.bootstrap_servers, kafka.tasks)
    event: Event = log_of(user.user_id)[1]
    assert created.key() == user.user_id.encode()
    assert created.value() == event.record_json().encode()
    assert dict(created.headers() or ())["ce_sequence"] == b"0000000000000000002"


def test_all_events_of_a_user_are_published_in_order_and_once(
    kafka: KafkaSettings, busy_user: SignedIn
) -> None:
    with publishing() as [publisher]:
        publisher.notify({busy_user.user_id: 10})
        eventually(is_published(busy_user, 10), within_s=SOON_S)

    assert seqs_in(kafka)[busy_user.user_id] == list(range(1, 11))


def test_events_without_a_notification_are_published_by_the_sweep(
    kafka: KafkaSettings, busy_user: SignedIn
) -> None:
    with publishing(sweep_every_s=0.1):
        eventually(is_published(busy_user, 10), within_s=SOON_S)

    assert seqs_in(kafka)[busy_user.user_id] == list(range(1, 11))


def test_a_sweep_ends_when_all_events_are_published(
    kafka: KafkaSettings, busy_user: SignedIn
) -> None:
    publisher = Publisher()

    publisher.sweep(CronRun(SOON_S).is_over)
    publisher.stop()

    assert published(busy_user) == 10
    assert seqs_in(kafka)[busy_user.user_id] == list(range(1, 11))


def test_a_user_held_by_another_publisher_is_left_to_that_one(
    kafka: KafkaSettings, busy_user: SignedIn
) -> None:
    other = uuid4()
    with transaction(A_CAUSE) as tx:
        publication_store.hold(tx, other, {busy_user.user_id: 10})

    with publishing() as [publisher]:
        publisher.notify({busy_user.user_id: 10})
        user = a_user()
        publisher.notify({user.user_id: 1})
        eventually(is_published(user, 1), within_s=SOON_S)

        assert published(busy_user) == 0
        with transaction(A_CAUSE) as tx:
            publication_store.release(tx, other, {busy_user.user_id: 4})
        eventually(is_published(busy_user, 10), within_s=SOON_S)

    assert seqs_in(kafka)[busy_user.user_id] == list(range(5, 11))


def test_many_publishers_publish_each_event_once_without_failures(kafka: KafkaSettings) -> None:
    users = [a_user() for _ in range(5)]

    with publishing(3) as publishers:
        for number in range(60):
            user = users[number % 5]
            a_stored_task(user.user_id)
            for publisher in publishers:
                publisher.notify({user.user_id: number // 5 + 2})
        for user in users:
            eventually(is_published(user, 13), within_s=SOON_S)

    assert seqs_in(kafka) == {user.user_id: list(range(1, 14)) for user in users}


def test_a_missing_topic_is_logged_once_and_waited_for(
    kafka: KafkaSettings, topics: Topics, user: SignedIn, caplog: pytest.LogCaptureFixture
) -> None:
    topics.delete_all()

    with publishing() as [publisher]:
        publisher.notify({user.user_id: 1})
        eventually(lambda: _says(caplog, "`taskflow topics` makes the topics"), within_s=90)
        assert published(user) == 0
        make(partitions=6)
        eventually(is_published(user, 1), within_s=SOON_S)

    assert seqs_in(kafka)[user.user_id] == [1]
    assert len([text for text in caplog.messages if "events wait" in text]) <= 2


def test_a_broker_that_is_killed_paused_or_down_delays_events_and_loses_none(
    own_broker: Broker, user: SignedIn, other: SignedIn
) -> None:
    kafka = kafka_settings(Topics(own_broker.bootstrap_servers), own_broker.bootstrap_servers)
    with using(kafka), publishing() as [publisher]:
        for seq, (harm, mend) in enumerate(
            (
                (own_broker.pause, own_broker.resume),
                (own_broker.kill, own_broker.start),
                (own_broker.stop, own_broker.start),
            ),
            2,
        ):
            harm()
            a_stored_task(user.user_id)
            publisher.notify({user.user_id: seq})
            threading.Event().wait(1)
            assert published(user) < seq
            mend()
            eventually(is_published(user, seq), within_s=SOON_S)

        assert first_of_each(seqs_in(kafka)[user.user_id]) == [1, 2, 3, 4]
        # One that ends while the broker is away leaves the rest to the next.
        own_broker.pause()
        publisher.notify({other.user_id: 1})
        threading.Event().wait(0.5)
    assert published(other) == 0

    own_broker.resume()
    with using(kafka), publishing(sweep_every_s=0.1):
        eventually(is_published(other, 1), within_s=SOON_S)


def test_a_refused_record_holds_back_the_later_events_of_its_user(
    kafka: KafkaSettings, topics: Topics, user: SignedIn, caplog: pytest.LogCaptureFixture
) -> None:
    topics.set(kafka.tasks, {"max.message.bytes": "4000"})
    a_stored_task(user.user_id)
    # Nothing that could be compressed.
    a_stored_task(user.user_id, description=secrets.token_hex(5000))
    a_stored_task(user.user_id)

    with publishing() as [publisher]:
        publisher.notify({user.user_id: 4})
        eventually(lambda: _says(caplog, "too large"), within_s=SOON_S)
        topics.set(kafka.tasks, {"max.message.bytes": "1000000"})
        eventually(is_published(user, 4), within_s=SOON_S)

    assert first_of_each(seqs_in(kafka)[user.user_id]) == [1, 2, 3, 4]


def test_the_topics_are_created_once_and_then_found_right(
    kafka: KafkaSettings, topics: Topics
) -> None:
    topics.delete_all()

    made, found = make(), make()

    assert {each.state for each in made} == {"created"}
    assert {each.state for each in found} == {"as it should be"}
    assert {each.name for each in found} == {kafka.tasks, kafka.reminders, kafka.dead_letters}


def test_runs_that_create_the_topics_at_once_all_find_them(
    kafka: KafkaSettings, topics: Topics
) -> None:
    topics.delete_all()

    with ThreadPoolExecutor() as pool:
        runs = [each.result() for each in [pool.submit(make) for _ in range(4)]]

    names = {kafka.tasks, kafka.reminders, kafka.dead_letters}
    assert all({each.name for each in topics_made} == names for topics_made in runs)
    created = [each.name for topics_made in runs for each in topics_made if each.state == "created"]
    assert sorted(created) == sorted(names)


def _says(caplog: pytest.LogCaptureFixture, what: str) -> None:
    assert any(what in text for text in caplog.messages)
