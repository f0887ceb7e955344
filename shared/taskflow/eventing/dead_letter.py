"""The frame of the dead letter sink: it takes whatever could not be delivered, and checks it.

Nothing tells it who sent a letter. It is held to be of an event only where the log has just this
event, and a consumer of ours takes its type.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace

from flask import Request, Response

from taskflow import clock
from taskflow.domain.cloudevents import SOURCE
from taskflow.domain.errors import NotAnEventOfOurs
from taskflow.domain.events import Cause
from taskflow.domain.identifiers import new_id
from taskflow.eventing import envelope, subscriptions
from taskflow.eventing.bindings.selection import binding
from taskflow.eventing.envelope import DeliveredEvent, MalformedEvent
from taskflow.eventing.frame import Subscriber
from taskflow.serving.scale import Scale
from taskflow.storage import Transaction, erasure_store, events, run
from taskflow.storage.dead_letter_store import DeadLetter

NAME_MAX_CHARS = 255
"""Of what is indexed; PostgreSQL takes no more than some 2,700 bytes into an index."""

ATTRIBUTES_MAX, ATTRIBUTE_MAX_CHARS = 64, 2048
"""What of the attributes is kept. An event has some twenty, none of them longer."""

UNKNOWN = "unknown"
"""The consumer of a letter that names none of ours."""

Handler = Callable[[DeadLetter, Transaction], None]


class DeadLetterSink(Subscriber):
    """A function that takes the events that could not be delivered."""

    kind = "dead-letter-sink"

    def __init__(self, handler: Handler, *, scale: Scale) -> None:
        """Make the sink that `dead_letter_function` declares."""
        super().__init__(handler, scale)
        self._handler = handler

    def receive(self, attributes: dict[str, str], body: bytes) -> str:
        """Hand over the dead letter, with what of it is right."""
        letter = _letter(attributes, body)
        event = _event(attributes, body)
        cause = Cause(
            correlation_id=attributes.get("correlationid", ""),
            traceparent="",
            actor=self.name,
            origin="consumer",
        )
        return run(lambda tx: self._keep(letter, event, tx), cause)

    def _keep(self, letter: DeadLetter, event: DeliveredEvent | None, tx: Transaction) -> str:
        if event is not None and erasure_store.is_erased(tx, event.user_id, event.seq):
            # It may hold what the user has had erased.
            return "erased"
        known = subscriptions.declared().get(letter.consumer)
        is_taken = event is not None and known is not None and event.event_type in known.types
        self._handler(_checked(tx, letter, event if is_taken else None), tx)
        return "done"


def dead_letter_function(
    *, scale: Scale = "sometimes"
) -> Callable[[Handler], Callable[[Request], Response]]:
    """Make a dead letter sink out of a handler of (letter, tx), called as often as `scale` says."""
    return lambda handler: DeadLetterSink(handler, scale=scale).install(handler)


def _letter(attributes: dict[str, str], body: bytes) -> DeadLetter:
    now = clock.now()
    clean = {
        name.replace("\0", "\ufffd")[:ATTRIBUTE_MAX_CHARS]: value.replace("\0", "\ufffd")
        for name, value in sorted(attributes.items())[:ATTRIBUTES_MAX]
    }
    # Two events without an id are two dead letters; one that comes twice is one.
    event_id = clean.get("id") or f"unknown-{hashlib.sha256(body).hexdigest()}"
    # An id is of its source alone: two topics both have a record partition:0/offset:0.
    event_id = f"{clean.get('source', '')}#{event_id}"
    transport = binding()
    if transport.is_wrapped(clean) and "time" in clean:
        event_id += f"@{clean['time']}"
    failure = transport.failure_in(clean)
    return DeadLetter(
        id=new_id(now),
        consumer=failure.function if failure.function in subscriptions.declared() else UNKNOWN,
        event_id=_short(event_id),
        event_type=clean.get("type", "unknown")[:NAME_MAX_CHARS],
        user_id=None,
        seq=None,
        attributes={name: value[:ATTRIBUTE_MAX_CHARS] for name, value in clean.items()},
        body=body,
        error_code=failure.status,
        error_text=failure.text,
        state="dead",
        received_at=now,
        deaths=1,
    )


def _event(attributes: dict[str, str], body: bytes) -> DeliveredEvent | None:
    """Return the event that died, if it is one."""
    if attributes.get("source") != SOURCE:
        return None
    try:
        # As the log has it, in the shape of its day: one of a newer version dies of that alone.
        return envelope.as_written(attributes, body)
    except MalformedEvent:
        return None


def _checked(tx: Transaction, letter: DeadLetter, event: DeliveredEvent | None) -> DeadLetter:
    """Name the event in its letter, if the log has the same."""
    if event is None:
        return letter
    try:
        logged = events.get(tx, event.user_id, event.seq, event_id=event.event_id)
    except NotAnEventOfOurs:
        return letter
    if DeliveredEvent.model_validate_json(logged.record_json()) != event:
        return letter
    event_id = str(event.event_id)
    return replace(letter, event_id=event_id, user_id=event.user_id, seq=event.seq)


def _short(name: str) -> str:
    if len(name) <= NAME_MAX_CHARS:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
    return f"{name[: NAME_MAX_CHARS - len(digest) - 1]}-{digest}"
