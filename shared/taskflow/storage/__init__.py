"""PostgreSQL, the record: transactions, and for each noun plain functions that take one."""

from taskflow.storage.due_items import DueItem, DueQuery, LockDueItems
from taskflow.storage.transactions import (
    DatabaseUnavailable,
    LockTimeout,
    Transaction,
    connections_max,
    connections_of_one_user,
    on_commit,
    run,
    see_one_snapshot,
    snapshot,
    snapshot_read,
    state,
    transaction,
    wait_for_locks_at_most,
)

__all__ = [
    "DatabaseUnavailable",
    "DueItem",
    "DueQuery",
    "LockDueItems",
    "LockTimeout",
    "Transaction",
    "connections_max",
    "connections_of_one_user",
    "on_commit",
    "run",
    "see_one_snapshot",
    "snapshot",
    "snapshot_read",
    "state",
    "transaction",
    "wait_for_locks_at_most",
]
