"""The event log as the source of deliveries: what is new, and what is to be brought again."""

import math
import threading
from collections.abc import Collection, Mapping, Sequence
from itertools import islice

from taskflow import clock
from taskflow.domain.cloudevents import attributes_of
from taskflow.domain.events import Cause, Event
from taskflow.standalone.deliverer import Delivery
from taskflow.storage import Transaction, delivery_store, events, run

CHECK_S, CHECK_SHARE = 2.0, 0.05
"""How often everyone is looked at; in between, only those of whose commit it was notified. Of very
many users less often, so that the look takes no more than this share of the time."""

RECORD_S = 0.5
"""How often progress is recorded. What was delivered and not recorded is delivered again after a
crash, and finds its claim."""

PAUSE_S = 0.05
"""Between two reads after notifications: what is committed meanwhile is read in one go."""

EVENTS_MAX = 500
KNOWN_MAX = 10_000
"""Users whose progress is remembered, so that it need not be asked for."""

_CAUSE = Cause(correlation_id="deliverer", traceparent="", actor="", origin="")


class DatabaseQueue:
    """A consumer's deliveries, from its own progress through the log."""

    def __init__(self, consumer: str, types: Collection[str]) -> None:
        """Deliver events of `types`, and pass the others over."""
        self._consumer = consumer
        self._types = types
        self._lock = threading.Lock()
        self._notified: set[str] = set()
        self._known: dict[str, int] = {}
        self._unrecorded: dict[str, int] = {}
        self._check_due_s = self._recorded_s = self._read_s = -math.inf
        self._woken = threading.Event()

    def notify(self, newest: Mapping[str, int]) -> None:
        """Take the newest `seq` of users whose streams have grown, from any thread."""
        with self._lock:
            self._notified.update(newest)
        self._woken.set()

    def fetch(self, busy: Collection[str], lanes_max: int) -> Sequence[Delivery]:
        """Return the next deliveries for users who are behind."""
        now_s = clock.monotonic_s()
        if now_s < self._read_s + PAUSE_S:
            return ()
        if now_s >= self._recorded_s + RECORD_S:
            self._recorded_s = now_s
            self._record()
        check_all = now_s >= self._check_due_s
        with self._lock:
            notified = [user_id for user_id in self._notified if user_id not in busy]
            self._notified.difference_update(notified)
        if check_all:
            self._check_due_s = now_s + CHECK_S
        elif not notified:
            return ()
        self._read_s = now_s
        try:
            return run(lambda tx: self._read(tx, notified, busy, lanes_max, check_all), _CAUSE)
        except BaseException:
            self.notify(dict.fromkeys(notified, 0))
            raise

    def settle(self, delivery: Delivery) -> None:
        """Move the consumer's progress on."""
        with self._lock:
            self._known[delivery.lane] = self._unrecorded[delivery.lane] = delivery.place

    def wait(self, timeout_s: float) -> None:
        """Wait for a notification, or until everyone is to be looked at again."""
        left_s = self._check_due_s - clock.monotonic_s()
        self._woken.wait(max(0.0, min(timeout_s, left_s)))
        self._woken.clear()
        # The notification that has woken it may be the first of many.
        pause_s = self._read_s + PAUSE_S - clock.monotonic_s()
        if pause_s > 0:
            threading.Event().wait(min(timeout_s, pause_s))
            if timeout_s < pause_s:
                self._woken.set()

    def wake(self) -> None:
        """Have `wait` return."""
        self._woken.set()

    def close(self) -> None:
        """Record what has been delivered."""
        self._record()

    def _record(self) -> None:
        with self._lock:
            reached, self._unrecorded = self._unrecorded, {}
        if not reached:
            return
        try:
            run(lambda tx: delivery_store.advance(tx, self._consumer, reached), _CAUSE)
        except BaseException:
            with self._lock:
                self._unrecorded = {**reached, **self._unrecorded}
            raise
        with self._lock:
            if len(self._known) > KNOWN_MAX:
                self._known = dict(self._unrecorded)

    def _read(
        self,
        tx: Transaction,
        notified: Sequence[str],
        busy: Collection[str],
        lanes_max: int,
        check_all: bool,  # noqa: FBT001 - of fetch alone
    ) -> Sequence[Delivery]:
        with self._lock:
            known = {
                user_id: self._known[user_id] for user_id in notified if user_id in self._known
            }
        asked = None if check_all else [user_id for user_id in notified if user_id not in known]
        behind, is_cut = known, False
        if asked is None or asked:
            most = lanes_max + len(busy)
            began_s = clock.monotonic_s()
            found = delivery_store.behind(tx, self._consumer, user_ids=asked, limit=most)
            if check_all:
                took_s = clock.monotonic_s() - began_s
                self._check_due_s = began_s + max(CHECK_S, took_s / CHECK_SHARE)
            is_cut = len(found) == most
            with self._lock:
                # What is recorded may be older than what was delivered since.
                found = {user: max(seq, self._known.get(user, 0)) for user, seq in found.items()}
            behind = {**known, **found}
        behind = {user_id: seq for user_id, seq in behind.items() if user_id not in busy}
        taken = dict(islice(behind.items(), lanes_max))
        happened = events.after_each(tx, taken, limit=EVENTS_MAX) if taken else []
        # Who was left out is looked at again at once.
        left_out = (
            behind
            if events.may_have_more(happened, limit=EVENTS_MAX)
            else behind.keys() - taken.keys()
        )
        if left_out:
            self.notify(dict.fromkeys(left_out, 0))
        if is_cut:
            self._look_again(asked)
        return [
            delivery_of(event, lane=event.user_id, wanted=event.event_type in self._types)
            for event in happened
        ]

    def _look_again(self, asked: Sequence[str] | None) -> None:
        if asked is None:
            self._check_due_s = -math.inf
            self._woken.set()
        else:
            self.notify(dict.fromkeys(asked, 0))


