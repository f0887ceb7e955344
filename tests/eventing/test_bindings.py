"""Bindings: a transport reads from an answer the outcome that the function meant."""

import ast
import base64
import json
import re
import runpy
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from werkzeug.test import Client

import taskflow
from taskflow.domain.cloudevents import attributes_of
from taskflow.eventing.bindings import Binding, Delivered, Failure, Outcome, Reply, knative
from taskflow.eventing.bindings.knative import (
    BACKOFF_DELAY,
    ERROR_MAX_BYTES,
    NO_ANSWER,
    RETRIES,
    Answer,
    backoff,
    given_up_within,
)
from taskflow.eventing.bindings.selection import binding
from taskflow.eventing.envelope import MalformedEvent
from taskflow.eventing.frame import BODY_MAX_BYTES
from tests.support.data.accounts import SignedIn
from tests.support.data.builders import log_of
from tests.support.delivery.subscribers import SUBSCRIBERS, client_of
from tests.support.paths import ROOT

BINDINGS: list[Binding] = [knative]
REFUSED = (405, 413)


@pytest.mark.parametrize("outcome", Outcome)
def test_a_source_reads_from_a_reply_the_outcome_that_it_was_made_of(outcome: Outcome) -> None:
    reply = knative.reply(outcome, "why")

    assert Answer(reply.status, reply.text).outcome is outcome


@pytest.mark.parametrize("status", REFUSED)
def test_a_source_reads_never_from_a_refusal(status: int) -> None:
    reply = knative.refusal(status, "why", {"Allow": "POST"})

    assert (reply.status, reply.text, reply.headers) == (status, "why", {"Allow": "POST"})
    assert Answer(reply.status, reply.text).outcome is Outcome.NEVER


@pytest.mark.parametrize("binding", BINDINGS)
def test_the_outcome_done_is_answered_without_a_body(binding: Binding) -> None:
    # Of some a body would be an event in reply.
    assert binding.reply(Outcome.DONE, "all went well").text == ""


@pytest.mark.parametrize("status", [None, 400, 503])
@pytest.mark.parametrize("text", ["", "no such task", "é" * ERROR_MAX_BYTES])
def test_the_sink_reads_the_failure_that_a_source_has_added_to_a_dead_letter(
    status: int | None, text: str
) -> None:
    added = knative.failure_attributes("a-consumer", Answer(status, text))

    cut = text.encode()[:ERROR_MAX_BYTES].decode(errors="ignore")
    shown = NO_ANSWER if status is None else cut
    assert knative.failure_in(added) == Failure("a-consumer", status, shown)


@pytest.mark.parametrize("answer", [Answer(None, ""), *(Answer(n, "") for n in range(100, 600))])
def test_a_dead_letter_of_what_a_source_tries_again_is_of_a_passing_failure(answer: Answer) -> None:
    failure = knative.failure_in(knative.failure_attributes("a-consumer", answer))

    assert knative.is_passing(failure.status) is (answer.outcome is Outcome.AGAIN)


@pytest.mark.parametrize("url", ["", "///", "a-consumer", "http://[::1", "http://:80/"])
def test_a_destination_without_a_host_names_no_function(url: str) -> None:
    assert knative.failure_in({"knativeerrordest": url}).function == ""


def test_a_dead_letter_names_the_whole_url_and_the_code_and_has_the_text_in_base64() -> None:
    """KafkaSource: knativeerrordata is base64 of the body's first 1,024 bytes."""
    added = knative.failure_attributes("a-consumer", Answer(400, "x" * 5000))

    assert added == {
        "knativeerrordest": "http://a-consumer.taskflow.svc.cluster.local",
        "knativeerrorcode": "400",
        "knativeerrordata": base64.b64encode(b"x" * 1024).decode(),
    }


def test_a_dead_letter_has_no_text_for_an_empty_body_and_no_code_without_an_answer() -> None:
    """KafkaSource: knativeerrordata is absent for an empty body, and both are for a time-out."""
    empty = knative.failure_attributes("a-consumer", Answer(503, ""))
    hanging = knative.failure_attributes("a-consumer", Answer(None, "TimeoutError: timed out"))

    assert set(empty) == {"knativeerrordest", "knativeerrorcode"}
    assert set(hanging) == {"knativeerrordest"}


def test_the_waits_between_retries_begin_at_twice_the_delay() -> None:
    """KafkaSource, exponential: the first wait is 2 × the delay (0.4, 0.8, 1.6 s for PT0.2S)."""
    waits = [backoff(attempt) / BACKOFF_DELAY for attempt in range(1, RETRIES + 1)]

    assert waits == [2, 4, 8, 16, 32, 64, 128, 256]


