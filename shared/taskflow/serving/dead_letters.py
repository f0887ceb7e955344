"""How administrators are shown a dead letter."""

from typing_extensions import TypedDict

from taskflow.domain.identifiers import IdText
from taskflow.domain.text import JsonObject
from taskflow.domain.times import TimeText, rfc3339
from taskflow.storage.dead_letter_store import DeadLetter


class DeadLetterSummary(TypedDict):
    """A dead letter without what was sent."""

    id: IdText
    consumer: str
    event_id: str
    event_type: str
    user_id: str | None
    seq: int | None
    error_code: int | None
    error_text: str
    state: str
    received_at: TimeText
    deaths: int


class DeadLetterRepresentation(DeadLetterSummary):
    """A dead letter with all that was sent: its CloudEvents attributes, and its body as text."""

    attributes: JsonObject
    body: str


def represent(letter: DeadLetter) -> DeadLetterRepresentation:
    """Return a dead letter with all that was sent."""
    body = letter.body.decode("utf-8", "replace")
    return {**summary(letter), "attributes": letter.attributes, "body": body}


def summary(letter: DeadLetter) -> DeadLetterSummary:
    """Return a dead letter without what was sent."""
    return {
        "id": str(letter.id),
        "consumer": letter.consumer,
        "event_id": letter.event_id,
        "event_type": letter.event_type,
        "user_id": letter.user_id,
        "seq": letter.seq,
        "error_code": letter.error_code,
        "error_text": letter.error_text,
        "state": letter.state,
        "received_at": rfc3339(letter.received_at),
        "deaths": letter.deaths,
    }
