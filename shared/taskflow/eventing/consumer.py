"""The frame of a consumer: the event is claimed in the transaction of its effect."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args
from uuid import UUID

from flask import Request, Response

from taskflow import clock, logs
from taskflow.domain.cloudevents import RECIPIENT, REPLAY
from taskflow.domain.events import EVENT_TYPES, Cause, EventType, Topic, declaration_of
from taskflow.eventing import envelope
from taskflow.eventing.envelope import DeliveredEvent
from taskflow.eventing.frame import Subscriber
from taskflow.eventing.group_commit import GroupCommit
from taskflow.process import Resource
from taskflow.serving.scale import Scale
from taskflow.serving.signature import check_parameters, invalid
from taskflow.storage import (
    Transaction,
    claims,
    consumer_store,
    events,
    run,
    wait_for_locks_at_most,
)
from taskflow.storage.consumer_store import Start, Starts

SHARED_LOCK_TIMEOUT_MS = 100
"""How long a transaction that several share waits for a lock that one of them needs."""

START_READ_EVERY = timedelta(hours=1)
"""Often enough that a consumer which is brought events is not held to have been removed, where the
log is reconciled by a version without it (`consumer_store.REMOVED_AFTER`)."""

Ordering = Literal["ordered", "unordered"]
"""KafkaSource's own words (`spec.ordering`)."""

Replayed = Literal["passed-over", "taken"]
"""What becomes of an event that a replay has published again."""

Handler = Callable[[DeliveredEvent, Transaction], None]


@dataclass(frozen=True, slots=True)
class _Delivery:
    event: DeliveredEvent
    cause: Cause


class Consumer(Subscriber):
    """A function that has its effect once for each event of the types it takes.

    Deliveries that wait at the same time share a transaction. If it fails, each is given one of its
    own: one bad event changes nothing for the others.
    """

    kind = "consumer"

    def __init__(
        self,
        handler: Handler,
        types: Sequence[EventType],
        *,
        starts: Starts,
        ordering: Ordering,
        replayed: Replayed = "passed-over",
        scale: Scale,
    ) -> None:
        """Make the consumer that `event_function` declares."""
        super().__init__(handler, scale)
        travel_on = {EVENT_TYPES[event_type].topic for event_type in types}
        self.topics = [topic.value for topic in Topic if topic in travel_on]
        self.types = frozenset(event_type.value for event_type in types)
        self.starts: Starts = starts
        self.ordering: Ordering = ordering
        self.replayed: Replayed = replayed
        self._start: Start | None = None
        self._start_read_at: datetime | None = None
        self._handler = handler
        self.group_commit = Resource(lambda: GroupCommit(self._share))

    def has_data(self, attributes: Mapping[str, str]) -> bool:
        """Say whether an event is of a type of ours, all of which have data, or of none."""
        return "type" not in attributes or declaration_of(attributes["type"]) is not None

    def receive(self, attributes: dict[str, str], body: bytes) -> str:
        """Handle the event, unless it is for another, of a type not taken, or was claimed."""
        if attributes.get(RECIPIENT, self.name) != self.name:
            return "not-addressed"
        if REPLAY in attributes and self.replayed == "passed-over":
            return "replayed"
        event = envelope.read(attributes, body)
        if event.event_type not in self.types:
            return "not-taken"
        cause = Cause(
            correlation_id=event.correlation_id,
            traceparent=attributes.get("traceparent", ""),
            actor=self.name,
            origin="consumer",
        )
        return self.group_commit().do(_Delivery(event, cause))

    def _share(self, deliveries: Sequence[_Delivery]) -> Sequence[str]:
        cause = deliveries[0].cause
        start = self._start_as_of(clock.now(), cause)
        return run(lambda tx: self._once_each(deliveries, start, tx), cause)

    def _start_as_of(self, now: datetime, cause: Cause) -> Start:
        """Return where this begins, from the row that says so: whatever is declared by now."""
        read_at = self._start_read_at
        if self._start is None or read_at is None or now - read_at >= START_READ_EVERY:
            self._start = run(
                lambda tx: consumer_store.start(
                    tx, self.name, self.starts, now=now, is_running=True
                ),
                cause,
            )
            self._start_read_at = now
        return self._start

    def _once_each(
        self, deliveries: Sequence[_Delivery], start: Start, tx: Transaction
    ) -> Sequence[str]:
        if len(deliveries) > 1:
            wait_for_locks_at_most(tx, SHARED_LOCK_TIMEOUT_MS)
        too_old = _from_before(start, deliveries, tx)
        brought = {
            delivery.event.event_id: (delivery.event.user_id, delivery.event.seq)
            for delivery in deliveries
            if delivery.event.event_id not in too_old
        }
        unclaimed = claims.claim(tx, self.name, brought, now=clock.now())
        outcomes = [
            "before-start" if delivery.event.event_id in too_old else "duplicate"
            for delivery in deliveries
        ]
        # By user, each's in the order they came: were locks taken in any other order, two
        # consumers with events of the same users could wait for each other.
        for number in sorted(range(len(deliveries)), key=lambda n: deliveries[n].event.user_id):
            event, cause = deliveries[number].event, deliveries[number].cause
            if event.event_id in unclaimed:
                unclaimed.remove(event.event_id)
                outcomes[number] = "done"
                bound = logs.correlation_id.set(event.correlation_id)
                try:
                    self._handler(event, Transaction(tx.connection, cause, tx.appended))
                finally:
                    logs.correlation_id.reset(bound)
        return outcomes


