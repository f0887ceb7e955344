"""The frame of a consumer: the event is claimed in the transaction of its effect."""

from collections.abc import Callable, Sequence

from flask import Request, Response

from taskflow import clock
from taskflow.domain.events import Cause, EventType
from taskflow.eventing import envelope
from taskflow.eventing.envelope import DeliveredEvent
from taskflow.eventing.frame import Subscriber, name_of
from taskflow.storage import Transaction, claims, run

TASKS_TOPIC = "tasks.events"
REMINDERS_TOPIC = "reminders.events"

Handler = Callable[[DeliveredEvent, Transaction], None]


class Consumer(Subscriber):
    """A function that has its effect once for each event of the types it takes."""

    kind = "consumer"

    def __init__(self, handler: Handler, topics: Sequence[str], types: Sequence[EventType]) -> None:
        """Take what `event_function` says."""
        super().__init__(name_of(handler))
        self.topics = topics
        self.types = frozenset(event_type.value for event_type in types)
        self._handler = handler

    def receive(self, attributes: dict[str, str], body: bytes) -> str:
        """Have the effect, unless the event is of another type or was claimed before."""
        event = envelope.read(attributes, body)
        if event.event_type not in self.types:
            return "not-taken"
        cause = Cause(
            correlation_id=event.correlation_id,
            traceparent=attributes.get("traceparent", ""),
            actor=self.name,
            origin="consumer",
        )
        return run(lambda tx: self._once(event, tx), cause)

    def _once(self, event: DeliveredEvent, tx: Transaction) -> str:
        if not claims.claim(tx, self.name, event.event_id, now=clock.now()):
            return "duplicate"
        self._handler(event, tx)
        return "done"


def event_function(
    *topics: str, types: Sequence[EventType]
) -> Callable[[Handler], Callable[[Request], Response]]:
    """Make a consumer out of a handler of (event, tx).

    `types` are the events that it takes, of those that travel on `topics`. A second delivery of an
    event never reaches the handler. What it raises as a DomainError will never work, and sends the
    event to the dead letters; everything else is delivered again.
    """
    return lambda handler: Consumer(handler, topics, types).install(handler)
