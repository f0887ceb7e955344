"""Lists in pages: the opaque cursor, `next_cursor` and the Link header (RFC 8288)."""

import base64
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar
from urllib.parse import quote, urlencode
from uuid import UUID

from flask import Request
from pydantic import Field

from taskflow.domain.errors import FieldError, InvalidContent
from taskflow.domain.text import check_storable, compact_json
from taskflow.domain.times import Time, parse_rfc3339
from taskflow.serving.answers import JSON_TYPE, Page
from taskflow.serving.body import Query

LIMIT_DEFAULT = 50
LIMIT_MAX = 200
PAGE_MAX_BYTES = 1024 * 1024
"""A page holds fewer items than were asked for where they are so large; one always."""

Row = TypeVar("Row")
Item = TypeVar("Item")

Limit = Annotated[int, Field(ge=1, le=LIMIT_MAX, description="How many items at most.")]


class PageQuery(Query):
    """The query of a list."""

    limit: Limit = LIMIT_DEFAULT
    cursor: Annotated[
        str | None, Field(description="Where to begin: the `next_cursor` of another page.")
    ] = None


def write_cursor(of: str, *parts: str | int | None) -> str:
    """Write where a page of the list `of` ended as opaque text, safe in a URL."""
    return base64.urlsafe_b64encode(compact_json([of, *parts]).encode()).decode().rstrip("=")


def read_cursor(cursor: str, of: str, *kinds: object) -> list[Any]:
    """Read what `write_cursor(of, …)` wrote: the parts after `of`, each of its kind.

    A kind is str (or null), int, UUID or Time. Raises InvalidContent for what we did not write for
    this list and order.
    """
    try:
        return _decoded(cursor, of, kinds)
    except (ValueError, TypeError, RecursionError):
        raise InvalidContent(
            FieldError("/cursor", "is not a cursor of this list; begin without one")
        ) from None


def read_position(cursor: str, of: str) -> tuple[datetime, UUID]:
    """Read a cursor of a time and an id. Raises InvalidContent."""
    at, row_id = read_cursor(cursor, of, Time, UUID)
    return at, row_id


def page(
    request: Request,
    found: Sequence[Row],
    limit: int,
    *,
    represent: Callable[[Row], Item],
    cursor: Callable[[Row], str],
    then: str | None = None,
    max_bytes: int = PAGE_MAX_BYTES,
) -> Page[Item]:
    """Build the answer of a list: at most `limit` of the rows that were found, and `max_bytes`.

    There are more where not all are shown. `cursor` writes where a page that ends with a row goes
    on, `then` is where one goes on that shows all that was found.
    """

    def as_json(row: Row) -> str:
        return compact_json(represent(row))

    return page_of_json(
        request, found, limit, as_json=as_json, cursor=cursor, then=then, max_bytes=max_bytes
    )


def page_of_json(
    request: Request,
    found: Sequence[Row],
    limit: int,
    *,
    as_json: Callable[[Row], str],
    cursor: Callable[[Row], str],
    more: bool = False,
    then: str | None = None,
    max_bytes: int = PAGE_MAX_BYTES,
) -> Page[Any]:
    """Build the answer of a list as `page` does, of rows that are kept as JSON.

    There are more where not all are shown, or where `more` says so.
    """
    items: list[str] = []
    size_bytes = 0
    for row in found[:limit]:
        text = as_json(row)
        size_bytes += len(text.encode())
        if items and size_bytes > max_bytes:
            break
        items.append(text)
    more = more or len(items) < len(found)
    next_cursor = cursor(found[len(items) - 1]) if more and items else then
    body = f'{{"items":[{",".join(items)}],"next_cursor":{compact_json(next_cursor)}}}'
    response: Page[Any] = Page(body, content_type=JSON_TYPE)
    if next_cursor is not None:
        query = request.args.to_dict(flat=False) | {"cursor": [next_cursor]}
        response.headers["Link"] = (
            f'<{quote(request.path)}?{urlencode(query, doseq=True)}>; rel="next"'
        )
    return response


def _decoded(cursor: str, of: str, kinds: Sequence[object]) -> list[Any]:
    padded = cursor + "=" * (-len(cursor) % 4)
    first, *parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    if first != of:
        raise ValueError
    return [_part(part, kind) for part, kind in zip(parts, kinds, strict=True)]


def _part(part: object, kind: object) -> object:
    if kind is UUID and isinstance(part, str):
        return UUID(part)
    if kind is Time:
        return parse_rfc3339(part)
    if kind is int and isinstance(part, int) and not isinstance(part, bool):
        if abs(part) >= 1 << 63:
            raise ValueError
        return part
    if kind is str and (part is None or isinstance(part, str)):
        check_storable(part)
        return part
    raise ValueError
