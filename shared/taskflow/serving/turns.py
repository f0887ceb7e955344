"""Turns: how much of a process one user's requests may take, so that others' are answered too.

Of one user a process answers a few requests at once; the others wait, in the order of asking, and
hold nothing meanwhile. Requests without a user take turns by their network.
"""

import math
import mmap
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from taskflow import clock
from taskflow.process import concurrency, resource
from taskflow.serving.problems import UNAVAILABLE, Problem
from taskflow.storage import connections_of_one_user

WAITING_MAX = 500
"""How many requests may wait for one user's turn; one more is answered at once with a 503."""

TIMEOUT_S = 10.0
"""How long a request may wait for a turn."""

CPU_SHARE = 0.25
"""How much of a core one user may use for long, where others' requests come too."""

REQUEST_S = 0.001
"""What a request costs beside its turn: the server reads it, and sends the answer."""

CPU_BURST_S = 0.1
"""How much CPU time one user may use at once after a pause."""

OWED_MAX_S = 2.0
"""How long one user is kept waiting at most for what they have used."""

OTHERS_WITHIN_S = 1.0
"""Others' requests come as long as the last of them was not longer ago."""

_QUEUES_MAX = 1000
"""How many queues are kept before those of users who owe nothing are looked for, and dropped."""

# Long enough for gevent to go round its loop before it goes on, which it does not for 0.
_YIELD_S = 1e-9


class NoTurn(Problem):
    """A request has waited for its turn for too long, or too many of its user wait."""

    def __init__(self) -> None:
        """Ask for another try."""
        detail = "Too many of your requests wait already; try again shortly."
        super().__init__(UNAVAILABLE, detail, headers={"Retry-After": "1"})


@dataclass(slots=True)
class _Queue:
    """The requests of one user, or of one network."""

    key: str
    answered: int = 0
    """How many have their turn."""
    waiting: deque[threading.Event] = field(default_factory=deque[threading.Event])
    paid_at_s: float = 0.0
    """When the CPU time used is made up for, at CPU_SHARE."""


class Pacing:
    """Knows whether other users send requests too, in memory that forks share.

    Two that write in the same instant may leave either's word; the next puts it right.
    """

    _WORDS = struct.Struct("=Qdd")

    def __init__(self) -> None:
        """Begin without requests; before a server forks, for all its processes together."""
        self._memory = mmap.mmap(-1, self._WORDS.size)
        self._WORDS.pack_into(self._memory, 0, 0, -math.inf, -math.inf)

    def note(self, key: str) -> None:
        """Note that a request of this user has come."""
        key_hash, now_s = self._hash_of(key), clock.monotonic_s()
        latest, latest_at_s, other_at_s = self._WORDS.unpack_from(self._memory)
        if latest != key_hash:
            other_at_s = latest_at_s
        self._WORDS.pack_into(self._memory, 0, key_hash, now_s, other_at_s)

    def are_others_here(self, key: str, now_s: float) -> bool:
        """Say whether another user's request has come within OTHERS_WITHIN_S."""
        latest, latest_at_s, other_at_s = self._WORDS.unpack_from(self._memory)
        theirs_at_s = other_at_s if latest == self._hash_of(key) else latest_at_s
        return now_s - theirs_at_s <= OTHERS_WITHIN_S

    @staticmethod
    def _hash_of(key: str) -> int:
        return hash(key) & ((1 << 64) - 1)


