"""GET /api/{user_id}/webhooks: list where one's events are sent."""

from taskflow.domain import webhooks
from taskflow.domain.webhooks import WEBHOOKS, WebhookRepresentation
from taskflow.serving import Caller, ItemList, Ok, http_function
from taskflow.storage import Transaction, destination_store


@http_function("GET /api/{user_id}/webhooks", permission="tasks:read", scale="seldom")
def list_webhooks(caller: Caller, tx: Transaction) -> Ok[ItemList[WebhookRepresentation]]:
    found = destination_store.list_of(tx, caller.user_id, WEBHOOKS)
    return Ok({"items": [webhooks.represent(each) for each in found], "next_cursor": None})
