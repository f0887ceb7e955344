"""Applying migrations, before or after the deploy, while requests are served.

Each revision names its PHASE. One marked `before-deploy` leaves the schema usable by the code that
still runs (it adds); one marked `after-deploy` takes away what only the old code needed.
"""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from taskflow.storage.migrations.phases import Phase, check_older_can_run
from taskflow.storage.migrations.search_words import complete_words
from taskflow.storage.transactions import (
    IDLE_IN_TRANSACTION_TIMEOUT_MS,
    connection_apart,
    is_lock_timeout,
    translated,
)

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


def apply(phase: Phase | None = None) -> list[str]:
    """Apply what is pending, or the part of it that belongs to `phase`; return the revisions.

    A `before-deploy` run stops at the first revision that must wait for the deploy; any other also
    completes what older code left without the words of searches. Raises MigrationOutOfPhase where
    such a revision is left over from an earlier deploy, SchemaIsNewer where a newer release has
    migrated the database and this one can't run on it, DatabaseUnavailable, LockTimeout.
    """
    applied: list[str] = []
    with (
        translated(),
        _only_migrator() as check,
        connection_apart(
            lock_timeout_ms=LOCK_WAIT_MS,
            idle_in_transaction_timeout_ms=IDLE_IN_TRANSACTION_TIMEOUT_MS,
        ) as connection,
    ):
        for script in _pending(connection, phase):
            check()
            _apply_one(connection, script)
            applied.append(script.revision)
        if phase != "before-deploy":
            complete_words(connection)
    return applied


def pending() -> list[str]:
    """Return the revisions that are yet to be applied, in order. Raises as `apply` does."""
    with translated(), connection_apart() as connection:
        return [script.revision for script in _pending(connection, None)]


@contextmanager
def _only_migrator() -> Generator[Callable[[], object]]:
    """Wait until no other migrator is at work, and keep others waiting for the length of the block.

    Yields what raises DBAPIError where that has been lost. The lock is that of a transaction on a
    connection of its own: a session's would be lost, or left behind, where a pooler shares
    connections between transactions. Between its statements it has no snapshot, which an index
    that is made CONCURRENTLY would wait for.
    """
    with connection_apart() as holder:
        # Not in a statement that waits, for that has a snapshot as long as it waits.
        acquire = text("SELECT pg_try_advisory_xact_lock(:key)")
        while not holder.execute(acquire, {"key": _ONE_MIGRATOR}).scalar_one():
            holder.rollback()
            time.sleep(_LOOK_S)
        yield lambda: holder.execute(text("SELECT 1"))


def _pending(connection: Connection, phase: Phase | None) -> list[Script]:
    scripts = ScriptDirectory.from_config(_config(connection))
    current = MigrationContext.configure(connection).get_current_revision()
    known = {each.revision for each in scripts.walk_revisions()}
    if current is not None and current not in known:
        check_older_can_run(connection, current, known)
        connection.rollback()
        return []
    connection.rollback()
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
