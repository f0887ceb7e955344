"""Everything that a database holds, to be compared."""

from sqlalchemy import text

from taskflow.storage import transaction
from taskflow.storage.tables import METADATA
from tests.support.data.accounts import A_CAUSE

Snapshot = dict[str, list[str]]


def snapshot() -> Snapshot:
    """Return all rows of all tables of the database of this process."""
    with transaction(A_CAUSE) as tx:
        return {
            name: list(
                tx.connection.execute(
                    text(f'SELECT rows::text FROM "{name}" rows ORDER BY rows::text')  # noqa: S608 - our own table
                ).scalars()
            )
            for name in METADATA.tables
        }


def assert_nothing_changed(before: Snapshot) -> None:
    """Check that every table holds the same rows as before."""
    after = snapshot()
    assert {name: rows for name, rows in after.items() if rows != before[name]} == {}
