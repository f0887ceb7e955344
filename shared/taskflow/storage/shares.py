"""Shares: how many of a process's connections one user may hold at once."""

import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

WAITING_MAX = 500
"""How many wait for one user's share; whoever comes then is told at once to try again."""

_name: ContextVar[str | None] = ContextVar("share", default=None)


class NoTurn(Exception):
    """A share was in use for longer than one may wait, or too many wait for it."""


@contextmanager
def share_of(name: str) -> Generator[None]:
    """Have the transactions of this block take connections from the share of a user."""
    bound = _name.set(name)
    try:
        yield
    finally:
        _name.reset(bound)


class Shares:
    """Gives each user turns, in the order of asking; who waits holds no connection.

    What no user asked for has no share, and does not wait for one.
    """

    def __init__(self) -> None:
        """Start with all shares unused."""
        self._lock = threading.Lock()
        self._taken: dict[str, int] = {}
        self._waiting: dict[str, deque[threading.Event]] = {}

    @property
    def names(self) -> set[str]:
        """Whose shares are in use."""
        return set(self._taken)

    def waiting(self, name: str) -> int:
        """Return how many wait for a user's share."""
        return len(self._waiting.get(name, ()))

    @contextmanager
    def turn(self, most: int, *, timeout_s: float) -> Generator[None]:
        """Wait until fewer than `most` blocks of this user's run, then be one. Raises NoTurn."""
        name = _name.get()
        if name is None:
            yield
            return
        self._take(name, most, timeout_s)
        try:
            yield
        finally:
            self._give_back(name)

    def _take(self, name: str, most: int, timeout_s: float) -> None:
        with self._lock:
            taken = self._taken.get(name, 0)
            if taken < most:
                self._taken[name] = taken + 1
                return
            queue = self._waiting.setdefault(name, deque())
            if len(queue) >= WAITING_MAX:
                raise NoTurn
            mine = threading.Event()
            queue.append(mine)
        try:
            mine.wait(timeout_s)
        except BaseException:
            # A greenlet may be ended while it waits; its turn may have come all the same.
            if not self._leave(name, mine):
                self._give_back(name)
            raise
        if self._leave(name, mine):
            raise NoTurn

    def _leave(self, name: str, mine: threading.Event) -> bool:
        with self._lock:
            if mine.is_set():
                return False
            self._waiting[name].remove(mine)
            if not self._waiting[name]:
                del self._waiting[name]
            return True

    def _give_back(self, name: str) -> None:
        with self._lock:
            queue = self._waiting.get(name)
            if queue is not None:
                # Handed over, not put back: nobody who comes now passes those who wait.
                queue.popleft().set()
                if not queue:
                    del self._waiting[name]
            elif self._taken[name] > 1:
                self._taken[name] -= 1
            else:
                del self._taken[name]
