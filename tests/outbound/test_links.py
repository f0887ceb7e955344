"""Links in mails: read back for what they were made for, and refused with one error else."""

import base64
import hashlib
import hmac
import string
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import Signer

from taskflow.config import InvalidSetting
from taskflow.outbound import links
from taskflow.outbound.links import CONFIRMATION_LIFETIME, InvalidLink
from tests.support.settings import changed_settings

SECRET = "a secret for links of at least 32 characters"
ID = UUID("019ad3f0-8c00-7000-8000-0000000000aa")
HASH = bytes(range(16))
NOW = datetime(2026, 11, 30, 17, 30, tzinfo=UTC)
MAKERS: list[Callable[[], str]] = [
    partial(links.to_confirm, ID, 7, now=NOW),
    partial(links.to_unsubscribe, ID),
    partial(links.to_refuse, ID, HASH),
]


@pytest.fixture(autouse=True, scope="module")
def _secret() -> Generator[None]:
    with changed_settings(link_secret=SECRET):
        yield


def _is_refused(token: str) -> bool:
    for read in (partial(links.confirmed, now=NOW), links.unsubscribed, links.refused):
        try:
            read(token)
        except InvalidLink:
            continue
        return False
    return True


def test_a_link_holds_the_destination_that_it_was_made_for() -> None:
    assert links.confirmed(links.to_confirm(ID, 7, now=NOW), now=NOW) == (ID, 7)
    assert links.unsubscribed(links.to_unsubscribe(ID)) == ID
    assert links.refused(links.to_refuse(ID, HASH)) == (ID, HASH)


@pytest.mark.parametrize("make", MAKERS)
def test_a_token_needs_no_escaping_in_an_address(
    make: Callable[[], str],
) -> None:
    token = make()

    assert set(token) <= set(string.ascii_letters + string.digits + "-_.")
    assert len(token) < 120


def test_a_confirmation_is_good_for_three_days() -> None:
    token = links.to_confirm(ID, 7, now=NOW)

    assert timedelta(days=3) == CONFIRMATION_LIFETIME
    assert links.confirmed(token, now=NOW + timedelta(days=3, seconds=-1)) == (ID, 7)
    with pytest.raises(InvalidLink):
        links.confirmed(token, now=NOW + timedelta(days=3))


def test_a_confirmation_that_names_no_generation_is_refused() -> None:
    before = Signer(
        SECRET,
        salt="taskflow.confirm-email",
        key_derivation="hmac",
        digest_method=hashlib.sha256,
    )
    expires_at = int((NOW + timedelta(days=1)).timestamp())

    assert _is_refused(before.sign(f"{ID.hex}-{expires_at}").decode())


def test_a_link_of_one_purpose_is_none_of_another() -> None:
    with pytest.raises(InvalidLink):
        links.unsubscribed(links.to_confirm(ID, 7, now=NOW))
    with pytest.raises(InvalidLink):
        links.confirmed(links.to_unsubscribe(ID), now=NOW)
    with pytest.raises(InvalidLink):
        links.unsubscribed(links.to_refuse(ID, HASH))
    with pytest.raises(InvalidLink):
        links.refused(links.to_unsubscribe(ID))


@pytest.mark.parametrize("make", MAKERS)
def test_a_token_of_another_secret_is_refused(make: Callable[[], str]) -> None:
    with changed_settings(link_secret=SECRET.upper()):
        token = make()

    assert _is_refused(token)


@pytest.mark.parametrize("make", MAKERS)
def test_a_signature_by_the_secret_itself_is_refused(make: Callable[[], str]) -> None:
    content = make().rpartition(".")[0]

    signed = hmac.digest(SECRET.encode(), content.encode(), hashlib.sha256)

    assert _is_refused(f"{content}.{base64.urlsafe_b64encode(signed).decode().rstrip('=')}")


@pytest.mark.parametrize("make", MAKERS)
def test_a_token_with_a_character_changed_added_or_missing_is_refused(
    make: Callable[[], str],
) -> None:
    token = make()

    for at in range(len(token)):
        for char in string.ascii_letters + string.digits + "-_.=+/! \n\0é":
            changed = token[:at] + char + token[at + 1 :]
            assert changed == token or _is_refused(changed), changed
            assert _is_refused(token[:at] + char + token[at:])
        assert _is_refused(token[:at])
        assert _is_refused(token[:at] + token[at + 1 :])
    assert _is_refused(f"{token}=")


@given(st.text(st.characters()))
def test_what_is_no_token_is_refused(text: str) -> None:
    assert _is_refused(text)


def test_links_need_their_secret() -> None:
    with changed_settings(link_secret=None), pytest.raises(InvalidSetting, match="LINK_SECRET"):
        links.to_unsubscribe(ID)
