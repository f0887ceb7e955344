"""Turns: how much of a process one user's requests may take, so that others' are answered too.

Of one user a process answers a few requests at once; the others wait, in the order of asking, and
hold nothing meanwhile. Who has not signed in takes turns with their network.
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
"""How many wait for one user's turn; whoever comes then is told at once to try again."""

TIMEOUT_S = 10.0
"""How long one may wait for a turn."""

CPU_SHARE = 0.25
"""How much of a core one user may use for long, where others' requests come too."""

REQUEST_S = 0.001
"""What a request costs beside its turn: the server reads it, and sends the answer."""

CPU_BURST_S = 0.1
"""How much CPU time they may use at once after a pause."""

OWED_MAX_S = 2.0
"""How long one user is kept waiting at most for what they have used."""

OTHERS_WITHIN_S = 1.0
"""Others' requests come as long as the last of them was not longer ago."""

_LINES_MAX = 1000
"""How many users are remembered before those who owe nothing are looked for, and forgotten."""

# Long enough for gevent to look at what has come before it goes on, which it does not for 0.
_A_ROUND_S = 1e-9


class NoTurn(Problem):
    """A turn did not come for as long as one may wait, or too many wait for theirs."""

    def __init__(self) -> None:
        """Ask for another try."""
        detail = "Too many of your requests wait already; try again shortly."
        super().__init__(UNAVAILABLE, detail, headers={"Retry-After": "1"})


@dataclass(slots=True)
class _Line:
    """One user's requests."""

    name: str
    answered: int = 0
    """How many have their turn."""
    waiting: deque[threading.Event] = field(default_factory=deque[threading.Event])
    paid_at_s: float = 0.0
    """When what was used is made up for, at CPU_SHARE."""


class Pacing:
    """Knows whether there is anybody to be slowed down for, in memory that forks share.

    Two that write in the same instant may leave either's word; the next puts it right.
    """

    _WORDS = struct.Struct("=Qdd")

    def __init__(self) -> None:
        """Start with nobody there; before a server forks, for all its processes together."""
        self._memory = mmap.mmap(-1, self._WORDS.size)
        self._WORDS.pack_into(self._memory, 0, 0, -math.inf, -math.inf)

    def note(self, name: str) -> None:
        """Take down that a request of this user's has come."""
        mine, now_s = self._of(name), clock.monotonic_s()
        latest, latest_at_s, other_at_s = self._WORDS.unpack_from(self._memory)
        if latest != mine:
            other_at_s = latest_at_s
        self._WORDS.pack_into(self._memory, 0, mine, now_s, other_at_s)

    def are_others_here(self, name: str, now_s: float) -> bool:
        """Say whether another user's request has come within OTHERS_WITHIN_S."""
        latest, latest_at_s, other_at_s = self._WORDS.unpack_from(self._memory)
        theirs_at_s = other_at_s if latest == self._of(name) else latest_at_s
        return now_s - theirs_at_s <= OTHERS_WITHIN_S

    @staticmethod
    def _of(name: str) -> int:
        return hash(name) & ((1 << 64) - 1)


