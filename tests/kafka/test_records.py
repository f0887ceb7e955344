"""Events as Kafka records: what a plain consumer and the CloudEvents SDK see (E3)."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.domain.cloudevents import ATTRIBUTES
from taskflow.domain.events import Event, EventType
from taskflow.kafka.records import (
    Headers,
    header,
    header_name,
    headers_of,
    is_addressed,
    is_repeated,
    message_in,
)

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
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    actor="a secret actor",
    origin="a secret origin",
    data_json='{"title":"1.10"}',
)


def _message_of(event: Event) -> str | None:
    value = event.record_json().encode()
    return message_in(value, user_id=event.user_id, seq=event.seq)


def test_the_headers_are_those_of_a_cloudevent_in_binary_mode() -> None:
    assert dict(headers_of(AN_EVENT)) == {
        "content-type": b"application/json",
        "ce_specversion": b"1.0",
        "ce_id": b"00000000-0000-0000-0000-000000000007",
        "ce_type": b"task.created",
        "ce_source": b"/taskflow",
        "ce_subject": b"an-aggregate",
        "ce_time": b"2026-03-01T09:00:00.000000Z",
        "ce_partitionkey": "auth0|Zażółć".encode(),
        "ce_sequence": b"0000000000000000042",
        "ce_correlationid": b"a-correlation",
        "ce_userid": "auth0|Zażółć".encode(),
        "ce_traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }


def test_an_attribute_without_a_value_is_left_out() -> None:
    headers = dict(headers_of(replace(AN_EVENT, traceparent="")))

    assert "ce_traceparent" not in headers


def test_the_actor_and_the_origin_are_not_published() -> None:
    assert "secret" not in str(headers_of(AN_EVENT)) + AN_EVENT.record_json()


@given(
    st.dictionaries(st.text(max_size=10), st.recursive(st.text(), st.lists), max_size=4),
    st.text(max_size=20).filter(lambda text: "\n" not in text),
)
def test_the_message_of_a_record_is_the_message_from_the_log(
    data: dict[str, object], text: str
) -> None:
    event = replace(AN_EVENT, correlation_id=text, data_json=json.dumps(data))

    assert _message_of(event) == event.message_json()


@pytest.mark.parametrize("event_type", [*EventType, "reminder.of_newer_code", "newer.still"])
def test_every_type_has_the_same_message_by_kafka_and_from_the_log(event_type: str) -> None:
    event = replace(AN_EVENT, event_type=str(event_type))

    message = _message_of(event)

    assert message == event.message_json()
    shown = "reminder" if event_type == "reminder.triggered" else event_type
    assert json.loads(message or "")["type"] == shown


def test_numbers_in_a_message_stay_as_they_were_sent() -> None:
    event = replace(AN_EVENT, data_json='{"a":1.10,"b":1E400,"c":123456789012345678901234567890}')

    assert _message_of(event) == event.message_json()


@pytest.mark.parametrize("value", [b"", b"no JSON", b"{}", b'{"seq":1,"data":{}}', b"\xff", b"[1]"])
def test_a_record_that_is_not_ours_has_no_message(value: bytes) -> None:
    assert message_in(value, user_id="somebody", seq=1) is None


@pytest.mark.parametrize(("user_id", "seq"), [("another", 42), (AN_EVENT.user_id, 43)])
def test_an_event_that_is_not_the_one_its_headers_name_has_no_message(
    user_id: str, seq: int
) -> None:
    value = AN_EVENT.record_json().encode()

    assert message_in(value, user_id=user_id, seq=seq) is None


def test_a_header_that_is_no_text_is_left_out() -> None:
    headers: Headers = [("ce_userid", b"\xff"), ("ce_sequence", None), ("ce_id", b"1")]

    assert header(headers, "userid") is None
    assert header(headers, "sequence") is None
    assert header(headers, "id") == "1"


def test_the_headers_are_those_that_the_reference_describes() -> None:
    names = {name for name, _ in headers_of(AN_EVENT, recipient="a-consumer", replay_id="a-replay")}

    assert names == {header_name(attribute) for attribute in ATTRIBUTES}


def test_what_is_published_again_is_told_from_what_is_news() -> None:
    for_one = headers_of(AN_EVENT, recipient="a-consumer")
    by_a_replay = headers_of(AN_EVENT, replay_id="a-replay")

    assert not is_repeated(headers_of(AN_EVENT))
    assert is_repeated(for_one)
    assert is_repeated(by_a_replay)
    assert is_addressed(for_one)
    assert not is_addressed(by_a_replay)
