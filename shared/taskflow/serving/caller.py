"""Who is calling: the bearer token of a request, checked, and what it allows."""

from dataclasses import dataclass
from datetime import datetime

from flask import Request

from taskflow.domain.accounts import Identity, Permission
from taskflow.domain.events import Cause
from taskflow.serving import provisioning, tokens
from taskflow.serving.ended_sessions import ended_sessions
from taskflow.serving.problems import (
    INVALID_TOKEN,
    MISSING_PERMISSION,
    MISSING_ROLE,
    NO_TOKEN,
    NOT_YOUR_ACCOUNT,
    Problem,
)


@dataclass(frozen=True, slots=True)
class Caller:
    """The signed-in user of a request, as their token says."""

    user_id: str
    roles: frozenset[str]
    permissions: frozenset[Permission]
    expires_at: datetime
    session_id: str | None = None
    identity: Identity | None = None
    """Who they are to the outside issuer, if that is where they signed in."""

    @classmethod
    def of_token(cls, token: str) -> "Caller":
        """Return the caller of a token. Raises tokens.InvalidToken, IssuerUnavailable."""
        claims = tokens.verify(token)
        _check_session(claims.session_id, claims.user_id)
        return cls(
            claims.user_id,
            claims.roles,
            claims.permissions,
            claims.expires_at,
            claims.session_id,
            claims.identity,
        )

    def must_be_signed_in_still(self) -> None:
        """Check, after a wait, that neither token nor session have ended. Raises Problem 401."""
        try:
            tokens.check_expiry(self.expires_at)
            _check_session(self.session_id, self.user_id)
        except tokens.InvalidToken as error:
            raise _refused(error) from None

    def must_have_account(self, cause: Cause) -> None:
        """Make the account of who comes from an outside issuer for the first time.

        Raises Problem 401 where it is not theirs, or was erased; DatabaseUnavailable, LockTimeout.
        """
        if self.identity is None:
            return
        try:
            provisioning.provide_account(self.identity, cause)
        except tokens.InvalidToken as error:
            raise _refused(error) from None

    def must_be(self, user_id: str) -> None:
        """Check a path's user id. Raises Problem 403, the same whether or not that user exists."""
        if user_id != self.user_id:
            raise Problem(NOT_YOUR_ACCOUNT, "This path belongs to another account.")

    def must_have(self, permission: Permission) -> None:
        """Check a permission. Raises Problem 403."""
        if permission not in self.permissions:
            raise Problem(MISSING_PERMISSION, f"The token lacks {permission.value}.")

    def must_hold(self, role: str) -> None:
        """Check a role. Raises Problem 403."""
        if role not in self.roles:
            raise Problem(MISSING_ROLE, f"The token lacks the role {role}.")


def authenticate(request: Request) -> Caller:
    """Return the caller of a request. Raises Problem 401, or IssuerUnavailable."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Problem(NO_TOKEN, "Send a token: Authorization: Bearer <token>.")
    try:
        return Caller.of_token(token.strip())
    except tokens.InvalidToken as error:
        raise _refused(error) from None


def _check_session(session_id: str | None, user_id: str) -> None:
    ended_sessions().look()
    if ended_sessions().has_ended(session_id, of=user_id):
        message = "The session of this token has ended."
        raise tokens.InvalidToken(message)


def _refused(invalid: tokens.InvalidToken) -> Problem:
    challenge = 'Bearer realm="taskflow", error="invalid_token"'
    headers = {"WWW-Authenticate": challenge}
    return Problem(INVALID_TOKEN, str(invalid), headers=headers)
