"""PUT /api/{user_id}/settings: change one's timezone, notification channels and quiet hours."""

from flask import Response

from taskflow import clock
from taskflow.domain import accounts, recurring
from taskflow.domain.accounts import SettingsChanges
from taskflow.serving import Caller, as_json, http_function
from taskflow.storage import Transaction, account_store, events, reminder_store, task_store


@http_function("PUT /api/{user_id}/settings", permission="tasks:write")
def change_settings(caller: Caller, changes: SettingsChanges, tx: Transaction) -> Response:
    now = clock.now()
    account = account_store.lock(tx, caller.user_id)
    changed, happened = accounts.change_settings(account, changes, now=now)
    account_store.save(tx, changed)
    if changed.timezone != account.timezone:
        series = task_store.lock_recurring(tx, caller.user_id)
        moved = [recurring.follow_zone(task, changed.timezone, now=now) for task in series]
        task_store.save_all(tx, [task for task, _ in moved])
        of_reminders = reminder_store.follow_zone(tx, caller.user_id, now=now)
        happened = [*happened, *(event for _, its in moved for event in its), *of_reminders]
    events.append(tx, happened)
    return as_json(accounts.represent_settings(changed))
