"""GET /api/{user_id}/settings: show one's settings."""

from taskflow.domain import accounts
from taskflow.domain.errors import AccountNotFound
from taskflow.domain.representations import SettingsRepresentation
from taskflow.serving import Caller, Ok, http_function
from taskflow.storage import Transaction, account_store


@http_function("GET /api/{user_id}/settings", permission="tasks:read", raises=[AccountNotFound])
def get_settings(caller: Caller, tx: Transaction) -> Ok[SettingsRepresentation]:
    return Ok(accounts.represent_settings(account_store.get(tx, caller.user_id)))
