"""PATCH /api/{user_id}/webhooks/{webhook_id}: merge changes into a webhook, or switch it on."""

from uuid import UUID

from taskflow import clock
from taskflow.domain import webhooks
from taskflow.domain.content import sent_fields
from taskflow.domain.destinations import Destination, State
from taskflow.domain.errors import AccountNotFound, DestinationNotFound, WebhookExists
from taskflow.domain.webhooks import WEBHOOKS, WebhookRepresentation
from taskflow.serving import Caller, Ok, http_function
from taskflow.serving.webhooks import WebhookChanges
from taskflow.storage import (
    Transaction,
    account_store,
    destination_store,
    events,
    outbound_store,
)


@http_function(
    "PATCH /api/{user_id}/webhooks/{webhook_id}",
    permission="tasks:write",
    raises=[AccountNotFound, DestinationNotFound, WebhookExists],
    scale="seldom",
)
def change_webhook(
    caller: Caller, webhook_id: UUID, changes: WebhookChanges, tx: Transaction
) -> Ok[WebhookRepresentation]:
    # No two get the same address at once.
    account_store.lock(tx, caller.user_id)
    before = destination_store.lock(tx, webhook_id, user_id=caller.user_id, channels=WEBHOOKS)
    after = webhooks.changed(before, **sent_fields(changes))
    _check_address(tx, after)
    is_on_again = (before.state, after.state) == (State.DISABLED, State.ACTIVE)
    seq = events.newest_seq(tx, caller.user_id) if is_on_again else None
    destination_store.save(tx, after, seq=seq)
    if before.failures and not after.failures:
        # What failed there is tried at its new address.
        outbound_store.make_due(tx, after.id, now=clock.now())
    if after.state is State.DISABLED:
        outbound_store.cancel_all(tx, after.id, after.disabled_because or "", now=clock.now())
    return Ok(webhooks.represent(after))


def _check_address(tx: Transaction, webhook: Destination) -> None:
    """Check that a user's other webhooks have another address. Raises WebhookExists."""
    for other in destination_store.list_of(tx, webhook.user_id, WEBHOOKS):
        if other.address == webhook.address and other.id != webhook.id:
            raise WebhookExists
