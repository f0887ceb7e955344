"""Events held against what is declared of their type."""

from functools import cache
from typing import Any

from pydantic import TypeAdapter

from taskflow.domain.events import EVENT_TYPES, EventType


def assert_declared(event_type: str, data_json: str) -> None:
    """Check that event data have exactly the fields of the model of their type."""
    _model_of(EventType(event_type)).validate_json(data_json, strict=True, extra="forbid")


@cache
def _model_of(event_type: EventType) -> TypeAdapter[Any]:
    return TypeAdapter(EVENT_TYPES[event_type].data)
