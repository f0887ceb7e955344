"""Connections to Kafka, made from the settings, and what goes wrong with them."""

# confluent-kafka's admin package types its futures no further, and exports nothing by name.
# pyright: reportUnknownMemberType=false, reportPrivateImportUsage=false
# pyright: reportUnknownArgumentType=false

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from taskflow import config

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Producer

RECONNECT_MAX_MS = 1000
"""A broker that is away is tried about once in this time: no hammering, and no long wait when it
is back."""

ADMIN_TIMEOUT_S = 30.0

CLIENT_ID = "taskflow"


class BrokerUnavailable(Exception):
    """Kafka can't be reached, or refuses us; the message says what it was."""


class TopicIsUnsettled(BrokerUnavailable):
    """A topic is there for one broker and not for another: it has just been created or deleted."""


def is_configured() -> bool:
    """Say whether there is a Kafka to publish to."""
    return bool(config.settings().kafka_bootstrap_servers)


def producer(error: Callable[["KafkaError"], None]) -> "Producer":
    """Make a producer that loses nothing and keeps the order; `error` hears what befalls it.

    It goes on trying for as long as the broker is away: what waits in it is given up by its user,
    never by a timeout, which would drop one message out of the middle.
    """
    from confluent_kafka import Producer

    return Producer(
        {
            **_connection(error),
            "enable.idempotence": True,
            "enable.gapless.guarantee": True,
            "acks": "all",
            "message.timeout.ms": 0,
            "compression.type": "lz4",
            # As Java's clients hash keys, so that theirs and ours find a user in one partition.
            "partitioner": "murmur2_random",
            "linger.ms": 1,
            # How long a topic may be unknown to the broker before a record is refused for it.
            "topic.metadata.propagation.max.ms": 3000,
        }
    )


def consumer(error: Callable[["KafkaError"], None], options: Mapping[str, Any]) -> "Consumer":
    """Make a consumer that commits only what it is told to."""
    from confluent_kafka import Consumer

    return Consumer(
        {
            **_connection(error),
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "fetch.wait.max.ms": 100,
            # How soon it looks again at partitions that it could not fetch from.
            "fetch.error.backoff.ms": 100,
            "fetch.message.max.bytes": 4 * 1024 * 1024,
            "queued.max.messages.kbytes": 16 * 1024,
            **options,
        }
    )


class Admin:
    """Topics as the broker has them; for use within `errors_translated`."""

    def __init__(self) -> None:
        """Connect."""
        from confluent_kafka import admin

        self._admin = admin
        self._client = admin.AdminClient(_connection(lambda _: None))

    def partitions(self) -> dict[str, int]:
        """Return each topic's number of partitions."""
        topics = self._client.list_topics(timeout=ADMIN_TIMEOUT_S).topics
        return {name: len(topic.partitions) for name, topic in topics.items()}

    def create(
        self, name: str, *, partitions: int, replication_factor: int, settings: Mapping[str, str]
    ) -> bool:
        """Create a topic; False where it is there by now.

        Another may have been quicker, or an answer was lost and librdkafka has asked again.
        """
        from confluent_kafka import KafkaError, KafkaException

        topic = self._admin.NewTopic(name, partitions, replication_factor, config=dict(settings))
        try:
            self._done(self._client.create_topics([topic], request_timeout=ADMIN_TIMEOUT_S))
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
            return False
        return True

    def settings_of(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return each topic's settings. Raises TopicIsUnsettled."""
        from confluent_kafka import KafkaError, KafkaException

        if not names:
            return {}
        topic = self._admin.ResourceType.TOPIC
        wanted = [self._admin.ConfigResource(topic, name) for name in names]
        try:
            found = self._done(
                self._client.describe_configs(wanted, request_timeout=ADMIN_TIMEOUT_S)
            )
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
            raise TopicIsUnsettled(f"Kafka: {error.args[0].str()}") from error
        return {
            resource.name: {name: entry.value for name, entry in settings.items()}
            for resource, settings in found.items()
        }

    @staticmethod
    def _done(futures: dict[Any, Future[Any]]) -> dict[Any, Any]:
        return {what: future.result() for what, future in futures.items()}


@contextmanager
def errors_translated() -> Generator[None]:
    """Raise BrokerUnavailable in place of librdkafka's own exception."""
    from confluent_kafka import KafkaException

    try:
        yield
    except KafkaException as error:
        raise BrokerUnavailable(f"Kafka: {error.args[0].str()}") from error


def _connection(error: Callable[["KafkaError"], None]) -> dict[str, Any]:
    settings = config.settings()
    if not settings.kafka_bootstrap_servers:
        message = "KAFKA_BOOTSTRAP_SERVERS: is needed to reach Kafka"
        raise config.InvalidSetting(message)
    given = {
        "security.protocol": settings.kafka_security_protocol,
        "sasl.mechanism": settings.kafka_sasl_mechanism,
        "sasl.username": settings.kafka_sasl_username,
        "sasl.password": settings.kafka_sasl_password,
        "ssl.ca.location": settings.kafka_ssl_ca_location and str(settings.kafka_ssl_ca_location),
    }
    return {
        "bootstrap.servers": ",".join(settings.kafka_bootstrap_servers),
        "client.id": CLIENT_ID,
        "reconnect.backoff.ms": 100,
        "reconnect.backoff.max.ms": RECONNECT_MAX_MS,
        # A broker that stands still is noticed in this time, and asked again on a new connection.
        "socket.timeout.ms": 10_000,
        "topic.metadata.refresh.interval.ms": 5_000,
        "allow.auto.create.topics": False,
        "error_cb": error,
        # To nowhere: what matters comes by `error`, and the rest would be on stderr, not as JSON.
        "log_level": 0,
        **{name: value for name, value in given.items() if value},
    }
