"""A database in the server of the run that lives for the length of a block."""

from collections.abc import Generator
from contextlib import contextmanager
from uuid import uuid4

from sqlalchemy import make_url, text

from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import driver
from taskflow.storage.migrations import runner
from tests.support.database.connection import database_at


@contextmanager
def a_database(server: EmbeddedPostgres) -> Generator[str]:
    """Connect the stores to a new database with the tables, for the length of the block."""
    name = f"test_{uuid4().hex}"
    url = make_url(server.url).set(database=name).render_as_string(hide_password=False)
    admin = driver.engine(server.url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    with database_at(url):
        runner.apply()
        yield url
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()
