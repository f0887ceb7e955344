"""JSON Merge Patch (RFC 7396)."""

from typing import cast

from pydantic_core import PydanticCustomError

from taskflow.domain.text import JSON_MAX_DEPTH, JsonObject


def merge_patch(target: JsonObject, patch: JsonObject, *, depth: int = 0) -> JsonObject:
    """Return `target` with `patch` merged into it, key by key at every depth; null removes a key.

    What is no object, an array too, is replaced as a whole. Raises PydanticCustomError where the
    objects of the patch nest deeper than `JSON_MAX_DEPTH`.
    """
    if depth > JSON_MAX_DEPTH:
        raise PydanticCustomError(
            "too_deep", "must not nest deeper than {levels} levels", {"levels": JSON_MAX_DEPTH}
        )
    merged = dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            old = merged.get(key)
            within = cast("JsonObject", old) if isinstance(old, dict) else {}
            merged[key] = merge_patch(within, cast("JsonObject", value), depth=depth + 1)
        else:
            merged[key] = value
    return merged
