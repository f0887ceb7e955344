"""The feed: every event of the connected users, from the log to their sockets, once and in order.

A commit notification says which users' streams have grown up to which `seq`; the events are read
from the log by `seq`, so a notification that is lost, doubled or early changes nothing but the
latency. Notifications come from commits, and from asking the log every few milliseconds who has
news. All connected users are compared with the log every CHECK_S besides.

While Kafka brings the events themselves, they go to the sockets as they come, and nobody polls the
log. An event that it brings twice, or late, is dropped by `seq`; one that it leaves out is read
from the log. So it makes no difference to a socket when Kafka goes and comes.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol, TypeVar

from simple_websocket import ConnectionClosed

from taskflow import clock, logs, metrics
from taskflow.domain.events import Cause, Event
from taskflow.domain.resume import resume
from taskflow.push.connection import Connection
from taskflow.push.websocket import text_frame
from taskflow.serving.ended_sessions import LOOK_EVERY_S, ended_sessions
from taskflow.storage import DatabaseUnavailable, Transaction, events, run, snapshot

CHECK_S = 1.0
QUIET_AFTER_S = LOOK_EVERY_S + 2 * CHECK_S
"""When nothing was committed for so long, all has been compared since the last commit."""

RETRY_S = 0.2

SLACK_S = 0.25
"""How far back in time a poll looks again: rows commit out of the order of their positions."""

DRAIN_PER_S = 1000
DRAIN_MAX_S = 3.0
"""On a restart clients are sent away at this rate, but within this time: each comes back with a
query or two, and must be back within 5 s."""

GRACE_S = 0.02
"""How long a gap may be one: two topics of one user arrive at slightly different times."""

LAG_MAX_S = 0.5
"""Kafka is not waited for any more when it has brought nothing for so long that the log had."""

EARLY_MAX, EARLY_MAX_BYTES = 1000, 1024 * 1024
"""Events that Kafka brought before their forerunners, kept for a user; the log has the rest."""

LONG_POLLS_MAX = 12
"""Of a user in a process: of the requests that a pod takes, the others are for others."""

RESUMING_MAX = 4
"""Sockets of one user that may hold what they have missed, a megabyte each, until it is sent. They
may read slowly, or never; the user's others wait, and nobody else does."""

LOOK_S = 1.0

READ_ATTEMPTS = 5
"""How often a socket's read of the log may fail while others succeed, before the socket is closed
to resume elsewhere."""

READ_ANYWAY_S = 10.0
"""How long at most a socket waits for the feed to find that the log can be read again."""

READERS = 4
"""Listeners that may read the log at once. Of thousands that come back together the others wait
here, and not for a connection to the database that requests need too."""

T = TypeVar("T")

_CAUSE = Cause(correlation_id="feed", traceparent="", actor="", origin="")

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """A socket or a long-poll of a user, which takes the user's events once it `is_live`."""

    is_live: bool

    def offer(self, seq: int, frame: bytes) -> None:
        """Take an event's frame, from the feed's thread; must not block."""
        ...

    def rotate_within(self, seconds: float) -> None:
        """Have the client go and resume elsewhere, within so many seconds."""
        ...

    def close_if_ended(self) -> None:
        """Close if its session has ended."""
        ...

    def abort_if_stuck(self) -> None:
        """Cut the connection of a client that does not read."""
        ...


class _Channel:
    """One user's listeners, and how far the feed has read the log for them, None before it has."""

    def __init__(self) -> None:
        self.position: int | None = None
        self.listeners: set[Listener] = set()
        self.resuming = threading.BoundedSemaphore(RESUMING_MAX)
        self._early: dict[int, str] = {}
        self._early_bytes = 0

    @property
    def has_early(self) -> bool:
        """Say whether events wait here for their forerunners."""
        return bool(self._early)

    def keep(self, seq: int, text: str) -> bool:
        """Keep an event until its forerunners have come; say whether there was room for it."""
        size_bytes = len(text)
        if len(self._early) >= EARLY_MAX or self._early_bytes + size_bytes > EARLY_MAX_BYTES:
            return False
        if seq not in self._early:
            self._early[seq] = text
            self._early_bytes += size_bytes
        return True

    def next_kept(self) -> str | None:
        """Return the event that comes next, if it was kept."""
        return self._early.get((self.position or 0) + 1)

    def advance(self, seq: int, text: str) -> None:
        """Hand the next event to the listeners that are live."""
        self.position = seq
        self._early_bytes -= len(self._early.pop(seq, ""))
        # One for all sockets: to encode it for each would be most of the cost of a push.
        frame = text_frame(text)
        for listener in self.listeners:
            if listener.is_live:
                listener.offer(seq, frame)


