"""Knative's sources (KafkaSource, PingSource): CloudEvents over HTTP in binary mode.

The functions read and answer deliveries by this module, and `make up` delivers by it, in place of a
source.
"""

import base64
import codecs
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from taskflow.domain.cloudevents import CONTENT_TYPE_ATTRIBUTE, SPEC_VERSION
from taskflow.domain.times import rfc3339
from taskflow.eventing.bindings import Delivered, Failure, Outcome, Reply
from taskflow.kafka.records import Record

NAMESPACE = "taskflow"
"""Of the functions on a cluster."""

_PREFIX = "ce-"
_CONTENT_TYPE = "content-type"
_OF_THE_SOURCE = {"prefer": "reply", "kn-namespace": NAMESPACE, "user-agent": "taskflow"}
_NOT_IN_A_HEADER = re.compile(r"[^\t\x20-\x7e\x80-\xff]")

# What a delivery carries


def headers_of(attributes: Mapping[str, str]) -> dict[str, str]:
    """Write attributes as HTTP headers in Latin-1, as a source does: not percent-encoded.

    (CloudEvents' HTTP binding, 3.1.3.2, has it otherwise; the SDKs that Knative's sources are built
    on, for Java and Go, neither encode nor decode.) What is no character of Latin-1 becomes a
    question mark for each 16 bits of it in UTF-16; so does what no header holds, such as a line
    break.
    """
    written = {
        _CONTENT_TYPE if name == CONTENT_TYPE_ATTRIBUTE else _PREFIX + name: _in_latin_1(value)
        for name, value in attributes.items()
    }
    return {**_OF_THE_SOURCE, **written}


def _in_latin_1(value: str) -> str:
    return _NOT_IN_A_HEADER.sub(lambda found: "??" if found[0] > "\uffff" else "?", value)


def read(headers: Mapping[str, str], body: bytes) -> Delivered:
    """Read a delivery: the headers hold the attributes, and the body is the data."""
    return Delivered(attributes_in(headers), body)


def attributes_in(headers: Mapping[str, str]) -> dict[str, str]:
    """Read the attributes from HTTP headers, as they are; their names come out in lower case.

    Nothing is decoded: a `%41` may be just that, and what tells events apart has no percent sign.
    """
    found: dict[str, str] = {}
    for name, value in headers.items():
        header = name.lower()
        if header.startswith(_PREFIX):
            found[header.removeprefix(_PREFIX)] = value
        elif header == _CONTENT_TYPE:
            found[CONTENT_TYPE_ATTRIBUTE] = value
    return found


# What the sources make themselves

TICK_TYPE = "dev.knative.sources.ping"
WRAPPED_TYPE = "dev.knative.kafka.event"
"""The type as which a KafkaSource delivers a record that is no CloudEvent."""

_SOURCES = f"/apis/v1/namespaces/{NAMESPACE}"


def tick_attributes(function: str, *, now: datetime) -> dict[str, str]:
    """Return the attributes of a tick of a function's PingSource."""
    return {
        "specversion": SPEC_VERSION,
        "id": str(uuid.uuid4()),
        "type": TICK_TYPE,
        "source": f"{_SOURCES}/pingsources/{function}",
        "time": rfc3339(now),
    }


def wrapping_attributes(record: Record, *, consumer: str) -> dict[str, str]:
    """Return what names a record that is no CloudEvent, as an event of a consumer's KafkaSource."""
    partition = f"partition:{record.partition}"
    return {
        "specversion": SPEC_VERSION,
        "id": f"{partition}/offset:{record.offset}",
        "type": WRAPPED_TYPE,
        "source": f"{_SOURCES}/kafkasources/{consumer}#{record.topic}",
        "subject": f"{partition}#{record.offset}",
    }


def is_wrapped(attributes: Mapping[str, str]) -> bool:
    """Say whether an event stands for a record that is no CloudEvent: its id names a place."""
    return attributes.get("type") == WRAPPED_TYPE


def place_attributes(record: Record) -> dict[str, str]:
    """Return the attributes that a KafkaSource adds to the event of any record."""
    return {
        "knativekafkapartition": str(record.partition),
        "knativekafkaoffset": str(record.offset),
    }


# What is answered, and how a source takes it

RETRIES = 8
"""With the delays below, about a minute until an event is given up to the dead letters."""

BACKOFF_DELAY = timedelta(milliseconds=100)
"""Of an exponential policy, whose first wait is twice as long."""

TIMEOUT = timedelta(seconds=10)
TICK_TIMEOUT = timedelta(minutes=2)
"""Of a cron function, whose run may outlast its minute."""

