"""How administrators are shown a dead letter."""

from taskflow.domain.text import JsonObject
from taskflow.domain.times import rfc3339
from taskflow.storage.dead_letter_store import DeadLetter


def summary(letter: DeadLetter) -> JsonObject:
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
