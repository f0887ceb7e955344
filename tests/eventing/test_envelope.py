"""Events as CloudEvents: read by us and by others as written; malformed ones are refused."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from cloudevents.conversion import to_dict
from cloudevents.http import from_http  # pyright: ignore[reportUnknownVariableType]
from hypothesis import given
from hypothesis import strategies as st

from taskflow.domain.cloudevents import attributes_of
from taskflow.domain.events import Event
from taskflow.eventing.bindings.knative import attributes_in, headers_of
from taskflow.eventing.envelope import (
    DeliveredEvent,
    MalformedEvent,
    read,
)

TEXTS = [
    "plain",
    "Zażółć gęślą jaźń 🐘",
    "auth0|5f7c8ec7c33c6c004bbafe82",
    "100% \"quoted\" \\ 'single'",
    "%41 is no A",
    '"wholly quoted"',
    " spaces around ",
    "two  spaces",
    "a/b?c=d&e#f,g;h:i",
    "ASCII from ! to ~",
    "line\r\nce-type: forged",
    "tab\tand\x7f",
    "é",
    "ffi",
]


def an_event(**fields: Any) -> Event:  # noqa: ANN401 - what an event holds
    default: dict[str, Any] = {
        "event_id": UUID("01938b0a-7c50-7000-8000-00000000abcd"),
        "event_type": "task.created",
        "user_id": "somebody",
        "aggregate_id": "01938b0a-7c50-7000-8000-000000001234",
        "seq": 12,
        "version": 3,
        "schema_version": 1,
        "timestamp": datetime(2026, 3, 1, 9, 0, 0, 1, tzinfo=UTC),
        "correlation_id": "a-request",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "actor": "a secret actor",
        "origin": "10.9.8.7 secret",
        "data_json": '{"title":"Zażółć 🐘"}',
    }
    return Event(**{**default, **fields})


def body_of(**changed: Any) -> bytes:  # noqa: ANN401 - what JSON may hold
    """Write the body of an event in which some members are others; None leaves one out."""
    record = {**json.loads(an_event().record_json()), **changed}
    kept = {name: value for name, value in record.items() if value is not None}
    return json.dumps(kept).encode()


# Round trips


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f")))
def test_an_attribute_in_latin_1_arrives_as_it_was_written(text: str) -> None:
    """KafkaSource does not percent-encode, and a literal %41 is no A."""
    headers = headers_of({"userid": text})

    assert headers["ce-userid"] == text
    assert attributes_in(headers)["userid"] == text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Zażółć", "Za?ó??"),
        ("\u6f22 €", "? ?"),
        ("\U0001f418", "??"),
        ("line\r\nce-type: forged\0", "line??ce-type: forged?"),
        ("tab\tand\x7f", "tab\tand?"),
    ],
)
def test_characters_that_no_header_holds_become_question_marks(text: str, written: str) -> None:
    """KafkaSource: characters beyond Latin-1 become ?, one for each 16 bits in UTF-16."""
    headers = headers_of({"userid": text, "datacontenttype": text})

    assert (headers["ce-userid"], headers["content-type"]) == (written, written)


@given(st.text(min_size=1))
def test_no_text_begins_another_header(text: str) -> None:
    [value] = {headers_of({"userid": text})["ce-userid"], headers_of({"id": text})["ce-id"]}

    assert not {"\r", "\n", "\0"} & set(value)
    value.encode("latin-1")


@pytest.mark.parametrize("text", ["%41", "%zz%", "100%25", '"quoted"', r"\"", "a b", "\xe9"])
def test_a_header_is_read_as_it_is(text: str) -> None:
    """The SDKs on which Knative's sources are built, for Go and Java, write and read it so."""
    assert attributes_in({"Ce-Subject": text}) == {"subject": text}


def test_every_delivery_says_what_a_kafka_source_says_of_itself() -> None:
    """KafkaSource sends Prefer: reply, Kn-Namespace and a User-Agent."""
    assert headers_of({"id": "1", "datacontenttype": "text/plain"}) == {
        "prefer": "reply",
        "kn-namespace": "taskflow",
        "user-agent": "taskflow",
        "ce-id": "1",
        "content-type": "text/plain",
    }


def test_headers_with_the_prefix_and_the_content_type_are_attributes_in_lower_case() -> None:
    headers = {"Ce-Id": "1", "CE-TYPE": "t", "Content-Type": "application/json", "X-Ce-Id": "2"}

    assert attributes_in(headers) == {"id": "1", "type": "t", "datacontenttype": "application/json"}


@pytest.mark.parametrize("text", TEXTS)
def test_the_sdk_of_cloudevents_reads_our_headers_and_body(text: str) -> None:
    event = an_event(user_id=text)

    theirs = to_dict(from_http(headers_of(attributes_of(event)), event.record_json().encode()))

    assert theirs["specversion"] == "1.0"
    assert theirs["id"] == str(event.event_id)
    assert theirs["type"] == "task.created"
    assert theirs["source"] == "/taskflow"
    assert theirs["time"] == "2026-03-01T09:00:00.000001Z"
    assert theirs["sequence"] == "0000000000000000012"
    assert theirs["data"]["user_id"] == text