def _from_before(start: Start, deliveries: Sequence[_Delivery], tx: Transaction) -> set[UUID]:
    if not start.position:
        return set()
    places = [(delivery.event.user_id, delivery.event.seq) for delivery in deliveries]
    return events.up_to(tx, start.position, places)


def event_function(
    *types: EventType,
    starts: Starts,
    ordering: Ordering,
    replayed: Replayed = "passed-over",
    scale: Scale = "often",
) -> Callable[[Handler], Callable[[Request], Response]]:
    """Make a consumer out of a handler of (event, tx).

    `types` are the events that it takes. One that `starts` at the "beginning" is brought every
    event of the log, however old; one that starts "now", as what sends something to somebody must,
    those alone that follow when it is deployed first. An event from before, and a second delivery
    of an event, never reach the handler. What it raises as a DomainError will never work, and sends
    the event to the dead letters; everything else is delivered again.

    `ordering` is what it needs of its deliveries. On Knative "ordered" has the events of a
    partition wait for each other, also while one of them is tried again, and goes no faster than
    250 a second for each source; "unordered" is for what comes to the same in any order. Where
    `make up` delivers, a user's events come in order in both.

    What a replay has published again is `replayed`, and passed over, whether or not it was claimed:
    a claim may have been forgotten by then. "taken" is for a consumer that completes a record, to
    whom an event that it has had is the same however late it comes.

    Raises InvalidDeclaration for no types, for another start, ordering, replayed or scale, and for
    a handler of anything else.
    """

    def decorate(handler: Handler) -> Callable[[Request], Response]:
        check_parameters(handler, DeliveredEvent, Transaction)
        if not types:
            raise invalid(handler, "it takes no type of event")
        for event_type in types:
            if event_type not in list(EventType):
                raise invalid(handler, f"{event_type} is no type of event")
        if starts not in get_args(Starts):
            raise invalid(handler, f"it starts {' or '.join(get_args(Starts))}, not {starts}")
        if ordering not in get_args(Ordering):
            raise invalid(handler, f"it is {' or '.join(get_args(Ordering))}, not {ordering}")
        if replayed not in get_args(Replayed):
            raise invalid(handler, f"replayed is {' or '.join(get_args(Replayed))}, not {replayed}")
        consumer = Consumer(
            handler, types, starts=starts, ordering=ordering, replayed=replayed, scale=scale
        )
        return consumer.install(handler)

    return decorate
