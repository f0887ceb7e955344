"""The page about events: every type, where it travels, and what its data say."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from pydantic import TypeAdapter

from taskflow.domain.events import EVENT_TYPES, SCHEMA_VERSION, Declaration, EventType
from taskflow.domain.text import JsonObject

_FORMATS = {"date-time": "time", "uuid": "UUID", "duration": "duration"}

_INTRODUCTION = f"""\
# Events

Written by `make docs` from `shared/taskflow/domain/events.py`; a test fails where the two differ.

An event is shown in two forms. As a record, in the history and in Kafka, it has `event_id`,
`event_type`, `user_id`, `aggregate_id` (whose id it is, is said below), `timestamp` (RFC 3339,
UTC), `correlation_id`, `version` (of the aggregate: 1, 2, 3, …), `schema_version` (of the shape of
`data`, now {SCHEMA_VERSION}), `seq` (of the user's stream: 1, 2, 3, …) and `data`. As a message, on
sockets and long-polls, it has `type`, `data`, `timestamp`, `correlation_id`, `seq` and `event_id`.

In Kafka a record with the header `ce_recipient` is an event that was published before, and is
repeated for the one consumer of TaskFlow that it names; other readers may pass it over.

The topics are called as the settings say, `TOPIC_TASKS` and `TOPIC_REMINDERS`; these are their
default names. A field with a default was added later: an event from before does not have it, and
means the default. Fields and types that a reader does not know are to be passed over. How events
evolve: `docs/decisions/0015-how-events-evolve.md`.
"""


def page() -> str:
    """Return the page, in Markdown."""
    parts = [_INTRODUCTION, _overview()]
    parts += [_section(event_type, declared) for event_type, declared in EVENT_TYPES.items()]
    return "\n".join(parts)


def _overview() -> str:
    rows = [
        f"| [`{event_type}`](#{_anchor(event_type)}) | {declared.aggregate} | `{declared.topic}`"
        f" | `{declared.message}` | {declared.since} |"
        for event_type, declared in EVENT_TYPES.items()
    ]
    head = "| type | aggregate | topic | message | since version |\n|---|---|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


def _anchor(event_type: EventType) -> str:
    return event_type.replace(".", "")


def _section(event_type: EventType, declared: Declaration) -> str:
    schema: JsonObject = TypeAdapter[Any](declared.data).json_schema()
    rows = [
        f"| `{name}` | {kind} | {meaning} |"
        for name, kind, meaning in _fields(schema, schema.get("$defs", {}))
    ]
    return (
        f"## {event_type}\n\n{declared.happened}\n\n"
        f"Topic `{declared.topic}`, aggregate {declared.aggregate}, message `{declared.message}`,"
        f" since version {declared.since}. Its data: {_lower(schema['description'])}\n\n"
        "| field | type | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def _fields(
    schema: JsonObject, models: JsonObject, within: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Yield name, type and meaning of each field, and of those within it."""
    for name, field in cast("Mapping[str, JsonObject]", schema["properties"]).items():
        # pydantic leaves out a description that is the one of the type.
        meaning = field.get("description") or _referred(field, models)["description"]
        if "default" in field:
            meaning += f" Added later; by default `{json.dumps(field['default'])}`."
        elif name not in schema.get("required", []):
            meaning += " Not always there."
        yield within + name, _kind(field, models), meaning
        for inner in _inner(field, models):
            yield from _fields(inner, models, f"{within}{name}.")


def _inner(field: JsonObject, models: JsonObject) -> Iterator[JsonObject]:
    for one in field.get("anyOf", [field]):
        if "properties" in (referred := _referred(one, models)):
            yield referred


def _referred(field: JsonObject, models: JsonObject) -> JsonObject:
    return models.get(field.get("$ref", "").rpartition("/")[2], {})


def _kind(field: JsonObject, models: JsonObject) -> str:
    if "anyOf" in field:
        return " or ".join(_kind(one, models) for one in field["anyOf"])
    if "$ref" in field:
        return _kind(_referred(field, models), models)
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field.get("type") == "array":
        return f"array of {_kind(field['items'], models)}"
    return _FORMATS.get(field.get("format", "")) or str(field.get("type", "any JSON"))


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]
