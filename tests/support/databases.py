"""A database of one's own in the server of the run, and a superuser's hand in it."""

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
def a_database(server: EmbeddedPostgres) -> Generator[str]:
    """Make a new database with the tables the one of this process, for the length of the block."""
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


def tamper(statement: str, **values: object) -> None:
    """Run a statement as the superuser can: past the triggers that refuse it to everyone."""
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text("SET LOCAL session_replication_role = replica"))
        changed = tx.connection.execute(text(statement), values)
        assert changed.rowcount == 1, f"{changed.rowcount} rows were changed"
