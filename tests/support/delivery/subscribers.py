"""The subscribers among the functions in this process, delivered to as by a Knative source."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache

from werkzeug.test import Client, TestResponse

from taskflow import clock
from taskflow.domain.cloudevents import attributes_of
from taskflow.domain.events import Event
from taskflow.eventing.bindings.knative import headers_of
from taskflow.eventing.consumer import Consumer
from taskflow.eventing.cron import CronFunction
from taskflow.eventing.dead_letter import DeadLetterSink
from taskflow.eventing.frame import Subscriber
from tests.support.functions.client import all_functions

SUBSCRIBERS = {
    function.name: function.endpoint
    for function in all_functions()
    if isinstance(function.endpoint, Subscriber)
}
CONSUMERS = [one for one in SUBSCRIBERS.values() if isinstance(one, Consumer)]
CRONS = [one for one in SUBSCRIBERS.values() if isinstance(one, CronFunction)]
[SINK] = [one for one in SUBSCRIBERS.values() if isinstance(one, DeadLetterSink)]


@cache
def client_of(subscriber: str) -> Client:
    """Return a client of one subscriber."""
    [app] = [function.app for function in all_functions() if function.name == subscriber]
    return Client(app, use_cookies=False)


def deliver(subscriber: str, event: Event, **changed: str) -> TestResponse:
    """Deliver an event of the log; `changed` are other attributes, an empty one is left out."""
    attributes = {**attributes_of(event), **changed}
    kept = {name: value for name, value in attributes.items() if value or name not in changed}
    return post(subscriber, kept, event.record_json().encode())


def post(subscriber: str, attributes: Mapping[str, str], body: bytes) -> TestResponse:
    """Post attributes and a body in binary mode."""
    return client_of(subscriber).post("/", headers=headers_of(attributes), data=body)


def tick(subscriber: str) -> TestResponse:
    """Wake a cron function by a tick."""
    attributes = {
        "specversion": "1.0",
        "id": "a-tick",
        "type": "dev.knative.sources.ping",
        "source": "/a-test",
    }
    return post(subscriber, attributes, b"")


def reconcile(set_clock: Callable[[datetime], None]) -> None:
    """Have the events of the log that no consumer has claimed in time asked for again."""
    assert_taken(tick("reconcile-consumers"))
    set_clock(clock.now() + timedelta(minutes=6))
    assert_taken(tick("reconcile-consumers"))


def assert_taken(answer: TestResponse) -> None:
    """Check that the answer to a delivery means success to every source."""
    assert answer.status_code == 204, answer.text
    assert answer.data == b""
    assert not [name for name in answer.headers.keys() if name.lower().startswith("ce-")]  # noqa: SIM118 - pairs


def assert_refused_for_good(answer: TestResponse) -> None:
    """Check that the answer to a delivery sends it to the dead letters at once."""
    assert answer.status_code == 400
    assert answer.text
    assert "Traceback" not in answer.text