class Turns:
    """The turns of all users in this process, at most `at_once()` of one user at a time.

    With a `pacing`, who uses more of the CPU than CPU_SHARE for long gets one turn at a time, and
    waits for it until that is made up for; but only while others want theirs. That is for a server
    in which many can wait at little cost: where each holds one of a few threads, they would keep
    these from the others.
    """

    def __init__(self, at_once: Callable[[], int], pacing: Pacing | None = None) -> None:
        """Start with nobody answered."""
        self._at_once = at_once
        self._pacing = pacing
        self._lock = threading.Lock()
        self._lines: dict[str, _Line] = {}

    @property
    def names(self) -> set[str]:
        """Whose requests are being answered."""
        return {name for name, line in self._lines.items() if line.answered}

    def waiting(self, name: str) -> int:
        """Return how many wait for a user's turn."""
        line = self._lines.get(name)
        return len(line.waiting) if line else 0

    def take(self, name: str) -> None:
        """Wait for a user's turn. Raises NoTurn."""
        deadline_s = clock.monotonic_s() + TIMEOUT_S
        with self._lock:
            line = self._lines.get(name) or self._new_line(name)
            if self._pacing is not None:
                self._pacing.note(name)
            if not line.waiting and line.answered < self._most(line):
                line.answered += 1
                mine = None
            elif len(line.waiting) >= WAITING_MAX:
                raise NoTurn
            else:
                mine = threading.Event()
                line.waiting.append(mine)
        try:
            if mine is not None:
                self._wait(line, mine)
            self._make_up(line, deadline_s)
        except BaseException:
            # Ended while it waited, as a greenlet may be: its turn may have come all the same.
            if mine is None or not self._left(line, mine):
                self.give_back(name, 0)
            raise

    def give_back(self, name: str, used_s: float) -> None:
        """End a turn for which so much CPU time was used; the next who waits has theirs."""
        with self._lock:
            line, now_s = self._lines[name], clock.monotonic_s()
            if self._pacing is not None:
                due_s = max(line.paid_at_s, now_s) + (used_s + REQUEST_S) / CPU_SHARE
                line.paid_at_s = min(due_s, now_s + CPU_BURST_S / CPU_SHARE + OWED_MAX_S)
            line.answered -= 1
            while line.waiting and line.answered < self._most(line):
                line.answered += 1
                line.waiting.popleft().set()

    def _new_line(self, name: str) -> _Line:
        if len(self._lines) >= _LINES_MAX:
            now_s = clock.monotonic_s()
            self._lines = {
                name: line
                for name, line in self._lines.items()
                if line.answered or line.waiting or line.paid_at_s > now_s
            }
        line = self._lines[name] = _Line(name)
        return line

    def _owed_s(self, line: _Line) -> float:
        """Return for how long a user ought to wait, for the sake of others."""
        if self._pacing is None:
            return 0
        now_s = clock.monotonic_s()
        owed_s = line.paid_at_s - now_s - CPU_BURST_S / CPU_SHARE
        return (
            owed_s if owed_s > _A_ROUND_S and self._pacing.are_others_here(line.name, now_s) else 0
        )

    def _most(self, line: _Line) -> int:
        return 1 if self._owed_s(line) else self._at_once()

    def _wait(self, line: _Line, mine: threading.Event) -> None:
        if not mine.wait(TIMEOUT_S) and self._left(line, mine):
            raise NoTurn
        # Its turn was handed to it. What others sent meanwhile is looked at first, or those of a
        # user who has many waiting would follow one upon another.
        time.sleep(_A_ROUND_S)

    def _make_up(self, line: _Line, deadline_s: float) -> None:
        while (owed_s := self._owed_s(line)) and (left_s := deadline_s - clock.monotonic_s()) > 0:
            time.sleep(min(owed_s, left_s))

    def _left(self, line: _Line, mine: threading.Event) -> bool:
        """Leave the line; False where the turn has come."""
        with self._lock:
            if mine.is_set():
                return False
            if mine in line.waiting:
                line.waiting.remove(mine)
            return True


class Turn:
    """The turn of one request, which is taken once it is known whose it is."""

    def __init__(self, turns: Turns, whose: str) -> None:
        """Begin to count what the request uses; it is `whose` until more is known."""
        self.whose = whose
        self._turns = turns
        self._name: str | None = None
        self._used_s = 0.0
        self._go_on()

    @property
    def is_taken(self) -> bool:
        """Whether it has come, and lasts."""
        return self._name is not None

    def take(self) -> None:
        """Wait for the turn of the one whose it is. Raises NoTurn."""
        self._count()
        self._turns.take(self.whose)
        self._name = self.whose
        self._go_on()

    def give_back(self) -> None:
        """End it, if it has been taken."""
        if self._name is not None:
            self._count()
            name, self._name = self._name, None
            used_s, self._used_s = self._used_s, 0.0
            self._turns.give_back(name, used_s)
            self._go_on()

    def _go_on(self) -> None:
        self._since_s = concurrency().cpu_s()

    def _count(self) -> None:
        self._used_s += concurrency().cpu_s() - self._since_s

    @contextmanager
    def set_aside(self) -> Generator[None]:
        """Give it back for the block, which only waits, and take it again. Raises NoTurn."""
        was_taken = self.is_taken
        self.give_back()
        yield
        if was_taken:
            self.take()


_mine: ContextVar[Turn | None] = ContextVar("turn", default=None)


@resource(is_shared_by_forks=True)
def pacing() -> Pacing:
    """Return what has the turns pace who uses much, once a server has called for it.

    Called for before the server forks, it goes by the requests of all its processes.
    """
    return Pacing()


@resource()
def turns() -> Turns:
    """Return the turns of this process: of one user, as many at once as may have connections."""
    return Turns(connections_of_one_user, pacing.if_made())


@contextmanager
def turn_of(whose: str) -> Generator[Turn]:
    """Open a request's turn, to be taken within the block, at whose end it is given back.

    It is `whose`, a network's, until it is known to be a user's.
    """
    turn = Turn(turns(), whose)
    bound = _mine.set(turn)
    try:
        yield turn
    finally:
        _mine.reset(bound)
        turn.give_back()


@contextmanager
def set_aside() -> Generator[None]:
    """Let others have the turn of the request at hand while the block only waits."""
    turn = _mine.get()
    if turn is None:
        yield
        return
    with turn.set_aside():
        yield
