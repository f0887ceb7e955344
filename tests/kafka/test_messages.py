"""Every type of event both ways to a socket: read from the log, and through its Kafka record."""

import json
from collections.abc import Mapping

from taskflow.domain.events import EVENT_TYPES, Event
from taskflow.eventing import CronRun
from taskflow.kafka.publisher import Publisher
from taskflow.kafka.reader import TopicsReader
from taskflow.kafka.records import header, message_in, sequence_in
from taskflow.kafka.topics import event_topics
from taskflow.standalone.postgres import EmbeddedPostgres
from tests.support.data.accounts import a_user
from tests.support.data.builders import append, log_of
from tests.support.database.temporary import a_database
from tests.support.events.full_history import a_history_to_its_end
from tests.support.kafka.settings import KafkaSettings, using

WITHIN_S = 30
READ_MAX, READ_S = 1000, 1.0


def test_a_message_has_the_same_bytes_from_the_log_and_through_kafka(
    database: EmbeddedPostgres, kafka: KafkaSettings
) -> None:
    with a_database(database), using(kafka):
        user_id = a_user().user_id
        append(*a_history_to_its_end(user_id).happened[1:])
        log = log_of(user_id)
        publisher = Publisher()
        publisher.sweep(CronRun(WITHIN_S).is_over)
        publisher.stop()

        through_kafka = _messages_of(user_id, len(log))

    assert {event.event_type for event in log} == set(EVENT_TYPES)
    for event in log:
        assert through_kafka[event.seq].encode() == event.message_json().encode()
        assert json.loads(event.message_json())["type"] == _declared_message(event)


def _declared_message(event: Event) -> str:
    [declared] = [found for name, found in EVENT_TYPES.items() if name == event.event_type]
    return declared.message


def _messages_of(user_id: str, count: int) -> Mapping[int, str]:
    """Return the messages that the records of a user's events give, as the follower reads them."""
    reader = TopicsReader(event_topics(), start="beginning")
    found: dict[int, str] = {}
    try:
        reader.assign()
        for _ in range(WITHIN_S):
            for record in reader.read(READ_MAX, READ_S):
                if header(record.headers, "userid") == user_id:
                    seq = sequence_in(record.headers) or 0
                    found[seq] = message_in(record.value, user_id=user_id, seq=seq) or ""
            if len(found) == count:
                return found
    finally:
        reader.close()
    message = f"{len(found)} of {count} events came through Kafka"
    raise AssertionError(message)
