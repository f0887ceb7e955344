"""The topics: which events travel on which, what they are called here, and making them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from taskflow import clock, config
from taskflow.domain.events import Topic, declaration_of
from taskflow.kafka import client

DEAD_LETTERS_TOPIC = "dead-letters"
"""By its default name, as `Topic` has those of events; the settings may rename it too."""

_SETTINGS: Mapping[str, str] = {
    Topic.TASKS: "topic_tasks",
    Topic.REMINDERS: "topic_reminders",
    DEAD_LETTERS_TOPIC: "topic_dead_letters",
}

PARTITIONS = 6
KEPT = timedelta(days=7)
DEAD_LETTERS_KEPT = timedelta(days=90)

SETTLED_WITHIN_S, LOOK_S = 15.0, 0.2
"""How long brokers may disagree about a topic that was just created or deleted, and how often they
are asked meanwhile."""


class TopicsDiffer(Exception):
    """A topic is not as it should be; the message says which, and how."""


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic that was made or checked: its name, and `created` or `as it should be`."""

    name: str
    state: str


def name_of(topic: str) -> str:
    """Return the name of a topic in this Kafka, given its default name."""
    return getattr(config.settings(), _SETTINGS[topic])


def settings() -> Mapping[str, str]:
    """Return the settings that name a topic, and the topic's name in this Kafka."""
    return {setting: name_of(topic) for topic, setting in _SETTINGS.items()}


def topic_of(event_type: str) -> str:
    """Return the name of the topic on which events of a type travel."""
    declared = declaration_of(event_type)
    return name_of(Topic.TASKS if declared is None else declared.topic)


def event_topics() -> list[str]:
    """Return the names of the topics on which events travel."""
    return [name_of(topic) for topic in Topic]


def make(*, partitions: int = PARTITIONS, replication_factor: int = -1) -> list[TopicState]:
    """Create the topics that are missing, and check the others; change none.

    A replication factor of -1 leaves it to the broker. More partitions than asked for are right
    too. Raises TopicsDiffer for all that differ, after the missing ones have been created, and
    BrokerUnavailable.
    """
    wanted = {
        **dict.fromkeys(event_topics(), KEPT),
        name_of(DEAD_LETTERS_TOPIC): DEAD_LETTERS_KEPT,
    }
    created: set[str] = set()
    deadline_s = clock.monotonic_s() + SETTLED_WITHIN_S
    while True:
        try:
            with client.errors_translated():
                found, configs = _found(
                    wanted,
                    created,
                    partitions=partitions,
                    replication_factor=replication_factor,
                )
            break
        except client.TopicIsUnsettled:
            if clock.monotonic_s() > deadline_s:
                raise
            time.sleep(LOOK_S)
    present = [name for name in wanted if name not in created]
    differences: list[str] = []
    for name in present:
        if found[name] < partitions:
            differences.append(f"{name} has {found[name]} partitions, not {partitions}")
        kept_ms = int(configs[name]["retention.ms"])
        if 0 <= kept_ms < _ms(wanted[name]):
            differences.append(f"{name} has retention.ms {kept_ms}, not {_ms(wanted[name])}")
        if "compact" in configs[name]["cleanup.policy"]:
            differences.append(f"{name} is compacted, which drops events")
    if differences:
        raise TopicsDiffer("; ".join(differences))
    return [
        TopicState(name, "created" if name in created else "as it should be") for name in wanted
    ]


def _found(
    wanted: Mapping[str, timedelta],
    created: set[str],
    *,
    partitions: int,
    replication_factor: int,
) -> tuple[dict[str, int], dict[str, dict[str, str]]]:
    """Create the topics that are missing, and add their names to `created`.

    Returns the partitions and the settings of the others. Raises TopicIsUnsettled.
    """
    admin = client.Admin()
    found = admin.partitions()
    for name, kept in wanted.items():
        if name not in found and admin.create(
            name,
            partitions=partitions,
            replication_factor=replication_factor,
            settings={"retention.ms": str(_ms(kept))},
        ):
            created.add(name)
    present = [name for name in wanted if name not in created]
    if not found.keys() >= set(present):
        found = admin.partitions()
    if not found.keys() >= set(present):
        missing = ", ".join(sorted(set(present) - found.keys()))
        raise client.TopicIsUnsettled(f"Kafka: {missing} is neither there nor missing")
    return found, admin.settings_of(present)


def _ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