def test_an_event_is_overdue_once_its_consumer_and_its_sink_have_both_hung() -> None:
    """KafkaSource tries a consumer that hangs 1 + 8 times, and the sink as often again."""
    overdue_after = runpy.run_path(str(ROOT / "functions/reconcile-consumers/main.py"))[
        "OVERDUE_AFTER"
    ]

    assert given_up_within() == timedelta(seconds=282)
    assert given_up_within() < overdue_after < timedelta(minutes=5)


@pytest.mark.parametrize("binding", BINDINGS)
def test_a_dead_letter_without_failure_attributes_has_an_empty_failure(binding: Binding) -> None:
    assert binding.failure_in({}) == Failure("", None, "")


class StructuredTransport:
    """A transport that posts events as JSON, and reads the outcome from JSON with status 200."""

    def read(self, headers: Mapping[str, str], body: bytes) -> Delivered:
        """Read the attributes and the data from the body."""
        del headers
        try:
            event = json.loads(body)
        except ValueError as error:
            message = "it is no JSON"
            raise MalformedEvent(message) from error
        data = json.dumps(event.pop("data")).encode()
        return Delivered(event, data)

    def reply(self, outcome: Outcome, text: str = "") -> Reply:
        """Return the outcome as JSON."""
        return Reply(
            200, json.dumps({"status": outcome.value, "why": text}), {}, "application/json"
        )

    def failure_in(self, attributes: Mapping[str, str]) -> Failure:
        """Say nothing."""
        del attributes
        return Failure("", None, "")

    def is_passing(self, status: int | None) -> bool:
        """Say that no failure passes."""
        del status
        return False

    def refusal(self, status: int, text: str, headers: Mapping[str, str]) -> Reply:
        """Return the outcome as JSON, whatever HTTP calls it."""
        del headers
        return self.reply(Outcome.NEVER, f"{status}: {text}")

    def is_wrapped(self, attributes: Mapping[str, str]) -> bool:
        """Say that an event is always one."""
        del attributes
        return False


@pytest.mark.usefixtures("database")
def test_a_transport_that_posts_and_reads_json_needs_nothing_but_its_binding(
    user: SignedIn,
) -> None:
    [event] = log_of(user.user_id)
    posted = {**attributes_of(event), "data": json.loads(event.record_json())}
    consumer = client_of("record-audit-entry")

    with binding.replaced_by(StructuredTransport()):
        answers = [consumer.post("/", data=body) for body in (json.dumps(posted), "{", "")]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert [answer.mimetype for answer in answers] == ["application/json"] * 3
    assert [answer.json["status"] for answer in answers if answer.json] == [
        *("done", "never", "again")
    ]


def test_a_transport_answers_a_request_that_is_no_delivery_too() -> None:
    name = "record-audit-entry"
    oversized = b"x" * (BODY_MAX_BYTES + 1)

    with binding.replaced_by(StructuredTransport()):
        answers = [
            client.open("/", method=method, data=data)
            for client in (client_of(name), Client(SUBSCRIBERS[name].serve, use_cookies=False))
            for method, data in (("GET", b""), ("POST", oversized))
        ]

    assert [answer.status_code for answer in answers] == [200] * 4
    reasons = [answer.json["why"].partition(":")[0] for answer in answers if answer.json]
    assert reasons == ["405", "413"] * 2


class HeadedTransport(StructuredTransport):
    """A transport that reads the outcome from a header."""

    def reply(self, outcome: Outcome, text: str = "") -> Reply:
        """Return the outcome as a header, without a body."""
        del text
        return Reply(204, "", {"X-Outcome": outcome.value})


@pytest.mark.usefixtures("database")
def test_the_headers_of_the_answer_done_are_written_with_and_without_the_app(
    user: SignedIn,
) -> None:
    [event] = log_of(user.user_id)
    posted = json.dumps({**attributes_of(event), "data": json.loads(event.record_json())})
    name = "record-audit-entry"

    with binding.replaced_by(HeadedTransport()):
        answers = [
            client.post("/", data=posted)
            for client in (client_of(name), Client(SUBSCRIBERS[name].serve, use_cookies=False))
        ]

    assert [dict(answer.headers) for answer in answers] == [{"X-Outcome": "done"}] * 2


# Nothing else knows a transport

MODULES = sorted(Path(taskflow.__file__).parent.rglob("*.py"))
OF_A_TRANSPORT = re.compile(
    r"knative(?!/)|cluster\.local|/apis/|(kafka|ping)sources", re.IGNORECASE
)


def _literals_in(source: str) -> Iterator[str]:
    """Yield the strings of a module that are no docstrings."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            yield str(node.value)


def test_no_other_module_writes_or_reads_what_only_a_transport_knows() -> None:
    # Kubernetes' API names Knative as well, in the manifests.
    knowing = {
        path.relative_to(Path(taskflow.__file__).parent).as_posix()
        for path in MODULES
        if "manifests" not in path.parts
        and any(map(OF_A_TRANSPORT.search, _literals_in(path.read_text())))
    }

    assert knowing == {"eventing/bindings/knative.py"}
