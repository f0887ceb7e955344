"""Reading topics: as a member of a consumer group, or by oneself, from the end or the beginning."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal, cast

from taskflow import config
from taskflow.kafka import client
from taskflow.kafka.records import Headers, Record

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

Place = tuple[str, int]
"""A partition: topic and number."""

SESSION_TIMEOUT_MS = 10_000
"""A member that was killed and does not come back gives its partitions up after this time."""

METADATA_TIMEOUT_S = 5.0


def group_of(name: str) -> str:
    """Return the consumer group of what is called `name`, as it is called in this Kafka."""
    return f"{config.settings().kafka_group_prefix}.{name}"


class _Reader:
    def __init__(self, consumer: "Consumer") -> None:
        self._consumer = consumer
        self._code: int | None = None
        self._fatal_error: str | None = None
        self.trouble: str | None = None
        """The error that reading met, until a record is read again; the first of one kind."""

    def read(self, most: int, timeout_s: float) -> list[Record]:
        """Return the next records, at most `most`, once there is one or after `timeout_s`.

        Raises BrokerUnavailable where only a new reader can go on.
        """
        first = self._consumer.poll(timeout_s)
        found: list[Record] = []
        if first is not None:
            for message in (first, *self._consumer.consume(most - 1, timeout=0)):
                error = message.error()
                if error is not None:
                    self._on_error(error)
                else:
                    found.append(_record(message))
                    self._code = self.trouble = None
        if self._fatal_error is not None:
            raise client.BrokerUnavailable(f"Kafka: {self._fatal_error}")
        return found

    def _on_error(self, error: "KafkaError") -> None:
        from confluent_kafka import KafkaError

        code = error.code()
        # `fatal()` is not true of all that is. Our own commit, kept while the broker was away, may
        # be what fences us.
        if error.fatal() or code in {KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID}:  # noqa: SLF001 - librdkafka's own codes are named so
            self._fatal_error = error.str()
        # That all are down says no more than what each said of itself.
        elif code not in {KafkaError._ALL_BROKERS_DOWN, self._code}:  # noqa: SLF001 - as above
            self._code, self.trouble = code, error.str()

    def close(self) -> None:
        """Leave, and close the connections."""
        self._consumer.close()


class GroupReader(_Reader):
    """A member of a consumer group."""

    def __init__(
        self,
        group: str,
        member: str,
        topics: Sequence[str],
        *,
        since: datetime | None = None,
        revoked: Callable[[Sequence[Place]], None],
        lost: Callable[[Sequence[Place]], None],
    ) -> None:
        """Join `group`; `revoked` hears, within `read` and `close`, of partitions to be given up.

        `lost` hears of those that are another's by now, of which nothing can be committed. A
        partition of which the group has committed nothing, such as a new one, is read from the
        first record published at `since` or later, by default from its first.
        `member` names this process among those of the group: killed and started again under the
        same name, it goes on without a rebalance.
        """
        options = {
            "group.id": group_of(group),
            "group.instance.id": member,
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": SESSION_TIMEOUT_MS // 4,
            "auto.offset.reset": "earliest",
            # What comes within a moment is fetched in one go: each fetch costs the broker, too.
            "fetch.min.bytes": 64 * 1024,
            "fetch.wait.max.ms": 50,
        }
        super().__init__(client.consumer(self._on_error, options))

        def on_revoke(_consumer: "Consumer", partitions: "list[TopicPartition]") -> None:
            revoked([(each.topic, each.partition) for each in partitions])

        def on_lost(_consumer: "Consumer", partitions: "list[TopicPartition]") -> None:
            lost([(each.topic, each.partition) for each in partitions])

        def on_assign(consumer: "Consumer", partitions: "list[TopicPartition]") -> None:
            if since is None:
                return
            places: list[TopicPartition] = []
            try:
                with client.errors_translated():
                    places = _from(consumer, partitions, since)
            except client.BrokerUnavailable as error:
                # Raised here it would come out of `close`, too.
                self._fatal_error = str(error).removeprefix("Kafka: ")
            consumer.assign(places)

        self._consumer.subscribe(
            list(topics), on_assign=on_assign, on_revoke=on_revoke, on_lost=on_lost
        )

    def pause(self, place: Place) -> None:
        """Read no more of a partition, and stay a member."""
        self._consumer.pause([_at(place)])

    def resume(self, place: Place) -> None:
        """Read a partition again."""
        self._consumer.resume([_at(place)])

    def commit(self, next_offsets: Mapping[Place, int], *, wait: bool = False) -> bool:
        """Commit the offsets to be read next; say whether they were, or are on their way."""
        from confluent_kafka import KafkaException

        offsets = [_at(place, offset) for place, offset in next_offsets.items()]
        try:
            if wait:
                done = self._consumer.commit(offsets=offsets, asynchronous=False)
                return all(each.error is None for each in done)
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException:
            # Not a member just now, or the broker is away: read again, and found to be claimed.
            return False
        return True


class TopicsReader(_Reader):
    """A reader of all partitions of some topics, in no group."""

    def __init__(self, topics: Sequence[str], *, start: Literal["beginning", "end"]) -> None:
        """Prepare to read from `start`; `assign` begins it."""
        options = {
            "group.id": group_of("no-group"),
            "auto.offset.reset": "earliest" if start == "beginning" else "latest",
        }
        super().__init__(client.consumer(self._on_error, options))
        self._topics = topics
        self._start = start
        self._places: list[Place] = []

    def assign(self) -> None:
        """Find the partitions, and begin. Raises BrokerUnavailable, also without a topic."""
        from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, TopicPartition

        offset = OFFSET_BEGINNING if self._start == "beginning" else OFFSET_END
        with client.errors_translated():
            self._places = [
                place for topic in self._topics for place in _places(self._consumer, topic)
            ]
            self._consumer.assign([TopicPartition(*place, offset) for place in self._places])

    def idle(self, seconds: float) -> None:
        """Wait, in librdkafka as `read` does, before `assign` is tried again."""
        self._consumer.poll(seconds)

    def ends(self) -> dict[Place, int]:
        """Return the offset behind each partition's last record. Raises BrokerUnavailable."""
        return {place: high for place, (_, high) in self._offsets().items()}

    def beginnings(self) -> dict[Place, int]:
        """Return the offset of each partition's first record. Raises BrokerUnavailable."""
        return {place: low for place, (low, _) in self._offsets().items()}

    def _offsets(self) -> dict[Place, tuple[int, int]]:
        with client.errors_translated():
            return {
                place: self._consumer.get_watermark_offsets(_at(place), timeout=METADATA_TIMEOUT_S)
                for place in self._places
            }


