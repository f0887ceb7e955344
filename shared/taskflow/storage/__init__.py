"""PostgreSQL, the record: transactions, and for each noun plain functions that take one."""

from taskflow.storage.shares import share_of
from taskflow.storage.transactions import (
    DatabaseUnavailable,
    LockTimeout,
    Transaction,
    connections_max,
    on_commit,
    run,
    snapshot,
    state,
    transaction,
    wait_for_locks_at_most,
)
from taskflow.storage.turns import DueItem, Lock, Look

__all__ = [
    "DatabaseUnavailable",
    "DueItem",
    "Lock",
    "LockTimeout",
    "Look",
    "Transaction",
    "connections_max",
    "on_commit",
    "run",
    "share_of",
    "snapshot",
    "state",
    "transaction",
    "wait_for_locks_at_most",
]
