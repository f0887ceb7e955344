"""The settings that name a Kafka and the topics in it that are a test's own."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from taskflow import config
from tests.support.kafka.topics import Topics
from tests.support.settings import changed_settings


@dataclass(frozen=True)
class KafkaSettings:
    """The address of a Kafka, and the names of the topics and groups in it."""

    bootstrap_servers: str
    tasks: str
    reminders: str
    dead_letters: str

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables by which a system reads the settings."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "KAFKA_GROUP_PREFIX": self.tasks,
            "TOPIC_TASKS": self.tasks,
            "TOPIC_REMINDERS": self.reminders,
            "TOPIC_DEAD_LETTERS": self.dead_letters,
        }


def kafka_settings(topics: Topics, bootstrap_servers: str, *, partitions: int = 6) -> KafkaSettings:
    """Create three new topics, and return the settings that name them."""
    # What a test about a poison message may write.
    settings = {"max.message.bytes": str(4 * 1024 * 1024)}
    names = [
        topics.create(name, partitions=partitions, settings=settings)
        for name in ("tasks", "reminders", "dead")
    ]
    return KafkaSettings(bootstrap_servers, *names)


@contextmanager
def using(kafka: KafkaSettings) -> Generator[None]:
    """Apply the settings to this process, for the length of the block."""
    given = config.read({**kafka.environment, "ENVIRONMENT": "test"})
    names = (
        "kafka_bootstrap_servers",
        "kafka_group_prefix",
        "topic_tasks",
        "topic_reminders",
        "topic_dead_letters",
    )
    with changed_settings(**{name: getattr(given, name) for name in names}):
        yield