_RETRIED = frozenset({404, 408, 409, 429})


def reply(outcome: Outcome, text: str = "") -> Reply:
    """Return 204 with an empty body for done, 400 for never, and 503 for again.

    A broker takes a 2xx with a body for an event in reply, and 404 and 409 for "again".
    """
    match outcome:
        case Outcome.DONE:
            return Reply(204, "", {})
        case Outcome.NEVER:
            return Reply(400, text, {})
        case Outcome.AGAIN:
            return Reply(503, text, {"Retry-After": "1"})


def refusal(status: int, text: str, headers: Mapping[str, str]) -> Reply:
    """Return HTTP's own answer: a source reads "never" from it."""
    return Reply(status, text, headers)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a subscriber answered; status None is no answer at all, within TIMEOUT."""

    status: int | None
    text: str

    @property
    def outcome(self) -> Outcome:
        """Read the answer as KafkaSource does: below 300 done, 5xx and a few others again."""
        if self.status is None or self.status >= 500 or self.status in _RETRIED:  # noqa: PLR2004 - server errors
            return Outcome.AGAIN
        return Outcome.DONE if self.status < 300 else Outcome.NEVER  # noqa: PLR2004 - successes

    @property
    def reason(self) -> int | str:
        """The status, or why there is none: what may be logged; the text may quote the event."""
        return self.text if self.status is None else self.status


def backoff(attempt: int) -> timedelta:
    """Return how long to wait after the attempt of this number, from 1.

    As KafkaSource does with an exponential policy: 2 × the delay, then 4 ×, 8 ×.
    """
    return BACKOFF_DELAY * 2**attempt


def given_up_within() -> timedelta:
    """Return the longest time until an event that is delivered becomes a dead letter.

    The consumer hangs, then the dead letter sink does, and each is tried as often.
    """
    waits = sum((backoff(attempt) for attempt in range(1, RETRIES + 1)), timedelta())
    return 2 * ((RETRIES + 1) * TIMEOUT + waits)


# What a dead letter says

ERROR_DESTINATION = "knativeerrordest"
ERROR_CODE = "knativeerrorcode"
ERROR_DATA = "knativeerrordata"
NO_ANSWER = "no answer"
"""The text of a failure of which a source says no more than the destination."""

ERROR_MAX_BYTES = 1024
"""Of the text of an answer; a source sends as much, in base64."""


def host_of(function: str) -> str:
    """Return the name by which a function is reached inside the cluster."""
    return f"{function}.{NAMESPACE}.svc.cluster.local"


def _function_at(url: str) -> str:
    """Return the function of a URL whose host is as `host_of` names it; empty without a host."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    return host.partition(".")[0]


def failure_attributes(consumer: str, answer: Answer) -> dict[str, str]:
    """Return the attributes that a source adds to a dead letter, from the last answer.

    The consumer's whole URL; if there was an answer its status, and if that had a body its first
    ERROR_MAX_BYTES in base64.
    """
    added = {ERROR_DESTINATION: f"http://{host_of(consumer)}"}
    if answer.status is not None:
        added[ERROR_CODE] = str(answer.status)
        if answer.text:
            first = answer.text.encode()[:ERROR_MAX_BYTES]
            added[ERROR_DATA] = base64.b64encode(first).decode()
    return added


def is_passing(status: int | None) -> bool:
    """Say whether a source tries again after this answer, or none, before it gives an event up."""
    return Answer(status, "").outcome is Outcome.AGAIN


def failure_in(attributes: Mapping[str, str]) -> Failure:
    """Read what a source has added to a dead letter; what is missing or malformed is left out."""
    code = attributes.get(ERROR_CODE, "")
    is_answered = ERROR_CODE in attributes or ERROR_DATA in attributes
    text = _error_text(attributes.get(ERROR_DATA, ""))
    if ERROR_DESTINATION in attributes and not is_answered:
        text = NO_ANSWER
    return Failure(
        function=_function_at(attributes.get(ERROR_DESTINATION, "")),
        status=int(code) if code.isascii() and code.isdigit() and len(code) <= 3 else None,  # noqa: PLR2004 - HTTP's three digits
        text=text,
    )


def _error_text(data: str) -> str:
    """Read the text of an answer, also where it is no base64 of a text: then it is the text."""
    text = data
    try:
        decoded = base64.b64decode(data, validate=True)
        # The last character may be cut off.
        text = codecs.getincrementaldecoder("utf-8")().decode(decoded)
    except ValueError:
        pass
    return text.replace("\0", "\ufffd")[:ERROR_MAX_BYTES]
