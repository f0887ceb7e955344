"""Log-in sessions in PostgreSQL: refresh tokens and socket tickets, all hashed."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Text, Uuid, bindparam, cast, func, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY

from taskflow.domain.accounts import (
    REFRESH_TOKEN_GRACE,
    REFRESH_TOKEN_LIFETIME,
    TICKET_LIFETIME,
)
from taskflow.domain.errors import SessionNotFound
from taskflow.domain.identifiers import new_id
from taskflow.domain.sessions import SESSIONS_MAX, Session
from taskflow.storage import bulk
from taskflow.storage.tables import REFRESH_TOKENS, SESSIONS, SOCKET_TICKETS
from taskflow.storage.transactions import Transaction


@dataclass(frozen=True, slots=True)
class Ticket:
    """A socket ticket: its user, and the session and the expiry of the token that asked for it."""

    user_id: str
    session_expires_at: datetime
    session_id: str | None = None


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


def open_session(
    tx: Transaction, user_id: str, refresh_token: str, *, client: str | None = None, now: datetime
) -> Session:
    """Begin a session of the user with its first refresh token; forget the user's expired ones.

    Where there are more than SESSIONS_MAX then, those end that were used least lately, first those
    that nobody has ever gone on with: a script may log in each time it runs.
    """
    tx.connection.execute(
        SESSIONS.delete().where(
            SESSIONS.c.user_id == user_id,
            ~select(REFRESH_TOKENS.c.token_hash)
            .where(REFRESH_TOKENS.c.session_id == SESSIONS.c.id, REFRESH_TOKENS.c.expires_at > now)
            .exists(),
        )
    )
    session = Session(
        id=new_id(now), user_id=user_id, created_at=now, last_used_at=now, client=client
    )
    tx.connection.execute(SESSIONS.insert().values(asdict(session)))
    _add_token(tx, session.id, refresh_token, now=now)
    _end_surplus(tx, session, now=now)
    return session


def rotate(
    tx: Transaction, refresh_token: str, successor: str, *, client: str | None = None, now: datetime
) -> Session | None:
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
                SESSIONS.c.created_at,
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
    session = Session(
        id=found["id"],
        user_id=found["user_id"],
        created_at=found["created_at"],
        last_used_at=now,
        client=client,
    )
    tx.connection.execute(
        SESSIONS.update().where(SESSIONS.c.id == session.id).values(last_used_at=now, client=client)
    )
    _add_token(tx, session.id, successor, now=now)
    return session


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


def list_of(
    tx: Transaction,
    user_id: str,
    *,
    after: tuple[datetime, UUID] | None,
    limit: int,
    now: datetime,
) -> Sequence[Session]:
    """Return the user's sessions that can be gone on with, the newest first."""
    query = (
        select(*(SESSIONS.c[field.name] for field in fields(Session)))
        .where(SESSIONS.c.user_id == user_id, *_can_go_on(now))
        .order_by(SESSIONS.c.created_at.desc(), SESSIONS.c.id.desc())
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(SESSIONS.c.created_at, SESSIONS.c.id) < tuple_(*after))
    return [Session(**row) for row in tx.connection.execute(query).mappings()]


def end(tx: Transaction, user_id: str, session_id: UUID, *, now: datetime) -> None:
    """End a session of the user. Raises SessionNotFound where there is none to end."""
    ended = tx.connection.execute(
        SESSIONS.update()
        .where(SESSIONS.c.id == session_id, SESSIONS.c.user_id == user_id, *_can_go_on(now))
        .values(revoked_at=now)
    )
    if not ended.rowcount:
        raise SessionNotFound


def end_all(tx: Transaction, user_id: str, *, but: str | None, now: datetime) -> None:
    """End the sessions of the user, but for one."""
    tx.connection.execute(
        SESSIONS.update()
        .where(
            SESSIONS.c.user_id == user_id,
            SESSIONS.c.revoked_at.is_(None),
            cast(SESSIONS.c.id, Text) != (but or ""),
        )
        .values(revoked_at=now)
    )


def _end_surplus(tx: Transaction, newest: Session, *, now: datetime) -> None:
    others = SESSIONS.c.user_id == newest.user_id, SESSIONS.c.id != newest.id
    has_not_ended = SESSIONS.c.revoked_at.is_(None)
    surplus = (
        select(SESSIONS.c.id)
        .where(*others, has_not_ended)
        .order_by(
            (SESSIONS.c.last_used_at > SESSIONS.c.created_at).desc(),
            SESSIONS.c.last_used_at.desc(),
            SESSIONS.c.id.desc(),
        )
        .offset(SESSIONS_MAX - 1)
    )
    tx.connection.execute(
        SESSIONS.update().where(SESSIONS.c.id.in_(surplus), has_not_ended).values(revoked_at=now)
    )


def _can_go_on(now: datetime) -> Sequence[ColumnElement[bool]]:
    return SESSIONS.c.revoked_at.is_(None), SESSIONS.c.last_used_at > now - REFRESH_TOKEN_LIFETIME


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
