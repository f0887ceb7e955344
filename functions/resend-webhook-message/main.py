"""POST /api/{user_id}/webhooks/{webhook_id}/messages/{message_id}/resend: send it once more."""

from uuid import UUID

from taskflow import clock
from taskflow.domain.destinations import State
from taskflow.domain.errors import (
    DestinationNotFound,
    OutboundMessageNotFound,
    WebhookIsDisabled,
)
from taskflow.domain.webhooks import WEBHOOKS
from taskflow.serving import Accepted, Caller, http_function
from taskflow.serving.webhooks import WebhookMessageRepresentation, represent_message
from taskflow.storage import Transaction, destination_store, outbound_store


@http_function(
    "POST /api/{user_id}/webhooks/{webhook_id}/messages/{message_id}/resend",
    permission="tasks:write",
    raises=[DestinationNotFound, OutboundMessageNotFound, WebhookIsDisabled],
    scale="seldom",
)
def resend_webhook_message(
    caller: Caller, webhook_id: UUID, message_id: UUID, tx: Transaction
) -> Accepted[WebhookMessageRepresentation]:
    webhook = destination_store.lock(tx, webhook_id, user_id=caller.user_id, channels=WEBHOOKS)
    if outbound_store.get(tx, message_id).destination_id != webhook.id:
        raise OutboundMessageNotFound
    if webhook.state is State.DISABLED:
        raise WebhookIsDisabled
    outbound_store.retry(tx, message_id, now=clock.now())
    return Accepted(represent_message(outbound_store.get(tx, message_id)))
