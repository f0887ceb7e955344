"""What waits between Kafka and the feed: bounded in bytes, and nothing forgotten."""

import pytest

from taskflow.push import kafka_follower
from taskflow.push.feed import Brought
from taskflow.push.kafka_follower import Queue


def test_a_message_without_room_in_the_queue_is_named_without_its_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_follower, "WAITING_MAX_BYTES", 10)
    queue = Queue()

    queue.put([Brought("a", 1, "x" * 6), Brought("b", 1, None)])
    queue.put("a warning")
    queue.put([Brought("a", 2, "x" * 6)])
    queue.put([Brought("a", 3, "x" * 4)])
    first = [queue.take() for _ in range(5)]
    queue.put([Brought("a", 4, "x" * 10)])

    assert first == [
        [Brought("a", 1, "x" * 6), Brought("b", 1, None)],
        "a warning",
        [Brought("a", 2, None)],
        [Brought("a", 3, "x" * 4)],
        None,
    ]
    assert queue.take() == [Brought("a", 4, "x" * 10)]
