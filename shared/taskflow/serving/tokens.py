"""Access tokens (JWT, RFC 7519): checked here alone, whoever issued them; and random secrets.

There is one issuer at a time: the built-in one, or an outside one (docs/decisions/0024).
"""

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from taskflow import clock, config
from taskflow.config import Settings
from taskflow.domain.accounts import (
    USER_ID_MAX_CHARS,
    Account,
    Identity,
    Permission,
    Role,
    permissions_of,
    verified_email,
)
from taskflow.domain.times import kept_zone
from taskflow.serving import jwks

if TYPE_CHECKING:
    from jwt import PyJWK

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
    identity: Identity | None = None
    """Who the user is to the outside issuer; None in a token of our own."""


@dataclass(frozen=True, slots=True)
class _Checks:
    """What a token must be to be one of its issuer's, beside what all must be."""

    key: "str | PyJWK"
    algorithm: str
    issuer: str | None
    audience: str | None
    is_outside: bool
    roles_claim: str
    admin_roles: tuple[str, ...]


def issue(account: Account, *, now: datetime, session_id: UUID | None = None) -> str:
    """Write an access token for an account; `session_id` is the log-in that it comes from."""
    import jwt

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
    return jwt.encode(claims, _own_key(settings), algorithm=ALGORITHM)


def verify(token: str) -> Claims:
    """Check a token's signature, times, issuer and audience.

    Raises InvalidToken, and IssuerUnavailable where the issuer's keys can't be had.
    """
    claims, not_before = _read(token, _checks_of(token))
    check_expiry(claims.expires_at)
    if not_before > clock.now() + timedelta(seconds=LEEWAY_S):
        message = "The token is not valid yet."
        raise InvalidToken(message)
    return claims


def check_expiry(expires_at: datetime) -> None:
    """Check that a token that expires then has not expired by now. Raises InvalidToken."""
    if expires_at <= clock.now() - timedelta(seconds=LEEWAY_S):
        message = "The token has expired."
        raise InvalidToken(message)


# A client sends the same token many times. What is refused is not kept.
@lru_cache(maxsize=READ_MAX)
def _read(token: str, checks: _Checks) -> tuple[Claims, datetime]:
    """Return a token's claims, and from when on it is valid; its times are not checked."""
    import jwt

    try:
        claims = jwt.decode(
            token,
            checks.key,
            algorithms=[checks.algorithm],
            issuer=checks.issuer,
            audience=checks.audience,
            options={
                "require": ["sub", "iat", "exp"],
                # Checked by `verify`, against our own clock, which tests set.
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "verify_aud": checks.audience is not None,
            },
        )
        expires_at = datetime.fromtimestamp(claims["exp"], UTC)
        issued_at = datetime.fromtimestamp(claims["iat"], UTC)
        not_before = datetime.fromtimestamp(claims.get("nbf", claims["iat"]), UTC)
    except (jwt.InvalidTokenError, TypeError, ValueError, OverflowError, OSError):
        raise _not_ours() from None
    read = _outside_claims if checks.is_outside else _own_claims
    return read(claims, expires_at, checks), max(issued_at, not_before)


def _checks_of(token: str) -> _Checks:
    """Return what a token is to be checked by, with the key that its issuer has for it."""
    settings = config.settings()
    is_outside = settings.auth == "external"
    if not is_outside:
        key, algorithm = _own_key(settings), ALGORITHM
    elif settings.better_auth_secret is not None:
        key, algorithm = settings.better_auth_secret, ALGORITHM
    else:
        key, algorithm = _published_key(token)
    return _Checks(
        key,
        algorithm,
        settings.jwt_issuer,
        settings.jwt_audience,
        is_outside,
        settings.jwt_roles_claim,
        settings.jwt_admin_roles,
    )


def _published_key(token: str) -> "tuple[PyJWK, str]":
    """Return the issuer's key that a token names, and its algorithm.

    Of the token's header that alone is believed, and only to look it up: not where a key would be
    (`jku`, `x5u`), nor a key that it brings (`jwk`, `x5c`).
    """
    import jwt

    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError:
        raise _not_ours() from None
    algorithm = header.get("alg")
    if algorithm not in jwks.ALGORITHMS:
        raise _not_ours()
    key = jwks.issuer_keys().find(header.get("kid"), algorithm)
    if key is None:
        raise _not_ours()
    return key, algorithm


def _not_ours() -> InvalidToken:
    message = "The token is not one of ours: malformed, or with another key, issuer or audience."
    return InvalidToken(message)


def new_secret() -> str:
    """Make a secret for a refresh token or a ticket: 256 random bits, safe in a URL."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def _user_id(claims: dict[str, Any]) -> str:
    user_id = claims["sub"]
    if not isinstance(user_id, str) or not (
        len(user_id) <= USER_ID_MAX_CHARS and _PRINTABLE.fullmatch(user_id)
    ):
        message = f"The token's sub is not 1 to {USER_ID_MAX_CHARS} printable characters."
        raise InvalidToken(message)
    return user_id


def _own_claims(claims: dict[str, Any], expires_at: datetime, _checks: _Checks) -> Claims:
    roles = _strings(claims.get("roles")) or frozenset({Role.USER.value})
    if "permissions" in claims:
        named = _strings(claims["permissions"])
        permissions = frozenset(allowed for allowed in Permission if allowed.value in named)
    else:
        permissions = permissions_of(roles)
    session_id = claims.get("sid")
    return Claims(
        _user_id(claims),
        roles,
        permissions,
        expires_at,
        session_id if isinstance(session_id, str) and "\0" not in session_id else None,
    )


def _outside_claims(claims: dict[str, Any], expires_at: datetime, checks: _Checks) -> Claims:
    """Read the claims of an outside issuer, of which ours (`permissions`, `sid`) mean nothing."""
    user_id, issuer = _user_id(claims), claims.get("iss", "")
    if not isinstance(issuer, str) or (issuer and not _PRINTABLE.fullmatch(issuer)):
        message = "The token's iss is not printable."
        raise InvalidToken(message)
    given = _claim(claims, checks.roles_claim)
    theirs = frozenset({given}) if isinstance(given, str) else _strings(given)
    is_admin = not theirs.isdisjoint(checks.admin_roles)
    roles = frozenset({Role.USER.value, Role.ADMIN.value} if is_admin else {Role.USER.value})
    # As OpenID Connect spells it, and as Better Auth does.
    is_verified = claims.get("email_verified", claims.get("emailVerified"))
    zone = claims.get("zoneinfo")
    identity = Identity(
        issuer=issuer,
        subject=user_id,
        email=verified_email(claims.get("email"), is_verified=is_verified),
        timezone=kept_zone(zone) if isinstance(zone, str) else "UTC",
    )
    return Claims(user_id, roles, permissions_of(roles), expires_at, None, identity)


def _claim(claims: dict[str, Any], name: str) -> object:
    """Return a claim by its name, which may have dots in it, or by its path."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        found = cast("dict[str, object]", found).get(part) if isinstance(found, dict) else None
    return found


def _strings(value: object) -> frozenset[str]:
    if not isinstance(value, list):
        return frozenset()
    return frozenset(item for item in cast("list[object]", value) if isinstance(item, str))


def _own_key(settings: Settings) -> str:
    secret = settings.jwt_secret
    if secret is None:
        message = "JWT_SECRET: is needed to issue and check tokens"
        raise config.InvalidSetting(message)
    return secret
