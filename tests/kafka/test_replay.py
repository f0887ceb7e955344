"""`taskflow replay --from kafka`: the topics give back the live tasks, field by field (E7)."""

from collections.abc import Generator
from dataclasses import replace

import pytest
from confluent_kafka import Producer

from taskflow import clock, config
from taskflow.domain import tasks
from taskflow.domain.tasks import TaskChanges
from taskflow.eventing import CronRun
from taskflow.kafka import replay as module
from taskflow.kafka.publisher import Publisher
from taskflow.kafka.replay import Comparison, compare_with_kafka
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import events, task_changes, task_store, transaction
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.data.builders import a_stored_task
from tests.support.database.tampering import tamper
from tests.support.database.temporary import a_database
from tests.support.kafka.broker import Broker, ExternalBroker, quiet_settings
from tests.support.kafka.settings import KafkaSettings, kafka_settings, using
from tests.support.kafka.topics import Topics
from tests.support.processes.command_line import taskflow

WITHIN_S = 30


@pytest.fixture
def kafka(
    database: EmbeddedPostgres, broker: Broker | ExternalBroker, topics: Topics
) -> Generator[KafkaSettings]:
    """Give a test a database of its own: all tasks are compared."""
    here = kafka_settings(topics, broker.bootstrap_servers)
    with a_database(database), using(here):
        yield here


@pytest.fixture
def user(kafka: KafkaSettings) -> SignedIn:
    del kafka
    user = a_user()
    for number in range(20):
        task = a_stored_task(user.user_id, title=str(number), metadata={"price": 1.1})
        with transaction(A_CAUSE) as tx:
            changed, happened = tasks.update(
                task, TaskChanges(description="more", tags=["a"]), now=clock.now()
            )
            if number % 2:
                changed, more = tasks.delete(changed, now=clock.now())
                happened = [*happened, *more]
            task_changes.save(tx, task, (changed, happened))
    return user


def publish() -> None:
    publisher = Publisher()
    publisher.sweep(CronRun(WITHIN_S).is_over)
    publisher.stop()


def compared() -> Comparison:
    return compare_with_kafka(lambda _read, _of: None)


def test_the_topic_gives_back_every_task(user: SignedIn) -> None:
    del user
    publish()

    found = compared()

    assert found.is_equal
    assert (found.same, found.records, found.doubled) == (20, 51, 0)


def test_a_task_that_was_changed_by_hand_is_found_with_its_fields(user: SignedIn) -> None:
    publish()
    with transaction(A_CAUSE) as tx:
        victim = task_store.all_of(tx, user.user_id)[3]
    tamper("UPDATE tasks SET title = 'forged' WHERE id = :id", id=victim.id)

    found = compared()

    assert found.differing == {str(victim.id): ["title"]}
    assert found.same == 19


def test_a_task_that_is_in_kafka_alone_is_found(user: SignedIn) -> None:
    publish()
    with transaction(A_CAUSE) as tx:
        victim = task_store.all_of(tx, user.user_id)[3]
    tamper("DELETE FROM tasks WHERE id = :id", id=victim.id)

    assert compared().only_rebuilt == [str(victim.id)]


def test_a_task_that_was_not_published_is_found(
    user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CAUGHT_UP_WITHIN_S", 1)
    publish()
    task = a_stored_task(user.user_id)

    assert compared().only_live == [str(task.id)]


def test_events_published_during_the_comparison_are_no_difference(user: SignedIn) -> None:
    publish()
    task = a_stored_task(user.user_id)
    publisher = Publisher()

    def progress(_read: int, _of: int) -> None:
        publisher.notify_and_start({user.user_id: 52})

    found = compare_with_kafka(progress)
    publisher.stop()

    assert found.is_equal, (found, task)
    assert found.same == 21


def test_an_event_of_a_newer_schema_version_is_refused_and_counted(
    kafka: KafkaSettings, user: SignedIn
) -> None:
    publish()
    with transaction(A_CAUSE) as tx:
        newest = events.after(tx, user.user_id, 50)[0]
    producer = Producer(quiet_settings(kafka.bootstrap_servers))
    producer.produce(kafka.tasks, value=replace(newest, schema_version=2).record_json())
    producer.flush(WITHIN_S)

    found = compared()

    assert (found.newer, found.unreadable, found.same) == (1, 0, 20)
    assert not found.is_equal
    command = taskflow(
        "replay",
        "--from",
        "kafka",
        **kafka.environment,
        DATABASE_URL=config.settings().database_url or "",
    )
    assert command.returncode == 1
    assert "\n1 refused: written with a schema_version newer than 1, the newest" in command.stdout


def test_a_record_that_is_no_event_is_passed_over(kafka: KafkaSettings, user: SignedIn) -> None:
    del user
    producer = Producer(quiet_settings(kafka.bootstrap_servers))
    for value in (b"no JSON", b"[]", b'{"event_type": "task.created"}', b"1", b""):
        producer.produce(kafka.tasks, value=value)
    producer.flush(WITHIN_S)
    publish()

    found = compared()

    assert found.is_equal
    assert found.unreadable == 5
