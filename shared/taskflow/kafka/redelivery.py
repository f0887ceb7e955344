"""Redeliveries by Kafka, for consumers that the platform's sources deliver to.

An event that is to be delivered again is published once more, for the one consumer that it is for.
The request for it stays until that consumer has claimed the event or it is a dead letter, and is
repeated while neither is so. So a run that is killed, and a source that loses the copy, lose
nothing; a copy too many finds its claim.

Only what was published before is repeated, by a producer of its own: the order of the first copies,
and those who wait for them, are not concerned.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from taskflow import clock, metrics
from taskflow.domain.events import Cause
from taskflow.kafka import client
from taskflow.kafka.batch import Batch
from taskflow.storage import Transaction, delivery_store, run
from taskflow.storage.delivery_store import Redelivery

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Producer

EVENTS_MAX = 100
"""Of one round: what is read from the log at once, and confirmed before the next is read. The
largest events come to some 50 MB."""

REPEATED_AFTER = timedelta(hours=1)
"""How long a copy may be on its way to its consumer, who may be behind, or be down."""

REFUSED_PAUSE_S = 0.5

_CAUSE = Cause(correlation_id="redelivery", traceparent="", actor="", origin="")

_log = logging.getLogger(__name__)


def publish_redeliveries(taken: Mapping[str, Collection[str]], is_over: Callable[[], bool]) -> None:
    """Publish again what is to be delivered again, until that is done or time is over.

    `taken` are the types of events that each consumer takes. Raises DatabaseUnavailable.
    """
    while run(delivery_store.remove_settled_redeliveries, _CAUSE) and not is_over():
        pass
    producer: Producer | None = None
    refused_users: set[str] = set()
    most = EVENTS_MAX
    while asked := run(partial(_next, consumers=taken, without=refused_users, limit=most), _CAUSE):
        wanted = [each for each in asked if each.event.event_type in taken[each.consumer]]
        others = [each for each in asked if each.event.event_type not in taken[each.consumer]]
        run(partial(delivery_store.remove_redeliveries, unwanted=others), _CAUSE)
        producer = producer or client.producer(_log_error)
        batch = Batch(producer, [each.event for each in wanted], [each.consumer for each in wanted])
        batch.exchange(is_over)
        published = [wanted[number] for number in sorted(batch.confirmed)]
        mark = partial(
            delivery_store.mark_redeliveries_published, published=published, now=clock.now()
        )
        run(mark, _CAUSE)
        metrics.PUBLISHED.labels("repeated").inc(len(published))
        if len(published) < len(wanted):
            # What it still holds must not come after what its successor sends.
            producer.purge()
            producer = None
        if is_over():
            return
        if batch.failed is None:
            continue
        if len(asked) > 1:
            # Which one was refused is seen when they are sent one by one.
            most = 1
        else:
            _log.warning("an event was not published again: %s", batch.failed.str())
            refused_users.add(asked[0].event.user_id)
            most = EVENTS_MAX
        time.sleep(REFUSED_PAUSE_S)


def _next(
    tx: Transaction, *, consumers: Collection[str], without: Collection[str], limit: int
) -> list[Redelivery]:
    return delivery_store.redeliveries_to_publish(
        tx,
        consumers,
        not_since=clock.now() - REPEATED_AFTER,
        without=without,
        limit=limit,
    )


def _log_error(error: "KafkaError") -> None:
    _log.info("Kafka: %s", error.str())
