"""GroupCommit: what is asked for at the same time is done in one go, by the first who asked."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

TOGETHER_MAX = 32
"""As many as a consumer's pod is given at once (`concurrency` in func.yaml)."""

PATIENCE_S = 1.0
"""Who has waited this long for others goes alone: they may be waiting for a lock."""

_log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Item, Result]):
    item: Item
    results: list[Result] = field(default_factory=list[Result])
    woken: threading.Event = field(default_factory=threading.Event)
    leads: bool = False


class GroupCommit(Generic[Item, Result]):
    """Does the work of all who ask while it is being done for others in one go, as the next.

    Who asks while nobody else does is served at once. Where work for several fails, each of them
    does its own, in its own thread, so that nobody has another's error.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        """Share `work`, which returns a result for each item, and changes nothing if it raises."""
        self._work = work
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting[Item, Result]] = deque()
        self._is_led = False

    @property
    def waiting(self) -> int:
        """How many wait for those before them to be done."""
        return len(self._waiting)

    def do(self, item: Item) -> Result:
        """Do the work for an item, alone or with others; raise what it raises alone."""
        mine = _Waiting[Item, Result](item)
        with self._lock:
            mine.leads = not self._is_led
            if mine.leads:
                self._is_led = True
            else:
                self._waiting.append(mine)
        if not mine.leads:
            self._wait(mine)
        if mine.leads:
            self._lead(mine)
        return mine.results[0] if mine.results else self._work([item])[0]

    def _wait(self, mine: _Waiting[Item, Result]) -> None:
        if mine.woken.wait(PATIENCE_S):
            return
        with self._lock:
            if mine in self._waiting:
                self._waiting.remove(mine)
                return
        mine.woken.wait()

    def _lead(self, mine: _Waiting[Item, Result]) -> None:
        with self._lock:
            count = min(len(self._waiting), TOGETHER_MAX - 1)
            others = [self._waiting.popleft() for _ in range(count)]
        together = [mine, *others]
        try:
            results = self._work([one.item for one in together])
            for one, result in zip(together, results, strict=True):
                one.results.append(result)
        except Exception:
            if not others:
                raise
            _log.debug("%d go alone, for together they failed", len(together), exc_info=True)
        finally:
            self._hand_over()
            for one in others:
                one.woken.set()

    def _hand_over(self) -> None:
        with self._lock:
            successor = self._waiting.popleft() if self._waiting else None
            self._is_led = successor is not None
        if successor is not None:
            successor.leads = True
            successor.woken.set()
