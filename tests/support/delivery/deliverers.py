"""Deliverers that run in threads of a test, from the real queue in the database of this process."""

import threading
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import REGISTRY
from sqlalchemy import literal, select

from taskflow.domain.events import EventType
from taskflow.standalone.database_queue import DatabaseQueue, Redeliveries
from taskflow.standalone.deliverer import Deliverer, Source
from taskflow.standalone.sender import Sender
from taskflow.storage import transaction
from taskflow.storage.tables import DELIVERIES, STREAMS
from tests.support.data.accounts import A_CAUSE
from tests.support.polling import eventually

SINK = "a-sink"
ALL_TYPES = frozenset(event_type.value for event_type in EventType)
ENDED_WITHIN_S = 20


@dataclass(frozen=True)
class RunningDeliverers:
    """Deliverers that run in threads of their own, one for each source."""

    consumer: str
    deliverers: Sequence[Deliverer]
    threads: Sequence[threading.Thread]

    def stop(self) -> None:
        """Stop all deliverers, and wait for their threads."""
        for deliverer in self.deliverers:
            deliverer.stop()
        for thread in self.threads:
            thread.join(timeout=ENDED_WITHIN_S)
            assert not thread.is_alive()


@contextmanager
def delivering(
    socket: Path,
    consumer: str,
    *sources: Source,
    types: Collection[str] = ALL_TYPES,
    sink: str = SINK,
) -> Generator[RunningDeliverers]:
    """Deliver to a consumer behind a socket during the block, by default from the queue."""
    queued: Sequence[Source] = (DatabaseQueue(consumer, types), Redeliveries(consumer))
    post = Sender(socket)
    deliverers = [Deliverer(consumer, sink, source, post) for source in sources or queued]
    threads = [threading.Thread(target=each.run) for each in deliverers]
    running = RunningDeliverers(consumer, deliverers, threads)
    for thread in threads:
        thread.start()
    try:
        yield running
    finally:
        running.stop()


def mark_up_to_date(consumer: str) -> None:
    """Record that a consumer was brought all events so far."""
    everything = select(literal(consumer), STREAMS.c.user_id, STREAMS.c.seq)
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(
            DELIVERIES.insert().from_select(["consumer", "user_id", "seq"], everything)
        )


def progress_of(consumer: str, user_id: str) -> int:
    """Return the `seq` up to which a consumer was brought a user's events."""
    with transaction(A_CAUSE) as tx:
        return (
            tx.connection.execute(
                select(DELIVERIES.c.seq).where(
                    DELIVERIES.c.consumer == consumer, DELIVERIES.c.user_id == user_id
                )
            ).scalar_one_or_none()
            or 0
        )


def attempts(consumer: str, outcome: str) -> float:
    """Return how many deliveries of a consumer had this outcome."""
    labels = {"consumer": consumer, "outcome": outcome}
    return REGISTRY.get_sample_value("taskflow_deliveries_total", labels) or 0


def wait_for_attempts(consumer: str, outcome: str, count: int) -> None:
    """Wait until `count` deliveries of a consumer have had this outcome."""

    def check() -> None:
        assert attempts(consumer, outcome) >= count

    eventually(check, within_s=ENDED_WITHIN_S)
