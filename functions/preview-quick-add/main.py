"""POST /api/{user_id}/tasks/quick/preview: show what a line of text is understood as."""

from taskflow import clock
from taskflow.domain import creation, quick_add
from taskflow.domain.errors import AccountNotFound
from taskflow.domain.quick_add import QuickAdd, QuickAddPreview
from taskflow.serving import Caller, Ok, http_function
from taskflow.storage import Transaction, account_store


@http_function(
    "POST /api/{user_id}/tasks/quick/preview", permission="tasks:read", raises=[AccountNotFound]
)
def preview_quick_add(caller: Caller, wanted: QuickAdd, tx: Transaction) -> Ok[QuickAddPreview]:
    zone, now = account_store.get(tx, caller.user_id).timezone, clock.now()
    understood = quick_add.read(
        wanted.text, default_text=wanted.default_text, user_zone=zone, now=now
    )
    made = creation.create(understood.draft, user_id=caller.user_id, user_zone=zone, now=now)
    return Ok(quick_add.represent_preview(wanted.text, understood, made))
