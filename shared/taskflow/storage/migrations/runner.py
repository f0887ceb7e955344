"""Applying migrations, before or after the deploy, while requests are served.

Each revision names its PHASE. One marked `before-deploy` leaves the schema usable by the code that
still runs (it adds); one marked `after-deploy` takes away what only the old code needed.
"""

import logging
import time
from pathlib import Path
from typing import Literal

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from taskflow.storage.transactions import engine, is_lock_timeout, translated

Phase = Literal["before-deploy", "after-deploy"]

LOCK_WAIT_MS = 1_000
"""How long a migration waits for a lock on a table, and all later requests behind it, before it
lets them pass and tries again."""

ATTEMPTS = 30
_PAUSE_S = 2
_LOOK_S = 0.1

_ONE_MIGRATOR = 7_264_315_170_883_301_877
"""The advisory lock that a migrator holds; any number of ours."""

_log = logging.getLogger(__name__)


class MigrationOutOfPhase(Exception):
    """A migration of the last deploy was never applied."""


class SchemaIsNewer(Exception):
    """A newer version of TaskFlow has migrated the database."""


def apply(phase: Phase | None = None) -> list[str]:
    """Apply what is pending, or the part of it that belongs to `phase`; return the revisions.

    A `before-deploy` run stops at the first revision that must wait for the deploy. Raises
    MigrationOutOfPhase where such a one is left over from an earlier deploy, SchemaIsNewer,
    DatabaseUnavailable, LockTimeout.
    """
    applied: list[str] = []
    with translated(), engine().connect() as connection:
        # Another migrator, or a large table, may take longer than a request is allowed to.
        connection.execute(text("SET lock_timeout = 0; SET statement_timeout = 0"))
        _wait_for_others(connection)
        try:
            for script in _pending(connection, phase):
                _apply_one(connection, script)
                applied.append(script.revision)
        finally:
            connection.rollback()
            # The connection goes back to the pool, and must not take these along.
            connection.execute(text("RESET lock_timeout; RESET statement_timeout"))
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _ONE_MIGRATOR})
            connection.commit()
    return applied


def _wait_for_others(connection: Connection) -> None:
    # Not in a statement that waits: its snapshot is what an index that is being made by the other
    # migrator, CONCURRENTLY, would wait for in its turn.
    acquire = text("SELECT pg_try_advisory_lock(:key)")
    while not connection.execute(acquire, {"key": _ONE_MIGRATOR}).scalar_one():
        connection.rollback()
        time.sleep(_LOOK_S)
    connection.commit()


def _pending(connection: Connection, phase: Phase | None) -> list[Script]:
    scripts = ScriptDirectory.from_config(_config(connection))
    current = MigrationContext.configure(connection).get_current_revision()
    connection.rollback()
    if current is not None and current not in {each.revision for each in scripts.walk_revisions()}:
        message = (
            f"The database is at revision {current}, which this version of TaskFlow does not know: "
            "a newer one has migrated it. Run that, or one newer still."
        )
        raise SchemaIsNewer(message)
    pending = [
        script
        for script in reversed(list(scripts.walk_revisions(current or "base", "heads")))
        if script.revision != current
    ]
    if phase is None:
        return pending
    part: list[Script] = []
    for script in pending:
        if phase != script.module.PHASE:
            break
        part.append(script)
    if phase == "before-deploy" and any(
        phase == script.module.PHASE for script in pending[len(part) :]
    ):
        left_over = pending[len(part)]
        message = f"{left_over.revision} of the last deploy must be applied first (after-deploy)"
        raise MigrationOutOfPhase(message)
    return part


def _apply_one(connection: Connection, script: Script) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        connection.execute(text(f"SET lock_timeout = {LOCK_WAIT_MS}"))
        connection.commit()
        try:
            command.upgrade(_config(connection), script.revision)
        except DBAPIError as failed:
            connection.rollback()
            if attempt == ATTEMPTS or not is_lock_timeout(failed):
                raise
            _log.info("%s waits for a lock; attempt %d", script.revision, attempt)
            time.sleep(_PAUSE_S)
        else:
            connection.commit()
            return


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
