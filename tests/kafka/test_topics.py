"""The topics: all that events travel on are read."""

from taskflow.domain.events import EVENT_TYPES
from taskflow.kafka.topics import event_topics, topic_of


def test_the_topic_of_each_type_of_events_is_read() -> None:
    assert {topic_of(event_type) for event_type in EVENT_TYPES} == {*event_topics()}
