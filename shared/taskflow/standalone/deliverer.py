"""The deliverer: brings events from a source to one consumer, as KafkaSource does.

Events of a lane (a user, or a partition) are delivered one at a time, in order; lanes do not wait
for each other. What is to be retried waits without holding a thread. What can't be delivered goes
to the dead letter sink. If that fails too, so does probably all else: what the consumer did not
refuse is brought to it again first, and none is given up before somebody has taken it.
"""

import heapq
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from taskflow import clock, metrics
from taskflow.eventing.bindings import Outcome
from taskflow.eventing.bindings.knative import RETRIES, Answer, backoff, failure_attributes
from taskflow.eventing.frame import BODY_MAX_BYTES
from taskflow.storage import DatabaseUnavailable

THREADS = 64
"""So many deliveries at once, that many share a transaction in the consumer: that is what costs."""

LANES_MAX = 256
IDLE_S = 1.0
SINK_RETRY_MAX = timedelta(seconds=30)
OUTAGE_PAUSE_S = 0.5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to a consumer; `place` has a meaning for its source alone.

    An event that is not `wanted` is of a type that the consumer does not take, and is passed over.
    """

    lane: str
    place: int
    attributes: dict[str, str]
    body: bytes
    wanted: bool = True


class Source(Protocol):
    """Where deliveries come from: the database queue, or Kafka."""

    def fetch(self, busy: Collection[str], lanes_max: int) -> Sequence[Delivery]:
        """Return the next deliveries, in order within a lane, of lanes that are not `busy`."""
        ...

    def settle(self, delivery: Delivery) -> None:
        """Record that the lane was brought everything up to this delivery."""
        ...

    def wait(self, timeout_s: float) -> None:
        """Return when there may be something new, at the latest after `timeout_s`."""
        ...

    def wake(self) -> None:
        """Have `wait` return."""
        ...

    def close(self) -> None:
        """Record what was settled, if that was put off."""
        ...


Send = Callable[[str, dict[str, str], bytes], Answer]
"""Sends attributes and body to the subscriber of this name; returns its answer."""


@dataclass(slots=True)
class _Lane:
    waiting: deque[Delivery]
    attempt: int = 0
    refused: Answer | None = None
    """The answer for which the first one waiting goes to the dead letters and nowhere else."""
    done: Delivery | None = None


@dataclass(order=True, slots=True)
class _Retry:
    at_s: float
    number: int
    lane: str = field(compare=False)


class Deliverer:
    """Brings one consumer its events."""

    def __init__(self, consumer: str, sink: str, source: Source, send: Send) -> None:
        """Deliver to `consumer` from `source`, what fails to `sink`, both by `send`."""
        self._consumer = consumer
        self._sink = sink
        self._source = source
        self._send = send
        self._lanes: dict[str, _Lane] = {}
        self._retries: list[_Retry] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._stopping = False
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix=consumer)

    def run(self) -> None:
        """Deliver until `stop` is called."""
        while not self._stopping:
            try:
                fetched = self._start_lanes()
            except DatabaseUnavailable:
                _log.warning("%s: the source can't be read; trying again", self._consumer)
                fetched = False
                threading.Event().wait(OUTAGE_PAUSE_S)
            except Exception:  # noqa: BLE001 - nobody would start this thread again
                _log.exception("%s: the source failed; trying again", self._consumer)
                fetched = False
                threading.Event().wait(OUTAGE_PAUSE_S)
            wait_s = self._start_retries()
            if not fetched:
                self._source.wait(min(wait_s, IDLE_S))
        self._pool.shutdown(wait=True)
        with suppress(DatabaseUnavailable):
            # It is delivered again, then, and finds its claim.
            self._source.close()

    def stop(self) -> None:
        """End once what is on its way has been answered; the rest is delivered next time."""
        self._stopping = True
        self._source.wake()

    def _start_lanes(self) -> bool:
        with self._lock:
            busy = set(self._lanes)
        room = LANES_MAX - len(busy)
        if room <= 0:
            return False
        fetched = self._source.fetch(busy, room)
        lanes: dict[str, _Lane] = {}
        for delivery in fetched:
            lanes.setdefault(delivery.lane, _Lane(deque())).waiting.append(delivery)
        with self._lock:
            self._lanes.update(lanes)
        for name in lanes:
            self._pool.submit(self._work, name)
        return bool(fetched)

    def _start_retries(self) -> float:
        """Start what is due again; return in how many seconds the next one is."""
        with self._lock:
            now_s = clock.monotonic_s()
            while self._retries and self._retries[0].at_s <= now_s:
                self._pool.submit(self._work, heapq.heappop(self._retries).lane)
            return self._retries[0].at_s - now_s if self._retries else IDLE_S

    def _work(self, name: str) -> None:
        lane = self._lanes[name]
        try:
            wait = self._deliver(lane)
            if lane.done is not None:
                self._source.settle(lane.done)
                lane.done = None
        except DatabaseUnavailable:
            # Delivered, but not recorded: a claim makes the second delivery harmless.
            wait = timedelta(seconds=OUTAGE_PAUSE_S)
        except Exception:  # noqa: BLE001 - a lane must not be lost with its thread
            _log.exception("%s: the deliverer failed in lane %s", self._consumer, name)
            wait = SINK_RETRY_MAX
        with self._lock:
            if wait is None:
                del self._lanes[name]
            else:
                at_s = clock.monotonic_s() + wait.total_seconds()
                heapq.heappush(self._retries, _Retry(at_s, next(self._numbers), name))
        # What came for this lane meanwhile was passed over, and a retry may now be the next.
        self._source.wake()

    def _deliver(self, lane: _Lane) -> timedelta | None:
        """Deliver what waits in a lane; return how long to wait before going on with it."""
        while lane.waiting and not self._stopping:
            delivery = lane.waiting[0]
            wait = self._attempt(lane, delivery) if delivery.wanted else None
            if wait is not None:
                return wait
            lane.done = lane.waiting.popleft()
            lane.attempt, lane.refused = 0, None
        return None

    def _attempt(self, lane: _Lane, delivery: Delivery) -> timedelta | None:
        """Deliver to the consumer, or else to the sink; return how long to wait if that failed."""
        lane.attempt += 1
        failed = lane.refused
        if failed is None:
            failed = self._send(self._consumer, delivery.attributes, delivery.body)
            metrics.DELIVERIES.labels(self._consumer, failed.outcome.value).inc()
            if failed.outcome is Outcome.DONE:
                return None
            if failed.outcome is Outcome.AGAIN and lane.attempt <= RETRIES:
                return backoff(lane.attempt)
            if failed.outcome is Outcome.NEVER:
                lane.refused = failed
        attributes = {**delivery.attributes, **failure_attributes(self._consumer, failed)}
        # What is larger is no event of ours, and would be refused there too, for ever.
        body = delivery.body[:BODY_MAX_BYTES]
        taken = self._send(self._sink, attributes, body).outcome is Outcome.DONE
        _log.warning(
            "%s: %s %s the dead letters after %d attempts: %s",
            self._consumer,
            delivery.attributes.get("id"),
            "goes to" if taken else "is not taken even by",
            lane.attempt,
            failed.reason,
        )
        if taken:
            metrics.DELIVERIES.labels(self._consumer, "dead").inc()
            return None
        return min(backoff(min(lane.attempt, RETRIES)), SINK_RETRY_MAX)
