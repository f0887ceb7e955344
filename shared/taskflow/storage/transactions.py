"""Transactions: one connection and one cause each; listeners are notified of the commit."""

import random
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, cast

from sqlalchemy import Connection, Engine, NullPool, text
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from taskflow import config
from taskflow.domain.events import Cause
from taskflow.process import resource
from taskflow.storage import driver

ATTEMPTS = 3
"""How often a transaction that failed before its commit, through no fault of its own, is run."""

LOCK_TIMEOUT_MS = 10_000
"""How long a statement waits for another transaction's lock, an idempotency key's included (A5)."""

STATEMENT_TIMEOUT_MS = 30_000
ANSWER_TIMEOUT_S = 35.0
"""How long to wait for PostgreSQL, or a pooler, to say anything: longer than it may take over a
statement. One that stands still, or was cut off, says nothing by itself."""

IDLE_IN_TRANSACTION_TIMEOUT_MS = 30_000
"""A process that stops in the middle of a transaction holds its locks no longer than this."""

_POOL_TIMEOUT_S = 10

_SHARES = 3
"""A user holds at most one in so many of a process's connections, and at least one. So two who fill
theirs, with changes that wait for one lock or with long lists, leave a third to everybody else."""

_READ_ONLY, _QUERY_CANCELED = "25006", "57014"
"""A database that takes no writes, after a failover or over a quota; a statement that took longer
than STATEMENT_TIMEOUT_MS. Both are outages, and running the same again at once would not help."""

_SERIALIZATION_FAILURE, _DEADLOCK_DETECTED, _LOCK_NOT_AVAILABLE = "40001", "40P01", "55P03"

# What is reserved is for superusers, and for roles with privileges that we do not ask for.
_CONNECTIONS_MAX = text("""
    SELECT least(
        (SELECT sum(CASE name WHEN 'max_connections' THEN 1 ELSE -1 END * setting::int)
         FROM pg_settings
         WHERE name IN
            ('max_connections', 'superuser_reserved_connections', 'reserved_connections')),
        (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user),
        (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())
    )::int
""")

_BACKEND = text("SELECT pg_backend_pid()")

_SNAPSHOT = text("SELECT CAST(pg_current_snapshot() AS text)")

T = TypeVar("T")

CommitListener = Callable[[Mapping[str, int]], None]


class DatabaseUnavailable(Exception):
    """PostgreSQL can't be reached, or has no connection to spare; try again shortly."""


class LockTimeout(Exception):
    """Another transaction held a lock for longer than this one may wait."""


@dataclass(slots=True)
class Transaction:
    """An open transaction; a store function that is given one reads and writes inside it.

    `appended` is the newest `seq` of each user whose stream it has appended to.
    """

    connection: Connection
    cause: Cause
    appended: dict[str, int] = field(default_factory=dict[str, int])


@resource()
def commit_listeners() -> list[CommitListener]:
    """Return the listeners that are called after each commit of this process."""
    return []


def on_commit(listener: CommitListener) -> None:
    """Call `listener` after each commit that appended events, with the newest `seq` of each user.

    It runs in the thread that committed and must neither block nor raise. A process that is forked
    off this one does not call it.
    """
    commit_listeners().append(listener)


@resource(close=Engine.dispose)
def engine() -> Engine:
    """Return this process's engine. Raises InvalidSetting."""
    return _limited(
        LOCK_TIMEOUT_MS,
        STATEMENT_TIMEOUT_MS,
        IDLE_IN_TRANSACTION_TIMEOUT_MS,
        answer_timeout_s=ANSWER_TIMEOUT_S,
        pool_size=config.settings().database_pool_size,
        max_overflow=0,
        pool_timeout=_POOL_TIMEOUT_S,
    )


