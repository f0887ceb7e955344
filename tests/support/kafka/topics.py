"""Topics of a test's own, and the messages of a topic."""

# The admin package's stub exports little by name, and types its futures no further.
# pyright: reportPrivateImportUsage=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any
from uuid import uuid4

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition
from confluent_kafka import admin as kafka_admin
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.support.kafka.broker import quiet_settings

DONE_WITHIN_S = 30.0
POLL_S = 0.1


class Topics:
    """Creates topics with unique names, and deletes them in the end."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._admin = AdminClient(quiet_settings(bootstrap_servers))
        self._created: list[str] = []

    def create(
        self,
        name: str = "a-topic",
        *,
        partitions: int = 1,
        settings: Mapping[str, str] | None = None,
    ) -> str:
        """Create a topic; return its name, which begins with `name`."""
        unique = f"{name}.{uuid4().hex}"
        create(self._admin, unique, partitions=partitions, settings=settings)
        self._created.append(unique)
        return unique

    def set(self, name: str, settings: Mapping[str, str]) -> None:
        """Change a topic's settings."""
        changes = [
            kafka_admin.ConfigEntry(
                setting, value, incremental_operation=kafka_admin.AlterConfigOpType.SET
            )
            for setting, value in settings.items()
        ]
        topic = kafka_admin.ResourceType.TOPIC
        resource = kafka_admin.ConfigResource(topic, name, incremental_configs=changes)
        _wait(self._admin.incremental_alter_configs([resource]))

    def add_partitions(self, name: str, count: int) -> None:
        """Have a topic consist of `count` partitions, which are more than it has."""
        _wait(self._admin.create_partitions([kafka_admin.NewPartitions(name, count)]))

    def delete_all(self) -> None:
        """Delete all created topics."""
        delete(self._admin, *self._created)
        self._created.clear()


def create(
    admin: AdminClient, name: str, *, partitions: int = 1, settings: Mapping[str, str] | None = None
) -> None:
    """Create a topic with exactly this name, and wait until it exists."""
    topic = NewTopic(
        name, num_partitions=partitions, replication_factor=1, config=dict(settings or {})
    )
    _wait(admin.create_topics([topic], operation_timeout=DONE_WITHIN_S))


def delete(admin: AdminClient, *names: str) -> None:
    """Delete topics, and wait until the broker no longer lists them."""
    if not names:
        return
    _wait(admin.delete_topics([*names], operation_timeout=DONE_WITHIN_S))
    deadline_s = time.monotonic() + DONE_WITHIN_S
    while left := {*names} & {*admin.list_topics(timeout=DONE_WITHIN_S).topics}:
        assert time.monotonic() < deadline_s, f"{left} are still there"
        time.sleep(POLL_S)


def _wait(all_done: Mapping[Any, Future[Any]]) -> None:
    for done in all_done.values():
        done.result(DONE_WITHIN_S)


def all_messages_in(
    bootstrap_servers: str, topic: str, *, within_s: float = DONE_WITHIN_S
) -> Sequence[Message]:
    """Return every message of a topic, partition by partition, each in the order it holds them."""
    options = {
        "group.id": uuid4().hex,
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "fetch.wait.max.ms": 10,
    }
    consumer = Consumer(quiet_settings(bootstrap_servers, **options))
    try:
        return _read(consumer, topic, deadline_s=time.monotonic() + within_s)
    finally:
        consumer.close()


def _read(consumer: Consumer, topic: str, *, deadline_s: float) -> Sequence[Message]:
    numbers = consumer.list_topics(topic, timeout=DONE_WITHIN_S).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in numbers])
    found: dict[int, list[Message]] = {number: [] for number in sorted(numbers)}
    unread = set(numbers)
    while unread:
        assert time.monotonic() < deadline_s, f"{topic} was not read to its end"
        message = consumer.poll(POLL_S)
        if message is None:
            continue
        error, partition = message.error(), message.partition()
        assert partition is not None, error
        if error is None:
            found[partition].append(message)
        else:
            assert error.code() == KafkaError._PARTITION_EOF, error  # noqa: SLF001 - the client's public name for it
            unread.discard(partition)
    return [message for number in found for message in found[number]]
