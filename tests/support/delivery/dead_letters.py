"""Events that a Knative source has given up, sent to the dead letter sink of this process."""

from taskflow.domain.cloudevents import attributes_of
from taskflow.domain.events import Event
from tests.support.delivery.subscribers import SINK, assert_taken, post


def errors_of(
    consumer: str, code: str = "503", text: str = "the mail server is away"
) -> dict[str, str]:
    """Return the attributes that a source adds to an event that it gave up.

    Without a code there was no answer.
    """
    added = {"knativeerrordest": f"http://{consumer}.taskflow.svc.cluster.local/"}
    return {**added, "knativeerrorcode": code, "knativeerrordata": text} if code else added


def give_up(event: Event, consumer: str, **errors: str) -> None:
    """Send the sink an event that was given up for a consumer."""
    attributes = {**attributes_of(event), **errors_of(consumer, **errors)}
    assert_taken(post(SINK.name, attributes, event.record_json().encode()))
