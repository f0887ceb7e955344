"""PUT /api/{user_id}/settings: change one's timezone, notification channels and quiet hours."""

from flask import Response

from taskflow import clock
from taskflow.domain import accounts
from taskflow.domain.accounts import SettingsChanges
from taskflow.serving import Caller, as_json, http_function
from taskflow.storage import Transaction, account_store, events


@http_function("PUT /api/{user_id}/settings", permission="tasks:write")
def change_settings(caller: Caller, changes: SettingsChanges, tx: Transaction) -> Response:
    account = account_store.lock(tx, caller.user_id)
    account, happened = accounts.change_settings(account, changes, now=clock.now())
    account_store.save(tx, account)
    events.append(tx, happened)
    return as_json(accounts.represent_settings(account))