def _from(
    consumer: "Consumer", partitions: "list[TopicPartition]", since: datetime
) -> "list[TopicPartition]":
    """Return where to read partitions from: behind their commits, else as of `since`."""
    committed = consumer.committed(partitions, timeout=METADATA_TIMEOUT_S)
    since_ms = round(since.timestamp() * 1000)
    found: list[TopicPartition] = []
    for each in committed:
        if each.error is not None:
            raise client.BrokerUnavailable(f"Kafka: {each.topic}: {each.error.str()}")
        place = each.topic, each.partition
        if each.offset >= 0:
            found.append(each)
            continue
        # The end first: what comes between the two is behind it.
        _, end = consumer.get_watermark_offsets(_at(place), timeout=METADATA_TIMEOUT_S)
        [first] = consumer.offsets_for_times([_at(place, since_ms)], timeout=METADATA_TIMEOUT_S)
        found.append(_at(place, first.offset if first.offset >= 0 else end))
    return found


def _places(consumer: "Consumer", topic: str) -> list[Place]:
    about = consumer.list_topics(topic, timeout=METADATA_TIMEOUT_S).topics[topic]
    if about.error is not None:
        raise client.BrokerUnavailable(f"Kafka: {topic}: {about.error.str()}")
    return [(topic, partition) for partition in sorted(about.partitions)]


def _at(place: Place, offset: int | None = None) -> "TopicPartition":
    from confluent_kafka import TopicPartition

    return TopicPartition(*place) if offset is None else TopicPartition(*place, offset)


def _record(message: "Message") -> Record:
    key, value = message.key(), message.value()
    _, timestamp_ms = message.timestamp()
    return Record(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        timestamp_ms=timestamp_ms,
        key=key if isinstance(key, bytes) else b"",
        headers=cast("Headers", message.headers() or ()),
        value=value if isinstance(value, bytes) else b"",
    )