@dataclass(slots=True)
class _PendingRead:
    """Up to which `seq` a stream has grown, and from when on the log is to be read for it."""

    seq: int
    due_s: float


@dataclass(frozen=True, slots=True)
class KafkaEvent:
    """An event that Kafka brought; `text` is its message, or None where that is to be read anew."""

    user_id: str
    seq: int
    text: str | None


class _Kafka:
    """Whether Kafka can be relied on to bring the events that the log has."""

    def __init__(self) -> None:
        self.is_live = False
        self._owing_since_s: float | None = None

    def note_event(self) -> None:
        """Note that Kafka has just brought something new."""
        self.is_live = True
        self._owing_since_s = None

    def note_overtaken(self) -> None:
        """Note that the log had an event before Kafka brought it."""
        if self._owing_since_s is None:
            self._owing_since_s = clock.monotonic_s()

    def check_lag(self) -> None:
        """Rely on Kafka no longer if it has owed an event for longer than LAG_MAX_S."""
        owing_s = self._owing_since_s
        if self.is_live and owing_s is not None and clock.monotonic_s() > owing_s + LAG_MAX_S:
            self.is_live = False
            _log.warning("Kafka brings nothing; following the log")


class _Waiter:
    """A long-poll, which is woken by the next event, or to resume elsewhere."""

    def __init__(self) -> None:
        self.is_live = True
        self.woken = threading.Event()
        self.began_s = clock.monotonic_s()

    def offer(self, seq: int, frame: bytes) -> None:
        del seq, frame
        self.woken.set()

    def rotate_within(self, seconds: float) -> None:
        del seconds
        self.woken.set()

    def close_if_ended(self) -> None:
        pass

    def abort_if_stuck(self) -> None:
        pass


