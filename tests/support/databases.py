"""Databases of a test's own, in the server of the run: with the tables, and nobody in them."""

from collections.abc import Generator
from contextlib import contextmanager
from uuid import uuid4

from sqlalchemy import make_url, text

from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import driver, transaction
from taskflow.storage.migrations import runner
from tests.support.accounts import A_CAUSE
from tests.support.attached import database_at


@contextmanager
def a_template(server: EmbeddedPostgres) -> Generator[str]:
    """Make a database with the tables, to be copied; yield its name."""
    with _made(server, "template1") as name:
        with database_at(_url(server, name)):
            runner.apply()
        yield name


@contextmanager
def a_copy_of(template: str, server: EmbeddedPostgres) -> Generator[str]:
    """Make a copy the database of this process, for the length of the block; yield its URL."""
    with _made(server, template) as name, database_at(_url(server, name)):
        yield _url(server, name)


def tamper(statement: str, **values: object) -> None:
    """Run a statement as the superuser can: past the triggers that refuse it to everyone."""
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text("SET LOCAL session_replication_role = replica"))
        changed = tx.connection.execute(text(statement), values)
        assert changed.rowcount == 1, f"{changed.rowcount} rows were changed"


@contextmanager
def _made(server: EmbeddedPostgres, template: str) -> Generator[str]:
    name = f"test_{uuid4().hex}"
    admin = driver.engine(server.url, isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        yield name
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        admin.dispose()


def _url(server: EmbeddedPostgres, name: str) -> str:
    return make_url(server.url).set(database=name).render_as_string(hide_password=False)
