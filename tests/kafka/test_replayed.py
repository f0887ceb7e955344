"""A replay to the topic: events published once more, marked, and no news to anybody (E7)."""

import json
from collections.abc import Generator
from dataclasses import replace
from typing import Any, cast

import pytest
from confluent_kafka import Message

from taskflow import config
from taskflow.domain.cloudevents import REPLAY
from taskflow.domain.events import Cause
from taskflow.eventing import CronRun
from taskflow.eventing import replaying as module
from taskflow.eventing.replaying import Worker
from taskflow.kafka.publisher import Publisher
from taskflow.kafka.replay import compare_with_kafka
from taskflow.kafka.replayed import ReplayProducer, replay_producer
from taskflow.standalone.postgres import EmbeddedPostgres
from tests.support.data.accounts import SignedIn, a_user, an_administrator, delete_account
from tests.support.data.builders import a_stored_task
from tests.support.database.temporary import a_database
from tests.support.delivery.replays import finished, shown, started
from tests.support.functions.client import Api
from tests.support.kafka.broker import Broker, ExternalBroker
from tests.support.kafka.settings import KafkaSettings, kafka_settings, using
from tests.support.kafka.topics import Topics, all_messages_in
from tests.support.processes.command_line import taskflow

WITHIN_S = 40
A_RUN = Cause(correlation_id="a-run", traceparent="", actor="", origin="")


@pytest.fixture
def kafka(
    database: EmbeddedPostgres, broker: Broker | ExternalBroker, topics: Topics
) -> Generator[KafkaSettings]:
    """Give a test a database of its own: all events are replayed."""
    here = kafka_settings(topics, broker.bootstrap_servers)
    with a_database(database), using(here), replay_producer.replaced_by(ReplayProducer()) as used:
        yield here
        used.close()


@pytest.fixture
def user(kafka: KafkaSettings) -> SignedIn:
    """Open an account with three events, of which Kafka has all."""
    del kafka
    user = a_user()
    for title in "ab":
        a_stored_task(user.user_id, title=title)
    publish_log()
    return user


@pytest.fixture
def admin(kafka: KafkaSettings) -> Api:
    del kafka
    return Api(an_administrator())


def publish_log() -> None:
    own = Publisher()
    own.sweep(CronRun(WITHIN_S).is_over)
    own.stop()


def headers_of(message: Message) -> dict[str, bytes]:
    return dict(cast("list[tuple[str, bytes]]", message.headers() or ()))


def seqs_of(messages: list[Message]) -> list[int]:
    values: list[dict[str, Any]] = [json.loads(message.value() or b"") for message in messages]
    return [value["seq"] for value in values]


def messages_of(kafka: KafkaSettings, user: SignedIn, *, replayed: bool) -> list[Message]:
    """Return the messages of a user's tasks that a replay has published, or the first ones."""
    return [
        message
        for message in all_messages_in(kafka.bootstrap_servers, kafka.tasks)
        if message.key() == user.user_id.encode()
        and (f"ce_{REPLAY}" in headers_of(message)) is replayed
    ]


def test_a_replayed_event_is_published_as_it_was_and_marked(
    kafka: KafkaSettings, user: SignedIn, admin: Api
) -> None:
    replay = started(admin, to="topic", user_id=user.user_id, from_seq=2)

    found = finished(admin, replay)

    assert (found["state"], found["events_done"], found["equal"]) == ("done", 2, None)
    first = messages_of(kafka, user, replayed=False)
    again = messages_of(kafka, user, replayed=True)
    assert (seqs_of(first), seqs_of(again)) == ([1, 2, 3], [2, 3])
    for before, after in zip(first[1:], again, strict=True):
        assert (after.key(), after.value()) == (before.key(), before.value())
        mark = {f"ce_{REPLAY}": replay["id"].encode()}
        assert headers_of(after) == {**headers_of(before), **mark}


def test_an_event_that_was_not_published_yet_is_left_to_the_publisher(
    kafka: KafkaSettings, user: SignedIn, admin: Api
) -> None:
    a_stored_task(user.user_id)

    found = finished(admin, started(admin, to="topic", user_id=user.user_id))

    assert (found["state"], found["events_done"]) == ("done", 4)
    assert seqs_of(messages_of(kafka, user, replayed=True)) == [1, 2, 3]


def test_an_event_that_is_about_to_be_erased_is_not_published_again(
    kafka: KafkaSettings, user: SignedIn, admin: Api
) -> None:
    delete_account(user)
    publish_log()

    found = finished(admin, started(admin, to="topic"))

    assert found["state"] == "done"
    assert seqs_of(messages_of(kafka, user, replayed=True)) == [4]


def test_all_users_events_are_replayed_each_in_order(
    kafka: KafkaSettings, user: SignedIn, admin: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PUBLISHED_MAX", 2)
    other = a_user()
    for title in "ab":
        a_stored_task(other.user_id, title=title)
    publish_log()

    finished(admin, started(admin, to="topic", events_per_s=1000))

    for each in (user, other):
        assert seqs_of(messages_of(kafka, each, replayed=True)) == [1, 2, 3]


def test_a_replay_keeps_to_its_pace(
    user: SignedIn, admin: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []

    def rest(_cron_run: CronRun, seconds: float) -> None:
        rests.append(seconds)

    monkeypatch.setattr(CronRun, "rest", rest)

    finished(admin, started(admin, to="topic", user_id=user.user_id, events_per_s=1))

    assert len(rests) == 3
    assert all(0.5 < seconds <= 1 for seconds in rests[1:]), rests


def test_what_kafka_refuses_is_not_gone_through(
    kafka: KafkaSettings, user: SignedIn, admin: Api
) -> None:
    replay = started(admin, to="topic", user_id=user.user_id)
    no_topics = replace(kafka, tasks="none-of-tasks", reminders="none-of-reminders")
    with using(no_topics):
        producer = ReplayProducer()
        Worker(CronRun(0.1), A_RUN, producer.publish).advance_all()
        producer.close()
    assert shown(admin, replay)["events_done"] == 0

    assert finished(admin, replay)["events_done"] == 3


def test_what_a_replay_has_published_counts_where_tasks_are_rebuilt_from_kafka(
    user: SignedIn, admin: Api
) -> None:
    finished(admin, started(admin, to="topic", user_id=user.user_id))

    found = compare_with_kafka(lambda _read, _of: None)

    assert (found.is_equal, found.same, found.doubled) == (True, 2, 2)


def test_the_command_publishes_events_again(kafka: KafkaSettings, user: SignedIn) -> None:
    command = taskflow(
        *("replay", "--from", "log", "--to", "topic", "--user", user.user_id),
        **kafka.environment,
        DATABASE_URL=config.settings().database_url or "",
    )

    assert command.returncode == 0, command.stderr
    assert command.stdout == "done: 3 events\n"
    assert seqs_of(messages_of(kafka, user, replayed=True)) == [1, 2, 3]