@contextmanager
def connection_apart(
    *, lock_timeout_ms: int = 0, idle_in_transaction_timeout_ms: int = 0
) -> Generator[Connection]:
    """Open a connection for the block, beside the pool, whose statements may take any time.

    A limit of 0 is none. Raises InvalidSetting, and DBAPIError of what happens in the block.
    """
    apart = _limited(lock_timeout_ms, 0, idle_in_transaction_timeout_ms, poolclass=NullPool)
    try:
        with apart.connect() as connection:
            yield connection
    finally:
        apart.dispose()


def _limited(lock_ms: int, statement_ms: int, idle_ms: int, **options: Any) -> Engine:  # noqa: ANN401 - SQLAlchemy's
    """Make an engine whose transactions have these limits, 0 for none. Raises InvalidSetting."""
    url = config.settings().database_url
    if url is None:
        message = "DATABASE_URL: is needed to reach PostgreSQL"
        raise config.InvalidSetting(message)
    limits_ms = {
        "lock_timeout": lock_ms,
        "statement_timeout": statement_ms,
        "idle_in_transaction_session_timeout": idle_ms,
    }
    local_settings = {name: str(ms) for name, ms in limits_ms.items()}
    try:
        return driver.engine(url, local_settings=local_settings, **options)
    except ValueError:
        # What it says may hold the password.
        message = "DATABASE_URL: is not like postgresql://user:password@host/taskflow"
        raise config.InvalidSetting(message) from None


def connections_of_one_user() -> int:
    """Return how many of this process's connections one user's requests may hold at once."""
    return max(1, config.settings().database_pool_size // _SHARES)


@contextmanager
def transaction(cause: Cause) -> Generator[Transaction]:
    """Open a transaction that commits at the end of the block, or rolls back on an exception.

    Raises DatabaseUnavailable or LockTimeout; after a failed commit it is not known whether it
    took effect.
    """
    with translated(), engine().connect() as connection:
        tx = Transaction(connection, cause)
        yield tx
        connection.commit()
    _announce(tx)


def run(work: Callable[[Transaction], T], cause: Cause) -> T:
    """Run `work` in a transaction, and again where it failed for a reason that passes.

    Only what can't have committed is run again: a connection that was lost before the commit, a
    deadlock, a serialization failure. Raises DatabaseUnavailable or LockTimeout, and what `work`
    raises.
    """
    for attempt in range(1, ATTEMPTS + 1):
        committing = False
        try:
            with engine().connect() as connection:
                tx = Transaction(connection, cause)
                result = work(tx)
                committing = True
                connection.commit()
        except DBAPIError as error:
            if committing or attempt == ATTEMPTS or not _passes(error):
                with translated():
                    raise
            # Two that deadlocked must not meet again in step.
            time.sleep(random.uniform(0, 0.02 * attempt))  # noqa: S311 - jitter, no secret
        except PoolTimeout as error:
            raise DatabaseUnavailable from error
        else:
            _announce(tx)
            return result
    raise AssertionError  # pragma: no cover - the last attempt returns or raises


_READ_ONE_SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


@contextmanager
def snapshot_read(cause: Cause) -> Generator[Transaction]:
    """Open a transaction that only reads, and sees one moment throughout.

    It is begun again where its connection turns out to be lost. Raises DatabaseUnavailable.
    """
    with translated():
        connection = _reading_one_snapshot(ATTEMPTS)
        try:
            yield Transaction(connection, cause)
        finally:
            # What was read is read. PostgreSQL may have ended it meanwhile, for nobody went on.
            with suppress(DBAPIError):
                connection.close()


def _reading_one_snapshot(attempts: int) -> Connection:
    connection = engine().connect()
    try:
        connection.execute(_READ_ONE_SNAPSHOT)
    except DBAPIError as error:
        connection.close()
        if attempts == 1 or not _passes(error):
            raise
        return _reading_one_snapshot(attempts - 1)
    return connection


def wait_for_locks_at_most(tx: Transaction, ms: int) -> None:
    """Have the transaction's statements raise LockTimeout sooner than LOCK_TIMEOUT_MS."""
    tx.connection.execute(text(f"SET LOCAL lock_timeout = {ms:d}"))


def see_one_snapshot(tx: Transaction) -> None:
    """Have all statements of the transaction see the database as of its next one.

    Before it has read or written anything. Where it then changes what another changed meanwhile, it
    fails for a reason that passes.
    """
    tx.connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))


