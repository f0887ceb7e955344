"""The publisher: brings what was committed to Kafka, per user in the order of `seq`.

It is notified of commits and works on a thread of its own, so that no request waits for Kafka. Of
those users it takes the ones that no other publisher holds, reads their unpublished events, and
records as published only those that come before the first one Kafka has not confirmed. So whoever
publishes a user begins with an event whose forerunners are all in the topic, and goes on without a
gap: however many do so at once, are killed or stand still, a topic may hold an event twice, but
never 4 before 3.

It never blocks in librdkafka, and so runs on gevent as well as on threads.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING
from uuid import uuid4

from taskflow import clock, config, metrics
from taskflow.domain.events import Cause, Event
from taskflow.kafka import client
from taskflow.kafka.batch import LOOK_MAX_S, LOOK_MIN_S, Batch
from taskflow.process import resource
from taskflow.storage import (
    DatabaseUnavailable,
    LockTimeout,
    Transaction,
    events,
    on_commit,
    publication_store,
    run,
)

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Producer

USERS_MAX = 500
EVENTS_MAX = 1000
"""Of one round: what is read from the log at once, and confirmed before the next is read."""

GATHER_S = 0.01
HELD_ELSEWHERE_PAUSE_S = 0.1
"""How soon to look again at users whom another publisher holds."""

OUTAGE_PAUSE_S = 0.5
ERROR_PAUSE_MAX_S = 5.0
"""At most so long after Kafka refused something until it is asked again, from OUTAGE_PAUSE_S on."""

RENEW_S = publication_store.HELD_FOR.total_seconds() / 4
STOPPED_WITHIN_S = 2.0

SWEEP_SHARE = 0.05

_CAUSE = Cause(correlation_id="publisher", traceparent="", actor="", origin="")

_log = logging.getLogger(__name__)


class Publisher:
    """Publishes the events of the commits that it is notified of, on the thread of `run`."""

    def __init__(self, *, sweep_every_s: float | None = None) -> None:
        """Look for unpublished events every `sweep_every_s`; None leaves that to `sweep`.

        Among very many users less often: to look takes no more than SWEEP_SHARE of the time.
        """
        self._holder = uuid4()
        self._sweep_every_s = sweep_every_s
        self._sweep_due_s = -math.inf
        self._renewed_s = 0.0
        self._pending: dict[str, int] = {}
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._producer: Producer | None = None
        self._errors = 0
        self._warned_code: int | None = None

    def notify(self, newest: Mapping[str, int]) -> None:
        """Take the newest `seq` of users whose streams have grown, from any thread, at once."""
        with self._lock:
            for user_id, seq in newest.items():
                self._pending[user_id] = max(seq, self._pending.get(user_id, 0))
        self._woken.set()

    def notify_and_start(self, newest: Mapping[str, int]) -> None:
        """Notify the publisher as `notify` does, and start its thread unless it has one."""
        self.notify(newest)
        # Not before there is something: a server forks after the import.
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self.run, name="publisher", daemon=True)
                thread.start()
                self._thread = thread

    def sweep(self, is_over: Callable[[], bool]) -> None:
        """Publish the events of users whom no publisher holds, until none is left or `is_over`.

        Raises DatabaseUnavailable.
        """
        behind = _behind()
        while behind and not is_over():
            self.notify_and_start(behind)
            while self._pending and not is_over():
                time.sleep(LOOK_MAX_S)
            behind = _behind()

    def stop(self) -> None:
        """Publish what is pending, for at most STOPPED_WITHIN_S, and end."""
        deadline_s = clock.monotonic_s() + STOPPED_WITHIN_S
        while self._pending and not self._errors and clock.monotonic_s() < deadline_s:
            time.sleep(LOOK_MIN_S)
        self._stopping = True
        self._woken.set()
        if self._thread is not None:
            self._thread.join(STOPPED_WITHIN_S)

    def run(self) -> None:
        """Publish until `stop` is called."""
        while not self._stopping:
            try:
                pause_s = self._round()
            except (DatabaseUnavailable, LockTimeout):
                pause_s = OUTAGE_PAUSE_S
            except Exception:  # noqa: BLE001 - nobody would start this thread again
                _log.exception("the publisher failed; trying again")
                pause_s = ERROR_PAUSE_MAX_S
            if pause_s is None:
                self._woken.wait(self._sweep_every_s)
                self._woken.clear()
                # The first of many, perhaps: they go in one round.
                time.sleep(GATHER_S)
            elif pause_s:
                time.sleep(pause_s)

    def _round(self) -> float | None:
        """Publish some; return how long to pause, or None to wait until there is more."""
        if self._sweep_every_s is not None:
            began_s = clock.monotonic_s()
            if began_s >= self._sweep_due_s:
                behind = _behind()
                took_s = clock.monotonic_s() - began_s
                self._sweep_due_s = began_s + max(self._sweep_every_s, took_s / SWEEP_SHARE)
                with self._lock:
                    self._pending = {**behind, **self._pending}
        with self._lock:
            newest = dict(islice(self._pending.items(), USERS_MAX))
        if not newest:
            return None
        publications, happened = run(partial(self._take, newest=newest), _CAUSE)
        reached = {user_id: each.seq for user_id, each in publications.items() if each.is_ours}
        try:
            failed = self._publish(happened, reached)
        finally:
            if reached:
                run(lambda tx: publication_store.release(tx, self._holder, reached), _CAUSE)
        self._forget({**{user_id: each.seq for user_id, each in publications.items()}, **reached})
        if failed is not None:
            return self._after(failed)
        if happened:
            self._errors, self._warned_code = 0, None
        elif self._pending.keys() & publications.keys():
            # Others hold them.
            self._woken.wait(HELD_ELSEWHERE_PAUSE_S)
            self._woken.clear()
        return 0

    def _take(
        self, tx: Transaction, *, newest: Mapping[str, int]
    ) -> tuple[dict[str, publication_store.Publication], list[Event]]:
        publications = publication_store.hold(tx, self._holder, newest)
        ours = {user_id: each.seq for user_id, each in publications.items() if each.is_ours}
        return publications, events.after_each(tx, ours, limit=EVENTS_MAX) if ours else []

    def _forget(self, published: Mapping[str, int]) -> None:
        with self._lock:
            for user_id, seq in published.items():
                if seq >= self._pending.get(user_id, 0):
                    self._pending.pop(user_id, None)
                elif user_id in self._pending:
                    # To the end of the queue: others come first now.
                    self._pending[user_id] = self._pending.pop(user_id)

    def _publish(self, happened: Sequence[Event], reached: dict[str, int]) -> "KafkaError | None":
        """Publish events of users we hold, and move on `reached`; return what went wrong."""
        if not happened:
            return None
        if self._producer is None:
            self._producer = client.producer(self._on_error)
        batch = Batch(self._producer, happened)
        self._renewed_s = clock.monotonic_s()
        batch.exchange(lambda: self._stopping, self._renew_in_time)
        if batch.failed is not None or self._stopping:
            # What it still holds must not come after what its successor sends.
            self._producer.purge()
            self._producer = None
        confirmed = batch.confirmed
        for number, event in enumerate(happened):
            if event.seq == reached[event.user_id] + 1 and number in confirmed:
                reached[event.user_id] = event.seq
        metrics.PUBLISHED.labels("confirmed").inc(len(confirmed))
        metrics.PUBLISHED.labels("failed").inc(len(happened) - len(confirmed))
        return batch.failed

    def _renew_in_time(self) -> None:
        now_s = clock.monotonic_s()
        if now_s > self._renewed_s + RENEW_S:
            self._renewed_s = now_s
            self._renew()

    def _renew(self) -> None:
        try:
            run(lambda tx: publication_store.renew(tx, self._holder), _CAUSE)
        except (DatabaseUnavailable, LockTimeout):
            # Another may take over; it begins where we did.
            _log.debug("could not renew the hold on what is being published")

    def _after(self, failed: "KafkaError") -> float:
        from confluent_kafka import KafkaError

        self._errors += 1
        missing = failed.code() in {
            KafkaError.UNKNOWN_TOPIC_OR_PART,
            KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - librdkafka's own codes are named so
            KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - as above
        }
        hint = "; `taskflow topics` makes the topics" if missing else ""
        self._warn_once(failed, f"events wait, for Kafka refused one: {failed.str()}{hint}")
        return float(min(OUTAGE_PAUSE_S * 2 ** (self._errors - 1), ERROR_PAUSE_MAX_S))

    def _on_error(self, error: "KafkaError") -> None:
        from confluent_kafka import KafkaError

        # That all are down says no more than what each said of itself.
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - as above
            self._warn_once(error, f"events wait for Kafka: {error.str()}")

    def _warn_once(self, error: "KafkaError", what: str) -> None:
        # Once for each state, not once for each of a thousand tries, whose texts differ.
        if self._warned_code != error.code():
            self._warned_code = error.code()
            _log.warning("%s", what)


def _behind() -> dict[str, int]:
    return run(lambda tx: publication_store.behind(tx, limit=USERS_MAX), _CAUSE)


@resource(close=Publisher.stop)
def publisher() -> Publisher:
    """Return this process's publisher."""
    return Publisher()


def publishes_after_commit() -> bool:
    """Say whether this process publishes what it commits: there is a Kafka, and nobody else does.

    It is then brought to the consumers by sources of the platform, and not by `make up`.
    """
    return client.is_configured() and config.settings().publish_after_commit


def publish_after_commit() -> None:
    """Have this process publish what it commits, if it is to do so."""
    if publishes_after_commit():
        # Made at the first commit, it is closed before the engine that it works with.
        on_commit(lambda newest: publisher().notify_and_start(newest))
