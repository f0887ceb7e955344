"""A batch of events on its way to Kafka, and which of them Kafka has confirmed."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from taskflow.domain.events import Event
from taskflow.kafka import topics
from taskflow.kafka.records import headers_of

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message, Producer

LOOK_MIN_S, LOOK_MAX_S = 0.001, 0.05
"""How often to look for Kafka's answers: at once while they come, seldom while it is away."""


class Batch:
    """Events that are sent in their order; it never blocks in librdkafka.

    `recipients` are the consumers that each is for alone; by default all are for everybody.
    `replay_id` is the replay that publishes them again.
    """

    def __init__(
        self,
        producer: "Producer",
        happened: Sequence[Event],
        recipients: Sequence[str] | None = None,
        *,
        replay_id: str | None = None,
    ) -> None:
        self._producer = producer
        self._happened = happened
        self._recipients = recipients
        self._replay_id = replay_id
        self._waiting = deque(range(len(happened)))
        self._unanswered = 0
        self.confirmed: set[int] = set()
        """The numbers of the events that Kafka has."""
        self.failed: KafkaError | None = None

    @property
    def is_answered(self) -> bool:
        """Say whether everything was confirmed, or something failed."""
        return self.failed is not None or not (self._waiting or self._unanswered)

    def exchange(
        self, is_over: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        """Send all and wait for the answers, for as long as Kafka is away, or until it is over.

        `meanwhile` is called again and again.
        """
        look_s = LOOK_MIN_S
        while not self.is_answered and not is_over():
            if self._send_and_poll():
                look_s = LOOK_MIN_S
            else:
                time.sleep(look_s)
                look_s = min(look_s * 1.5, LOOK_MAX_S)
            meanwhile()

    def _send_and_poll(self) -> bool:
        """Queue what there is room for, and take what Kafka answers; say if it was anything."""
        from confluent_kafka import KafkaException

        try:
            # A full queue empties as answers come.
            with suppress(BufferError):
                while self._waiting:
                    self._send(self._waiting[0])
                    self._waiting.popleft()
                    self._unanswered += 1
            return self._producer.poll(0) > 0
        except KafkaException as error:
            # A record that was refused would leave a gap, and so ends its producer.
            self.failed = error.args[0]
            return True

    def _send(self, number: int) -> None:
        event = self._happened[number]
        recipient = None if self._recipients is None else self._recipients[number]
        headers = headers_of(event, recipient=recipient, replay_id=self._replay_id)
        self._producer.produce(
            topics.topic_of(event.event_type),
            key=event.user_id.encode(),
            value=event.record_json().encode(),
            headers=list[tuple[str, str | bytes | None]](headers),
            on_delivery=partial(self._answered, number),
        )

    def _answered(self, number: int, error: "KafkaError | None", _message: "Message") -> None:
        self._unanswered -= 1
        if error is None:
            self.confirmed.add(number)
        elif self.failed is None:
            self.failed = error
