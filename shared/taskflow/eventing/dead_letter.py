"""The frame of the dead letter sink: it takes whatever could not be delivered, as it is."""

import hashlib
from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Request, Response

from taskflow import clock
from taskflow.domain.events import Cause
from taskflow.domain.identifiers import new_id
from taskflow.eventing import envelope
from taskflow.eventing.envelope import MalformedEvent
from taskflow.eventing.frame import Subscriber, name_of
from taskflow.storage import Transaction, run
from taskflow.storage.dead_letter_store import DeadLetter

ERROR_DESTINATION = "knativeerrordest"
ERROR_CODE = "knativeerrorcode"
ERROR_DATA = "knativeerrordata"
ERROR_TEXT_MAX_CHARS = 1024
NAME_MAX_CHARS = 255
"""Of what is indexed; PostgreSQL takes no more than some 2,700 bytes into an index."""


Handler = Callable[[DeadLetter, Transaction], None]


class DeadLetterSink(Subscriber):
    """A function that what could not be delivered is delivered to."""

    kind = "dead-letter-sink"

    def __init__(self, handler: Handler) -> None:
        """Take the handler."""
        super().__init__(name_of(handler))
        self._handler = handler

    def receive(self, attributes: dict[str, str], body: bytes) -> str:
        """Hand over the dead letter; nothing about it is held to be right."""
        letter = _letter(attributes, body)
        cause = Cause(
            correlation_id=attributes.get("correlationid", ""),
            traceparent="",
            actor=self.name,
            origin="consumer",
        )
        run(lambda tx: self._handler(letter, tx), cause)
        return "done"


def dead_letter_function() -> Callable[[Handler], Callable[[Request], Response]]:
    """Make a dead letter sink out of a handler of (letter, tx)."""
    return lambda handler: DeadLetterSink(handler).install(handler)


def _letter(attributes: dict[str, str], body: bytes) -> DeadLetter:
    code = attributes.get(ERROR_CODE, "")
    try:
        event = envelope.read(attributes, body)
        user_id, seq = event.user_id, event.seq
    except MalformedEvent:
        user_id, seq = None, None
    now = clock.now()
    clean = {name: value.replace("\0", "\ufffd") for name, value in attributes.items()}
    # Two events without an id are two dead letters; one that comes twice is one.
    event_id = clean.get("id") or f"unknown-{hashlib.sha256(body).hexdigest()}"
    return DeadLetter(
        id=new_id(now),
        consumer=_function_at(clean.get(ERROR_DESTINATION, "")),
        event_id=event_id[:NAME_MAX_CHARS],
        event_type=clean.get("type", "unknown")[:NAME_MAX_CHARS],
        user_id=user_id,
        seq=seq,
        attributes=dict(clean),
        body=body,
        error_code=int(code) if code.isascii() and code.isdigit() and len(code) <= 3 else None,  # noqa: PLR2004 - HTTP's three digits
        error_text=clean.get(ERROR_DATA, "")[:ERROR_TEXT_MAX_CHARS],
        state="dead",
        received_at=now,
        deaths=1,
    )


def _function_at(destination: str) -> str:
    try:
        host = urlsplit(destination).hostname or "unknown"
    except ValueError:
        host = "unknown"
    # In a cluster the destination is a service: function.namespace.svc.cluster.local.
    return host.partition(".")[0][:NAME_MAX_CHARS]
