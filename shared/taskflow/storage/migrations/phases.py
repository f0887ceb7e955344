"""The phase of each applied migration, kept in the database for the release before.

That one does not have the migrations of a newer release, and may run on them as long as all of
them are `before-deploy`.
"""

from collections.abc import Collection, Iterable
from typing import Literal

from alembic.script import Script
from sqlalchemy import Connection, text

Phase = Literal["before-deploy", "after-deploy"]

_EXISTS = text("SELECT to_regclass('applied_migrations') IS NOT NULL")
_CREATE = text("""
    CREATE TABLE IF NOT EXISTS applied_migrations (
        revision text PRIMARY KEY,
        phase text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
""")
_ADD = text("""
    INSERT INTO applied_migrations (revision, phase)
    SELECT * FROM unnest(CAST(:revisions AS text[]), CAST(:phases AS text[]))
    ON CONFLICT DO NOTHING
""")


class SchemaIsNewer(Exception):
    """A newer version of TaskFlow has migrated the database."""


def record(connection: Connection, applied: Iterable[Script]) -> None:
    """Keep the phase of these migrations, where it is not kept already."""
    phases = {script.revision: script.module.PHASE for script in applied}
    # Alembic makes its own table so, too, when it is first needed.
    if not connection.execute(_EXISTS).scalar_one():
        connection.execute(_CREATE)
    connection.execute(_ADD, {"revisions": [*phases], "phases": [*phases.values()]})


def check_older_can_run(connection: Connection, current: str, known: Collection[str]) -> None:
    """Raise SchemaIsNewer if the code that has the `known` migrations can't run at `current`.

    It can where all that it does not know was `before-deploy`.
    """
    newer: dict[str, str] = {}
    if connection.execute(_EXISTS).scalar_one():
        found = connection.execute(text("SELECT revision, phase FROM applied_migrations"))
        newer = {revision: phase for revision, phase in found if revision not in known}
    if current not in newer:
        reason = "and nothing says whether this one can run on it"
    elif after := sorted(each for each, phase in newer.items() if phase != "before-deploy"):
        reason = f"and {after[0]} took away what this one needs (after-deploy)"
    else:
        return
    message = (
        f"The database is at revision {current}, which this version of TaskFlow does not know: "
        f"a newer one has migrated it, {reason}. Run that, or one newer still."
    )
    raise SchemaIsNewer(message)
