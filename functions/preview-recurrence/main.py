"""POST /api/{user_id}/recurrence/preview: show what a series would make, before it is set."""

from flask import Response

from taskflow import clock
from taskflow.domain import recurring
from taskflow.domain.recurring import PreviewDraft
from taskflow.serving import Caller, as_json, http_function
from taskflow.storage import Transaction, account_store


@http_function("POST /api/{user_id}/recurrence/preview", permission="tasks:read")
def preview_recurrence(caller: Caller, draft: PreviewDraft, tx: Transaction) -> Response:
    zone = account_store.get(tx, caller.user_id).timezone
    items = recurring.represent_preview(draft, zone, now=clock.now())
    return as_json({"items": items, "next_cursor": None})
