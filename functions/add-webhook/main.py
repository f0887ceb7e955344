"""POST /api/{user_id}/webhooks: have one's events sent to an address, from now on."""

from taskflow import clock
from taskflow.domain import webhooks
from taskflow.domain.destinations import DESTINATIONS_MAX
from taskflow.domain.errors import AccountNotFound, FieldError, InvalidContent, WebhookExists
from taskflow.domain.webhooks import WEBHOOKS, WebhookWithSecret
from taskflow.outbound.webhooks import new_secret
from taskflow.serving import Caller, Issued, http_function
from taskflow.serving.webhooks import NewWebhook
from taskflow.storage import Transaction, account_store, destination_store, events


@http_function(
    "POST /api/{user_id}/webhooks",
    permission="tasks:write",
    raises=[AccountNotFound, WebhookExists],
    scale="seldom",
)
def add_webhook(caller: Caller, draft: NewWebhook, tx: Transaction) -> Issued[WebhookWithSecret]:
    # Two that are added at once are counted one after the other.
    account_store.lock(tx, caller.user_id)
    secret = new_secret()
    webhook = webhooks.new(
        caller.user_id,
        draft.url,
        secret=secret,
        event_types=draft.event_types,
        description=draft.description,
        now=clock.now(),
    )
    others = destination_store.list_of(tx, caller.user_id, WEBHOOKS)
    if any(each.address == webhook.address for each in others):
        raise WebhookExists
    if len(others) >= DESTINATIONS_MAX:
        detail = f"would be one more than {DESTINATIONS_MAX} webhooks; remove one"
        raise InvalidContent(FieldError("/url", detail))
    destination_store.add(tx, webhook, seq=events.newest_seq(tx, caller.user_id))
    return Issued({**webhooks.represent(webhook), "secret": secret})
