"""What a client sends to have events sent to it, and is shown of what was sent."""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from taskflow.domain.content import ABSENT, Content, IfSent, examples
from taskflow.domain.identifiers import IdText
from taskflow.domain.times import TimeText, rfc3339
from taskflow.domain.webhooks import Description, Enabled, EventTypes
from taskflow.outbound.urls import NamedUrl
from taskflow.storage.outbound_store import OutboundMessage

Address = Annotated[NamedUrl, Field(description="Where events are sent, by POST.")]
MessageState = Literal["pending", "sent", "failed", "cancelled"]


class NewWebhook(Content):
    """What a client sends to have events sent to an address."""

    model_config = examples(
        {"url": "https://example.com/hooks/taskflow"},
        {
            "url": "https://example.com/hooks/taskflow",
            "event_types": ["task.created", "task.completed"],
            "description": "Our chat",
        },
    )

    url: Address
    event_types: EventTypes | None = None
    description: Description | None = None


class WebhookChanges(Content):
    """What a client sends to change a webhook: a merge patch (RFC 7396) of what GET gives."""

    model_config = examples({"enabled": True}, {"event_types": None, "description": "Our chat"})

    url: IfSent[Address] = ABSENT
    event_types: IfSent[EventTypes | None] = ABSENT
    description: IfSent[Description | None] = ABSENT
    enabled: IfSent[Enabled] = ABSENT


class WebhookMessageRepresentation(TypedDict):
    """What one event had to tell a webhook, and what became of it."""

    id: Annotated[IdText, Field(description="The message's id.")]
    event_id: Annotated[
        IdText | None, Field(description="The event's id, which is sent as `webhook-id`.")
    ]
    event_type: Annotated[str | None, Field(description="The event's type.")]
    seq: Annotated[int | None, Field(description="The event's place in the user's stream.")]
    state: Annotated[
        MessageState, Field(description="`pending` until it is sent, given up or called off.")
    ]
    failures: Annotated[int, Field(description="How often it was tried in vain.")]
    created_at: Annotated[TimeText, Field(description="When it was made.")]
    due_at: Annotated[TimeText, Field(description="When it is tried next, or was for the last.")]
    settled_at: Annotated[TimeText | None, Field(description="When it was sent or given up.")]
    reason: Annotated[
        str | None, Field(description="Why it was called off, or not taken the last time.")
    ]


def represent_message(message: OutboundMessage) -> WebhookMessageRepresentation:
    """Return a message as its user is shown it."""
    settled_at = message.settled_at
    return {
        "id": str(message.id),
        "event_id": None if message.event_id is None else str(message.event_id),
        "event_type": message.event_type,
        "seq": message.seq,
        "state": message.state,  # pyright: ignore[reportReturnType] - as its table has it
        "failures": message.failures,
        "created_at": rfc3339(message.created_at),
        "due_at": rfc3339(message.due_at),
        "settled_at": None if settled_at is None else rfc3339(settled_at),
        "reason": message.reason,
    }
