"""What Schemathesis is told beside the document: what a format is like, what a key is for."""

import base64
import json
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, HookContext
from schemathesis.generation import GenerationMode

from taskflow.domain.times import rfc3339

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia")
RULES = ("FREQ=DAILY;COUNT=3", "FREQ=WEEKLY;BYDAY=MO,TH", "FREQ=MONTHLY;BYMONTHDAY=-1")

# A series starts from 1900 on, which the format date-time can't say.
_TIMES = st.datetimes(datetime(1900, 1, 2), datetime(9998, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - as Hypothesis takes them

schemathesis.openapi.format("date-time", _TIMES.map(rfc3339))
schemathesis.openapi.format("iana-time-zone", st.sampled_from(ZONES))
schemathesis.openapi.format("rrule", st.sampled_from(RULES))


@schemathesis.hook  # pyright: ignore[reportUnknownMemberType] - it has no types for hooks
def before_call(context: HookContext, case: Case[Any], _kwargs: dict[str, object]) -> None:
    """Make what is to be accepted what a client would send.

    A key is for one request, a cursor is one that was answered, and a condition is one that may
    hold: what is drawn at random is rightly refused. Where a refusal is asked for, it stays.
    """
    del context
    meta = case.meta
    if meta is None or meta.generation.mode is not GenerationMode.POSITIVE:
        return
    headers = cast("MutableMapping[str, Any]", case.headers)  # pyright: ignore[reportUnknownMemberType] - as above
    if "Idempotency-Key" in headers:
        headers["Idempotency-Key"] = str(uuid4())
    if "If-Match" in headers:
        headers["If-Match"] = "*"
    if "cursor" in case.query and not _is_cursor(case.query["cursor"], case.query.get("sort")):
        del case.query["cursor"]


def _is_cursor(drawn: object, sort: object) -> bool:
    """Say whether a text is what a list in this order has answered, brought here by a link."""
    try:
        padded = str(drawn) + "=" * (-len(str(drawn)) % 4)
        read = json.loads(base64.b64decode(padded, altchars=b"-_"))
    except ValueError:
        return False
    return isinstance(read, list) and sort in {None, *map(str, cast("list[object]", read)[:1])}