class _Poll:
    """Asks the log whose streams have grown, looking back a little each time."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    @property
    def is_first(self) -> bool:
        """Say whether nothing is known yet."""
        return not self._seen

    def news(self, tx: Transaction) -> Mapping[str, int]:
        """Return the newest `seq` of users whose stream may have grown since the last time."""
        now_s = clock.monotonic_s()
        if not self._seen:
            self._seen.append((now_s, events.newest_position(tx)))
        while len(self._seen) > 1 and self._seen[1][0] <= now_s - SLACK_S:
            self._seen.popleft()
        newest, grown = events.grown_since(tx, self._seen[0][1])
        self._seen.append((now_s, max(newest, self._seen[-1][1])))
        return grown

    def forget(self) -> None:
        """Begin anew, after a pause in which others looked."""
        self._seen.clear()


class Feed:
    """Follows the log for the users who have a socket, or a long-poll, in this process."""

    def __init__(self, *, poll_s: float) -> None:
        """Make a feed that rests until its first listener; `poll_s` 0 is never to poll."""
        self._lock = threading.Lock()
        self._channels: dict[str, _Channel] = {}
        self._pending_reads: dict[str, _PendingRead] = {}
        self._kafka = _Kafka()
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None
        self._readers = threading.BoundedSemaphore(READERS)
        self._is_readable = True
        self._draining = False
        self.is_closed = False
        self._poll_s = poll_s
        self._poll = _Poll()
        self._snapshot: str | None = None
        self._changed_s = 0.0

    def notify(self, newest: Mapping[str, int]) -> None:
        """Take the newest `seq` of users whose streams have grown, from any thread; cheap."""
        self._schedule_read(newest, 0)

    @property
    def reads_kafka(self) -> bool:
        """Say whether Kafka brings the events; otherwise the log is asked for them."""
        return self._kafka.is_live

    def wants(self, user_id: str, seq: int) -> bool:
        """Say whether a listener lacks the user's event `seq`; from any thread, without waiting."""
        channel = self._channels.get(user_id)
        return channel is not None and seq > (channel.position or 0)

    def receive(self, received: Sequence[KafkaEvent]) -> None:
        """Send on events that Kafka has just brought, in the order of each topic."""
        if not self._kafka.is_live:
            _log.info("following Kafka")
        self._kafka.note_event()
        missing: dict[str, int] = {}
        with self._lock:
            for event in received:
                channel = self._channels.get(event.user_id)
                if channel is None:
                    continue
                position = channel.position
                if position is None or event.text is None:
                    missing[event.user_id] = event.seq
                elif event.seq == position + 1:
                    channel.advance(event.seq, event.text)
                elif event.seq > position and not channel.keep(event.seq, event.text):
                    missing[event.user_id] = event.seq
                while (text := channel.next_kept()) is not None:
                    channel.advance((channel.position or 0) + 1, text)
                if channel.has_early:
                    missing[event.user_id] = event.seq
        if missing:
            self._schedule_read(missing, GRACE_S)

    def _schedule_read(self, newest: Mapping[str, int], grace_s: float) -> None:
        due_s = clock.monotonic_s() + grace_s
        with self._lock:
            for user_id, seq in newest.items():
                channel = self._channels.get(user_id)
                if channel is not None and seq > (channel.position or 0):
                    pending = self._pending_reads.setdefault(user_id, _PendingRead(seq, due_s))
                    pending.seq = max(pending.seq, seq)
                    pending.due_s = min(pending.due_s, due_s)
                    self._woken.set()

    def stream(self, user_id: str, since: int | None, connection: Connection) -> None:
        """Send a socket the events after `since`, then each new one, until the socket closes.

        While nobody can read the log, the socket stays open and is sent nothing. Raises
        AccountNotFound, DatabaseUnavailable where the log of this user alone can't be read, and
        ConnectionClosed when the socket closes.
        """
        channel = self._join(user_id, connection)
        metrics.SOCKETS.inc()
        try:
            with _slot(channel.resuming, connection) if since is not None else nullcontext():
                newest, missed = self._read(connection, _newest_and_missed(user_id, since))
                self._begin(user_id, channel, newest)
                start = resume(since, newest=newest)
                connection.send_sync(
                    newest=newest,
                    since=since,
                    resync=start.resync,
                    correlation_id=logs.correlation_id.get() or "",
                )
                connection.position = start.seq
                connection.send(missed)
                # It would be kept, some megabytes at the most, for as long as the socket is open.
                missed.clear()
            if self._catch_up(user_id, channel, connection):
                connection.pump()
        finally:
            metrics.SOCKETS.dec()
            self._leave(user_id, channel, connection)

    def wait_for_news(self, user_id: str, since: int, timeout_s: float) -> None:
        """Return once the user's stream has grown beyond `since`, or after `timeout_s`.

        Costs no connection to the database, and no thread where threads are gevent's. Returns
        sooner where LONG_POLLS_MAX of the same user have begun since. Raises AccountNotFound,
        DatabaseUnavailable.
        """
        waiter = _Waiter()
        channel = self._join(user_id, waiter)
        try:
            self._wake_oldest(channel)
            with self._readers:
                newest, _ = run(_newest_and_missed(user_id, None), _CAUSE)
            self._begin(user_id, channel, newest)
            if newest <= since:
                waiter.woken.wait(timeout_s)
        finally:
            self._leave(user_id, channel, waiter)

    def drain(self) -> None:
        """Send every client away to resume elsewhere, spread out in time; new ones too."""
        self._draining = True
        with self._lock:
            listeners = [one for channel in self._channels.values() for one in channel.listeners]
        for listener in listeners:
            listener.rotate_within(min(DRAIN_MAX_S, len(listeners) / DRAIN_PER_S))

    def close(self) -> None:
        """Read no more; from now on no listener is given anything."""
        self.is_closed = True
        self._woken.set()

    def _join(self, user_id: str, listener: Listener) -> _Channel:
        with self._lock:
            channel = self._channels.setdefault(user_id, _Channel())
            channel.listeners.add(listener)
            if self._thread is None:
                # Not at import: a server forks after it.
                thread = threading.Thread(target=self._read_on, name="feed", daemon=True)
                thread.start()
                self._thread = thread
        # It may rest, with nobody to ask the log for.
        self._woken.set()
        if self._draining:
            listener.rotate_within(0)
        return channel

    def _wake_oldest(self, channel: _Channel) -> None:
        """Have a user's oldest long-poll end where there are more than LONG_POLLS_MAX."""
        with self._lock:
            waiting = [
                one
                for one in channel.listeners
                if isinstance(one, _Waiter) and not one.woken.is_set()
            ]
        if len(waiting) > LONG_POLLS_MAX:
            min(waiting, key=lambda one: one.began_s).woken.set()

    def _leave(self, user_id: str, channel: _Channel, listener: Listener) -> None:
        with self._lock:
            channel.listeners.discard(listener)
            if not channel.listeners and self._channels.get(user_id) is channel:
                del self._channels[user_id]
                self._pending_reads.pop(user_id, None)

    def _read(self, connection: Connection, read: Callable[[Transaction], T]) -> T:
        """Read the log for a socket; where nobody can read it, again once somebody can.

        Raises ConnectionClosed where the socket closes meanwhile, and DatabaseUnavailable where
        others read and this one can't.
        """
        refused = 0
        while True:
            try:
                with _slot(self._readers, connection):
                    return run(read, _CAUSE)
            except DatabaseUnavailable:
                refused = refused + 1 if self._is_readable else 0
                if refused == READ_ATTEMPTS:
                    raise
            connection.wait(LOOK_S)
            # The feed asks for all of them; what it asks may fail where a single read does not.
            ask_s = clock.monotonic_s() + READ_ANYWAY_S
            while not self._is_readable and clock.monotonic_s() < ask_s:
                connection.wait(LOOK_S)

    def _begin(self, user_id: str, channel: _Channel, newest: int) -> None:
        """Have a user's channel go on after `newest`, unless it has gone further."""
        with self._lock:
            if channel.position is None:
                channel.position = newest
            # One that came before the position was known is still there.
            if (pending := self._pending_reads.get(user_id)) is not None:
                pending.due_s = clock.monotonic_s()
        self._woken.set()

    def _catch_up(self, user_id: str, channel: _Channel, connection: Connection) -> bool:
        """Send from the log until the feed itself can go on; say whether the socket is open."""
        while connection.check():
            with self._lock:
                if connection.position >= (channel.position or 0):
                    connection.is_live = True
                    return True
            with _slot(channel.resuming, connection):
                missed = self._read(connection, _after(user_id, connection.position))
                connection.send(missed)
                missed.clear()
        return False

    def _read_on(self) -> None:
        checked_s = clock.monotonic_s()
        while not self.is_closed:
            self._woken.wait(self._rest_s(checked_s))
            self._woken.clear()
            try:
                if clock.monotonic_s() >= checked_s + CHECK_S:
                    checked_s = clock.monotonic_s()
                    self._check_all()
                    self._is_readable = True
                self._kafka.check_lag()
                self._poll_log()
                self._deliver_pending()
            except DatabaseUnavailable:
                _log.warning("the log can't be read; trying again")
                self._snapshot = None
                self._is_readable = False
                threading.Event().wait(RETRY_S)
                self._woken.set()
            except Exception:  # noqa: BLE001 - nobody would start this thread again
                _log.exception("the feed failed; trying again")
                threading.Event().wait(RETRY_S)
                self._woken.set()

    def _rest_s(self, checked_s: float) -> float | None:
        if not self._channels:
            return None
        now_s = clock.monotonic_s()
        waits_s = [checked_s + CHECK_S - now_s]
        with self._lock:
            waits_s += [pending.due_s - now_s for pending in self._pending_reads.values()]
        if self._polls():
            waits_s.append(self._poll_s)
        return max(0.0, min(waits_s))

    def _polls(self) -> bool:
        return self._poll_s > 0 and not self._kafka.is_live

    def _poll_log(self) -> None:
        if not (self._polls() and self._channels):
            self._poll.forget()
            return
        is_first = self._poll.is_first
        self.notify(run(self._poll.news, _CAUSE))
        if is_first:
            # It finds only what comes from now on.
            self._check_all()

    def _check_all(self) -> None:
        if not self._channels:
            return
        try:
            is_quiet = self._is_quiet()
            if not is_quiet:
                ended_sessions().look()
        finally:
            with self._lock:
                user_ids = list(self._channels)
                for channel in self._channels.values():
                    for listener in channel.listeners:
                        listener.close_if_ended()
                        listener.abort_if_stuck()
        if not is_quiet:
            self.notify(run(lambda tx: events.newest_seqs(tx, user_ids), _CAUSE))

    def _is_quiet(self) -> bool:
        """Say whether nothing was committed since all users were last compared with the log."""
        seen, now_s = run(snapshot, _CAUSE), clock.monotonic_s()
        if seen != self._snapshot:
            self._snapshot, self._changed_s = seen, now_s
        return now_s > self._changed_s + QUIET_AFTER_S

    def _deliver_pending(self) -> None:
        while behind := self._behind():
            found = run(lambda tx: events.after_each(tx, behind), _CAUSE)
            for event in found:
                self._deliver(event.user_id, event.seq, event.message_json())
                age_s = (clock.now() - event.timestamp).total_seconds()
                metrics.PUSH_SECONDS.observe(max(0.0, age_s))
            if not events.may_have_more(found):
                # What is pending has been read, unless a notification ran ahead of its commit.
                with self._lock:
                    for user_id, position in behind.items():
                        if self._position(user_id) == position:
                            self._pending_reads.pop(user_id, None)

    def _behind(self) -> dict[str, int]:
        """Return the positions of the channels with a pending read that is due."""
        now_s = clock.monotonic_s()
        with self._lock:
            behind: dict[str, int] = {}
            for user_id, pending in list(self._pending_reads.items()):
                position = self._position(user_id)
                if position is None:
                    # It is looked up just now; a notification wakes the feed again.
                    pending.due_s = now_s + CHECK_S
                elif position >= pending.seq:
                    del self._pending_reads[user_id]
                elif pending.due_s <= now_s:
                    behind[user_id] = position
            return behind

    def _position(self, user_id: str) -> int | None:
        channel = self._channels.get(user_id)
        return None if channel is None else channel.position

    def _deliver(self, user_id: str, seq: int, text: str) -> None:
        with self._lock:
            channel = self._channels.get(user_id)
            if channel is None or channel.position is None or seq <= channel.position:
                return
            channel.advance(seq, text)
            self._kafka.note_overtaken()


@contextmanager
def _slot(slots: threading.BoundedSemaphore, connection: Connection) -> Generator[None]:
    """Wait for one of the slots. Raises ConnectionClosed where the socket closes meanwhile."""
    while not slots.acquire(timeout=LOOK_S):
        if not connection.check():
            raise ConnectionClosed
    try:
        yield
    finally:
        slots.release()


def _newest_and_missed(
    user_id: str, since: int | None
) -> Callable[[Transaction], tuple[int, list[Event]]]:
    """Read the user's newest `seq`, and the first of the events missed since `since`."""

    def read(tx: Transaction) -> tuple[int, list[Event]]:
        newest = events.newest_seq(tx, user_id)
        start = resume(since, newest=newest)
        return newest, events.after(tx, user_id, start.seq) if start.seq < newest else []

    return read


def _after(user_id: str, seq: int) -> Callable[[Transaction], list[Event]]:
    return lambda tx: events.after(tx, user_id, seq)
