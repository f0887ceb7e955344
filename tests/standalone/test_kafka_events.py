"""Records as the events of a KafkaSource: what it reads, what it wraps, and what it would lose."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from cloudevents.http import CloudEvent
from cloudevents.kafka import (
    to_structured,  # pyright: ignore[reportUnknownVariableType] - the SDK leaves a type open
)

from taskflow.domain.cloudevents import attributes_of
from taskflow.domain.events import Event
from taskflow.eventing.bindings.knative import WRAPPED_TYPE
from taskflow.kafka.records import Headers, Record, headers_of
from taskflow.standalone.kafka_events import ATTRIBUTE_MAX_BYTES, ATTRIBUTES_MAX, cloudevent_of

AN_EVENT = Event(
    event_id=UUID(int=7),
    event_type="task.created",
    user_id="auth0|Zażółć",
    aggregate_id="an-aggregate",
    seq=42,
    version=1,
    schema_version=1,
    timestamp=datetime(2026, 3, 1, 9, 0, tzinfo=UTC),
    correlation_id="a-correlation",
    traceparent="",
    actor="somebody",
    origin="somewhere",
    data_json='{"title":"1.10"}',
)
PLACE = {"knativekafkapartition": "3", "knativekafkaoffset": "99"}
REQUIRED: Mapping[str, bytes] = {
    "ce_specversion": b"1.0",
    "ce_id": b"1",
    "ce_type": b"a.type",
    "ce_source": b"/a/source",
}
STRUCTURED = "application/cloudevents+json"


def a_record(headers: Headers = (), value: bytes = b"", **fields: object) -> Record:
    default = {"topic": "a-topic", "partition": 3, "offset": 99, "timestamp_ms": 1_772_355_600_000}
    return Record(**{**default, "key": b"", "headers": headers, "value": value, **fields})  # pyright: ignore[reportArgumentType] - of a record


def binary(**changed: bytes | None) -> list[tuple[str, bytes | None]]:
    """Return the headers of an event in binary mode; one that is None is null."""
    return list({**REQUIRED, **changed}.items())


def structured(content_type: str = STRUCTURED, **members: object) -> Record:
    """Return a record with an event in structured mode, of the members that must be and these."""
    event = {"specversion": "1.0", "id": "1", "type": "a.type", "source": "/a/source", **members}
    return a_record([("content-type", content_type.encode())], json.dumps(event).encode())


def read(record: Record) -> tuple[dict[str, str], bytes]:
    event = cloudevent_of(record, consumer="a-consumer")
    return event.attributes, event.data


def type_of(record: Record) -> str:
    return read(record)[0]["type"]


# Binary mode


def test_an_event_of_ours_has_the_attributes_of_the_log_and_its_place() -> None:
    body = AN_EVENT.record_json().encode()

    found = read(a_record(headers_of(AN_EVENT), body, key=b"a-user"))

    assert found == ({**attributes_of(AN_EVENT), **PLACE}, body)


def test_a_header_of_an_event_is_read_as_utf_8_with_replacements_and_in_lower_case() -> None:
    """KafkaSource: an empty ce_id and bytes that are not UTF-8 are passed on, not wrapped."""
    headers = binary(ce_id=b"", ce_subject=b"a\xff", ce_MyName="Zażółć".encode())

    attributes, _ = read(a_record(headers))

    assert attributes == {
        "specversion": "1.0",
        "id": "",
        "type": "a.type",
        "source": "/a/source",
        "subject": "a\ufffd",
        "myname": "Zażółć",
        **PLACE,
    }


def test_the_last_header_of_a_name_counts_and_headers_not_of_events_do_not() -> None:
    headers = [*binary(), ("ce_id", b"2"), ("ce_", b"x"), ("Ce_id", b"3"), ("other", None)]

    attributes, _ = read(a_record(headers))

    assert attributes["id"] == "2"
    assert set(attributes) == {"specversion", "id", "type", "source", *PLACE}


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("ce_time", b"2026-03-01T09:00:00.123456789Z"),
        ("ce_time", b"2026-03-01t09:00z"),
        ("ce_time", b"2026-03-01T09:00:00+01:00"),
        ("ce_source", b"https://example.com/a%20b?c=d#e"),
        ("ce_source", "urn:Zażółć".encode()),
        ("ce_source", b""),
        ("ce_specversion", b"0.3"),
    ],
)
def test_a_valid_attribute_is_passed_on_as_it_was_written(header: str, value: bytes) -> None:
    attributes, _ = read(a_record(binary(**{header: value})))

    assert attributes[header.removeprefix("ce_")] == value.decode()


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("ce_time", b"yesterday"),
        ("ce_time", b"2026-02-30T09:00:00Z"),
        ("ce_time", b"2026-03-01T09:00:00"),
        ("ce_time", b"2026-03-01 09:00:00Z"),
        ("ce_source", b"a b"),
        ("ce_source", b"%4"),
        ("ce_source", b"a#b#c"),
        ("ce_source", b":a"),
        ("ce_dataschema", b"<a>"),
        ("ce_specversion", b"2.0"),
        ("ce_specversion", b""),
        ("ce_no-name", b"1"),
    ],
)
def test_an_event_with_an_invalid_attribute_is_wrapped(header: str, value: bytes) -> None:
    """KafkaSource: with an invalid ce_time, ce_source or ce_specversion a record is wrapped."""
    assert type_of(a_record(binary(**{header: value}))) == WRAPPED_TYPE


@pytest.mark.parametrize("missing", REQUIRED)
def test_an_event_without_an_attribute_that_must_be_is_wrapped(missing: str) -> None:
    headers = [(name, value) for name, value in REQUIRED.items() if name != missing]

    assert type_of(a_record(headers)) == WRAPPED_TYPE


# Structured mode


def test_a_structured_event_is_read_from_the_value() -> None:
    """KafkaSource: a record of content type application/cloudevents+json is unwrapped."""
    data = {"title": "Zażółć", "numbers": [1, 2.5]}
    record = structured(time="2026-03-01T09:00:00Z", subject=None, mine="x", data=data)

    attributes, body = read(record)

    assert attributes == {
        "specversion": "1.0",
        "id": "1",
        "type": "a.type",
        "source": "/a/source",
        "time": "2026-03-01T09:00:00Z",
        "datacontenttype": "application/json",
        "mine": "x",
        **PLACE,
    }
    assert body == '{"title":"Zażółć","numbers":[1,2.5]}'.encode()


@pytest.mark.parametrize("data", ["text", {"a": [1]}, b"\x00\xff"])
def test_a_structured_event_of_the_sdk_is_read(data: object) -> None:
    theirs = to_structured(CloudEvent({"type": "a.type", "source": "/a", "id": "7"}, data)).value
    assert isinstance(theirs, bytes)

    attributes, body = read(a_record([("content-type", STRUCTURED.encode())], theirs))

    assert (attributes["type"], attributes["source"], attributes["id"]) == ("a.type", "/a", "7")
    assert body == (data if isinstance(data, bytes) else json.dumps(data).replace(" ", "").encode())


@pytest.mark.parametrize(
    ("members", "content_type", "data"),
    [
        ({}, None, b""),
        ({"data": None}, "application/json", b"null"),
        ({"data": "x"}, "application/json", b'"x"'),
        ({"data": "x", "datacontenttype": "text/plain"}, "text/plain", b"x"),
        ({"data": [1], "datacontenttype": "text/a+json;b"}, "text/a+json;b", b"[1]"),
        ({"data_base64": "AP8="}, None, b"\x00\xff"),
    ],
)
def test_the_data_of_a_structured_event_follow_their_type(
    members: dict[str, object], content_type: str | None, data: bytes
) -> None:
    attributes, body = read(structured(STRUCTURED + "; charset=UTF-8", **members))

    assert (attributes.get("datacontenttype"), body) == (content_type, data)


@pytest.mark.parametrize(
    ("extension", "text"),
    [(True, "true"), (-7, "-7"), ("x", "x"), ({"a": [1, 2]}, '{"a":[1,2]}'), (None, "null")],
)
def test_an_extension_of_a_structured_event_is_written_as_text(
    extension: object, text: str
) -> None:
    assert read(structured(mine=extension))[0]["mine"] == text


@pytest.mark.parametrize(
    "members",
    [
        {"id": None},
        {"id": 1},
        {"time": "yesterday"},
        {"subject": True},
        {"data": "x", "data_base64": "AP8="},
        {"data_base64": "!"},
        {"data_base64": 1},
        {"data": [1], "datacontenttype": "text/plain"},
        {"mine": 1.5},
        {"mine": 1 << 31},
        {"Upper": "x"},
    ],
    ids=str,
)
def test_a_structured_event_with_a_wrong_member_is_wrapped_as_it_is(
    members: dict[str, Any],
) -> None:
    record = structured(**members)

    attributes, body = read(record)

    assert (attributes["type"], attributes["datacontenttype"]) == (WRAPPED_TYPE, STRUCTURED)
    assert body == record.value


@pytest.mark.parametrize("value", [b"no JSON", b"[]", b"", b"[" * 100_000, b"\xff"])
def test_a_structured_event_that_is_no_object_is_wrapped_as_it_is(value: bytes) -> None:
    attributes, body = read(a_record([("content-type", STRUCTURED.encode())], value))

    assert (attributes["type"], body) == (WRAPPED_TYPE, value)


# Wrapped


def test_a_wrapped_record_names_its_place_its_key_and_its_headers() -> None:
    """KafkaSource: key, partitionkey, kafkaheader…, time; the id names no topic, the source does.

    A header content-type becomes the type of the data, in lower case.
    """
    headers: Headers = [
        ("My-Header_1", "Zażółć".encode()),
        ("Content-Type", b"Text/PLAIN"),
        ("ce_id", b"1"),
    ]

    attributes, body = read(a_record(headers, b"a value", key=b"a-key", timestamp_ms=1_234_560))

    assert attributes == {
        "specversion": "1.0",
        "id": "partition:3/offset:99",
        "type": "dev.knative.kafka.event",
        "source": "/apis/v1/namespaces/taskflow/kafkasources/a-consumer#a-topic",
        "subject": "partition:3#99",
        "time": "1970-01-01T00:20:34.56Z",
        "key": "a-key",
        "partitionkey": "a-key",
        "kafkaheadermyheader1": "Zażółć",
        "kafkaheaderceid": "1",
        "datacontenttype": "text/plain",
        **PLACE,
    }
    assert body == b"a value"


def test_a_wrapped_record_without_a_key_and_headers_has_neither_nor_a_content_type() -> None:
    """KafkaSource: a wrapped event has no content type of its own."""
    attributes, _ = read(a_record())

    assert set(attributes) == {"specversion", "id", "type", "source", "subject", "time", *PLACE}
    assert attributes["time"] == "2026-03-01T09:00:00Z"


@pytest.mark.parametrize("timestamp_ms", [-1, 1 << 62, -(1 << 62)])
def test_a_record_of_any_timestamp_is_wrapped(timestamp_ms: int) -> None:
    assert type_of(a_record(timestamp_ms=timestamp_ms)) == WRAPPED_TYPE


# What a KafkaSource loses


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(binary(ce_more=None), id="a null header"),
        pytest.param(binary(ce_more=b"x" * 9000), id="a long header"),
        pytest.param(binary(ce_more="🐘".encode() * 4500), id="a header long in UTF-16"),
        pytest.param(binary(**{"ce_" + "x" * 9000: b"1"}), id="a long name"),
        pytest.param(binary(**{f"ce_x{number}": b"1" for number in range(110)}), id="many headers"),
    ],
)
def test_a_record_that_a_kafka_source_loses_is_wrapped_in_attributes_that_a_server_takes(
    headers: Headers,
) -> None:
    """KafkaSource: a null header, one of 9,000 characters, 110 headers: silently gone."""
    attributes, _ = read(a_record(headers, key=b"k" * 9000))

    assert attributes["type"] == WRAPPED_TYPE
    assert attributes["kafkaheaderceid"] == "1"
    assert "key" not in attributes
    assert len(attributes) <= ATTRIBUTES_MAX + len(PLACE)
    assert all(len(name) + len(value) <= ATTRIBUTE_MAX_BYTES for name, value in attributes.items())
