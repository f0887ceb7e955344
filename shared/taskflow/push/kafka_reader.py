"""Reads the topics for the feed: every partition, from the end, in no consumer group.

librdkafka blocks the thread that waits for it, so a real thread does, also beside a gevent loop. It
looks at a record's headers, and at the record itself only if a user with a channel here lacks it.
The events that it found wait in a queue; a byte in a socket pair wakes the feed's thread, which is
a greenlet on gevent.
"""

import logging
import os
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from taskflow.kafka.reader import TopicsReader
from taskflow.kafka.records import Record, header, is_repeated, message_in, sequence_in
from taskflow.kafka.topics import event_topics
from taskflow.process import concurrency
from taskflow.push.feed import Feed, KafkaEvent

READ_MAX = 1000
WAITING_MAX_BYTES = 8 * 1024 * 1024
"""What may wait for the feed; of further events it gets the `seq` alone, and reads the log."""

READ_S = 1.0
RETRY_S = 2.0

_log = logging.getLogger(__name__)


class Queue:
    """Events and errors, from the reader's thread to the feed's, within a bound of bytes."""

    def __init__(self) -> None:
        """Start empty."""
        self._waiting: deque[tuple[list[KafkaEvent] | str, int]] = deque()
        # Each is counted by one thread alone, so that none needs a lock.
        self._put_bytes = self._taken_bytes = 0

    def put(self, item: list[KafkaEvent] | str) -> None:
        """Add events, without their texts where there is no room for these, or an error's text."""
        if isinstance(item, str):
            self._waiting.append((item, 0))
            return
        left_bytes = WAITING_MAX_BYTES - (self._put_bytes - self._taken_bytes)
        size_bytes = sum(len(event.text or "") for event in item)
        if size_bytes > left_bytes:
            item, size_bytes = [replace(event, text=None) for event in item], 0
        self._put_bytes += size_bytes
        self._waiting.append((item, size_bytes))

    def take(self) -> list[KafkaEvent] | str | None:
        """Remove and return the oldest item, or return None where there is none."""
        if not self._waiting:
            return None
        item, size_bytes = self._waiting.popleft()
        self._taken_bytes += size_bytes
        return item


def start_reading(feed: Feed) -> None:
    """Read the topics from now on, and give the feed the events of its users."""
    queue = Queue()
    wake_receiver, wake_sender = socket.socketpair()
    wake_sender.settimeout(0)

    def enqueue(item: list[KafkaEvent] | str) -> None:
        queue.put(item)
        # A full socket has been written to often enough. (Not the socket's own method, which on
        # gevent may look for its loop.)
        with suppress(BlockingIOError):
            os.write(wake_sender.fileno(), b"!")

    def feed_on() -> None:
        while wake_receiver.recv(4096) and not feed.is_closed:
            while (item := queue.take()) is not None:
                if isinstance(item, str):
                    _log.warning("Kafka can't be read; sockets are sent what the log has: %s", item)
                else:
                    feed.receive(item)

    threading.Thread(target=feed_on, name="kafka-feed", daemon=True).start()
    concurrency().start_thread(lambda: _read_on(feed, enqueue))


def _read_on(feed: Feed, enqueue: Callable[[list[KafkaEvent] | str], None]) -> None:
    # Nothing here may lock, log or sleep: in a gevent process those belong to another thread.
    last_error = None
    while not feed.is_closed:
        reader = TopicsReader(event_topics(), start="end")
        try:
            reader.assign()
            last_error = None
            while not feed.is_closed:
                records = reader.read(READ_MAX, READ_S)
                if records:
                    enqueue([event for record in records if (event := _wanted(feed, record))])
        except Exception as error:  # noqa: BLE001 - nobody would start this thread again
            if str(error) != last_error:
                last_error = str(error)
                enqueue(last_error)
            reader.idle(RETRY_S)
        reader.close()
    enqueue([])


def _wanted(feed: Feed, record: Record) -> KafkaEvent | None:
    if is_repeated(record.headers):
        return None
    user_id, seq = header(record.headers, "userid"), sequence_in(record.headers)
    if user_id is None or seq is None or not feed.wants(user_id, seq):
        return None
    return KafkaEvent(user_id, seq, message_in(record.value, user_id=user_id, seq=seq))
