"""Access tokens (JWT, RFC 7519) of the built-in issuer, and random secrets."""

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

import jwt

from taskflow import clock, config
from taskflow.domain.accounts import USER_ID_MAX_CHARS, Account, Permission, Role, permissions_of

ALGORITHM = "HS256"
LEEWAY_S = 10
READ_MAX = 4096
"""Tokens whose claims are remembered; about a kilobyte each."""

_SECRET_BYTES = 32
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+")


class InvalidToken(Exception):
    """The token is not valid; the message says why."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a valid token (RFC 7519)."""

    user_id: str
    roles: frozenset[str]
    permissions: frozenset[Permission]
    expires_at: datetime
    session_id: str | None


def issue(account: Account, *, now: datetime, session_id: UUID | None = None) -> str:
    """Write an access token for an account; `session_id` is the log-in that it comes from."""
    settings = config.settings()
    claims: dict[str, Any] = {
        "sub": account.id,
        "iat": now,
        "exp": now + timedelta(seconds=settings.access_token_lifetime_s),
        "roles": list(account.roles),
        "permissions": sorted(permissions_of(account.roles)),
    }
    if session_id is not None:
        claims["sid"] = str(session_id)
    if settings.jwt_issuer:
        claims["iss"] = settings.jwt_issuer
    if settings.jwt_audience:
        claims["aud"] = settings.jwt_audience
    return jwt.encode(claims, _key(), algorithm=ALGORITHM)


def verify(token: str) -> Claims:
    """Check a token's signature, times, issuer and audience. Raises InvalidToken."""
    settings = config.settings()
    claims, not_before = _read(token, _key(), settings.jwt_issuer, settings.jwt_audience)
    leeway = timedelta(seconds=LEEWAY_S)
    if claims.expires_at <= clock.now() - leeway:
        message = "The token has expired."
        raise InvalidToken(message)
    if not_before > clock.now() + leeway:
        message = "The token is not valid yet."
        raise InvalidToken(message)
    return claims


# A client sends the same token many times. What is refused is not kept.
@lru_cache(maxsize=READ_MAX)
def _read(
    token: str, key: str, issuer: str | None, audience: str | None
) -> tuple[Claims, datetime]:
    """Return a token's claims, and from when on it is valid; its times are not checked."""
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            issuer=issuer,
            audience=audience,
            options={
                "require": ["sub", "iat", "exp"],
                # Checked by `verify`, against our own clock, which tests set.
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "verify_aud": audience is not None,
            },
        )
        expires_at = datetime.fromtimestamp(claims["exp"], UTC)
        not_before = datetime.fromtimestamp(claims.get("nbf", claims["iat"]), UTC)
    except (jwt.InvalidTokenError, TypeError, ValueError, OverflowError, OSError):
        message = (
            "The token is not one of ours: malformed, or with another key, issuer or audience."
        )
        raise InvalidToken(message) from None
    return _claims(claims, expires_at), not_before


def new_secret() -> str:
    """Make a secret for a refresh token or a ticket: 256 random bits, safe in a URL."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def _claims(claims: dict[str, Any], expires_at: datetime) -> Claims:
    user_id = claims["sub"]
    if not isinstance(user_id, str) or not (
        len(user_id) <= USER_ID_MAX_CHARS and _PRINTABLE.fullmatch(user_id)
    ):
        message = f"The token's sub is not 1 to {USER_ID_MAX_CHARS} printable characters."
        raise InvalidToken(message)
    roles = _strings(claims.get("roles")) or frozenset({Role.USER.value})
    if "permissions" in claims:
        named = _strings(claims["permissions"])
        permissions = frozenset(allowed for allowed in Permission if allowed.value in named)
    else:
        permissions = permissions_of(roles)
    session_id = claims.get("sid")
    return Claims(
        user_id,
        roles,
        permissions,
        expires_at,
        session_id if isinstance(session_id, str) and "\0" not in session_id else None,
    )


def _strings(value: object) -> frozenset[str]:
    if not isinstance(value, list):
        return frozenset()
    return frozenset(item for item in cast("list[object]", value) if isinstance(item, str))


def _key() -> str:
    secret = config.settings().jwt_secret
    if secret is None:
        message = "JWT_SECRET: is needed to issue and check tokens"
        raise config.InvalidSetting(message)
    return secret
