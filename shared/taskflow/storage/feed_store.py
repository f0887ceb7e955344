"""Calendar feeds in PostgreSQL: whose feed an address is, by the hash of its secret."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from taskflow.domain.times import kept_zone
from taskflow.storage.tables import CALENDAR_FEEDS, STREAMS, USERS
from taskflow.storage.transactions import Transaction


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed: whose it is, in which zone they live, and the newest event of their stream."""

    user_id: str
    zone: str
    seq: int


def open_feed(tx: Transaction, user_id: str, token: str, *, now: datetime) -> None:
    """Give a user's feed an address with this secret; an older one holds no more."""
    given = {"token_hash": _hash(token), "created_at": now}
    tx.connection.execute(
        insert(CALENDAR_FEEDS)
        .values(user_id=user_id, **given)
        .on_conflict_do_update(index_elements=[CALENDAR_FEEDS.c.user_id], set_=given)
    )


def close_feed(tx: Transaction, user_id: str) -> None:
    """Have the address of a user's feed hold no more, if it has one."""
    tx.connection.execute(CALENDAR_FEEDS.delete().where(CALENDAR_FEEDS.c.user_id == user_id))


def find(tx: Transaction, token: str) -> Feed | None:
    """Return the feed whose address has this secret, None where there is none.

    It is looked up by its hash: how long that takes tells nothing of the secret.
    """
    row = tx.connection.execute(
        select(CALENDAR_FEEDS.c.user_id, USERS.c.timezone, STREAMS.c.seq)
        .join(USERS, USERS.c.id == CALENDAR_FEEDS.c.user_id)
        .join(STREAMS, STREAMS.c.user_id == CALENDAR_FEEDS.c.user_id)
        .where(CALENDAR_FEEDS.c.token_hash == _hash(token))
    ).one_or_none()
    return None if row is None else Feed(row.user_id, kept_zone(row.timezone), row.seq)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
