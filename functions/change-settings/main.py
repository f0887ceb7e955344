"""PUT /api/{user_id}/settings: change one's timezone, and when and how one is told of reminders."""

from collections.abc import Sequence
from datetime import datetime

from taskflow import clock
from taskflow.domain import accounts, recurring, reminders
from taskflow.domain.accounts import Account, SettingsChanges
from taskflow.domain.errors import AccountNotFound
from taskflow.domain.events import NewEvent
from taskflow.domain.representations import SettingsRepresentation
from taskflow.serving import Caller, Ok, http_function
from taskflow.storage import (
    Transaction,
    account_store,
    events,
    outbound_store,
    reminder_store,
    task_changes,
    task_store,
)


@http_function("PUT /api/{user_id}/settings", permission="tasks:write", raises=[AccountNotFound])
def change_settings(
    caller: Caller, changes: SettingsChanges, tx: Transaction
) -> Ok[SettingsRepresentation]:
    now = clock.now()
    account = account_store.lock(tx, caller.user_id)
    changed, happened = accounts.change_settings(account, changes, now=now)
    account_store.save(tx, changed)
    outbound_store.end_quiet_hours(tx, account, changed, now=now)
    if changed.timezone == account.timezone:
        events.append(tx, happened)
    else:
        _change_zone(tx, changed, happened, now=now)
    return Ok(accounts.represent_settings(changed))


def _change_zone(
    tx: Transaction, account: Account, happened: Sequence[NewEvent], *, now: datetime
) -> None:
    """Move the user's series and relative reminders to their new zone; append `happened` first.

    The account is locked, and stored with the zone.
    """
    series = task_store.lock_recurring(tx, account.id)
    moved = [recurring.change_zone(task, account.timezone, now=now) for task in series]
    to_come = reminder_store.lock_with_days(tx, account.id)
    changed, of_reminders = reminders.change_zone_all(to_come, now=now)
    task_changes.save_all(
        tx,
        tasks=[(before, after) for before, (after, _) in zip(series, moved, strict=True)],
        reminders=changed,
        events=[*happened, *(event for _, its in moved for event in its), *of_reminders],
    )
