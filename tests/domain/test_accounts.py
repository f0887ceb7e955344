"""Accounts: what roles allow, and how settings merge (S3, T8)."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskflow.domain import accounts
from taskflow.domain.accounts import (
    PERMISSIONS_OF,
    Account,
    Permission,
    Registration,
    Role,
    SettingsChanges,
    permissions_of,
)
from tests.support.data.builders import json_data

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
USERS = {Permission.TASKS_READ, Permission.TASKS_WRITE}


def _an_account() -> Account:
    registration = Registration(email="somebody@example.com", password="a long password")
    account, _ = accounts.register(registration, now=NOW)
    return account


@pytest.mark.parametrize(
    ("roles", "allowed"),
    [
        (["user"], USERS),
        (["admin"], set(Permission)),
        (["user", "admin"], set(Permission)),
        ([], set[Permission]()),
        (["root", "ADMIN", ""], set[Permission]()),
        (["user", "root"], USERS),
    ],
)
def test_roles_allow_together_all_that_each_allows(
    roles: list[str], allowed: set[Permission]
) -> None:
    assert permissions_of(roles) == allowed


def test_every_role_allows_something_and_only_administrators_may_look_at_others() -> None:
    assert set(PERMISSIONS_OF) == set(Role)
    assert PERMISSIONS_OF[Role.USER] == USERS


def test_a_new_account_is_a_users_and_its_event_tells_no_secret() -> None:
    registration = Registration(email="Some.Body@Example.COM", password="a long password")

    account, registered = accounts.register(registration, now=NOW)

    assert account.email == "some.body@example.com"
    assert account.roles == ("user",)
    assert (registered.event_type.value, registered.version) == ("user.registered", 1)
    assert registered.user_id == registered.aggregate_id == account.id
    assert set(registered.data) == {"id", "email", "timezone"}


LISTED = {"notification_channels"}
CHANGES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "timezone": st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata"]),
        "notification_channels": st.lists(st.sampled_from(["email", "push"]), max_size=3),
        "quiet_hours": st.none()
        | st.sampled_from([{"start": "22:00", "end": "07:00"}, {"start": "13:00", "end": "14:00"}]),
        "email_digest": st.booleans(),
    },
)


@settings(max_examples=25)
@given(st.lists(CHANGES, max_size=6))
def test_the_changes_of_all_events_folded_give_the_settings(sent: list[dict[str, Any]]) -> None:
    account = _an_account()
    state: dict[str, Any] = {**accounts.represent_settings(account)}

    for each in sent:
        changes = SettingsChanges.model_validate(each)
        account, happened = accounts.change_settings(account, changes, now=NOW)
        for event in happened:
            changed = json_data(event)["changes"]
            assert changed, "an event changes something"
            assert event.version == account.version
            for name, change in changed.items():
                assert state[name] == change["old"]
                state[name] = change["new"]
            assert {**state, "changes": changed} == event.data
        for name, value in each.items():
            shown = dict(accounts.represent_settings(account))[name]
            assert shown == (list(dict.fromkeys(value)) if name in LISTED else value)

    assert state == accounts.represent_settings(account)
