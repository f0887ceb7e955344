"""KafkaSources and PingSources: what wakes each consumer and cron function (D3, E5)."""

from datetime import timedelta
from typing import Any

import pytest
import yaml

from taskflow.eventing.bindings import knative
from taskflow.eventing.consumer import Consumer
from taskflow.eventing.cron import CronFunction
from taskflow.manifests.__main__ import GENERATED
from taskflow.manifests.sources import LETTER_DELAY, LETTER_RETRIES, schedule
from tests.support.functions.client import all_functions
from tests.support.paths import ROOT

ENDPOINTS = {function.name: function.endpoint for function in all_functions()}
CONSUMERS = {name: one for name, one in ENDPOINTS.items() if isinstance(one, Consumer)}


def _documents(name: str) -> dict[str, dict[str, Any]]:
    found = yaml.safe_load_all((ROOT / GENERATED / name).read_text())
    return {document["metadata"]["name"]: document["spec"] for document in found}


def test_every_consumer_and_the_dead_letters_have_a_source_that_leads_to_them() -> None:
    sources = _documents("kafka-sources.yaml")

    assert set(sources) == {*CONSUMERS, "store-dead-letter"}
    assert {name: spec["sink"]["ref"]["name"] for name, spec in sources.items()} == {
        name: name for name in sources
    }


@pytest.mark.parametrize("name", CONSUMERS)
def test_a_consumer_is_brought_its_topics_as_it_declares(name: str) -> None:
    spec = _documents("kafka-sources.yaml")[name]

    assert spec["topics"] == CONSUMERS[name].topics
    assert spec["ordering"] == CONSUMERS[name].ordering
    assert spec["consumerGroup"] == f"taskflow.{name}"


def test_a_source_that_is_made_anew_begins_where_the_topics_do() -> None:
    assert {spec["initialOffset"] for spec in _documents("kafka-sources.yaml").values()} == {
        "earliest"
    }


@pytest.mark.parametrize("name", CONSUMERS)
def test_a_source_has_every_setting_of_its_delivery(name: str) -> None:
    # What is left out while anything is said is not Knative's default, but none.
    delivery = _documents("kafka-sources.yaml")[name]["delivery"]

    assert delivery == {
        "retry": knative.RETRIES,
        "backoffPolicy": "exponential",
        "backoffDelay": "PT0.1S",
        "timeout": "PT10S",
        "deadLetterSink": {
            "ref": {
                "apiVersion": "eventing.knative.dev/v1alpha1",
                "kind": "KafkaSink",
                "name": "dead-letters",
            }
        },
    }
    assert (
        timedelta(seconds=0.1),
        timedelta(seconds=10),
    ) == (knative.BACKOFF_DELAY, knative.TIMEOUT)


def test_a_dead_letter_is_tried_for_a_day() -> None:
    delivery = _documents("kafka-sources.yaml")["store-dead-letter"]["delivery"]
    waits = sum((n * LETTER_DELAY for n in range(1, LETTER_RETRIES + 1)), timedelta())

    assert (delivery["retry"], delivery["backoffPolicy"]) == (LETTER_RETRIES, "linear")
    assert delivery["backoffDelay"] == "PT5S"
    assert waits >= timedelta(days=1)


def test_every_cron_function_has_a_source_with_its_schedule() -> None:
    crons = {name: one for name, one in ENDPOINTS.items() if isinstance(one, CronFunction)}
    sources = _documents("ping-sources.yaml")

    assert {name: spec["schedule"] for name, spec in sources.items()} == {
        name: schedule(one.every_min) for name, one in crons.items()
    }
    assert {name: spec["sink"]["ref"]["name"] for name, spec in sources.items()} == {
        name: name for name in crons
    }


@pytest.mark.parametrize(
    ("every_min", "expected"),
    [
        (1, "* * * * *"),
        (5, "*/5 * * * *"),
        (60, "0 * * * *"),
        (120, "0 */2 * * *"),
        (1440, "0 0 * * *"),
    ],
)
def test_a_schedule_is_at_the_full_minutes_that_the_timer_ticks_at(
    every_min: int, expected: str
) -> None:
    assert schedule(every_min) == expected
