"""Events as Kafka records: CloudEvents 1.0 in binary mode, the key the user's id."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from taskflow.domain.cloudevents import (
    CONTENT_TYPE_ATTRIBUTE,
    RECIPIENT,
    REPLAY,
    attributes_of,
)
from taskflow.domain.events import Event, message_json

SEQUENCE_MAX_DIGITS = 19

_PREFIX = "ce_"
_REPEATED = frozenset({_PREFIX + RECIPIENT, _PREFIX + REPLAY})
_DATA = b',"data":{'

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it was read: what it holds, and its place."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes
    headers: Headers
    value: bytes


def headers_of(
    event: Event, *, recipient: str | None = None, replay_id: str | None = None
) -> list[tuple[str, bytes]]:
    """Return the headers of an event's record.

    `recipient` is the one consumer that it is for, `replay_id` the replay that publishes it again.
    """
    attributes = attributes_of(event)
    if recipient is not None:
        attributes[RECIPIENT] = recipient
    if replay_id is not None:
        attributes[REPLAY] = replay_id
    return [(header_name(name), value.encode()) for name, value in attributes.items()]


def header_name(attribute: str) -> str:
    """Return the name of the header that holds a CloudEvents attribute."""
    return "content-type" if attribute == CONTENT_TYPE_ATTRIBUTE else _PREFIX + attribute


def is_addressed(headers: Headers) -> bool:
    """Say whether an event was published again, for one consumer, after it was for all."""
    return any(name == _PREFIX + RECIPIENT for name, _ in headers)


def is_repeated(headers: Headers) -> bool:
    """Say whether an event was published again, for one consumer or by a replay."""
    return any(name in _REPEATED for name, _ in headers)


def header(headers: Headers, name: str) -> str | None:
    """Return a CloudEvents attribute from a record's headers, if it is there and is text."""
    for key, value in headers:
        if key == _PREFIX + name and value is not None:
            try:
                return value.decode()
            except UnicodeDecodeError:
                return None
    return None


def sequence_in(headers: Headers) -> int | None:
    """Return the `seq` that a record's headers name, if they name one."""
    text = header(headers, "sequence") or ""
    if not text.isdecimal() or len(text) > SEQUENCE_MAX_DIGITS:
        return None
    return int(text)


def message_in(value: bytes, *, user_id: str, seq: int) -> str | None:
    """Return the socket message of the user's event from its record's value; None for any other.

    It is the one that the log gives: the data go on as the text they are.
    """
    # Before the data stand only strings and numbers, and in a string the quote would be escaped.
    at = value.find(_DATA)
    try:
        envelope = json.loads(value[:at] + b"}")
        if (envelope["user_id"], envelope["seq"]) != (user_id, seq):
            return None
        return message_json(envelope, value[at + len(_DATA) - 1 : -1].decode())
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