class Redeliveries:
    """The redeliveries to a consumer: of resent dead letters, and of events without a claim.

    They come from the log, whatever source brings the rest. Each event is a lane of its own.
    """

    def __init__(self, consumer: str) -> None:
        """Deliver again to `consumer`."""
        self._consumer = consumer
        self._checked_s = -math.inf
        self._woken = threading.Event()

    def fetch(self, busy: Collection[str], lanes_max: int) -> Sequence[Delivery]:
        """Return the next redeliveries; where there are few, look again after CHECK_S."""
        if clock.monotonic_s() < self._checked_s + CHECK_S:
            return ()
        most = lanes_max + len(busy)
        asked = run(lambda tx: delivery_store.redeliveries(tx, self._consumer, limit=most), _CAUSE)
        deliveries = [delivery_of(event, lane=f"{event.user_id}:{event.seq}") for event in asked]
        if len(asked) < most:
            self._checked_s = clock.monotonic_s()
        return [delivery for delivery in deliveries if delivery.lane not in busy]

    def settle(self, delivery: Delivery) -> None:
        """Remove the request for a redelivery that was made."""
        user_id, _, seq = delivery.lane.rpartition(":")
        place = user_id, int(seq)
        run(
            lambda tx: delivery_store.remove_redelivery(tx, self._consumer, *place),
            _CAUSE,
        )

    def wait(self, timeout_s: float) -> None:
        """Wait until it is time to look again."""
        left_s = self._checked_s + CHECK_S - clock.monotonic_s()
        self._woken.wait(max(0.0, min(timeout_s, left_s)))
        self._woken.clear()

    def wake(self) -> None:
        """Have `wait` return."""
        self._woken.set()

    def close(self) -> None:
        """Leave nothing behind: each was struck as it was brought."""


def delivery_of(event: Event, *, lane: str, wanted: bool = True) -> Delivery:
    """Return the delivery of an event from the log."""
    return Delivery(
        lane=lane,
        place=event.seq,
        attributes=attributes_of(event),
        body=event.record_json().encode(),
        wanted=wanted,
    )
