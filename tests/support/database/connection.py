"""The stores of this process, connected to another database for the length of a block."""

from collections.abc import Generator
from contextlib import contextmanager

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
