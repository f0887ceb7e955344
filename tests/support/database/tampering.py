"""Changes of what PostgreSQL refuses to change for TaskFlow: what an intruder would do."""

from sqlalchemy import text

from taskflow.storage import transaction
from tests.support.data.accounts import A_CAUSE


def tamper(statement: str, **values: object) -> None:
    """Run a statement as a superuser, past the triggers that refuse changes."""
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text("SET LOCAL session_replication_role = replica"))
        changed = tx.connection.execute(text(statement), values)
        assert changed.rowcount == 1, f"{changed.rowcount} rows were changed"
