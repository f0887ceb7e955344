"""KafkaSources and PingSources: what wakes the consumers and the cron functions."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from taskflow.eventing.bindings import knative
from taskflow.eventing.consumer import Consumer, Ordering
from taskflow.eventing.cron import HOUR_MIN, CronFunction
from taskflow.eventing.dead_letter import DeadLetterSink
from taskflow.kafka import topics
from taskflow.kafka.reader import group_of
from taskflow.manifests import deployments
from taskflow.manifests.documents import Document, document
from taskflow.server.loading import Function

KAFKA_SINK = {"apiVersion": "eventing.knative.dev/v1alpha1", "kind": "KafkaSink"}
DEAD_LETTERS = "dead-letters"
"""The KafkaSink of what could not be delivered. Not the function itself: that fails together with
the consumer, for they share a database, and what no sink takes is lost."""

SERVERS = "set-by-the-overlay:9092"
"""Where Kafka is, says the overlay."""

LETTER_DELAY = timedelta(seconds=5)
LETTER_RETRIES = 186
"""Of a dead letter that can't be stored just now: the waits are 5 s, 10 s, 15 s and so on, a day in
all. It stays in the topic; there is nobody else to give it to who would be there then."""


def _duration(length: timedelta) -> str:
    return f"PT{length.total_seconds():g}S"


_DELIVERY: Document = {
    "retry": knative.RETRIES,
    "backoffPolicy": "exponential",
    "backoffDelay": _duration(knative.BACKOFF_DELAY),
    "timeout": _duration(knative.TIMEOUT),
    "deadLetterSink": {"ref": {**KAFKA_SINK, "name": DEAD_LETTERS}},
}
"""All five: of what is left out here, the retries would be none, and the event lost."""

_LETTERS_DELIVERY: Document = {
    "retry": LETTER_RETRIES,
    "backoffPolicy": "linear",
    "backoffDelay": _duration(LETTER_DELAY),
    "timeout": _duration(knative.TIMEOUT),
}


def kafka_sources(functions: Iterable[Function]) -> Iterator[Document]:
    """Yield the KafkaSource of each consumer, and the one that reads the dead letters."""
    for function in functions:
        match function.endpoint:
            case Consumer() as consumer:
                names = [topics.name_of(topic) for topic in consumer.topics]
                yield _kafka_source(consumer.name, names, consumer.ordering, _DELIVERY)
            case DeadLetterSink() as sink:
                names = [topics.name_of(topics.DEAD_LETTERS_TOPIC)]
                yield _kafka_source(sink.name, names, "unordered", _LETTERS_DELIVERY)
            case _:
                pass


def topic_replacements(sources: Iterable[Document]) -> Iterator[Document]:
    """Yield what carries the names of topics to those KafkaSources, as kustomize's replacements.

    They are said by the ConfigMap `taskflow-kafka`, as the functions are told them.
    """
    targets: dict[str, list[Document]] = defaultdict(list)
    for source in sources:
        for index, name in enumerate(source["spec"]["topics"]):
            select = {"kind": source["kind"], "name": source["metadata"]["name"]}
            targets[name].append({"select": select, "fieldPaths": [f"spec.topics.{index}"]})
    config_map = {"kind": "ConfigMap", "name": deployments.KAFKA}
    for setting, name in topics.settings().items():
        yield {
            "source": {**config_map, "fieldPath": f"data.{setting.upper()}"},
            "targets": targets[name],
        }


def ping_sources(functions: Iterable[Function]) -> Iterator[Document]:
    """Yield the PingSource of each cron function."""
    for function in functions:
        if isinstance(function.endpoint, CronFunction):
            spec = {
                "schedule": schedule(function.endpoint.every_min),
                "sink": _sink(function.name),
            }
            yield document("sources.knative.dev/v1", "PingSource", function.name, spec)


def _kafka_source(
    function: str, names: Sequence[str], ordering: Ordering, delivery: Document
) -> Document:
    spec = {
        "bootstrapServers": [SERVERS],
        "topics": names,
        "consumerGroup": group_of(function),
        # Its default is where the topics end, and what was published before it was made is lost.
        "initialOffset": "earliest",
        "ordering": ordering,
        "delivery": delivery,
        "sink": _sink(function),
    }
    return document("sources.knative.dev/v1", "KafkaSource", function, spec)


def _sink(function: str) -> Document:
    service = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": function}
    return {"ref": service}


def schedule(every_min: int) -> str:
    """Return the cron schedule that `make up` follows, too: at the full minutes that divide so."""
    if every_min == 1:
        return "* * * * *"
    if every_min < HOUR_MIN:
        return f"*/{every_min} * * * *"
    hours = every_min // HOUR_MIN
    return "0 * * * *" if hours == 1 else f"0 */{hours} * * *" if hours < 24 else "0 0 * * *"  # noqa: PLR2004 - hours of a day
