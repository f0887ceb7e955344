"""The assertion of every change: the state before plus the events equals the state after."""

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from taskflow.domain import accounts, notifications, reminders, tasks
from taskflow.domain.events import EVENT_TYPES, Aggregate, Event, EventType
from taskflow.domain.representations import ReminderRepresentation, TaskRepresentation
from taskflow.storage import (
    account_store,
    events,
    notification_store,
    reminder_store,
    task_store,
    transaction,
)
from tests.support.data.accounts import A_CAUSE
from tests.support.data.builders import log_of
from tests.support.events.declarations import assert_declared

SHOWN = {
    Aggregate.TASK: TaskRepresentation.__required_keys__,
    Aggregate.REMINDER: ReminderRepresentation.__required_keys__,
}
"""The fields of each representation beside which events may say more."""

State = dict[str, dict[str, Any]]
"""The representation of everything a user has, by aggregate id; what is deleted says so."""


def state_of(user_id: str) -> State:
    """Read a user's live state from the tables."""
    with transaction(A_CAUSE) as tx:
        account = account_store.get(tx, user_id)
        found = task_store.all_of(tx, user_id)
        its_reminders = reminder_store.all_of(tx, user_id)
        inbox = notification_store.list_of(tx, user_id, unread=False, after=None, limit=100_000)
    state: State = {
        str(task.id): {**tasks.represent(task), "is_deleted": task.deleted_at is not None}
        for task in found
    }
    state |= {str(one.id): {**reminders.represent(one)} for one in its_reminders}
    state |= {str(one.id): {**notifications.represent(one)} for one in inbox}
    state[user_id] = {**accounts.represent_settings(account)}
    return state


def log_and_state_of(user_id: str) -> tuple[Sequence[Event], State]:
    """Read a user's events and live state as of one moment, of a system that may still change it.

    Read in several transactions, they are of one moment where the log did not change meanwhile.
    """
    log = log_of(user_id)
    while True:
        state, read_before = state_of(user_id), log
        log = log_of(user_id)
        if log == read_before:
            return log, state


def fold(state: State, happened: Sequence[Event]) -> State:
    """Apply events to a state, by their data alone.

    Each must carry on from the version before, and its `changes` must be the whole difference.
    """
    state = dict(state)
    for event in happened:
        data = json.loads(event.data_json)
        assert_declared(event.event_type, event.data_json)
        if event.event_type == EventType.USER_REGISTERED:
            settings: dict[str, Any] = {
                "timezone": data["timezone"],
                "notification_channels": [],
                "quiet_hours": None,
                "email_digest": True,
            }
            state[event.aggregate_id] = settings
            continue
        changes = data.pop("changes", None)
        before = state.get(event.aggregate_id)
        if before is None:
            assert changes is None, f"{event.event_type} changes what never was"
        else:
            assert changes is not None, f"{event.event_type} does not say what changed"
            _check_changes(before, data, changes)
        aggregate = EVENT_TYPES[EventType(event.event_type)].aggregate
        shown = SHOWN.get(aggregate, data.keys())
        data = {name: value for name, value in data.items() if name in shown}
        if aggregate is Aggregate.TASK:
            expected = 1 if before is None else before["version"] + 1
            assert data["version"] == event.version == expected
            data["is_deleted"] = event.event_type == EventType.TASK_DELETED
        state[event.aggregate_id] = data
    return state


def _check_changes(before: dict[str, Any], after: dict[str, Any], changes: dict[str, Any]) -> None:
    unmentioned = {"version", "updated_at"}
    differing = {
        name: {"old": before[name], "new": value}
        for name, value in after.items()
        if name in before and before[name] != value and name not in unmentioned
    }
    assert changes == differing


@contextmanager
def assert_events_explain_the_change(user_id: str) -> Generator[list[Event]]:
    """Check that the new events of a user tell exactly the changes that the block made.

    Yields the list that holds the new events once the block is over.
    """
    before, already = state_of(user_id), log_of(user_id)
    new: list[Event] = []
    yield new
    new += log_of(user_id)[len(already) :]
    assert [event.seq for event in new] == list(
        range(len(already) + 1, len(already) + len(new) + 1)
    )
    assert fold(before, new) == state_of(user_id)
    with transaction(A_CAUSE) as tx:
        assert events.broken_link(tx, user_id) is None