def test_the_attributes_are_those_that_kafka_has_in_its_headers() -> None:
    attributes = attributes_of(an_event())

    assert attributes == {
        "specversion": "1.0",
        "id": "01938b0a-7c50-7000-8000-00000000abcd",
        "type": "task.created",
        "source": "/taskflow",
        "datacontenttype": "application/json",
        "subject": "01938b0a-7c50-7000-8000-000000001234",
        "time": "2026-03-01T09:00:00.000001Z",
        "partitionkey": "somebody",
        "sequence": "0000000000000000012",
        "correlationid": "a-request",
        "userid": "somebody",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    assert all(name.isalnum() and name.islower() for name in attributes), "CloudEvents 1.0, 3"


def test_sequences_sort_as_text() -> None:
    seqs = [1, 9, 10, 99, 100, 12_345, (1 << 63) - 1]

    written = [attributes_of(an_event(seq=seq))["sequence"] for seq in seqs]

    assert written == sorted(written)
    assert [int(text) for text in written] == seqs


def test_an_event_does_not_tell_its_actor_and_origin() -> None:
    event = an_event()

    assert "secret" not in str(headers_of(attributes_of(event))) + event.record_json()


def test_an_event_is_read_as_it_was_written() -> None:
    event = an_event(user_id="Zażółć 🐘")

    found = read(attributes_in(headers_of(attributes_of(event))), event.record_json().encode())

    assert found == DeliveredEvent(
        event_id=event.event_id,
        event_type="task.created",
        user_id="Zażółć 🐘",
        aggregate_id=event.aggregate_id,
        timestamp=event.timestamp,
        correlation_id="a-request",
        data={"title": "Zażółć 🐘"},
        version=3,
        schema_version=1,
        seq=12,
    )


def test_old_event_data_without_a_new_field_have_its_default() -> None:
    event = replace(an_event(), event_type="notification.created")

    found = read(attributes_of(event), body_of(event_type="notification.created", data={"id": "x"}))

    assert found.data == {"id": "x", "late_by_s": None}


def test_an_event_of_a_newer_version_is_refused_with_a_sentence() -> None:
    with pytest.raises(MalformedEvent, match="schema_version 2 is newer than 1, the newest"):
        read(attributes_of(an_event()), body_of(schema_version=2))


def test_members_that_a_newer_version_adds_are_passed_over() -> None:
    found = read(
        {**attributes_of(an_event()), "newer": "1"}, body_of(surprise=[1], data={"more": 1})
    )

    assert found.data == {"more": 1}


# What is malformed


@pytest.mark.parametrize("name", ["specversion", "id", "type", "source"])
@pytest.mark.parametrize("value", [None, ""])
def test_an_event_without_a_required_attribute_is_malformed(name: str, value: str | None) -> None:
    attributes = {k: v for k, v in attributes_of(an_event()).items() if k != name}
    if value is not None:
        attributes[name] = value

    with pytest.raises(MalformedEvent, match=name):
        read(attributes, body_of())


@pytest.mark.parametrize(
    "changed",
    [
        {"specversion": "0.3"},
        {"specversion": "1.1"},
        {"id": "01938b0a-7c50-7000-8000-00000000abce"},
        {"id": "01938B0A-7C50-7000-8000-00000000ABCD"},
        {"id": "partition:0/offset:12"},
        {"type": "task.updated"},
        {"type": "dev.knative.kafka.event"},
    ],
    ids=str,
)
def test_attributes_that_are_not_those_of_the_body_are_malformed(changed: dict[str, str]) -> None:
    with pytest.raises(MalformedEvent):
        read({**attributes_of(an_event()), **changed}, body_of())


REQUIRED = list(DeliveredEvent.model_fields)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_body_that_lacks_a_member_is_malformed(name: str) -> None:
    with pytest.raises(MalformedEvent, match=name):
        read(attributes_of(an_event()), body_of(**{name: None}))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"task.created"',
        b"{",
        b"{}",
        b"not JSON",
        b"\xff\xfe",
        b"[" * 100_000,
        body_of()[:-1],
        body_of() + b"x",
    ],
    ids=lambda body: repr(body[:12]) + str(len(body)),
)
def test_a_body_that_is_no_event_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedEvent):
        read(attributes_of(an_event()), body)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("event_id", "1"),
        ("event_id", 1),
        ("event_type", 1),
        ("event_type", "task.\0created"),
        ("user_id", ""),
        ("user_id", 7),
        ("user_id", "null\0character"),
        ("aggregate_id", "\0"),
        ("aggregate_id", {}),
        ("correlation_id", "\0"),
        ("timestamp", "2026-03-01T09:00:00"),
        ("timestamp", 1_772_355_600),
        ("timestamp", "yesterday"),
        ("data", []),
        ("data", "{}"),
        ("version", 0),
        ("version", "1"),
        ("version", 1.5),
        ("version", True),
        ("version", 1 << 31),
        ("seq", 0),
        ("seq", -1),
        ("seq", "12"),
        ("seq", 1 << 63),
        ("seq", 10**40),
        ("schema_version", 2),
        ("schema_version", 0),
    ],
    ids=ascii,
)
def test_a_member_of_the_wrong_type_is_malformed(name: str, value: object) -> None:
    with pytest.raises(MalformedEvent):
        read(attributes_of(an_event()), body_of(**{name: value}))


def test_the_message_names_the_wrong_member_and_does_not_repeat_its_value() -> None:
    with pytest.raises(MalformedEvent) as malformed:
        read(attributes_of(an_event()), body_of(seq="a secret"))

    assert "seq" in str(malformed.value)
    assert "a secret" not in str(malformed.value)
