"""Fixtures of the storage level: a database of a test's own."""

from collections.abc import Generator
from uuid import uuid4

import pytest
from sqlalchemy import make_url, text

from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import driver
from tests.support.database.connection import database_at


@pytest.fixture
def empty_database(database: EmbeddedPostgres) -> Generator[str]:
    """Make a database without tables the one of this process; return its URL."""
    name = f"test_{uuid4().hex}"
    admin = driver.engine(database.url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = make_url(database.url).set(database=name).render_as_string(hide_password=False)
    with database_at(url):
        yield url
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()
