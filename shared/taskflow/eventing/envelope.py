"""An event that was delivered: read from its CloudEvents attributes and its body, and checked."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from taskflow.domain.cloudevents import SPEC_VERSION
from taskflow.domain.text import Text
from taskflow.domain.times import Time
from taskflow.domain.upcasting import NewerSchemaVersion, upcast

_INTEGER_MAX, _BIGINT_MAX = (1 << 31) - 1, (1 << 63) - 1


class MalformedEvent(Exception):
    """What was delivered is not an event that we can read; the message says what is wrong."""


class DeliveredEvent(BaseModel):
    """An event as it was delivered; fields that a newer version added are passed over."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    event_id: UUID = Field(strict=False)
    event_type: Text
    user_id: Text = Field(min_length=1)
    aggregate_id: Text
    timestamp: Time
    correlation_id: Text
    data: dict[str, Any]
    version: int = Field(ge=1, le=_INTEGER_MAX)
    schema_version: int = Field(ge=1)
    seq: int = Field(ge=1, le=_BIGINT_MAX)


def read(attributes: Mapping[str, str], body: bytes) -> DeliveredEvent:
    """Read an event as a consumer is given it, its data in their present shape.

    Raises MalformedEvent.
    """
    event = as_written(attributes, body)
    try:
        data = upcast(event.event_type, event.schema_version, event.data)
    except NewerSchemaVersion as error:
        raise MalformedEvent(str(error)) from None
    # Most have that shape already, and a copy would take half as long again as all the rest.
    return event if data is event.data else event.model_copy(update={"data": data})


def as_written(attributes: Mapping[str, str], body: bytes) -> DeliveredEvent:
    """Read an event of any version, its data as they were written. Raises MalformedEvent."""
    for name in ("specversion", "id", "type", "source"):
        if not attributes.get(name):
            message = f"the attribute {name} is missing"
            raise MalformedEvent(message)
    if attributes["specversion"] != SPEC_VERSION:
        message = f"specversion is {attributes['specversion']!r}, not {SPEC_VERSION!r}"
        raise MalformedEvent(message)
    try:
        event = DeliveredEvent.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        message = f"the body is not an event: {where} {first['msg']}".replace("  ", " ")
        raise MalformedEvent(message) from None
    if (str(event.event_id), event.event_type) != (attributes["id"], attributes["type"]):
        message = "the attributes id and type are not those of the body"
        raise MalformedEvent(message)
    return event
