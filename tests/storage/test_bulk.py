"""Many rows in one statement: every value that a column can hold is read back as it was."""

import json
from collections.abc import Generator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    cast,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError

from taskflow.storage import bulk, transaction
from tests.support.data.accounts import A_CAUSE

TABLE = Table(
    "many_rows",
    MetaData(),
    Column("id", Uuid, primary_key=True),
    Column("note", Text),
    Column("number", BigInteger),
    Column("whether", Boolean),
    Column("labels", ARRAY(Text)),
    Column("content", JSON(none_as_null=True)),
    Column("at", DateTime(timezone=True)),
    Column("wall", DateTime),
    Column("hash", LargeBinary),
)
CREATE = """
CREATE TABLE many_rows (
    id uuid PRIMARY KEY, note text, number bigint, whether boolean DEFAULT true, labels text[],
    content json, at timestamptz, wall timestamp, hash bytea
)
"""
HARD_TEXTS = [
    "",
    " ",
    "null",
    'it\'s "quoted"',
    "line\nbreak\r\n\ttab\x01\x7f",
    "Zażółć 🐘 \u2028\u2029\ufeff",
    ":name :rows ::text \\:x",
    "%s %(name)s %% {} {0} $1 ?",
    "back\\slash \\n \\u0041 \\\\",
    "{a,b} [1] {'x': 1}",
    "x" * 100_000,
]


@pytest.fixture(autouse=True)
def _table(database: object) -> Generator[None]:  # noqa: ARG001 - it must run
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text(CREATE))
    yield
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text("DROP TABLE many_rows"))


def _a_row(**values: Any) -> dict[str, Any]:  # noqa: ANN401 - what a column may hold
    empty = {column.name: None for column in TABLE.c}
    return {**empty, "id": uuid4(), **values}


def _insert(*rows: dict[str, Any]) -> None:
    with transaction(A_CAUSE) as tx:
        bulk.insert(tx, TABLE, rows)


def _update(*rows: dict[str, Any]) -> None:
    with transaction(A_CAUSE) as tx:
        bulk.update(tx, TABLE, rows)


def _stored() -> dict[UUID, dict[str, Any]]:
    with transaction(A_CAUSE) as tx:
        rows = tx.connection.execute(select(TABLE)).mappings()
        return {row["id"]: dict(row) for row in rows}


def _by_id(rows: Sequence[dict[str, Any]]) -> dict[UUID, dict[str, Any]]:
    return {row["id"]: row for row in rows}


@pytest.mark.parametrize("is_updated", [False, True])
def test_any_text_is_read_back_as_it_was_written(is_updated: bool) -> None:  # noqa: FBT001 - a parameter of the test
    rows = [
        _a_row(note=hard, labels=[hard, *HARD_TEXTS], content={hard: [hard, {"a": hard}]})
        for hard in HARD_TEXTS
    ]

    _insert(*([_a_row(id=row["id"]) for row in rows] if is_updated else rows))
    if is_updated:
        _update(*rows)

    assert _stored() == _by_id(rows)


def test_values_of_every_type_are_read_back_including_the_extremes() -> None:
    rows = [
        _a_row(),
        _a_row(number=0, whether=False, labels=[], content={}, hash=b"", note=""),
        _a_row(number=2**63 - 1, whether=True, labels=["a", "", "NULL"], hash=bytes(range(256))),
        _a_row(number=-(2**63), content=[None, {"a": None}], labels=["{}", '"', ","]),
        _a_row(
            at=datetime(2026, 3, 1, 9, 0, 0, 1, tzinfo=UTC),
            wall=datetime(2026, 3, 1, 9, 0, 0, 1),  # noqa: DTZ001 - wall time
        ),
        _a_row(
            at=datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
            wall=datetime(9999, 12, 31, 23, 59, 59, 999_999),  # noqa: DTZ001 - as above
        ),
        _a_row(
            at=datetime(1, 1, 1, tzinfo=UTC),
            wall=datetime(1, 1, 1),  # noqa: DTZ001 - as above
        ),
    ]

    _insert(*rows)

    assert _stored() == _by_id(rows)