class Turns:
    """The turns of all users in this process, at most `at_once()` of one user at a time.

    With a `pacing`, who uses more of the CPU than CPU_SHARE for long gets one turn at a time, and
    waits for it until that is made up for; but only while others want theirs. That is for a server
    in which many can wait at little cost: where each holds one of a few threads, they would keep
    these from the others.
    """

    def __init__(self, at_once: Callable[[], int], pacing: Pacing | None = None) -> None:
        """Begin without requests."""
        self._at_once = at_once
        self._pacing = pacing
        self._lock = threading.Lock()
        self._queues: dict[str, _Queue] = {}

    @property
    def active_keys(self) -> set[str]:
        """The users and networks of which a request is being answered."""
        return {key for key, queue in self._queues.items() if queue.answered}

    def waiting(self, key: str) -> int:
        """Return how many wait for a user's turn."""
        queue = self._queues.get(key)
        return len(queue.waiting) if queue else 0

    def take(self, key: str) -> None:
        """Wait for a user's turn. Raises NoTurn."""
        deadline_s = clock.monotonic_s() + TIMEOUT_S
        with self._lock:
            queue = self._queues.get(key) or self._new_queue(key)
            if self._pacing is not None:
                self._pacing.note(key)
            if not queue.waiting and queue.answered < self._most(queue):
                queue.answered += 1
                turn_came = None
            elif len(queue.waiting) >= WAITING_MAX:
                raise NoTurn
            else:
                turn_came = threading.Event()
                queue.waiting.append(turn_came)
        try:
            if turn_came is not None:
                self._wait(queue, turn_came)
            self._make_up(queue, deadline_s)
        except BaseException:
            # Ended while it waited, as a greenlet may be: its turn may have come all the same.
            if turn_came is None or not self._leave(queue, turn_came):
                self.give_back(key, 0)
            raise

    def give_back(self, key: str, used_s: float) -> None:
        """End a turn, which used so much CPU time; the next request that waits has its turn."""
        with self._lock:
            queue, now_s = self._queues[key], clock.monotonic_s()
            if self._pacing is not None:
                due_s = max(queue.paid_at_s, now_s) + (used_s + REQUEST_S) / CPU_SHARE
                queue.paid_at_s = min(due_s, now_s + CPU_BURST_S / CPU_SHARE + OWED_MAX_S)
            queue.answered -= 1
            while queue.waiting and queue.answered < self._most(queue):
                queue.answered += 1
                queue.waiting.popleft().set()

    def _new_queue(self, key: str) -> _Queue:
        if len(self._queues) >= _QUEUES_MAX:
            now_s = clock.monotonic_s()
            self._queues = {
                key: queue
                for key, queue in self._queues.items()
                if queue.answered or queue.waiting or queue.paid_at_s > now_s
            }
        queue = self._queues[key] = _Queue(key)
        return queue

    def _owed_s(self, queue: _Queue) -> float:
        """Return for how long a user ought to wait, for the sake of others."""
        if self._pacing is None:
            return 0
        now_s = clock.monotonic_s()
        owed_s = queue.paid_at_s - now_s - CPU_BURST_S / CPU_SHARE
        return owed_s if owed_s > _YIELD_S and self._pacing.are_others_here(queue.key, now_s) else 0

    def _most(self, queue: _Queue) -> int:
        return 1 if self._owed_s(queue) else self._at_once()

    def _wait(self, queue: _Queue, turn_came: threading.Event) -> None:
        if not turn_came.wait(TIMEOUT_S) and self._leave(queue, turn_came):
            raise NoTurn
        # Its turn was handed to it. What others sent meanwhile is looked at first, or those of a
        # user who has many waiting would follow one upon another.
        time.sleep(_YIELD_S)

    def _make_up(self, queue: _Queue, deadline_s: float) -> None:
        while (owed_s := self._owed_s(queue)) and (left_s := deadline_s - clock.monotonic_s()) > 0:
            time.sleep(min(owed_s, left_s))

    def _leave(self, queue: _Queue, turn_came: threading.Event) -> bool:
        """Leave the queue; return False where the turn has come already."""
        with self._lock:
            if turn_came.is_set():
                return False
            if turn_came in queue.waiting:
                queue.waiting.remove(turn_came)
            return True


class Turn:
    """The turn of one request, which is taken once the request's user or network is known."""

    def __init__(self, turns: Turns, key: str) -> None:
        """Begin to count the CPU time of a request, with the `key` of its turn.

        The key may be changed as long as the turn is not taken.
        """
        self.key = key
        self._turns = turns
        self._taken_key: str | None = None
        self._used_s = 0.0
        self._go_on()

    @property
    def is_taken(self) -> bool:
        """Whether the turn has come, and lasts."""
        return self._taken_key is not None

    def take(self) -> None:
        """Wait for a turn of the `key`. Raises NoTurn."""
        self._count()
        self._turns.take(self.key)
        self._taken_key = self.key
        self._go_on()

    def give_back(self) -> None:
        """End the turn, if it has been taken."""
        if self._taken_key is not None:
            self._count()
            key, self._taken_key = self._taken_key, None
            used_s, self._used_s = self._used_s, 0.0
            self._turns.give_back(key, used_s)
            self._go_on()

    def _go_on(self) -> None:
        self._since_s = concurrency().cpu_s()

    def _count(self) -> None:
        self._used_s += concurrency().cpu_s() - self._since_s

    @contextmanager
    def set_aside(self) -> Generator[None]:
        """Give the turn back for the block, which only waits, and take it again. Raises NoTurn."""
        was_taken = self.is_taken
        self.give_back()
        yield
        if was_taken:
            self.take()


_current_turn: ContextVar[Turn | None] = ContextVar("turn", default=None)


@resource(is_shared_by_forks=True)
def pacing() -> Pacing:
    """Return the pacing of the turns, which are paced once a server has called for it.

    Called for before the server forks, it goes by the requests of all its processes.
    """
    return Pacing()


@resource()
def turns() -> Turns:
    """Return the turns of this process: of one user, as many at once as may have connections."""
    return Turns(connections_of_one_user, pacing.if_made())


@contextmanager
def turn_of(key: str) -> Generator[Turn]:
    """Open a request's turn, to be taken within the block, at whose end it is given back.

    Its `key` is the request's network, until the user is known.
    """
    turn = Turn(turns(), key)
    bound = _current_turn.set(turn)
    try:
        yield turn
    finally:
        _current_turn.reset(bound)
        turn.give_back()


def give_way() -> None:
    """Have others answered before the current request goes on, in the midst of its turn."""
    time.sleep(_YIELD_S)


@contextmanager
def set_aside() -> Generator[None]:
    """Let others have the turn of the current request while the block only waits."""
    turn = _current_turn.get()
    if turn is None:
        yield
        return
    with turn.set_aside():
        yield