def snapshot(tx: Transaction) -> str:
    """Return the text of the snapshot that a statement sees now.

    As long as it is the same, nothing has been committed: it names the transactions under way, and
    the number of the next one.
    """
    return tx.connection.execute(_SNAPSHOT).scalar_one()


def state() -> Literal["ok", "read-only", "unreachable"]:
    """Say whether PostgreSQL answers, and takes writes."""
    try:
        with translated(), engine().connect() as connection:
            read_only = connection.execute(text("SHOW transaction_read_only")).scalar_one()
    except (DatabaseUnavailable, LockTimeout):
        return "unreachable"
    return "read-only" if read_only == "on" else "ok"


def connections_max() -> int | None:
    """Return how many connections PostgreSQL lets this role have to this database.

    None through a pooler, which has limits of its own. Raises DatabaseUnavailable.
    """
    with translated(), engine().connect() as connection:
        return None if is_pooled(connection) else connection.execute(_CONNECTIONS_MAX).scalar_one()


def is_pooled(connection: Connection) -> bool:
    """Say whether a pooler is in between, or a proxy: not PostgreSQL itself has let us in.

    It names a process of its own as a connection starts, to have a statement cancelled by.
    """
    driven = cast("driver.Connection", connection.connection.dbapi_connection)
    return connection.execute(_BACKEND).scalar_one() != driven.started_with


def _announce(tx: Transaction) -> None:
    if tx.appended:
        for listener in commit_listeners():
            listener(tx.appended)


@contextmanager
def translated() -> Generator[None]:
    """Raise DatabaseUnavailable and LockTimeout in place of the driver's own errors."""
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseUnavailable from error
    except DBAPIError as error:
        if is_lock_timeout(error):
            raise LockTimeout from error
        if _is_outage(error):
            raise DatabaseUnavailable from error
        raise


def is_lock_timeout(failed: DBAPIError) -> bool:
    """Say whether a statement failed because it waited too long for another's lock."""
    return _sqlstate(failed) == _LOCK_NOT_AVAILABLE


def is_data_error(failed: DBAPIError) -> bool:
    """Say whether a value could not be read as the type it had to be (SQLSTATE class 22)."""
    return (_sqlstate(failed) or "").startswith("22")


def _sqlstate(failed: DBAPIError) -> str | None:
    # pg8000 hands over PostgreSQL's ErrorResponse as a dict by field code; C is the SQLSTATE.
    fields = failed.orig.args[0] if failed.orig is not None and failed.orig.args else None
    return cast("dict[str, str]", fields).get("C") if isinstance(fields, dict) else None


def _passes(failed: DBAPIError) -> bool:
    code = _sqlstate(failed)
    if code in {_READ_ONLY, _QUERY_CANCELED} or _is_unanswered(failed):
        return False
    return code in {_SERIALIZATION_FAILURE, _DEADLOCK_DETECTED} or _is_outage(failed)


def _is_unanswered(failed: DBAPIError) -> bool:
    """Say whether no answer came in time; to wait for another would take as long again."""
    return failed.orig is not None and isinstance(failed.orig.__cause__, TimeoutError)


def _is_outage(failed: DBAPIError) -> bool:
    code = _sqlstate(failed)
    if code is None:
        # The driver's own: the connection was refused, or broke.
        return failed.connection_invalidated or isinstance(failed, InterfaceError)
    if failed.connection_invalidated or code in {_READ_ONLY, _QUERY_CANCELED}:
        return True
    # Class 08 connection, 53 resources (too many connections, disk full), 58 the system's own
    # (an I/O error), 57P shutdown and start-up.
    return code[:2] in {"08", "53", "58"} or code[:3] == "57P"
