"""A Kafka for this process: topics of its own, and the settings that name them."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from taskflow import config
from tests.support.configured import configured
from tests.support.topics import Topics


@dataclass(frozen=True)
class KafkaHere:
    """Where the Kafka is, and what the topics and the groups are called in it."""

    bootstrap_servers: str
    tasks: str
    reminders: str
    dead_letters: str

    @property
    def settings(self) -> dict[str, str]:
        """The environment variables that say so to a system."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "KAFKA_GROUP_PREFIX": self.tasks,
            "TOPIC_TASKS": self.tasks,
            "TOPIC_REMINDERS": self.reminders,
            "TOPIC_DEAD_LETTERS": self.dead_letters,
        }


def kafka_with(topics: Topics, bootstrap_servers: str, *, partitions: int = 6) -> KafkaHere:
    """Create three topics that nobody else has."""
    # What a test about a poison message may write.
    settings = {"max.message.bytes": str(4 * 1024 * 1024)}
    names = [
        topics.create(name, partitions=partitions, settings=settings)
        for name in ("tasks", "reminders", "dead")
    ]
    return KafkaHere(bootstrap_servers, *names)


@contextmanager
def using(kafka: KafkaHere) -> Generator[None]:
    """Use it in this process, for the length of the block."""
    given = config.read({**kafka.settings, "ENVIRONMENT": "test"})
    names = (
        "kafka_bootstrap_servers",
        "kafka_group_prefix",
        "topic_tasks",
        "topic_reminders",
        "topic_dead_letters",
    )
    with configured(**{name: getattr(given, name) for name in names}):
        yield
