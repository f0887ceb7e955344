"""Pages: opaque cursors, and the Link to the next page (A8)."""

import base64
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from uuid import UUID

import pytest
from flask import Request, Response
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder

from taskflow.domain.errors import InvalidContent
from taskflow.serving.pages import (
    PAGE_MAX_BYTES,
    page_of_json,
    read_cursor,
    read_position,
    write_cursor,
)
from tests.support.data.builders import A_TIME

AN_ID = UUID("01a205dc-f213-7970-bd2d-2ea31f1a2b3c")
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def _request(path: str, query: str | None = None) -> Request:
    return Request(EnvironBuilder(path=path, query_string=query).get_environ())


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@settings(max_examples=50)
@given(TEXTS, TEXTS | st.none(), st.integers(-(2**63) + 1, 2**63 - 1), st.uuids())
def test_a_cursor_gives_back_the_position_that_was_written(
    of: str, key: str | None, seq: int, row_id: UUID
) -> None:
    cursor = write_cursor(of, key, seq, str(row_id))

    assert read_cursor(cursor, of, str, int, UUID) == [key, seq, row_id]
    assert set(cursor) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def test_a_position_is_a_time_and_an_id() -> None:
    cursor = write_cursor("audit", "2026-03-01T09:00:00.000000Z", str(AN_ID))

    assert read_position(cursor, "audit") == (A_TIME, AN_ID)


CURSORS_OF_OTHER_LISTS: list[Any] = [
    ["other", "x", 1],
    ["list", "x"],
    ["list", "x", 1, 1],
    ["list", "x", "1"],
    ["list", "x", 1.0],
    ["list", "x", True],
    ["list", "x", None],
    ["list", "x", 1 << 63],
    ["list", "x", -(1 << 63)],
    ["list", 1, 1],
    ["list", ["x"], 1],
    ["list", "\0", 1],
    ["list", "\ud800", 1],
    [],
    {},
    {"list": 1},
    None,
    7,
    "list",
    [["list"], "x", 1],
]


@pytest.mark.parametrize("wrong", CURSORS_OF_OTHER_LISTS, ids=repr)
def test_a_cursor_of_another_list_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidContent) as refused:
        read_cursor(_encoded(wrong), "list", str, int)

    assert [error.pointer for error in refused.value.errors] == ["/cursor"]


@settings(max_examples=25)
@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_garbage_in_place_of_a_cursor_is_refused(garbage: str) -> None:
    with pytest.raises(InvalidContent):
        read_cursor(garbage, "list", str, int)


def test_a_position_of_another_shape_is_refused() -> None:
    for at in ("yesterday", "2026-03-01T09:00:00", 7, None):
        with pytest.raises(InvalidContent):
            read_position(_encoded(["audit", at, str(AN_ID)]), "audit")


def test_the_last_page_has_no_link() -> None:
    answer = _page(_request("/api/tasks"), ["1", "2"], 2)

    assert answer.json == {"items": [1, 2], "next_cursor": None}
    assert "Link" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/api/tasks", "/api/a b/tasks", "/api/ü🦉/tasks", "/api/%41>/tasks"]
)
def test_the_link_asks_the_same_with_the_next_cursor(path: str) -> None:
    query = "tag=a%26b&tag=%C3%BC&limit=2&cursor=old&sort=-title"

    answer = _page(_request(quote(path), query), ["1", "2", "3"], 2)

    link = answer.headers["Link"]
    target = link.partition(">")[0].removeprefix("<")
    assert link == f'<{target}>; rel="next"'
    assert link.isascii()
    assert _request(target).path == path
    assert parse_qs(urlsplit(target).query) == {
        "tag": ["a&b", "ü"],
        "limit": ["2"],
        "cursor": ["after 2"],
        "sort": ["-title"],
    }


def test_a_page_of_large_items_is_cut_short_and_has_at_least_one_item() -> None:
    half = f'"{"ü" * (PAGE_MAX_BYTES // 4 - 1)}"'

    fitting = _page(_request("/api/tasks"), [half, half, "3"], 3)
    too_large = _page(_request("/api/tasks"), [half + " " * PAGE_MAX_BYTES, "2"], 2)

    assert len(half.encode()) * 2 == PAGE_MAX_BYTES
    assert fitting.get_json()["items"] == [half[1:-1]] * 2
    assert fitting.get_json()["next_cursor"] == f"after {half}"
    assert len(too_large.get_json()["items"]) == 1
    assert too_large.get_json()["next_cursor"] is not None


def _page(request: Request, rows: Sequence[str], limit: int) -> Response:
    return page_of_json(request, rows, limit, as_json=str, cursor=lambda row: f"after {row}")
