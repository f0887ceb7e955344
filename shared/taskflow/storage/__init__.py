"""PostgreSQL, the record: transactions, and plain functions that take one and read or write a noun."""

from taskflow.storage.transactions import (
    DatabaseUnavailable,
    LockTimeout,
    Transaction,
    is_reachable,
    on_commit,
    run,
    transaction,
)

__all__ = [
    "DatabaseUnavailable",
    "LockTimeout",
    "Transaction",
    "is_reachable",
    "on_commit",
    "run",
    "transaction",
]
