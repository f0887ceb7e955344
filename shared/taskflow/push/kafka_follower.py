"""Following the topics for the feed: every partition, from the end, in no group.

librdkafka blocks whoever waits for it, so a real thread does, also beside a gevent loop. It looks
at a record's headers, and at the record itself only if it is news to somebody here. What it
found waits in a queue; a byte in a pipe wakes the feed's side, which is a greenlet on gevent.
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
from taskflow.kafka.records import Record, header, message_in, sequence_in
from taskflow.kafka.topics import event_topics
from taskflow.push.feed import Brought, Feed

READ_MAX = 1000
WAITING_MAX_BYTES = 8 * 1024 * 1024
"""What may wait for the feed; beyond it, the feed is told only where the streams are."""

READ_S = 1.0
RETRY_S = 2.0

StartThread = Callable[[Callable[[], None]], object]
"""Runs a function on a thread that may block."""

_log = logging.getLogger(__name__)


class Queue:
    """What was found, from the thread that reads to the one that feeds, within a bound of bytes."""

    def __init__(self) -> None:
        """Start empty."""
        self._waiting: deque[tuple[list[Brought] | str, int]] = deque()
        # Each is counted by one thread alone, so that none needs a lock.
        self._put_bytes = self._taken_bytes = 0

    def put(self, found: list[Brought] | str) -> None:
        """Add what was found, or what went wrong; where there is no room, without its texts."""
        if isinstance(found, str):
            self._waiting.append((found, 0))
            return
        left_bytes = WAITING_MAX_BYTES - (self._put_bytes - self._taken_bytes)
        size_bytes = sum(len(one.text or "") for one in found)
        if size_bytes > left_bytes:
            found, size_bytes = [replace(one, text=None) for one in found], 0
        self._put_bytes += size_bytes
        self._waiting.append((found, size_bytes))

    def take(self) -> list[Brought] | str | None:
        """Return what was put first, or None."""
        if not self._waiting:
            return None
        found, size_bytes = self._waiting.popleft()
        self._taken_bytes += size_bytes
        return found


def follow_kafka(feed: Feed, start_thread: StartThread) -> None:
    """Have what comes through Kafka brought to the feed, from now on.

    `start_thread` starts a thread of the operating system, whatever `threading` stands for here.
    """
    queue = Queue()
    ear, mouth = socket.socketpair()
    mouth.settimeout(0)

    def hand_over(found: list[Brought] | str) -> None:
        queue.put(found)
        # A pipe that is full has been rung often enough. (Not the socket's own method, which on
        # gevent may look for its loop.)
        with suppress(BlockingIOError):
            os.write(mouth.fileno(), b"!")

    def take() -> None:
        while ear.recv(4096):
            while (found := queue.take()) is not None:
                if isinstance(found, str):
                    _log.warning("the sockets follow the log: %s", found)
                else:
                    feed.bring(found)

    threading.Thread(target=take, name="kafka-feed", daemon=True).start()
    start_thread(lambda: _read_on(feed, hand_over))


def _read_on(feed: Feed, hand_over: Callable[[list[Brought] | str], None]) -> None:
    # Nothing here may lock, log or sleep: in a gevent process those belong to another thread.
    said = None
    while True:
        reader = TopicsReader(event_topics(), start="end")
        try:
            reader.assign()
            said = None
            while True:
                records = reader.read(READ_MAX, READ_S)
                if records:
                    hand_over([found for record in records if (found := _brought(feed, record))])
        except Exception as failed:  # noqa: BLE001 - nobody would start this thread again
            if str(failed) != said:
                said = str(failed)
                hand_over(said)
            reader.idle(RETRY_S)
            reader.close()


def _brought(feed: Feed, record: Record) -> Brought | None:
    user_id, seq = header(record.headers, "userid"), sequence_in(record.headers)
    if user_id is None or seq is None or not feed.wants(user_id, seq):
        return None
    return Brought(user_id, seq, message_in(record.value, user_id=user_id, seq=seq))
