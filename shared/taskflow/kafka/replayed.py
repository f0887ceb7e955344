"""Publishing events of the log once more, marked with the replay that does it.

Only what was published before is published again: of the first copies, a topic never has 4 before
3. The mark tells sockets and consumers that it is no news.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from taskflow import metrics
from taskflow.domain.events import Event
from taskflow.kafka import client
from taskflow.kafka.batch import Batch
from taskflow.process import resource

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Producer

_log = logging.getLogger(__name__)


class ReplayProducer:
    """Publishes events of replays, with a producer of its own, made at the first of them."""

    def __init__(self) -> None:
        """Begin without a connection."""
        self._producer: Producer | None = None

    def publish(
        self,
        happened: Sequence[Event],
        replay_id: UUID,
        is_over: Callable[[], bool],
        meanwhile: Callable[[], None],
    ) -> int:
        """Publish events in their order; return how many of them Kafka has, without a gap.

        While Kafka is away it waits, until `is_over`, and calls `meanwhile` again and again.
        """
        if self._producer is None:
            self._producer = client.producer(_log_error)
        batch = Batch(self._producer, happened, replay_id=str(replay_id))
        batch.exchange(is_over, meanwhile)
        metrics.PUBLISHED.labels("replayed").inc(len(batch.confirmed))
        if len(batch.confirmed) < len(happened):
            # What it still holds must not come after what its successor sends.
            self.close()
        if batch.failed is not None:
            _log.warning("Kafka refused an event of a replay: %s", batch.failed.str())
        return _without_gap(batch.confirmed)

    def close(self) -> None:
        """Give up what was not sent."""
        if self._producer is not None:
            self._producer.purge()
            self._producer = None


@resource(close=ReplayProducer.close)
def replay_producer() -> ReplayProducer:
    """Return this process's producer of what is replayed."""
    return ReplayProducer()


def _without_gap(numbers: Collection[int]) -> int:
    count = 0
    while count in numbers:
        count += 1
    return count


def _log_error(error: "KafkaError") -> None:
    _log.info("Kafka: %s", error.str())
