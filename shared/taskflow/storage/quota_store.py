"""Quotas in PostgreSQL: how often something may be done in a window of time, by all processes."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import case
from sqlalchemy.dialects.postgresql import insert

from taskflow.storage import bulk
from taskflow.storage.tables import QUOTAS
from taskflow.storage.transactions import Transaction


class QuotaUsedUp(Exception):
    """So much was used in the window that no more is left; the message names no key."""

    def __init__(self, retry_after_s: int) -> None:
        """Say after how many whole seconds there is more."""
        super().__init__()
        self.retry_after_s = retry_after_s


def use(
    tx: Transaction, most: Mapping[tuple[str, ...], int], *, window: timedelta, now: datetime
) -> None:
    """Use one of each of these quotas, of which there are so many from a first use for a `window`.

    Raises QuotaUsedUp, with which the transaction must end: it has counted.
    """
    limits = {_hash(key): limit for key, limit in most.items()}
    is_over = QUOTAS.c.ends_at <= now
    used = tx.connection.execute(
        insert(QUOTAS)
        # In one order, for those that count at once lock what they share.
        .values([{"key_hash": key, "used": 1, "ends_at": now + window} for key in sorted(limits)])
        .on_conflict_do_update(
            index_elements=[QUOTAS.c.key_hash],
            set_={
                "used": case((is_over, 1), else_=QUOTAS.c.used + 1),
                "ends_at": case((is_over, now + window), else_=QUOTAS.c.ends_at),
            },
        )
        .returning(QUOTAS.c.key_hash, QUOTAS.c.used, QUOTAS.c.ends_at)
    ).all()
    full = [ends_at for key, count, ends_at in used if count > limits[key]]
    if full:
        wait = max(full) - now
        raise QuotaUsedUp(retry_after_s=max(1, -(-wait // timedelta(seconds=1))))


def forget_over(tx: Transaction, *, now: datetime) -> int:
    """Delete a batch of quotas whose window is over; return how many."""
    return bulk.delete_batch(tx, QUOTAS, QUOTAS.c.ends_at <= now, by=QUOTAS.c.ends_at)


def _hash(key: tuple[str, ...]) -> bytes:
    return hashlib.sha256("\n".join(key).encode()).digest()
