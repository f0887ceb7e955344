"""How administrators are shown a dead letter."""

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from taskflow.domain.identifiers import IdText
from taskflow.domain.text import JsonObject
from taskflow.domain.times import TimeText, rfc3339
from taskflow.storage.dead_letter_store import DeadLetter


class DeadLetterSummary(TypedDict):
    """A dead letter without what was sent."""

    id: Annotated[IdText, Field(description="The dead letter's id.")]
    consumer: Annotated[str, Field(description="Which consumer it was given up for.")]
    event_id: Annotated[str, Field(description="The id of what was delivered.")]
    event_type: Annotated[str, Field(description="The type of what was delivered.")]
    user_id: Annotated[str | None, Field(description="Whose event it is; null if it is none.")]
    seq: Annotated[int | None, Field(description="Its place in the user's stream.")]
    error_code: Annotated[int | None, Field(description="The status of the last answer.")]
    error_text: Annotated[str, Field(description="What was answered last.")]
    state: Annotated[
        str,
        Field(
            description="`dead`, `resent`, `discarded`, or `delivered` where the consumer turned "
            "out to have had the event."
        ),
    ]
    received_at: Annotated[TimeText, Field(description="When it was given up.")]
    deaths: Annotated[int, Field(description="How often it was given up.")]


class DeadLetterRepresentation(DeadLetterSummary):
    """A dead letter with all that was sent: its CloudEvents attributes, and its body as text."""

    attributes: Annotated[JsonObject, Field(description="Its CloudEvents attributes.")]
    body: Annotated[str, Field(description="What was sent, as text.")]


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
