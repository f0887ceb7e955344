"""An event as a CloudEvent (1.0): its attributes, whatever carries them."""

from taskflow.domain.events import Event
from taskflow.domain.times import rfc3339

SPEC_VERSION = "1.0"
SOURCE = "/taskflow"
CONTENT_TYPE = "application/json"
CONTENT_TYPE_ATTRIBUTE = "datacontenttype"
"""In binary mode the header `content-type`, without a prefix."""

SEQUENCE_DIGITS = 19
"""As many as the largest bigint has, so that `sequence` sorts as text."""

RECIPIENT = "recipient"
"""The extension by which an event that is published again names the one consumer that it is for."""

REPLAY = "replay"
"""The extension by which an event that a replay publishes again names that replay."""


ATTRIBUTES = {
    "specversion": "The version of CloudEvents.",
    "id": "The event's id.",
    "type": "The event's type.",
    "source": "Who tells of it.",
    CONTENT_TYPE_ATTRIBUTE: "What the value is.",
    "subject": "The id of what the event is about.",
    "time": "When it happened.",
    "partitionkey": "The user's id: the events of a user are in order.",
    "sequence": f"Its place in the user's stream, in {SEQUENCE_DIGITS} digits.",
    "correlationid": "As part of which request.",
    "userid": "Whose stream it is in.",
    "traceparent": "The trace that it is part of (W3C Trace Context).",
    RECIPIENT: "The one consumer of TaskFlow that it is published again for; all others pass over.",
    REPLAY: "The id of the replay that publishes it again: it is no news, whoever reads it.",
}
"""The meaning of each attribute that an event may have; one that would be empty is left out."""


def attributes_of(event: Event) -> dict[str, str]:
    """Return the CloudEvents attributes of an event, extensions included; none is empty."""
    attributes = {
        "specversion": SPEC_VERSION,
        "id": str(event.event_id),
        "type": event.event_type,
        "source": SOURCE,
        CONTENT_TYPE_ATTRIBUTE: CONTENT_TYPE,
        "subject": event.aggregate_id,
        "time": rfc3339(event.timestamp),
        "partitionkey": event.user_id,
        "sequence": str(event.seq).zfill(SEQUENCE_DIGITS),
        "correlationid": event.correlation_id,
        "userid": event.user_id,
        "traceparent": event.traceparent,
    }
    return {name: value for name, value in attributes.items() if value}
