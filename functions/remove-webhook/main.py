"""DELETE /api/{user_id}/webhooks/{webhook_id}: have one's events sent there no more."""

from uuid import UUID

from taskflow.domain.errors import DestinationNotFound
from taskflow.domain.webhooks import WEBHOOKS
from taskflow.serving import Caller, NoContent, http_function
from taskflow.storage import Transaction, destination_store


@http_function(
    "DELETE /api/{user_id}/webhooks/{webhook_id}",
    permission="tasks:write",
    raises=[DestinationNotFound],
    scale="seldom",
)
def remove_webhook(caller: Caller, webhook_id: UUID, tx: Transaction) -> NoContent:
    webhook = destination_store.lock(tx, webhook_id, user_id=caller.user_id, channels=WEBHOOKS)
    destination_store.remove(tx, webhook)
    return NoContent()
