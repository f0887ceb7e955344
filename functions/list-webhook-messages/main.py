"""GET /api/{user_id}/webhooks/{webhook_id}/messages: what was sent to a webhook, newest first."""

from typing import Annotated
from uuid import UUID

from flask import Request
from pydantic import Field

from taskflow.domain.errors import DestinationNotFound
from taskflow.domain.webhooks import WEBHOOKS
from taskflow.serving import (
    Caller,
    Page,
    PageQuery,
    http_function,
    page,
    read_cursor,
    write_cursor,
)
from taskflow.serving.webhooks import (
    MessageState,
    WebhookMessageRepresentation,
    represent_message,
)
from taskflow.storage import Transaction, destination_store, outbound_store

OF = "webhook-messages"


class WebhookMessageQuery(PageQuery):
    """Which messages to list: those of the last 30 days are there."""

    state: Annotated[MessageState | None, Field(description="In this state.")] = None


@http_function(
    "GET /api/{user_id}/webhooks/{webhook_id}/messages",
    permission="tasks:read",
    raises=[DestinationNotFound],
    scale="seldom",
)
def list_webhook_messages(
    caller: Caller, webhook_id: UUID, request: Request, query: WebhookMessageQuery, tx: Transaction
) -> Page[WebhookMessageRepresentation]:
    webhook = destination_store.get(tx, webhook_id, user_id=caller.user_id, channels=WEBHOOKS)
    [before] = [None] if query.cursor is None else read_cursor(query.cursor, OF, int)
    found = outbound_store.list_of(
        tx, webhook.id, state=query.state, before=before, limit=query.limit + 1
    )
    return page(
        request,
        found,
        query.limit,
        represent=represent_message,
        cursor=lambda message: write_cursor(OF, message.seq),
    )
