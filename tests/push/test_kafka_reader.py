"""What waits between Kafka and the feed: bounded in bytes, and nothing forgotten."""

import pytest

from taskflow.push import kafka_reader
from taskflow.push.feed import KafkaEvent
from taskflow.push.kafka_reader import Queue


def test_a_message_without_room_in_the_queue_is_named_without_its_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_reader, "WAITING_MAX_BYTES", 10)
    queue = Queue()

    queue.put([KafkaEvent("a", 1, "x" * 6), KafkaEvent("b", 1, None)])
    queue.put("a warning")
    queue.put([KafkaEvent("a", 2, "x" * 6)])
    queue.put([KafkaEvent("a", 3, "x" * 4)])
    first = [queue.take() for _ in range(5)]
    queue.put([KafkaEvent("a", 4, "x" * 10)])

    assert first == [
        [KafkaEvent("a", 1, "x" * 6), KafkaEvent("b", 1, None)],
        "a warning",
        [KafkaEvent("a", 2, None)],
        [KafkaEvent("a", 3, "x" * 4)],
        None,
    ]
    assert queue.take() == [KafkaEvent("a", 4, "x" * 10)]
