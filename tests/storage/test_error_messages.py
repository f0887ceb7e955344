"""Logged errors of statements: their SQLSTATE and names, and never a value (S6)."""

import json
import logging
import subprocess
import sys

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from taskflow.logs import JsonLines
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import (
    DatabaseUnavailable,
    LockTimeout,
    Transaction,
    driver,
    run,
    state,
    transaction,
)
from taskflow.storage.transactions import engine
from tests.support.data.accounts import A_CAUSE

SECRET = "a planted secret"

pytestmark = pytest.mark.usefixtures("database")


def _logged(error: Exception) -> str:
    record = logging.LogRecord("a", logging.ERROR, "", 0, "failed", (), (type(error), error, None))
    line = JsonLines().format(record)
    assert json.loads(line)["exception"]
    return line


def _fail(statement: str) -> Exception:
    def work(tx: Transaction) -> None:
        tx.connection.execute(text("CREATE TEMPORARY TABLE one (name text PRIMARY KEY, n int)"))
        tx.connection.execute(text("ALTER TABLE one ADD CHECK (n < 10)"))
        tx.connection.execute(text("INSERT INTO one VALUES (:name, 1)"), {"name": SECRET})
        tx.connection.execute(text(statement), {"secret": SECRET})

    try:
        run(work, A_CAUSE)
    except (DBAPIError, DatabaseUnavailable, LockTimeout) as error:
        return error
    raise AssertionError("it did not fail")


@pytest.mark.parametrize(
    ("statement", "sqlstate"),
    [
        ("INSERT INTO one VALUES (:secret, 2)", "23505"),
        ("INSERT INTO one VALUES (:secret || '2', 20)", "23514"),
        ("INSERT INTO one VALUES (NULL, length(:secret))", "23502"),
        ("SELECT CAST(:secret AS uuid)", "22P02"),
        ("SELECT CAST(:secret AS timestamptz)", "22007"),
        ("SELECT CAST(:secret AS json)", "22P02"),
        ("SELECT CAST(CAST(:secret AS text) AS varchar(3)) || missing", "42703"),
        ("SELECT :secret FROM nowhere", "42P01"),
    ],
)
def test_a_failed_statement_is_logged_without_its_values(statement: str, sqlstate: str) -> None:
    line = _logged(_fail(statement))

    assert SECRET not in line
    assert sqlstate in line


def test_an_unforeseen_error_is_logged_without_its_message() -> None:
    def read(tx: Transaction) -> None:
        try:
            int(SECRET)
        except ValueError as error:
            tx.connection.execute(text("SELECT missing"))
            raise AssertionError from error

    with pytest.raises(DBAPIError) as failed:
        run(read, A_CAUSE)

    line = _logged(failed.value)
    assert SECRET not in line
    assert "ValueError" in line
    assert "42703" in line


def test_an_uncaught_error_is_logged_without_its_message() -> None:
    program = f"""
import threading
from taskflow import logs
logs.configure("info")
def fail():
    raise ValueError({SECRET!r})
thread = threading.Thread(target=fail)
thread.start()
thread.join()
fail()
"""

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)

    assert ended.returncode == 1
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [line["exception"].splitlines()[-1] for line in lines] == ["ValueError"] * 2
    assert SECRET.encode() not in ended.stderr


def test_a_statement_that_takes_too_long_is_an_outage_and_is_not_run_again() -> None:
    times: list[int] = []

    def work(tx: Transaction) -> None:
        times.append(1)
        tx.connection.execute(text("SET LOCAL statement_timeout = 10"))
        tx.connection.execute(text("SELECT pg_sleep(60)"))

    with pytest.raises(DatabaseUnavailable):
        run(work, A_CAUSE)

    assert times == [1]


def test_a_read_only_database_is_an_outage_and_is_reported(
    database: EmbeddedPostgres,
) -> None:
    read_only = driver.engine(
        database.url, local_settings={"transaction_read_only": "on"}, poolclass=NullPool
    )
    assert state() == "ok"
    with engine.replaced_by(read_only):
        with pytest.raises(DatabaseUnavailable), transaction(A_CAUSE) as tx:
            tx.connection.execute(text("DELETE FROM claims"))

        assert state() == "read-only"
