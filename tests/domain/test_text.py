"""Text and JSON as PostgreSQL can keep them."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from taskflow.domain.text import JSON_MAX_DEPTH, NotBlank, Text, check_storable, compact_json

TEXT: TypeAdapter[str] = TypeAdapter(Text)
NOT_BLANK: TypeAdapter[str] = TypeAdapter(NotBlank)

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


def _nested(levels: int) -> Any:  # noqa: ANN401 - JSON
    value: Any = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "text", ["", " ", "ü🦉\n\t\r\u2028", "\x01\x7f", "\u202eabc", "a" * 100_000]
)
def test_text_is_kept_as_it_is(text: str) -> None:
    assert TEXT.validate_python(text) == text


@pytest.mark.parametrize("text", ["\0", "a\0", "\ud800", "a\udfffb"])
def test_text_that_cannot_be_stored_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        TEXT.validate_python(text)
    with pytest.raises(PydanticCustomError):
        check_storable({"a": [text]})
    with pytest.raises(PydanticCustomError):
        check_storable({text: 1})


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u3000\u2003", "\x1c"])
def test_blank_text_is_refused_where_text_is_required(text: str) -> None:
    with pytest.raises(ValidationError):
        NOT_BLANK.validate_python(text)


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_infinite_numbers_and_nan_are_refused(number: float) -> None:
    with pytest.raises(PydanticCustomError):
        check_storable({"a": [number]})
    with pytest.raises(ValueError, match="not JSON compliant"):
        compact_json([number])


def test_json_that_nests_deeper_than_is_allowed_is_refused() -> None:
    check_storable(_nested(JSON_MAX_DEPTH))

    with pytest.raises(PydanticCustomError):
        check_storable(_nested(JSON_MAX_DEPTH + 1))


@settings(max_examples=30)
@given(JSON_VALUES)
def test_all_other_json_is_written_on_one_line_and_read_back(value: object) -> None:
    check_storable(value)

    written = compact_json(value)

    assert json.loads(written) == value
    assert "\n" not in written
    written.encode()
