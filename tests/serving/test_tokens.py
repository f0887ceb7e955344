"""Access tokens as they are issued and checked (S2)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from taskflow.domain import accounts
from taskflow.domain.accounts import Permission, Registration, Role
from taskflow.serving import tokens
from taskflow.serving.tokens import LEEWAY_S, InvalidToken
from tests.support.settings import changed_settings

pytestmark = pytest.mark.usefixtures("database")

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
LIFETIME = timedelta(seconds=900)
A_SECOND = timedelta(seconds=1)


@pytest.fixture
def token() -> str:
    """Issue a token to an administrator, at NOW."""
    registration = Registration(email="somebody@example.com", password="a long password")
    account, _ = accounts.register(registration, now=NOW)
    return tokens.issue(_with_roles(account, Role.USER, Role.ADMIN), now=NOW)


def _with_roles(account: accounts.Account, *roles: Role) -> accounts.Account:
    return replace(account, id="somebody", roles=tuple(role.value for role in roles))


def test_a_token_says_for_whom_it_was_issued_and_with_which_roles(
    token: str, set_clock: Callable[[datetime], None]
) -> None:
    set_clock(NOW)

    claims = tokens.verify(token)

    assert claims.user_id == "somebody"
    assert claims.roles == {"user", "admin"}
    assert claims.permissions == set(Permission)
    assert claims.expires_at == NOW + LIFETIME


def test_a_token_is_good_from_its_issue_to_its_end_and_some_leeway(
    token: str, set_clock: Callable[[datetime], None]
) -> None:
    leeway = LEEWAY_S * A_SECOND
    for good in (NOW - leeway, NOW, NOW + LIFETIME + leeway - A_SECOND):
        set_clock(good)
        tokens.verify(token)

    set_clock(NOW - leeway - A_SECOND)
    with pytest.raises(InvalidToken, match="not valid yet"):
        tokens.verify(token)
    set_clock(NOW + LIFETIME + leeway)
    with pytest.raises(InvalidToken, match="expired"):
        tokens.verify(token)


def test_the_leeway_is_at_most_thirty_seconds() -> None:
    assert 0 <= LEEWAY_S <= 30


def test_tokens_are_signed_with_hs256(token: str) -> None:
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}


def test_a_token_signed_with_another_secret_is_refused(
    token: str, set_clock: Callable[[datetime], None]
) -> None:
    set_clock(NOW)

    with (
        changed_settings(jwt_secret="another secret of at least 32 characters"),
        pytest.raises(InvalidToken, match="not one of ours"),
    ):
        tokens.verify(token)


def test_an_error_about_a_token_does_not_repeat_the_token(token: str) -> None:
    with pytest.raises(InvalidToken) as refused:
        tokens.verify(token[:-3] + "xxx")

    assert token[:20] not in str(refused.value)
    assert refused.value.__cause__ is None


def test_secrets_are_long_random_and_safe_in_a_url() -> None:
    made = {tokens.new_secret() for _ in range(100)}

    assert len(made) == 100
    for secret in made:
        assert len(secret) == 43
        assert secret.replace("-", "").replace("_", "").isalnum()
