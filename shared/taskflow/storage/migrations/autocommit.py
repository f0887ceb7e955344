"""Migrations in steps, and indexes made while tables are in use."""

from collections.abc import Generator
from contextlib import contextmanager

from alembic import op
from sqlalchemy import text

from taskflow.storage.transactions import is_pooled

_IS_VALID = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
_LIMITED = text("""
    SELECT string_agg(name, ' and ' ORDER BY name) FROM pg_settings
    WHERE name IN ('lock_timeout', 'statement_timeout') AND setting <> '0'
""")


class NeedsDirectConnection(Exception):
    """A migration can't be applied through this pooler."""


def commit() -> None:
    """Commit what the migration has done so far; what it does next is another transaction."""
    op.get_bind().connection.commit()


@contextmanager
def autocommit() -> Generator[None]:
    """Run the statements of the block outside of transactions, as CONCURRENTLY wants it.

    Each may take any time, and wait for locks as long: nobody waits for it meanwhile. Raises
    NeedsDirectConnection where a pooler is in between and the database or the role limits that.
    """
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        # Alembic has asked for the isolation level, and that has begun a transaction.
        connection.connection.rollback()
        if not is_pooled(connection):
            connection.execute(text("SET lock_timeout = 0; SET statement_timeout = 0"))
        # Through a pooler, the next statement might not find what this one has set.
        elif limited := connection.execute(_LIMITED).scalar_one():
            message = (
                f"The database, or the role, has a {limited}, and an index on a table in use may "
                "take longer. Through a pooler that can't be lifted: migrate with a DATABASE_URL "
                "that names PostgreSQL directly."
            )
            raise NeedsDirectConnection(message)
        yield


def create_index_concurrently(name: str, on: str) -> None:
    """Create an index while the table is written to; for use within `autocommit`.

    `on` is the table and its columns. What an attempt that failed has left is made anew.
    """
    is_valid = op.get_bind().execute(_IS_VALID, {"name": name}).scalar_one_or_none()
    if is_valid:
        return
    if is_valid is False:
        op.execute(f"DROP INDEX CONCURRENTLY {name}")
    op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {on}")
