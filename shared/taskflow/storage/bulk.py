"""Bulk changes: many rows in one statement, passed as JSON, which PostgreSQL reads as rows.

A statement for each row, or one with a parameter for each value, takes several times as long.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Delete,
    Table,
    Text,
    TextClause,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    text,
)

from taskflow.domain.times import rfc3339
from taskflow.storage.transactions import Transaction

DELETE_BATCH_MAX = 1_000
"""Rows deleted in one transaction: another that waits for their locks waits some milliseconds."""

Row = Mapping[str, Any]
T = TypeVar("T")


def insert(tx: Transaction, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows, which all have the same columns."""
    if rows:
        insert_json(tx, table, tuple(rows[0]), encode(rows))


def insert_json(tx: Transaction, table: Table, columns: Sequence[str], rows_json: str) -> None:
    """Insert rows that are written as JSON already: an array of objects with these columns."""
    tx.connection.execute(_insert(table.name, columns), {"rows": rows_json})


def update(
    tx: Transaction,
    table: Table,
    rows: Sequence[Row],
    *,
    key: str = "id",
    version: str | None = None,
) -> None:
    """Update the rows with these keys to these values; all have the same columns.

    With `version`, the name of a column, a stored row with a higher version is left as it is.
    """
    if rows:
        statement = _update(table.name, tuple(rows[0]), key, version)
        tx.connection.execute(statement, {"rows": encode(rows)})


def delete_batch(
    tx: Transaction,
    table: Table,
    condition: ColumnElement[bool],
    *,
    by: ColumnElement[Any] | None = None,
) -> int:
    """Delete at most DELETE_BATCH_MAX rows for which the condition holds; return how many.

    In the order of `by`, so that an index on it need not be read further. Rows that another
    transaction has locked are skipped.
    """
    return tx.connection.execute(_deletion(table, condition, by)).rowcount


def take_batch(
    tx: Transaction,
    table: Table,
    column: ColumnElement[T],
    condition: ColumnElement[bool],
    *,
    by: ColumnElement[Any] | None = None,
) -> Sequence[T]:
    """Delete rows as `delete_batch` does; return what they had in the column."""
    return tx.connection.execute(_deletion(table, condition, by).returning(column)).scalars().all()


def _deletion(
    table: Table, condition: ColumnElement[bool], by: ColumnElement[Any] | None
) -> Delete:
    place = literal_column("ctid", Text)
    found = (
        select(place)
        .select_from(table)
        .where(condition)
        .order_by(by)
        .limit(DELETE_BATCH_MAX)
        .with_for_update(skip_locked=True)
    )
    return delete(table).where(place == func.any(func.array(found.scalar_subquery())))


@lru_cache
def _insert(table: str, columns: Sequence[str]) -> TextClause:
    names = ", ".join(columns)
    return _statement(f"INSERT INTO {table} ({names}) SELECT {names} FROM {_rows(table)}")  # noqa: S608 - our own names


@lru_cache
def _update(table: str, columns: Sequence[str], key: str, version: str | None) -> TextClause:
    values = ", ".join(f"{name} = changed.{name}" for name in columns if name != key)
    older = "" if version is None else f" AND {table}.{version} <= changed.{version}"
    return _statement(
        f"UPDATE {table} SET {values} FROM {_rows(table)} AS changed"  # noqa: S608 - as above
        f" WHERE {table}.{key} = changed.{key}{older}"
    )


def _rows(table: str) -> str:
    return f"json_populate_recordset(NULL::{table}, CAST(:rows AS json))"


def _statement(sql: str) -> TextClause:
    # A colon before a name is a parameter to SQLAlchemy, unless it is doubled or escaped.
    return text(sql).bindparams(bindparam("rows", type_=Text))


def _plain(value: object) -> str:
    match value:
        case datetime():
            return value.isoformat() if value.tzinfo is None else rfc3339(value)
        case UUID():
            return str(value)
        case bytes():
            return f"\\x{value.hex()}"
        case _:
            raise TypeError(f"{type(value).__name__} is no value of a column")


encode = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain
).encode
