"""Migrations whose statements are each a transaction, and indexes made while tables are in use."""

from collections.abc import Generator
from contextlib import contextmanager

from alembic import op
from sqlalchemy import text

_IS_VALID = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")


@contextmanager
def autocommit() -> Generator[None]:
    """Run each statement of the block in a transaction of its own."""
    with op.get_context().autocommit_block():
        # Alembic has asked for the isolation level, and that has begun a transaction.
        op.get_bind().connection.rollback()
        yield


def create_index_concurrently(name: str, on: str) -> None:
    """Create an index while the table is written to; for use within `autocommit`.

    `on` is the table and its columns. What an attempt that failed has left is made anew.
    """
    is_valid = op.get_bind().execute(_IS_VALID, {"name": name}).scalar_one_or_none()
    if is_valid:
        return
    # It waits for the transactions that have begun before it, however long, and nobody for it.
    op.execute("SET lock_timeout = 0")
    if is_valid is False:
        op.execute(f"DROP INDEX CONCURRENTLY {name}")
    op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {on}")
