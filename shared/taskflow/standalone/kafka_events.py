"""Kafka records as the CloudEvents that a KafkaSource makes of them.

A record is an event in binary mode, by its headers, or in structured mode, by its value. Any other
is wrapped: it becomes an event that names its place (`wrapping_attributes`), its key and its
headers. So does here what a KafkaSource would lose: a null header, more or longer ones than HTTP
takes.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from taskflow.domain.cloudevents import CONTENT_TYPE, CONTENT_TYPE_ATTRIBUTE, SPEC_VERSION
from taskflow.domain.times import EPOCH
from taskflow.eventing.bindings.knative import place_attributes, wrapping_attributes
from taskflow.kafka.records import Record

ATTRIBUTES_MAX = 80
ATTRIBUTE_MAX_BYTES = 8000
"""Of a name and its value in Latin-1. Servers take some 100 headers of 8 KiB; a delivery adds a
dozen of its own."""

_PREFIX = "ce_"
_CONTENT_TYPE = "content-type"
_STRUCTURED = "application/cloudevents+json"
_REQUIRED = ("specversion", "id", "source", "type")
_TEXTS = (*_REQUIRED, "subject", "time", "dataschema", CONTENT_TYPE_ATTRIBUTE)
_SPEC_VERSIONS = frozenset({SPEC_VERSION, "0.3"})
_INTEGERS = range(-(1 << 31), 1 << 31)

_OBJECT = TypeAdapter(dict[str, Any])
_NAME = re.compile(r"[a-z0-9]+")
_IN_URI = r"(?:[^\s\x00-\x1f\x7f-\x9f\"<>\\^`{|}%#]|%[0-9A-Fa-f]{2})*"
_URI = re.compile(rf"(?:[A-Za-z][A-Za-z0-9+.-]*:(?=[^#])|(?![^/?#]*:)){_IN_URI}(?:#{_IN_URI})?")
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_JSON = re.compile(r"(application|text)/([a-zA-Z]+\+)?json(;.*)?")


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """An event: its attributes, the type of its content among them, and its data."""

    attributes: dict[str, str]
    data: bytes


def cloudevent_of(record: Record, *, consumer: str) -> CloudEvent:
    """Return what the KafkaSource of a consumer makes of a record."""
    try:
        event = _event_in(record)
    except ValueError:
        event = CloudEvent(_wrapping(record, consumer), record.value)
    event.attributes.update(place_attributes(record))
    return event


def _event_in(record: Record) -> CloudEvent:
    """Read a record in either mode. Raises ValueError."""
    headers: dict[str, str] = {}
    for name, value in record.headers:
        if name == _CONTENT_TYPE or name.startswith(_PREFIX):
            if value is None:
                raise ValueError(name)
            headers[name] = value.decode("utf-8", "replace")
    if headers.get(_CONTENT_TYPE, "").partition(";")[0] == _STRUCTURED:
        event = _structured(record.value)
    else:
        event = CloudEvent(_attributes_in(headers), record.value)
    _check(event.attributes)
    return event


def _attributes_in(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        CONTENT_TYPE_ATTRIBUTE if name == _CONTENT_TYPE else name[len(_PREFIX) :].lower(): value
        for name, value in headers.items()
        if name != _PREFIX
    }


def _structured(value: bytes) -> CloudEvent:
    members = _OBJECT.validate_json(value)
    texts = {name: members.pop(name, None) for name in _TEXTS}
    attributes = {name: text for name, text in texts.items() if text is not None}
    if not all(isinstance(text, str) for text in attributes.values()):
        raise ValueError("an attribute is no string")
    if "data" in members:
        attributes.setdefault(CONTENT_TYPE_ATTRIBUTE, CONTENT_TYPE)
    data = _data_in(members, attributes.get(CONTENT_TYPE_ATTRIBUTE, ""))
    extensions = {name: _text_of(member) for name, member in members.items()}
    return CloudEvent(extensions | attributes, data)


def _data_in(members: dict[str, Any], content_type: str) -> bytes:
    """Take the data out of the members of a structured event."""
    if "data" in members and "data_base64" in members:
        raise ValueError("two kinds of data")
    if "data_base64" in members:
        encoded = members.pop("data_base64")
        if not isinstance(encoded, str):
            raise ValueError("data_base64 is no string")
        return base64.b64decode(encoded, validate=True)
    if "data" not in members:
        return b""
    data = members.pop("data")
    if _JSON.fullmatch(content_type):
        return _json(data).encode()
    if not isinstance(data, str):
        raise ValueError("data are no string")  # noqa: TRY004 - it is the record that is wrong
    return data.encode()


def _text_of(extension: object) -> str:
    if isinstance(extension, str):
        return extension
    if isinstance(extension, float) or (isinstance(extension, int) and extension not in _INTEGERS):
        raise ValueError("no integer of 32 bits")
    return _json(extension)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _check(attributes: Mapping[str, str]) -> None:
    """Raise ValueError for attributes that CloudEvents' Java SDK refuses, or HTTP would."""
    is_right = (
        all(name in attributes for name in _REQUIRED)
        and attributes["specversion"] in _SPEC_VERSIONS
        and len(attributes) <= ATTRIBUTES_MAX
        and all(_fits(name, value) for name, value in attributes.items())
        and all(map(_NAME.fullmatch, attributes))
        and all(_URI.fullmatch(attributes.get(name, "")) for name in ("source", "dataschema"))
    )
    if not is_right:
        raise ValueError("no CloudEvent")
    if "time" in attributes:
        _check_time(attributes["time"])


def _check_time(text: str) -> None:
    if not _TIME.fullmatch(text):
        raise ValueError("no time")
    datetime.fromisoformat(text.upper())


def _fits(name: str, value: str) -> bool:
    # What is no character of Latin-1 becomes a question mark for each 16 bits of it in UTF-16.
    size = len(value) if value.isascii() else len(value.encode("utf-16-le", "surrogatepass")) // 2
    return len(name) + size <= ATTRIBUTE_MAX_BYTES


def _wrapping(record: Record, consumer: str) -> dict[str, str]:
    """Return the attributes of the event as which a record comes that is none."""
    attributes = {**wrapping_attributes(record, consumer=consumer), "time": _time_of(record)}
    if record.key:
        attributes["key"] = attributes["partitionkey"] = record.key.decode("utf-8", "replace")
    for name, value in record.headers:
        text = (value or b"").decode("utf-8", "replace")
        if name.lower() == _CONTENT_TYPE:
            attributes[CONTENT_TYPE_ATTRIBUTE] = text.lower()
        elif len(attributes) < ATTRIBUTES_MAX:
            attributes["kafkaheader" + "".join(_NAME.findall(name.lower()))] = text
    return {name: value for name, value in attributes.items() if _fits(name, value)}


def _time_of(record: Record) -> str:
    try:
        at = EPOCH + timedelta(milliseconds=record.timestamp_ms)
    except OverflowError:
        at = EPOCH
    text = at.isoformat(timespec="milliseconds").removesuffix("+00:00")
    return text.rstrip("0").removesuffix(".") + "Z"
