"""GET /api/admin/state: how many events come, and how many wait to be published or consumed."""

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from taskflow import clock
from taskflow.domain.times import TimeText, rfc3339
from taskflow.eventing import subscriptions
from taskflow.kafka import client
from taskflow.serving import Ok, http_function
from taskflow.storage import Transaction, backlog

MINUTES = 30


class ConsumerState(TypedDict):
    """What waits for a consumer."""

    name: Annotated[str, Field(description="The consumer.")]
    waiting: Annotated[
        int, Field(description="Of the newest events, those that it takes and has not had yet.")
    ]
    redeliveries: Annotated[
        int, Field(description="Events that are to be brought to it once more.")
    ]
    dead_letters: Annotated[int, Field(description="Events that were given up for it.")]


class SystemState(TypedDict):
    """What happens in the system, and what waits. No number of what waits is beyond `most`."""

    counted_at: Annotated[TimeText, Field(description="When this was counted.")]
    events_per_minute: Annotated[
        list[int],
        Field(description=f"About how many events the last {MINUTES} minutes had, newest last."),
    ]
    unpublished: Annotated[
        int | None,
        Field(
            description="Of the newest events, those that Kafka has not confirmed; null where "
            "there is no Kafka."
        ),
    ]
    dead_letters: Annotated[int, Field(description="Events that were given up, for any consumer.")]
    consumers: Annotated[list[ConsumerState], Field(description="Each consumer, by name.")]
    most: Annotated[int, Field(description="No more than these are counted, or looked at.")]


@http_function("GET /api/admin/state", permission="events:replay", scale="seldom")
def get_system_state(tx: Transaction) -> Ok[SystemState]:
    now = clock.now()
    taken = {name: consumer.types for name, consumer in subscriptions.declared().items()}
    return Ok(
        {
            "counted_at": rfc3339(now),
            "events_per_minute": backlog.per_minute(tx, minutes=MINUTES, now=now),
            "unpublished": backlog.unpublished(tx) if client.is_configured() else None,
            "dead_letters": backlog.dead_letters(tx),
            "consumers": [
                {
                    "name": name,
                    "waiting": each.waiting,
                    "redeliveries": each.redeliveries,
                    "dead_letters": each.dead_letters,
                }
                for name, each in backlog.of_consumers(tx, taken, now=now).items()
            ],
            "most": backlog.COUNTED_MAX,
        }
    )
