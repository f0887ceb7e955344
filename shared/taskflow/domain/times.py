"""How times are read and written: RFC 3339 with an offset in, UTC with `Z` out."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?(?P<offset>[Zz]|[+-]\d\d:\d\d)?", re.ASCII
)


def rfc3339(at: datetime) -> str:
    """Write an aware time in UTC with six digits of a second: `2026-01-31T09:00:00.000000Z`."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def parse_rfc3339(text: object) -> datetime:
    """Read an RFC 3339 time with an offset (section 5.6) into UTC, cut to the microsecond.

    Raises PydanticCustomError, whose message is for the one who sent the text.
    """
    if isinstance(text, datetime):
        return text
    found = _RFC3339.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise PydanticCustomError(
            "time_format", "must be an RFC 3339 time such as 2026-01-31T09:00:00Z"
        )
    if found["offset"] is None:
        raise PydanticCustomError(
            "time_naive", "must carry an offset from UTC, such as Z or +01:00"
        )
    try:
        return datetime.fromisoformat(found[0].upper()).astimezone(UTC)
    except (ValueError, OverflowError) as impossible:
        raise PydanticCustomError("time_impossible", "is not a time that exists") from impossible


Time = Annotated[datetime, BeforeValidator(parse_rfc3339)]
"""A pydantic field that takes an RFC 3339 time and nothing else (no Unix time, no naive time)."""
