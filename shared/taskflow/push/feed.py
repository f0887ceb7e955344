"""The feed: every event of the connected users, from the log to their sockets, once and in order.

A hint says which user's stream has grown; the log is read by `seq`, so a hint that is lost,
doubled or early changes nothing but the latency. All connected users are compared with the log
every CHECK_S besides.
"""

import logging
import threading
from collections.abc import Mapping
from functools import cache

from taskflow import clock, logs
from taskflow.domain.events import Cause, Event
from taskflow.domain.resume import resume
from taskflow.push.connection import CloseCode, Connection
from taskflow.storage import DatabaseUnavailable, events, on_commit, run
from taskflow.storage.events import READ_MAX

CHECK_S = 1.0
RETRY_S = 0.2

_CAUSE = Cause(correlation_id="feed", traceparent="", actor="", origin="")

_log = logging.getLogger(__name__)


class _Channel:
    """One user's sockets here, and how far the feed has read for them; None before it knows."""

    def __init__(self) -> None:
        self.position: int | None = None
        self.connections: set[Connection] = set()


class Feed:
    """Follows the log for the users who have a socket in this process."""

    def __init__(self) -> None:
        """Make a feed that rests until its first socket."""
        self._lock = threading.Lock()
        self._channels: dict[str, _Channel] = {}
        self._hints: dict[str, int] = {}
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None
        self._draining = False

    def hint(self, newest: Mapping[str, int]) -> None:
        """Say that streams have grown up to these `seq`, from any thread; cheap."""
        with self._lock:
            for user_id, seq in newest.items():
                if user_id in self._channels:
                    self._hints[user_id] = max(seq, self._hints.get(user_id, 0))
                    self._woken.set()

    def follow(self, user_id: str, since: int | None, connection: Connection) -> None:
        """Send a socket all after `since`, then what comes, until it closes.

        Raises AccountNotFound, DatabaseUnavailable, and ConnectionClosed when it does.
        """
        channel = self._join(user_id, connection)
        try:
            newest = run(lambda tx: events.newest_seq(tx, user_id), _CAUSE)
            with self._lock:
                if channel.position is None:
                    channel.position = newest
            # A hint that came before the position was known is still there.
            self._woken.set()
            start = resume(since, newest=newest)
            connection.send_sync(
                newest=newest,
                since=since,
                resync=start.resync,
                correlation_id=logs.correlation_id.get() or "",
            )
            connection.position = start.seq
            if self._catch_up(user_id, channel, connection):
                connection.pump()
        finally:
            self._leave(user_id, channel, connection)

    def drain(self) -> None:
        """Send every client away to resume elsewhere; new ones too."""
        self._draining = True
        with self._lock:
            for channel in self._channels.values():
                for connection in channel.connections:
                    connection.close_soon(CloseCode.SERVICE_RESTART)

    def _join(self, user_id: str, connection: Connection) -> _Channel:
        with self._lock:
            channel = self._channels.setdefault(user_id, _Channel())
            channel.connections.add(connection)
            if self._thread is None:
                # Not at import: a server forks after it.
                self._thread = threading.Thread(target=self._read_on, name="feed", daemon=True)
                self._thread.start()
        if self._draining:
            connection.close_soon(CloseCode.SERVICE_RESTART)
        return channel

    def _leave(self, user_id: str, channel: _Channel, connection: Connection) -> None:
        with self._lock:
            channel.connections.discard(connection)
            if not channel.connections and self._channels.get(user_id) is channel:
                del self._channels[user_id]
                self._hints.pop(user_id, None)

    def _catch_up(self, user_id: str, channel: _Channel, connection: Connection) -> bool:
        """Send from the log until the feed itself can go on; say whether the socket is open."""
        while connection.check():
            with self._lock:
                if connection.position >= (channel.position or 0):
                    connection.is_live = True
                    return True
            for event in _after(user_id, connection.position):
                connection.send(event.seq, event.message_json())
        return False

    def _read_on(self) -> None:
        checked_s = clock.monotonic_s()
        while True:
            self._woken.wait(timeout=max(0.0, checked_s + CHECK_S - clock.monotonic_s()))
            self._woken.clear()
            try:
                if clock.monotonic_s() >= checked_s + CHECK_S:
                    checked_s = clock.monotonic_s()
                    self._check_all()
                self._deliver_hinted()
            except DatabaseUnavailable:
                _log.warning("the log can't be read; trying again")
                threading.Event().wait(RETRY_S)
                self._woken.set()

    def _check_all(self) -> None:
        with self._lock:
            user_ids = list(self._channels)
            for channel in self._channels.values():
                for connection in channel.connections:
                    connection.abort_if_stuck()
        if user_ids:
            self.hint(run(lambda tx: events.newest_seqs(tx, user_ids), _CAUSE))

    def _deliver_hinted(self) -> None:
        while behind := self._behind():
            found = run(lambda tx: events.after_each(tx, behind), _CAUSE)
            for event in found:
                self._deliver(event.user_id, event.seq, event.message_json())
            if len(found) < READ_MAX:
                # What was hinted has been read, unless a hint ran ahead of its commit.
                with self._lock:
                    for user_id, position in behind.items():
                        if self._position(user_id) == position:
                            self._hints.pop(user_id, None)

    def _behind(self) -> dict[str, int]:
        """Return the positions of the channels that are behind what was hinted."""
        with self._lock:
            behind: dict[str, int] = {}
            for user_id, seq in list(self._hints.items()):
                position = self._position(user_id)
                if position is not None and position < seq:
                    behind[user_id] = position
                elif position is not None:
                    del self._hints[user_id]
            return behind

    def _position(self, user_id: str) -> int | None:
        channel = self._channels.get(user_id)
        return None if channel is None else channel.position

    def _deliver(self, user_id: str, seq: int, text: str) -> None:
        with self._lock:
            channel = self._channels.get(user_id)
            if channel is None or channel.position is None or seq <= channel.position:
                return
            channel.position = seq
            for connection in channel.connections:
                if connection.is_live:
                    connection.offer(seq, text)


def _after(user_id: str, seq: int) -> list[Event]:
    return run(lambda tx: events.after(tx, user_id, seq), _CAUSE)


@cache
def feed() -> Feed:
    """Return this process's feed, which hears of every commit of this process."""
    made = Feed()
    on_commit(made.hint)
    return made
