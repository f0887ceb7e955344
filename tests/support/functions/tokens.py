"""Tokens that a test writes itself: good ones with claims of its own, and forged ones."""

from datetime import datetime, timedelta
from typing import Any

import jwt

from taskflow import clock, config
from tests.support.data.accounts import SignedIn

A_MINUTE = timedelta(minutes=1)


def a_token(
    user_id: object = "somebody",
    *,
    at: datetime | None = None,
    key: str | None = None,
    algorithm: str = "HS256",
    without: str | None = None,
    **claims: Any,  # noqa: ANN401 - what JSON may hold
) -> str:
    """Write a token that holds from `at`, by default now, for a minute; `without` drops a claim."""
    now = at or clock.now()
    payload = {"sub": user_id, "iat": now, "exp": now + A_MINUTE, "roles": ["user"], **claims}
    payload.pop(without or "", None)
    return jwt.encode(payload, key or config.settings().jwt_secret or "", algorithm=algorithm)


def with_token(user: SignedIn, token: str) -> SignedIn:
    """Return the same user with another token."""
    return SignedIn(user.user_id, user.email, token)


def signed_in_at(user: SignedIn, at: datetime, **claims: Any) -> SignedIn:  # noqa: ANN401 - as above
    """Return the same user with a token that holds at another time."""
    return with_token(user, a_token(user.user_id, at=at, **claims))
