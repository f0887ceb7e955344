"""Kafka as the source of deliveries: a consumer group for each consumer, as KafkaSource has it.

The lanes are the keys of each partition: what has one key is delivered in the partition's order,
and a user whose event is retried holds up no other. A partition's offset is committed only behind
records that have all been settled.
"""

import logging
import threading
from collections import deque
from collections.abc import Collection, Sequence
from datetime import timedelta

from taskflow import clock
from taskflow.domain.events import EventType
from taskflow.eventing.consumer import Consumer
from taskflow.kafka.reader import GroupReader, Place
from taskflow.kafka.records import Record
from taskflow.kafka.topics import name_of
from taskflow.standalone.deliverer import Delivery
from taskflow.standalone.kafka_events import cloudevent_of
from taskflow.storage.consumer_store import Start

COMMIT_S = 1.0
"""How often offsets are committed. What was delivered and not committed is delivered again after a
crash, and finds its claim."""

CLOSED_WITHIN_S = 2.0
"""How long a stop waits for the last commit. What was not committed finds its claim, as above."""

CLOCKS_DIFFER_BY = timedelta(minutes=10)
"""How far the clock of a publisher and the clock that timed a consumer's start differ at most."""

AGAIN_S = 1.0
READ_S = 0.5
READ_MAX = 500

UNSETTLED_MAX, UNSETTLED_MIN = 2000, 500
UNSETTLED_MAX_BYTES, UNSETTLED_MIN_BYTES = 8 * 1024 * 1024, 2 * 1024 * 1024
"""How much of a partition is kept here while its consumer is slow or fails; the rest stays in
Kafka. Reading goes on at the smaller numbers."""

_log = logging.getLogger(__name__)

_KNOWN_TYPES = frozenset(event_type.value for event_type in EventType)


class _Partition:
    """The records that were read of a partition and are not settled yet."""

    def __init__(self) -> None:
        self.waiting: dict[str, deque[Record]] = {}
        """The records that were not handed over, by lane."""
        self._unsettled: deque[tuple[int, int]] = deque()
        """Offsets and sizes, in the order of the offsets."""
        self.unsettled_bytes = 0
        self._settled: set[int] = set()
        self._of_lane: dict[str, deque[int]] = {}

    def __len__(self) -> int:
        return len(self._unsettled)

    def add(self, lane: str, record: Record) -> None:
        """Take what was read, in the order of the offsets."""
        self.waiting.setdefault(lane, deque()).append(record)
        self._of_lane.setdefault(lane, deque()).append(record.offset)
        self._unsettled.append((record.offset, len(record.value)))
        self.unsettled_bytes += len(record.value)

    def settle(self, lane: str, offset: int) -> int | None:
        """Settle a lane up to an offset; return the partition's next one if that has moved."""
        of_lane = self._of_lane.get(lane)
        while of_lane and of_lane[0] <= offset:
            self._settled.add(of_lane.popleft())
        if not of_lane:
            self._of_lane.pop(lane, None)
        next_offset = None
        while self._unsettled and self._unsettled[0][0] in self._settled:
            settled, size_bytes = self._unsettled.popleft()
            self._settled.discard(settled)
            self.unsettled_bytes -= size_bytes
            next_offset = settled + 1
        return next_offset


