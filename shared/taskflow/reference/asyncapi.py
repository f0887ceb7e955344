"""The AsyncAPI 3.0 document of the topics and the socket, written from the table of event types."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from importlib import metadata
from typing import Any, Final

from taskflow.domain.cloudevents import ATTRIBUTES, CONTENT_TYPE, RECIPIENT, REPLAY
from taskflow.domain.events import (
    EVENT_TYPES,
    Declaration,
    EventRepresentation,
    EventType,
    MessageRepresentation,
    Topic,
)
from taskflow.domain.text import JsonObject
from taskflow.kafka import topics
from taskflow.kafka.records import header_name
from taskflow.push.connection import AuthMessage, CloseCode, SyncMessage
from taskflow.push.frame import TOKEN_WITHIN_S
from taskflow.push.websocket import MESSAGE_MAX_BYTES, SUBPROTOCOL
from taskflow.reference.schemas import Schemas, referred, without_null
from taskflow.serving.endpoint import USER_ID, Endpoint

VERSION: Final = "3.0.0"

KAFKA, SOCKET = "kafka", "socket"
"""The names of the servers."""

BEARER = "bearer"

SYNC, AUTH = "task.sync", "auth"
"""The messages of a socket that are no events."""

_RECORD_HEADERS = "RecordHeaders"
_MS = timedelta(milliseconds=1)


def document(endpoint: Endpoint) -> JsonObject:
    """Return the document; `endpoint` is that of the sockets. Raises SameName."""
    of_types = [declared.data for declared in EVENT_TYPES.values()]
    types: Sequence[Any] = (EventRepresentation, MessageRepresentation, SyncMessage, AuthMessage)
    models = Schemas([*types, *of_types, endpoint.query])
    channels = {**_topics(), **_sockets(endpoint, models)}
    messages = {
        **{_record(one): _record_message(one, models) for one in EVENT_TYPES},
        **{_message(one): _socket_message(one, models) for one in EVENT_TYPES},
        SYNC: _own_message(SYNC, SyncMessage, models),
        AUTH: _own_message(AUTH, AuthMessage, models),
    }
    described: JsonObject = {
        "asyncapi": VERSION,
        "info": {
            "title": "TaskFlow's events",
            "version": metadata.version("taskflow-shared"),
            "description": _DESCRIPTION,
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": _servers(),
        "channels": channels,
        "operations": dict(_operations(channels)),
    }
    schemas = {**referred({"messages": messages}, models.components)}
    return {
        **described,
        "components": {
            "messages": messages,
            "schemas": {**schemas, _RECORD_HEADERS: _record_headers()},
            "securitySchemes": {
                BEARER: {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": f"Or as the subprotocols `{SUBPROTOCOL}, bearer.<token>`; or as"
                    f" the first message, within {TOKEN_WITHIN_S} s; or a `ticket` in the query.",
                }
            },
        },
    }


_DESCRIPTION = """\
What happens to tasks, as Kafka's topics and the sockets of clients tell it. `/openapi.json`
describes the requests.

