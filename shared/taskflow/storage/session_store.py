"""Log-in sessions in PostgreSQL: refresh tokens and socket tickets, all hashed."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Text, Uuid, bindparam, cast, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from taskflow.domain.accounts import (
    REFRESH_TOKEN_GRACE,
    REFRESH_TOKEN_LIFETIME,
    TICKET_LIFETIME,
)
from taskflow.domain.identifiers import new_id
from taskflow.storage import bulk
from taskflow.storage.tables import REFRESH_TOKENS, SESSIONS, SOCKET_TICKETS
from taskflow.storage.transactions import Transaction


@dataclass(frozen=True, slots=True)
class Ticket:
    """A socket ticket: its user, and the session and the expiry of the token that asked for it."""

    user_id: str
    session_expires_at: datetime
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A log-in of a user on one device."""

    id: UUID
    user_id: str


_TOKEN_LEFT = (
    select(REFRESH_TOKENS.c.token_hash)
    .where(REFRESH_TOKENS.c.session_id == SESSIONS.c.id)
    # Looked up for each session: an anti-join might read all tokens there are.
    .limit(1)
    .scalar_subquery()
)
_FORGET_ENDED = SESSIONS.delete().where(
    SESSIONS.c.id == func.any(bindparam("sessions", type_=ARRAY(Uuid))), _TOKEN_LEFT.is_(None)
)


def open_session(tx: Transaction, user_id: str, refresh_token: str, *, now: datetime) -> Session:
    """Begin a session of the user with its first refresh token; forget the user's expired ones."""
    tx.connection.execute(
        SESSIONS.delete().where(
            SESSIONS.c.user_id == user_id,
            ~select(REFRESH_TOKENS.c.token_hash)
            .where(REFRESH_TOKENS.c.session_id == SESSIONS.c.id, REFRESH_TOKENS.c.expires_at > now)
            .exists(),
        )
    )
    session_id = new_id(now)
    tx.connection.execute(SESSIONS.insert().values(id=session_id, user_id=user_id, created_at=now))
    _add_token(tx, session_id, refresh_token, now=now)
    return Session(session_id, user_id)


def rotate(tx: Transaction, refresh_token: str, successor: str, *, now: datetime) -> Session | None:
    """Trade a refresh token for `successor`: return its session, or None where it is not valid.

    A token used again after REFRESH_TOKEN_GRACE may be stolen, and revokes its whole session; so
    does one whose use lies that far ahead, for the clock has been set back and tells no age.
    """
    found = (
        tx.connection.execute(
            select(
                REFRESH_TOKENS.c.expires_at,
                REFRESH_TOKENS.c.used_at,
                SESSIONS.c.id,
                SESSIONS.c.user_id,
                SESSIONS.c.revoked_at,
            )
            .join(SESSIONS, SESSIONS.c.id == REFRESH_TOKENS.c.session_id)
            .where(REFRESH_TOKENS.c.token_hash == _hash(refresh_token))
            .with_for_update()
        )
        .mappings()
        .one_or_none()
    )
    if found is None or found["revoked_at"] is not None or found["expires_at"] <= now:
        return None
    if found["used_at"] is None:
        tx.connection.execute(
            REFRESH_TOKENS.update()
            .where(REFRESH_TOKENS.c.token_hash == _hash(refresh_token))
            .values(used_at=now)
        )
    elif abs(now - found["used_at"]) > REFRESH_TOKEN_GRACE:
        _revoke(tx, found["id"], now=now)
        return None
    _add_token(tx, found["id"], successor, now=now)
    return Session(found["id"], found["user_id"])


def close_session(
    tx: Transaction,
    user_id: str,
    *,
    refresh_token: str | None,
    session_id: str | None,
    now: datetime,
) -> None:
    """End the user's session of this refresh token, or else of this id, if there is one.

    A token that is another's or unknown, such as one forgotten long since, ends none.
    """
    query = SESSIONS.update().where(SESSIONS.c.user_id == user_id).values(revoked_at=now)
    if refresh_token is not None:
        of_token = select(REFRESH_TOKENS.c.session_id).where(
            REFRESH_TOKENS.c.token_hash == _hash(refresh_token)
        )
        if tx.connection.execute(query.where(SESSIONS.c.id.in_(of_token))).rowcount:
            return
    if session_id is not None:
        tx.connection.execute(query.where(cast(SESSIONS.c.id, Text) == session_id))


def ended_since(tx: Transaction, since: datetime) -> frozenset[str]:
    """Return the ids of the sessions that were ended after `since`."""
    query = select(cast(SESSIONS.c.id, Text)).where(SESSIONS.c.revoked_at > since)
    return frozenset(tx.connection.execute(query).scalars())


def add_ticket(
    tx: Transaction, ticket: str, of: Ticket, *, expires_at: datetime, now: datetime
) -> None:
    """Store a ticket that opens one socket; forget those that have expired."""
    tx.connection.execute(SOCKET_TICKETS.delete().where(SOCKET_TICKETS.c.expires_at <= now))
    tx.connection.execute(
        SOCKET_TICKETS.insert().values(
            ticket_hash=_hash(ticket),
            user_id=of.user_id,
            expires_at=expires_at,
            session_expires_at=of.session_expires_at,
            session_id=of.session_id,
        )
    )


def take_ticket(tx: Transaction, ticket: str, *, now: datetime) -> Ticket | None:
    """Use a ticket up: return what it stood for, or None where it is unknown, used or expired.

    One that would expire later than any made now is from before the clock was set back.
    """
    found = (
        tx.connection.execute(
            SOCKET_TICKETS.delete()
            .where(SOCKET_TICKETS.c.ticket_hash == _hash(ticket))
            .returning(SOCKET_TICKETS)
        )
        .mappings()
        .one_or_none()
    )
    # Twice the lifetime: the clocks of two pods may differ by some seconds.
    if found is None or not now < found["expires_at"] <= now + 2 * TICKET_LIFETIME:
        return None
    return Ticket(found["user_id"], found["session_expires_at"], found["session_id"])


def forget_tokens(tx: Transaction, *, now: datetime) -> int:
    """Delete a batch of expired refresh tokens, and the sessions whose last were among them.

    Return how many tokens.
    """
    sessions = bulk.take_batch(
        tx,
        REFRESH_TOKENS,
        REFRESH_TOKENS.c.session_id,
        REFRESH_TOKENS.c.expires_at <= now,
        by=REFRESH_TOKENS.c.expires_at,
    )
    if sessions:
        # A token that is being traded for its successor is locked, and so was not among these.
        tx.connection.execute(_FORGET_ENDED, {"sessions": sorted(set(sessions))})
    return len(sessions)


def forget_tickets(tx: Transaction, *, now: datetime) -> int:
    """Delete a batch of expired socket tickets; return how many."""
    return bulk.delete_batch(
        tx, SOCKET_TICKETS, SOCKET_TICKETS.c.expires_at <= now, by=SOCKET_TICKETS.c.expires_at
    )


def _add_token(tx: Transaction, session_id: UUID, refresh_token: str, *, now: datetime) -> None:
    tx.connection.execute(
        REFRESH_TOKENS.insert().values(
            token_hash=_hash(refresh_token),
            session_id=session_id,
            expires_at=now + REFRESH_TOKEN_LIFETIME,
        )
    )


def _revoke(tx: Transaction, session_id: UUID, *, now: datetime) -> None:
    tx.connection.execute(
        SESSIONS.update().where(SESSIONS.c.id == session_id).values(revoked_at=now)
    )


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
