"""Bindings: a transport reads from an answer the outcome that the function meant."""

import pytest

from taskflow.eventing.bindings import Binding, Failure, Outcome, knative
from taskflow.eventing.bindings.knative import ERROR_MAX_BYTES, Answer

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
    assert knative.failure_in(added) == Failure("http://a-consumer/", status, cut)


@pytest.mark.parametrize("binding", BINDINGS)
def test_a_dead_letter_without_failure_attributes_has_an_empty_failure(binding: Binding) -> None:
    assert binding.failure_in({}) == Failure("", None, "")
