"""JSON Merge Patch (RFC 7396): the examples of its appendix, and what must hold for any JSON."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from taskflow.domain.merge_patch import merge_patch
from taskflow.domain.text import JSON_MAX_DEPTH, compact_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=1), inner),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.text("ab", max_size=1), JSON)


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": [1]}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({}, {"a": [None, {"b": None}]}, {"a": [None, {"b": None}]}),
    ],
    ids=repr,
)
def test_the_examples_of_the_standard(
    target: dict[str, Any], patch: dict[str, Any], merged: dict[str, Any]
) -> None:
    assert merge_patch(target, patch) == merged


@given(target=OBJECTS, patch=OBJECTS)
def test_merging_the_same_patch_again_changes_nothing(
    target: dict[str, Any], patch: dict[str, Any]
) -> None:
    once = merge_patch(target, patch)

    assert compact_json(merge_patch(once, patch)) == compact_json(once)


@given(target=OBJECTS, patch=OBJECTS)
def test_merging_a_patch_does_not_change_its_target(
    target: dict[str, Any], patch: dict[str, Any]
) -> None:
    before = compact_json(target)

    merge_patch(target, patch)

    assert compact_json(target) == before


@given(sent=OBJECTS)
def test_an_object_merged_into_nothing_can_be_merged_into_itself(sent: dict[str, Any]) -> None:
    kept = merge_patch({}, sent)

    assert compact_json(merge_patch(kept, kept)) == compact_json(kept)


def test_a_patch_that_nests_too_deep_is_refused() -> None:
    deepest: dict[str, Any] = {"a": None}
    for _ in range(JSON_MAX_DEPTH):
        deepest = {"a": deepest}

    merge_patch({}, deepest)

    with pytest.raises(PydanticCustomError, match="nest deeper"):
        merge_patch({}, {"a": deepest})
