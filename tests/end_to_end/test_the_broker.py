"""The Kafka of the tests: produced messages are read back."""

from confluent_kafka import Producer

from tests.support.kafka import topics as kafka
from tests.support.kafka.broker import Broker, ExternalBroker, quiet_settings
from tests.support.kafka.topics import Topics

LONG_S = 20.0


def _produce(bootstrap_servers: str, topic: str, *values: bytes) -> None:
    producer = Producer(quiet_settings(bootstrap_servers))
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(LONG_S) == 0


def _values(bootstrap_servers: str, topic: str) -> list[bytes | str | None]:
    return [message.value() for message in kafka.all_messages_in(bootstrap_servers, topic)]


def test_produced_messages_are_read_to_the_end(
    broker: Broker | ExternalBroker, topics: Topics
) -> None:
    topic = topics.create("some.events", partitions=3)

    _produce(broker.bootstrap_servers, topic, b"one", b"two", b"three")

    assert sorted(_values(broker.bootstrap_servers, topic), key=str) == [b"one", b"three", b"two"]
    assert _values(broker.bootstrap_servers, topics.create("some.events")) == []
