"""POST /api/{user_id}/recurrence/preview: show what a series would make, before it is set."""

from taskflow import clock
from taskflow.domain import recurring
from taskflow.domain.errors import AccountNotFound
from taskflow.domain.recurring import PreviewDraft, PreviewedRepresentation
from taskflow.serving import Caller, ItemList, Ok, http_function
from taskflow.storage import Transaction, account_store


@http_function(
    "POST /api/{user_id}/recurrence/preview", permission="tasks:read", raises=[AccountNotFound]
)
def preview_recurrence(
    caller: Caller, draft: PreviewDraft, tx: Transaction
) -> Ok[ItemList[PreviewedRepresentation]]:
    zone = account_store.get(tx, caller.user_id).timezone
    items = recurring.represent_preview(draft, zone, now=clock.now())
    return Ok({"items": items, "next_cursor": None})
