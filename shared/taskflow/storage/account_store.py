"""Accounts in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, select
from sqlalchemy.dialects.postgresql import insert

from taskflow.domain.accounts import Account, canonical_email
from taskflow.domain.errors import AccountNotFound, EmailIsTaken
from taskflow.domain.times import kept_zone
from taskflow.storage.tables import USERS
from taskflow.storage.transactions import Transaction


def add(tx: Transaction, account: Account, *, password_hash: str) -> None:
    """Store a new account. Raises EmailIsTaken."""
    added = tx.connection.execute(
        insert(USERS)
        .values(**_row(account), password_hash=password_hash)
        .on_conflict_do_nothing(index_elements=[USERS.c.email])
        .returning(USERS.c.id)
    ).scalar_one_or_none()
    if added is None:
        raise EmailIsTaken


def add_outside(tx: Transaction, account: Account, *, issuer: str) -> Account | None:
    """Store the account of somebody whom an outside issuer knows, and return it as stored.

    Without its email address where another account has that: an address leads to no account. None
    where the id is taken, also by who comes at the same moment.
    """
    for email in dict.fromkeys((account.email, None)):
        stored = replace(account, email=email)
        added = tx.connection.execute(
            insert(USERS)
            .values(**_row(stored), issuer=issuer)
            .on_conflict_do_nothing()
            .returning(USERS.c.id)
        ).scalar_one_or_none()
        if added is not None:
            return stored
        if is_of_issuer(tx, account.id, issuer) is not None:
            break
    return None


def is_of_issuer(tx: Transaction, user_id: str, issuer: str) -> bool | None:
    """Say whether an account is one of an outside issuer's; None where there is no such account."""
    query = select(USERS.c.issuer).where(USERS.c.id == user_id)
    found = tx.connection.execute(query).one_or_none()
    return None if found is None else found.issuer == issuer


def save(tx: Transaction, account: Account) -> None:
    """Store a changed account over the one that this transaction locked."""
    tx.connection.execute(USERS.update().where(USERS.c.id == account.id).values(**_row(account)))


def get(tx: Transaction, user_id: str) -> Account:
    """Return an account. Raises AccountNotFound."""
    return _one(tx, user_id, lock=False)


def lock(tx: Transaction, user_id: str) -> Account:
    """Return an account, locked until the transaction ends. Raises AccountNotFound."""
    return _one(tx, user_id, lock=True)


def hold(tx: Transaction, user_id: str) -> None:
    """Have an account stay until the transaction ends. Raises AccountNotFound."""
    query = select(USERS.c.id).where(USERS.c.id == user_id)
    # Others may change it: what refers to it takes the same lock.
    held = query.with_for_update(read=True, key_share=True)
    if tx.connection.execute(held).scalar_one_or_none() is None:
        raise AccountNotFound


def zone_of(tx: Transaction, user_id: str) -> str:
    """Return a user's time zone, which stays as it is until the transaction ends.

    Take it before locking a task, in the house's order. Raises AccountNotFound.
    """
    query = select(USERS.c.timezone).where(USERS.c.id == user_id).with_for_update(read=True)
    zone = tx.connection.execute(query).scalar_one_or_none()
    if zone is None:
        raise AccountNotFound
    return kept_zone(zone)


def find(tx: Transaction, email: str) -> tuple[Account, str | None] | None:
    """Return the account with this email, as typed, and its password hash, if it has one."""
    row = tx.connection.execute(_with_email(email, *USERS.c)).mappings().one_or_none()
    return None if row is None else (_account(row), row["password_hash"])


def password_hash_of(tx: Transaction, user_id: str) -> str | None:
    """Return the hash of an account's password, None where it has none. Raises AccountNotFound."""
    row = tx.connection.execute(
        select(USERS.c.password_hash).where(USERS.c.id == user_id)
    ).one_or_none()
    if row is None:
        raise AccountNotFound
    return row.password_hash


def set_password(tx: Transaction, user_id: str, password_hash: str) -> None:
    """Store another hash of an account's password."""
    tx.connection.execute(
        USERS.update().where(USERS.c.id == user_id).values(password_hash=password_hash)
    )


def grant(tx: Transaction, email: str, roles: Sequence[str]) -> None:
    """Give the account with this email these roles in place of its own. Raises AccountNotFound."""
    found = _with_email(email, USERS.c.id).scalar_subquery()
    changed = tx.connection.execute(
        USERS.update().where(USERS.c.id == found).values(roles=list(roles)).returning(USERS.c.id)
    ).scalar_one_or_none()
    if changed is None:
        raise AccountNotFound(f"There is no account with the email {email}.")


def _with_email(email: str, *columns: ColumnElement[Any]) -> Select[Any]:
    # Accounts were once kept as typed, in lower case. Of two that are one address by now, each is
    # found as it is kept.
    kept = email.lower()
    return (
        select(*columns)
        .where(USERS.c.email.in_({kept, canonical_email(email)}))
        .order_by(USERS.c.email != kept)
        .limit(1)
    )


def _one(tx: Transaction, user_id: str, *, lock: bool) -> Account:
    query = select(USERS).where(USERS.c.id == user_id)
    if lock:
        query = query.with_for_update()
    row = tx.connection.execute(query).mappings().one_or_none()
    if row is None:
        raise AccountNotFound
    return _account(row)


def _row(account: Account) -> dict[str, Any]:
    quiet_from, quiet_until = account.quiet_hours or (None, None)
    return {
        "id": account.id,
        "email": account.email,
        "timezone": account.timezone,
        "roles": list(account.roles),
        "notification_channels": list(account.notification_channels),
        "quiet_from": quiet_from,
        "quiet_until": quiet_until,
        "email_digest": account.email_digest,
        "created_at": account.created_at,
        "version": account.version,
    }


def _account(row: RowMapping) -> Account:
    return Account(
        id=row["id"],
        email=row["email"],
        timezone=kept_zone(row["timezone"]),
        roles=tuple(row["roles"]),
        notification_channels=tuple(row["notification_channels"]),
        quiet_hours=(row["quiet_from"], row["quiet_until"]) if row["quiet_from"] else None,
        email_digest=row["email_digest"],
        created_at=row["created_at"],
        version=row["version"],
    )
