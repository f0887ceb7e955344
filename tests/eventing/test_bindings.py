"""Bindings: a transport reads from an answer the outcome that the function meant."""

import base64
import runpy
from datetime import timedelta

import pytest

from taskflow.eventing.bindings import Binding, Failure, Outcome, knative
from taskflow.eventing.bindings.knative import (
    BACKOFF_DELAY,
    ERROR_MAX_BYTES,
    NO_ANSWER,
    RETRIES,
    Answer,
    backoff,
    given_up_within,
)
from tests.support.paths import ROOT

BINDINGS: list[Binding] = [knative]


@pytest.mark.parametrize("outcome", Outcome)
def test_a_source_reads_from_a_reply_the_outcome_that_it_was_made_of(outcome: Outcome) -> None:
    reply = knative.reply(outcome, "why")

    assert Answer(reply.status, reply.text).outcome is outcome


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
    told = NO_ANSWER if status is None else cut
    url = "http://a-consumer.taskflow.svc.cluster.local"
    assert knative.failure_in(added) == Failure(url, status, told)


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