class KafkaSource:
    """A consumer's deliveries from the topics that it names."""

    def __init__(self, consumer: Consumer, member: str, start: Start) -> None:
        """Read as the `member` of the consumer's group, on a thread of its own.

        Of one that starts "now", what Kafka had before its `start` is not read. That saves reading;
        what is from before and was published later is known to the consumer.
        """
        self._since = start.at - CLOCKS_DIFFER_BY if consumer.starts == "now" else None
        self._types = consumer.types
        self._lock = threading.Lock()
        self._partitions: dict[Place, _Partition] = {}
        self._paused: set[Place] = set()
        self._settled: dict[Place, int] = {}
        self._woken = threading.Event()
        self._closing = False
        self._name = consumer.name
        self._member = member
        self._topics = [name_of(topic) for topic in consumer.topics]
        self._warned: str | None = None
        self._reader = self._join()
        # A daemon: a broker that stands still may hold it for minutes.
        self._thread = threading.Thread(
            target=self._run, name=f"kafka {consumer.name}", daemon=True
        )
        self._thread.start()

    def fetch(self, busy: Collection[str], lanes_max: int) -> Sequence[Delivery]:
        """Return deliveries of records that were read, of lanes that are not `busy`."""
        with self._lock:
            free = [
                (partition, lane)
                for partition in self._partitions.values()
                for lane in partition.waiting
                if lane not in busy
            ]
            return [
                self._delivery(lane, record)
                for partition, lane in free[:lanes_max]
                for record in partition.waiting.pop(lane)
            ]

    def settle(self, delivery: Delivery) -> None:
        """Have the offsets committed that this delivery was the last to wait for."""
        place = _place(delivery.lane)
        with self._lock:
            partition = self._partitions.get(place)
            if partition is None:
                # It was given up; whoever has it now delivers this again.
                return
            next_offset = partition.settle(delivery.lane, delivery.place)
            if next_offset is not None:
                self._settled[place] = next_offset

    def wait(self, timeout_s: float) -> None:
        """Wait until something has been read."""
        self._woken.wait(timeout_s)
        self._woken.clear()

    def wake(self) -> None:
        """Have `wait` return."""
        self._woken.set()

    def close(self) -> None:
        """Commit what was delivered, and leave the group, if Kafka lets us do so soon."""
        self._closing = True
        self._thread.join(CLOSED_WITHIN_S)

    def _join(self) -> GroupReader:
        return GroupReader(
            self._name,
            self._member,
            self._topics,
            since=self._since,
            revoked=self._give_up,
            lost=self._forget,
        )

    def _run(self) -> None:
        while not self._closing:
            try:
                self._read_on()
            except Exception as error:  # noqa: BLE001 - nobody would start this thread again
                _log.warning("%s: reading Kafka failed, beginning anew: %s", self._name, error)
                threading.Event().wait(AGAIN_S)
                self._reader.close()
                self._forget(list(self._partitions))
                self._reader = self._join()
        self._commit(wait=True)
        self._reader.close()

    def _read_on(self) -> None:
        committed_s = clock.monotonic_s()
        while not self._closing:
            records = self._reader.read(READ_MAX, READ_S)
            with self._lock:
                for record in records:
                    place = record.topic, record.partition
                    partition = self._partitions.setdefault(place, _Partition())
                    partition.add(_lane(record), record)
            if records:
                self._woken.set()
            self._hold_back()
            if clock.monotonic_s() >= committed_s + COMMIT_S:
                committed_s = clock.monotonic_s()
                self._commit(wait=False)
            self._warn_once(self._reader.trouble)

    def _warn_once(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self._warned:
            _log.warning("%s: Kafka: %s", self._name, trouble)
        self._warned = trouble

    def _hold_back(self) -> None:
        with self._lock:
            unsettled = {
                place: (len(found), found.unsettled_bytes)
                for place, found in self._partitions.items()
            }
        for place, (number, size_bytes) in unsettled.items():
            is_much = number > UNSETTLED_MAX or size_bytes > UNSETTLED_MAX_BYTES
            is_little = number < UNSETTLED_MIN and size_bytes < UNSETTLED_MIN_BYTES
            if is_much and place not in self._paused:
                self._paused.add(place)
                self._reader.pause(place)
            elif is_little and place in self._paused:
                self._paused.remove(place)
                self._reader.resume(place)

    def _commit(self, *, wait: bool) -> None:
        with self._lock:
            settled, self._settled = self._settled, {}
        if settled and not self._reader.commit(settled, wait=wait):
            with self._lock:
                self._settled = {**settled, **self._settled}

    def _give_up(self, places: Sequence[Place]) -> None:
        self._commit(wait=True)
        self._forget(places)

    def _forget(self, places: Sequence[Place]) -> None:
        # Another member is given them, from the last commit on. What is on its way from here
        # arrives after all that came before it, so the order holds.
        with self._lock:
            for place in places:
                self._partitions.pop(place, None)
                self._settled.pop(place, None)
        self._paused.difference_update(places)

    def _delivery(self, lane: str, record: Record) -> Delivery:
        event = cloudevent_of(record, consumer=self._name)
        event_type = event.attributes["type"]
        return Delivery(
            lane=lane,
            place=record.offset,
            attributes=event.attributes,
            body=event.data,
            # One that we do not know is delivered: the consumer says what is wrong with it.
            wanted=event_type in self._types or event_type not in _KNOWN_TYPES,
        )


def _lane(record: Record) -> str:
    # A topic's name holds no slash.
    return f"{record.topic}/{record.partition}/{record.key.decode('latin-1')}"


def _place(lane: str) -> Place:
    topic, partition, _ = lane.split("/", 2)
    return topic, int(partition)
