"""The database queue: the event log itself as the source of deliveries."""

import threading
from collections.abc import Collection, Mapping, Sequence

from taskflow import clock
from taskflow.domain.events import Cause, Event
from taskflow.eventing.envelope import attributes_of
from taskflow.standalone.deliverer import Delivery
from taskflow.storage import Transaction, delivery_store, events, run

CHECK_S = 2.0
"""How often everyone is looked at; in between, only those whose commit was heard of."""

EVENTS_MAX = 500
BEHIND_MAX = 10_000
"""How many users who are behind one look finds; those for whom there is no lane yet wait here."""

_AGAIN = "again:"

_CAUSE = Cause(correlation_id="deliverer", traceparent="", actor="", origin="")


class DatabaseQueue:
    """A consumer's deliveries, from its own progress through the log."""

    def __init__(self, consumer: str, types: Collection[str]) -> None:
        """Deliver events of `types`, and pass the others over."""
        self._consumer = consumer
        self._types = types
        self._hinted: set[str] = set()
        self._checked_s = -CHECK_S
        self._woken = threading.Event()

    def hint(self, newest: Mapping[str, int]) -> None:
        """Say that these users' streams have grown, from any thread."""
        self._hinted.update(newest)
        self._woken.set()

    def fetch(self, busy: Collection[str], lanes_max: int) -> Sequence[Delivery]:
        """Return what comes next for users who are behind, and what was asked for again."""
        free = [user_id for user_id in self._hinted.copy() if user_id not in busy]
        hinted = free[:lanes_max]
        if len(free) > lanes_max:
            self._woken.set()
        check_all = clock.monotonic_s() >= self._checked_s + CHECK_S
        if check_all:
            self._checked_s = clock.monotonic_s()
        elif not hinted:
            return ()
        self._hinted.difference_update(hinted)
        return run(
            lambda tx: self._read(tx, None if check_all else hinted, busy, lanes_max), _CAUSE
        )

    def settle(self, delivery: Delivery) -> None:
        """Move the consumer's progress on, or strike what was asked for again."""
        user_id = delivery.attributes["userid"]
        if delivery.lane.startswith(_AGAIN):
            run(
                lambda tx: delivery_store.brought_again(
                    tx, self._consumer, user_id, delivery.place
                ),
                _CAUSE,
            )
        else:
            run(
                lambda tx: delivery_store.advance(tx, self._consumer, user_id, delivery.place),
                _CAUSE,
            )
            # There may be more than one fetch took.
            self._hinted.add(user_id)

    def wait(self, timeout_s: float) -> None:
        """Wait for a hint, or until everyone is to be looked at again."""
        left_s = self._checked_s + CHECK_S - clock.monotonic_s()
        self._woken.wait(max(0.0, min(timeout_s, left_s)))
        self._woken.clear()

    def wake(self) -> None:
        """Have `wait` return."""
        self._woken.set()

    def _read(
        self,
        tx: Transaction,
        user_ids: Sequence[str] | None,
        busy: Collection[str],
        lanes_max: int,
    ) -> Sequence[Delivery]:
        everyone = delivery_store.behind(tx, self._consumer, user_ids=user_ids, limit=BEHIND_MAX)
        waiting = [user_id for user_id in everyone if user_id not in busy]
        behind = {user_id: everyone[user_id] for user_id in waiting[:lanes_max]}
        found = events.after_each(tx, behind, limit=EVENTS_MAX) if behind else []
        deliveries = [self._delivery(event, event.user_id) for event in found]
        # Some were left out: look again at once.
        self._hinted.update(waiting[lanes_max:])
        if len(found) == EVENTS_MAX:
            self._hinted.update(behind)
        if user_ids is None:
            for event in delivery_store.asked_again(tx, self._consumer, limit=lanes_max):
                lane = f"{_AGAIN}{event.user_id}:{event.seq}"
                if lane not in busy:
                    deliveries.append(self._delivery(event, lane))
        return deliveries

    def _delivery(self, event: Event, lane: str) -> Delivery:
        return Delivery(
            lane=lane,
            place=event.seq,
            attributes=attributes_of(event),
            body=event.record_json().encode(),
            wanted=event.event_type in self._types,
        )
