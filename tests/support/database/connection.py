"""The stores of this process, connected to another database for the length of a block."""

from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import text

from taskflow.config import Settings
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import transactions
from tests.support.processes.system import System
from tests.support.settings import settled

NOWHERE = "postgresql+pg8000://postgres@/taskflow?unix_sock=/nowhere/at/all"
"""A database that can't be reached, which is known at once."""


@contextmanager
def database_of(system: System) -> Generator[None]:
    """Connect the stores to the database of a running system, for the length of the block."""
    with database_at(EmbeddedPostgres(system.data_dir).url):
        yield


@contextmanager
def database_at(url: str, *, pool_size: int = 10) -> Generator[None]:
    """Connect the stores to the database at a URL, for the length of the block."""
    settings = Settings(
        environment="test",
        database_url=url,
        database_pool_size=pool_size,
        jwt_secret="a secret for tests, and for nothing else at all",
    )
    with settled(settings), transactions.engine.renewed():
        yield


@contextmanager
def all_connections_lost() -> Generator[None]:
    """Lose all connections for the block, and leave none of them in the pool for who comes after.

    A transaction is not begun again where its connection turns out to be lost, as a request is.
    """
    lose_all_connections()
    try:
        yield
    finally:
        transactions.engine().dispose()


def lose_all_connections() -> None:
    """Have PostgreSQL end all connections, those that wait in this process's pool among them."""
    with transactions.connection_apart() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
