"""Refusals in PostgreSQL: the mailboxes whose owners want nobody to have them asked again.

They outlive accounts, and hold no address: only its hash.
"""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import insert

from taskflow.domain.destinations import Destination
from taskflow.storage.tables import REFUSALS
from taskflow.storage.transactions import Transaction


def add(tx: Transaction, mailbox_hash: bytes, *, now: datetime) -> None:
    """Note that the owner of a mailbox wants to be asked no more; once is enough."""
    noted = insert(REFUSALS).values(mailbox_hash=mailbox_hash, refused_at=now)
    tx.connection.execute(noted.on_conflict_do_nothing())


def refused(tx: Transaction, destinations: Collection[Destination]) -> frozenset[UUID]:
    """Return the ids of those of these mailboxes whose owners want to be asked no more."""
    hashes = {destination.id: destination.mailbox_hash for destination in destinations}
    query = select(REFUSALS.c.mailbox_hash).where(REFUSALS.c.mailbox_hash.in_(hashes.values()))
    found = set(tx.connection.execute(query).scalars())
    return frozenset(each for each, mailbox_hash in hashes.items() if mailbox_hash in found)


def has(tx: Transaction, mailbox_hash: bytes) -> bool:
    """Say whether the owner of a mailbox wants to be asked no more."""
    found = select(exists().where(REFUSALS.c.mailbox_hash == mailbox_hash))
    return tx.connection.execute(found).scalar_one()
