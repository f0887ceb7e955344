"""Idempotency keys in PostgreSQL: a request's answer, stored in the transaction of its effect."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from taskflow.storage import bulk
from taskflow.storage.tables import IDEMPOTENCY_KEYS
from taskflow.storage.transactions import Transaction, is_lock_timeout

KEPT = timedelta(hours=24)


class KeyIsHeld(Exception):
    """The first request with this key is still running."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The answer that the first request with a key was given."""

    fingerprint: bytes
    status: int
    headers: dict[str, str]
    body: bytes


def claim(
    tx: Transaction, user_id: str, key: str, fingerprint: bytes, *, now: datetime
) -> StoredAnswer | None:
    """Take the key for this transaction: None, or the answer that a request before was given.

    Where another transaction holds the key, this waits for its end. The user's keys that are too
    old are forgotten on the way. Raises KeyIsHeld where the other takes too long.
    """
    expired = (
        IDEMPOTENCY_KEYS.delete()
        .where(
            IDEMPOTENCY_KEYS.c.user_id == user_id,
            IDEMPOTENCY_KEYS.c.key != key,
            IDEMPOTENCY_KEYS.c.created_at <= now - KEPT,
        )
        .cte("expired")
    )
    new = {"fingerprint": fingerprint, "created_at": now, "status": None}
    claim_it = (
        insert(IDEMPOTENCY_KEYS)
        .values(user_id=user_id, key=key, **new)
        .on_conflict_do_update(
            index_elements=[IDEMPOTENCY_KEYS.c.user_id, IDEMPOTENCY_KEYS.c.key],
            set_=new,
            where=IDEMPOTENCY_KEYS.c.created_at <= now - KEPT,
        )
        .returning(IDEMPOTENCY_KEYS.c.key)
        .add_cte(expired)
    )
    try:
        taken = tx.connection.execute(claim_it).scalar_one_or_none()
    except DBAPIError as error:
        if is_lock_timeout(error):
            raise KeyIsHeld from error
        raise
    if taken is not None:
        return None
    row = (
        tx.connection.execute(
            select(IDEMPOTENCY_KEYS).where(
                IDEMPOTENCY_KEYS.c.user_id == user_id, IDEMPOTENCY_KEYS.c.key == key
            )
        )
        .mappings()
        .one()
    )
    return StoredAnswer(row["fingerprint"], row["status"], row["headers"], row["body"])


def forget_old(tx: Transaction, *, now: datetime) -> int:
    """Delete a batch of expired keys of all users; return how many."""
    return bulk.delete_batch(
        tx,
        IDEMPOTENCY_KEYS,
        IDEMPOTENCY_KEYS.c.created_at <= now - KEPT,
        by=IDEMPOTENCY_KEYS.c.created_at,
    )


def settle(tx: Transaction, user_id: str, key: str, answer: StoredAnswer) -> None:
    """Store the answer under the key that this transaction has claimed."""
    tx.connection.execute(
        IDEMPOTENCY_KEYS.update()
        .where(IDEMPOTENCY_KEYS.c.user_id == user_id, IDEMPOTENCY_KEYS.c.key == key)
        .values(status=answer.status, headers=answer.headers, body=answer.body)
    )