Every user has a stream of events, whose `seq` counts 1, 2, 3, … without gaps. A topic holds each
event at least once, those of a user in order; a socket is sent each exactly once and in order, and
with `since` goes on where another ended. Types of events and members of `data` that a reader does
not know are to be passed over.
"""


def _servers() -> JsonObject:
    return {
        KAFKA: {
            "host": "{host}",
            "protocol": "kafka",
            "description": "As `KAFKA_BOOTSTRAP_SERVERS` names it.",
            "variables": {"host": {"default": "127.0.0.1:9092"}},
        },
        SOCKET: {
            "host": "{host}",
            "protocol": "ws",
            "description": "Where the API is; `wss` where it is behind TLS.",
            "variables": {"host": {"default": "127.0.0.1:8080"}},
        },
    }


def _topics() -> Mapping[str, JsonObject]:
    found: dict[str, JsonObject] = {}
    for topic in Topic:
        types = [one for one, declared in EVENT_TYPES.items() if declared.topic is topic]
        found[topic.value] = {
            "address": topic.value,
            "description": "The settings may give it another name.",
            "servers": [_reference("servers", KAFKA)],
            "messages": {_record(one): _component("messages", _record(one)) for one in types},
            "bindings": {
                "kafka": {
                    "topic": topic.value,
                    "partitions": topics.PARTITIONS,
                    "topicConfiguration": {
                        "cleanup.policy": ["delete"],
                        "retention.ms": topics.KEPT // _MS,
                    },
                    "bindingVersion": "0.5.0",
                }
            },
        }
    return found


def _sockets(endpoint: Endpoint, models: Schemas) -> Mapping[str, JsonObject]:
    names = [SYNC, AUTH, *(_message(one) for one in EVENT_TYPES)]
    query = models.fields_of(endpoint.query) if endpoint.query else {}
    properties = {name: without_null(one) for name, one in query.get("properties", {}).items()}
    binding = {
        "method": "GET",
        "query": {"type": "object", "properties": properties},
        "bindingVersion": "0.1.0",
    }
    found: dict[str, JsonObject] = {}
    for number, route in enumerate(endpoint.routes):
        name = endpoint.name if number == 0 else f"{endpoint.name}-{number + 1}"
        is_of_user = USER_ID in route.parameters()
        found[name] = {
            "address": route.template,
            "summary": f"{endpoint.summary[:1].upper()}{endpoint.summary[1:]}.",
            "description": "The same under another path."
            if number
            else "An upgrade always succeeds; what is wrong with it is told by a close code.",
            "servers": [_reference("servers", SOCKET)],
            **(
                {"parameters": {USER_ID: {"description": "The user's own id."}}}
                if is_of_user
                else {}
            ),
            "messages": {each: _component("messages", each) for each in names},
            "bindings": {"ws": binding},
            "x-subprotocol": SUBPROTOCOL,
            "x-message-max-bytes": MESSAGE_MAX_BYTES,
            "x-close-codes": {str(code.value): code.meaning for code in CloseCode},
        }
    return found


def _operations(channels: Mapping[str, JsonObject]) -> Iterator[tuple[str, JsonObject]]:
    for name, channel in channels.items():
        is_topic = "kafka" in channel["bindings"]
        sent = [each for each in channel["messages"] if each != AUTH]
        yield (
            f"publish-{name}" if is_topic else f"{name}-send",
            {
                "action": "send",
                "channel": _reference("channels", name),
                "summary": "Tell what has happened.",
                "messages": [_within(name, each) for each in sent],
                **({} if is_topic else {"security": [_component("securitySchemes", BEARER)]}),
            },
        )
        if not is_topic:
            yield (
                f"{name}-receive",
                {
                    "action": "receive",
                    "channel": _reference("channels", name),
                    "summary": "Take a token.",
                    "messages": [_within(name, AUTH)],
                },
            )


def _record_message(event_type: EventType, models: Schemas) -> JsonObject:
    declared = EVENT_TYPES[event_type]
    return {
        **_about(event_type, declared),
        "headers": _component("schemas", _RECORD_HEADERS),
        "payload": _with_data(models, EventRepresentation, "event_type", event_type, declared),
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": "The user's id."},
                "bindingVersion": "0.5.0",
            }
        },
    }


def _socket_message(event_type: EventType, models: Schemas) -> JsonObject:
    declared = EVENT_TYPES[event_type]
    return {
        **_about(event_type, declared),
        "payload": _with_data(models, MessageRepresentation, "type", declared.message, declared),
    }


def _own_message(name: str, kind: Any, models: Schemas) -> JsonObject:  # noqa: ANN401 - a TypedDict
    schema = models.of(kind)
    meaning: str = models.fields_of(kind)["description"]
    return {"name": name, "title": name, "summary": meaning, "payload": schema}


def _about(event_type: EventType, declared: Declaration) -> JsonObject:
    return {
        "name": event_type.value,
        "title": event_type.value,
        "summary": declared.happened,
        "contentType": CONTENT_TYPE,
    }


def _with_data(
    models: Schemas,
    envelope: Any,  # noqa: ANN401 - a TypedDict
    name: str,
    value: str,
    declared: Declaration,
) -> JsonObject:
    return {
        "allOf": [models.of(envelope)],
        "properties": {name: {"const": str(value)}, "data": models.of(declared.data)},
    }


def _record_headers() -> JsonObject:
    return {
        "type": "object",
        "description": "The attributes of a CloudEvent (1.0) in binary mode.",
        "properties": {
            header_name(name): {"type": "string", "description": meaning}
            for name, meaning in ATTRIBUTES.items()
        },
        "required": [header_name(name) for name in ATTRIBUTES if name not in _NOT_ALWAYS],
    }


_NOT_ALWAYS = frozenset({RECIPIENT, REPLAY, "correlationid", "traceparent"})


def _record(event_type: EventType) -> str:
    return f"{event_type}.record"


def _message(event_type: EventType) -> str:
    return f"{event_type}.message"


def _reference(*path: str) -> JsonObject:
    return {"$ref": "#/" + "/".join(path)}


def _component(kind: str, name: str) -> JsonObject:
    return _reference("components", kind, name)


def _within(channel: str, message: str) -> JsonObject:
    return _reference("channels", channel, "messages", message)