def test_a_time_with_another_offset_is_the_same_instant() -> None:
    row = _a_row(at=datetime(2026, 3, 1, 9, 0, tzinfo=timezone(timedelta(hours=-3, minutes=-30))))

    _insert(row)

    assert _stored() == _by_id([row])


def test_none_is_stored_as_null_and_not_as_the_json_null() -> None:
    row = _a_row(content={"a": 1})
    _insert(row)

    _update({**row, "content": None})

    with transaction(A_CAUSE) as tx:
        assert tx.connection.execute(select(TABLE.c.content.is_(None))).scalar_one()


def test_json_keeps_its_numbers_and_the_order_of_its_keys() -> None:
    content: dict[str, Any] = {
        "z": 1.0,
        "a": [1e-7, 1e300, 10**30, -0.0, True, None],
        "é": {"": {}},
    }

    _insert(_a_row(content=content))

    with transaction(A_CAUSE) as tx:
        kept = tx.connection.execute(select(cast(TABLE.c.content, Text))).scalar_one()
    assert kept == json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def test_an_update_leaves_unnamed_columns_alone() -> None:
    row, other = _a_row(note="a", number=1), _a_row(note="b", number=2)
    _insert(row, other)

    _update({"id": row["id"], "number": 7})

    assert _stored() == _by_id([{**row, "number": 7}, other])


def test_an_insert_gives_unnamed_columns_their_defaults() -> None:
    _insert({"id": uuid4(), "note": "a"})

    [stored] = _stored().values()
    assert stored["whether"] is True


def test_an_update_inserts_no_row_and_an_update_of_no_rows_sends_no_statement() -> None:
    _update(_a_row(note="nowhere"))
    _insert()
    _update()

    assert _stored() == {}


def test_rows_are_updated_by_another_key() -> None:
    row, other = _a_row(note="a", number=1), _a_row(note="b", number=2)
    _insert(row, other)

    with transaction(A_CAUSE) as tx:
        bulk.update(tx, TABLE, [{"note": "a", "number": 5}], key="note")

    assert _stored() == _by_id([{**row, "number": 5}, other])


def test_a_row_that_has_a_higher_version_stays_as_it_is() -> None:
    rows = [_a_row(note="stored", number=version) for version in (1, 2, 3)]
    _insert(*rows)
    changed = [{**row, "note": "changed", "number": 2} for row in rows]

    with transaction(A_CAUSE) as tx:
        bulk.update(tx, TABLE, changed, version="number")

    assert _stored() == _by_id([*changed[:2], rows[2]])


def test_no_row_is_stored_when_one_of_them_is_refused() -> None:
    row = _a_row()

    with pytest.raises(DBAPIError, match="23505"):
        _insert(_a_row(), row, row)

    assert _stored() == {}


@pytest.mark.parametrize(
    "wrong", [timedelta(1), object(), {1, 2}], ids=lambda wrong: type(wrong).__name__
)
def test_a_value_that_no_column_holds_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match="is no value of a column"):
        bulk.encode([{"a": wrong}])


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")], ids=repr)
def test_a_value_that_json_cannot_hold_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        bulk.encode([{"a": wrong}])


# PostgreSQL keeps no null characters, UTF-8 no lone surrogates; the domain refuses both.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
CONTENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
ROWS = st.fixed_dictionaries(
    {
        "id": st.uuids(),
        "note": st.none() | TEXTS,
        "number": st.none() | st.integers(-(2**63), 2**63 - 1),
        "whether": st.none() | st.booleans(),
        "labels": st.none() | st.lists(TEXTS, max_size=3),
        "content": st.none() | st.dictionaries(TEXTS, CONTENTS, max_size=3),
        "at": st.none() | st.datetimes(timezones=st.just(UTC)),
        "wall": st.none() | st.datetimes(),
        "hash": st.none() | st.binary(max_size=20),
    }
)


@settings(max_examples=40)
@given(st.lists(ROWS, min_size=1, max_size=5, unique_by=lambda row: row["id"]), st.data())
def test_any_rows_are_read_back_as_they_were_written(
    rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    changed = [{**data.draw(ROWS), "id": row["id"]} for row in rows]
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(TABLE.delete())

    _insert(*rows)
    inserted = _stored()
    _update(*changed)

    assert inserted == _by_id(rows)
    assert _stored() == _by_id(changed)
