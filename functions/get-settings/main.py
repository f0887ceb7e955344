"""GET /api/{user_id}/settings: show one's settings."""

from flask import Response

from taskflow.domain import accounts
from taskflow.serving import Caller, as_json, http_function
from taskflow.storage import Transaction, account_store


@http_function("GET /api/{user_id}/settings", permission="tasks:read")
def get_settings(caller: Caller, tx: Transaction) -> Response:
    return as_json(accounts.represent_settings(account_store.get(tx, caller.user_id)))
