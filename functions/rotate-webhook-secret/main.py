"""POST /api/{user_id}/webhooks/{webhook_id}/rotate-secret: give a webhook a new secret."""

from typing import Annotated
from uuid import UUID

from pydantic import Field
from typing_extensions import TypedDict

from taskflow import clock
from taskflow.domain import webhooks
from taskflow.domain.errors import DestinationNotFound
from taskflow.domain.times import TimeText, rfc3339
from taskflow.domain.webhooks import REPLACED_SIGNS, WEBHOOKS
from taskflow.outbound.webhooks import new_secret
from taskflow.serving import Caller, Issued, http_function
from taskflow.storage import Transaction, destination_store


class WebhookSecret(TypedDict):
    """A new secret, beside which the one before signs for a while."""

    secret: Annotated[
        str, Field(description="What messages are signed with, `whsec_…`; it is told this once.")
    ]
    replaced_signs_until: Annotated[
        TimeText, Field(description="Until when the one before signs, too.")
    ]


@http_function(
    "POST /api/{user_id}/webhooks/{webhook_id}/rotate-secret",
    permission="tasks:write",
    raises=[DestinationNotFound],
    scale="seldom",
)
def rotate_webhook_secret(
    caller: Caller, webhook_id: UUID, tx: Transaction
) -> Issued[WebhookSecret]:
    now = clock.now()
    webhook = destination_store.lock(tx, webhook_id, user_id=caller.user_id, channels=WEBHOOKS)
    secret = new_secret()
    destination_store.save(tx, webhooks.with_new_secret(webhook, secret, now=now))
    return Issued({"secret": secret, "replaced_signs_until": rfc3339(now + REPLACED_SIGNS)})
