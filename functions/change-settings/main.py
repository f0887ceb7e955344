"""PUT /api/{user_id}/settings: change one's timezone, notification channels and quiet hours."""

from flask import Response

from taskflow import clock
from taskflow.domain import accounts, recurring
from taskflow.domain.accounts import SettingsChanges
from taskflow.domain.tasks import Changed
from taskflow.serving import Caller, as_json, http_function
from taskflow.storage import Transaction, account_store, events, task_store


@http_function("PUT /api/{user_id}/settings", permission="tasks:write")
def change_settings(caller: Caller, changes: SettingsChanges, tx: Transaction) -> Response:
    now = clock.now()
    account = account_store.lock(tx, caller.user_id)
    changed, happened = accounts.change_settings(account, changes, now=now)
    account_store.save(tx, changed)
    moved: list[Changed] = []
    if changed.timezone != account.timezone:
        series = task_store.lock_recurring(tx, caller.user_id)
        moved = [recurring.follow_zone(task, changed.timezone, now=now) for task in series]
        task_store.save_all(tx, [task for task, _ in moved])
    events.append(tx, [*happened, *(event for _, of_series in moved for event in of_series)])
    return as_json(accounts.represent_settings(changed))
