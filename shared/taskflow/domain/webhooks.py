"""Webhooks: destinations that are sent a user's own events, signed with secrets of their own."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from taskflow.domain import representations
from taskflow.domain.content import ABSENT, IfSent
from taskflow.domain.destinations import Channel, Destination, State
from taskflow.domain.events import EventType
from taskflow.domain.identifiers import IdText
from taskflow.domain.text import NotBlank
from taskflow.domain.times import TimeText, parse_rfc3339, rfc3339

WEBHOOKS = (Channel.WEBHOOK,)

DESCRIPTION_MAX_CHARS = 255
SECRETS_MAX = 5
"""How many secrets sign at once: where they are rotated more often, the oldest gives way."""

REPLACED_SIGNS = timedelta(hours=24)
"""How long a secret signs, beside the new one, after it was replaced."""

SWITCHED_OFF = "you switched it off"

EventTypes = Annotated[
    list[Annotated[EventType, Field(strict=False)]],
    Field(
        min_length=1,
        max_length=2 * len(EventType),
        description="The types of events that are sent; null for all there are and will be.",
    ),
]
Description = Annotated[
    NotBlank,
    Field(max_length=DESCRIPTION_MAX_CHARS, description="What its user knows it by."),
]
Enabled = Annotated[bool, Field(description="Whether anything is sent.")]


class WebhookRepresentation(TypedDict):
    """A webhook as its user is shown it, without the secrets."""

    __pydantic_config__ = representations.example(
        {
            "id": "019ad3f0-8c00-7000-8000-000000000001",
            "url": "https://example.com/hooks/taskflow",
            "event_types": ["task.created", "task.completed"],
            "description": "Our chat",
            "enabled": True,
            "created_at": "2026-11-30T09:00:00.000000Z",
            "failing_since": None,
            "disabled_because": None,
        }
    )  # pyright: ignore[reportGeneralTypeIssues] - as pydantic reads it

    id: Annotated[IdText, Field(description="The webhook's id.")]
    url: Annotated[str, Field(description="Where events are sent, by POST.")]
    event_types: Annotated[
        list[str] | None, Field(description="The types of events that are sent; null for all.")
    ]
    description: Annotated[str | None, Field(description="What its user knows it by.")]
    enabled: Enabled
    created_at: Annotated[TimeText, Field(description="When it was added.")]
    failing_since: Annotated[
        TimeText | None,
        Field(description="Since when nothing has got through; null where the last one has."),
    ]
    disabled_because: Annotated[str | None, Field(description="Why nothing is sent, if so.")]


class WebhookWithSecret(WebhookRepresentation):
    """A new webhook, with its secret."""

    secret: Annotated[
        str,
        Field(description="What its messages are signed with, `whsec_…`; it is told this once."),
    ]


def new(
    user_id: str,
    url: str,
    *,
    secret: str,
    event_types: Sequence[EventType] | None,
    description: str | None,
    now: datetime,
) -> Destination:
    """Return a new webhook."""
    details = {
        "secrets": [{"secret": secret, "until": None}],
        "event_types": _names(event_types),
        "description": description,
    }
    return Destination.new(user_id, Channel.WEBHOOK, url, details, now=now)


def changed(
    webhook: Destination,
    *,
    url: IfSent[str] = ABSENT,
    event_types: IfSent[Sequence[EventType] | None] = ABSENT,
    description: IfSent[str | None] = ABSENT,
    enabled: IfSent[bool] = ABSENT,
) -> Destination:
    """Return a webhook with what is given in place of what it has.

    One that gets another address, or is switched on again, has not failed yet.
    """
    details = dict(webhook.details)
    if event_types is not ABSENT:
        details["event_types"] = _names(event_types)
    if description is not ABSENT:
        details["description"] = description
    after = replace(webhook, details=details, revision=webhook.revision + 1)
    if url is not ABSENT and url != webhook.address:
        after = replace(after.forgiven(), address=url)
    if enabled is ABSENT:
        return after
    if not enabled:
        return after.disabled(SWITCHED_OFF)
    if after.state is State.ACTIVE:
        return after
    return replace(after.forgiven(), state=State.ACTIVE, disabled_because=None)


def with_new_secret(webhook: Destination, secret: str, *, now: datetime) -> Destination:
    """Return a webhook that signs with a new secret, and with the one before for a while."""
    until = rfc3339(now + REPLACED_SIGNS)
    before = [
        {**each, "until": each["until"] or until}
        for each in webhook.details["secrets"]
        if each["until"] is None or parse_rfc3339(each["until"]) > now
    ]
    secrets = [{"secret": secret, "until": None}, *before]
    details = {**webhook.details, "secrets": secrets[:SECRETS_MAX]}
    return replace(webhook, details=details, revision=webhook.revision + 1)


def represent(webhook: Destination) -> WebhookRepresentation:
    """Return a webhook as its user is shown it."""
    since = webhook.failing_since
    return {
        "id": str(webhook.id),
        "url": webhook.address,
        "event_types": webhook.details["event_types"],
        "description": webhook.details["description"],
        "enabled": webhook.state is State.ACTIVE,
        "created_at": rfc3339(webhook.created_at),
        "failing_since": None if since is None else rfc3339(since),
        "disabled_because": webhook.disabled_because,
    }


def _names(event_types: Sequence[EventType] | None) -> list[str] | None:
    return None if event_types is None else list(dict.fromkeys(each.value for each in event_types))
