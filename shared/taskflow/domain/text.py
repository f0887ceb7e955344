"""Text and JSON as PostgreSQL can keep them and a person can read them."""

import json
import math
import re
import unicodedata
from typing import Annotated, Any, cast

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError, PydanticKnownError

JsonObject = dict[str, Any]

JSON_MAX_DEPTH = 64
"""Deeper than any form or integration nests, shallow enough for every JSON parser's stack."""


_SURROGATE = re.compile("[\ud800-\udfff]")


def _storable_text(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("null_character", "must not contain null characters")
    if _SURROGATE.search(text):
        raise PydanticCustomError("surrogate", "must not contain lone surrogates")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "must not be blank")
    return text


Text = Annotated[
    str,
    AfterValidator(_storable_text),
    Field(json_schema_extra={"pattern": r"^[^\u0000]*$"}),
]
NotBlank = Annotated[
    Text,
    AfterValidator(_not_blank),
    Field(json_schema_extra={"pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$"}),
]

_DECOMPOSED_MAX_CHARS = 4
"""So many code points at most are one in NFC (U+1F82)."""


def nfc(text: str, *, max_chars: int) -> str:
    """Return text that identifies in the form in which it is compared (UAX 15, NFC).

    Its length is counted in that form. Raises PydanticKnownError where it is too long.
    """
    # Python sorts the marks of one letter in quadratic time, so it is given no megabyte of them.
    if len(text) <= _DECOMPOSED_MAX_CHARS * max_chars:
        text = unicodedata.normalize("NFC", text)
    if len(text) > max_chars:
        raise PydanticKnownError("string_too_long", {"max_length": max_chars})
    return text


# Made once: json.dumps makes an encoder at each call, which takes longer than an event's envelope.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def compact_json(value: object) -> str:
    """Write JSON with no white space and no line break; text stays readable, `NaN` is refused.

    Raises ValueError for what JSON can't hold.
    """
    return _encode(value)


def differ_as_json(old: object, new: object) -> bool:
    """Say whether two values differ once written as JSON: there `1`, `true` and `1.0` do."""
    if not isinstance(new, dict):
        return old != new
    return compact_json(old) != compact_json(cast("JsonObject", new))


def check_storable(value: object, *, depth: int = 0) -> None:
    """Refuse JSON that UTF-8, PostgreSQL or a JSON parser elsewhere would not take back.

    Raises PydanticCustomError for null characters, lone surrogates, infinite numbers and for
    nesting deeper than `JSON_MAX_DEPTH`.
    """
    if depth > JSON_MAX_DEPTH:
        raise PydanticCustomError(
            "too_deep",
            "must not nest deeper than {levels} levels",
            {"levels": JSON_MAX_DEPTH},
        )
    match value:
        case str():
            _storable_text(value)
        case float() if not math.isfinite(value):
            raise PydanticCustomError("infinite", "must not contain infinite numbers")
        case dict():
            for key, item in cast("JsonObject", value).items():
                check_storable(key, depth=depth)
                check_storable(item, depth=depth + 1)
        case list():
            for item in cast("list[object]", value):
                check_storable(item, depth=depth + 1)
        case _:
            pass
