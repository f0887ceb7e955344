"""GroupCommit: does the work of concurrent requests together, on the thread of the first."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

BATCH_MAX = 32
"""As many as a consumer's pod is sent at once (`concurrency` in func.yaml)."""

WAIT_MAX_S = 1.0
"""A request that has waited this long goes alone: the batch before it may be waiting for a lock."""

_log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class _Request(Generic[Item, Result]):
    item: Item
    results: list[Result] = field(default_factory=list[Result])
    woken: threading.Event = field(default_factory=threading.Event)
    is_leader: bool = False


class GroupCommit(Generic[Item, Result]):
    """Does work in batches: the requests that come while one batch is worked on form the next.

    A request that comes while there is no batch is served at once. Where the work for a batch
    fails, each of its requests is worked on alone, on its own thread, so that none gets the error
    of another.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        """Do `work`, which returns a result for each item, and changes nothing if it raises."""
        self._work = work
        self._lock = threading.Lock()
        self._waiting: deque[_Request[Item, Result]] = deque()
        self._has_leader = False

    @property
    def waiting(self) -> int:
        """The number of requests that wait for the batch before them."""
        return len(self._waiting)

    def do(self, item: Item) -> Result:
        """Do the work for an item, alone or in a batch, and return its result.

        Raises what the work for this item alone raises.
        """
        request = _Request[Item, Result](item)
        with self._lock:
            request.is_leader = not self._has_leader
            if request.is_leader:
                self._has_leader = True
            else:
                self._waiting.append(request)
        if not request.is_leader:
            self._wait(request)
        if request.is_leader:
            self._lead(request)
        return request.results[0] if request.results else self._work([item])[0]

    def _wait(self, request: _Request[Item, Result]) -> None:
        if request.woken.wait(WAIT_MAX_S):
            return
        with self._lock:
            if request in self._waiting:
                self._waiting.remove(request)
                return
        request.woken.wait()

    def _lead(self, request: _Request[Item, Result]) -> None:
        with self._lock:
            count = min(len(self._waiting), BATCH_MAX - 1)
            others = [self._waiting.popleft() for _ in range(count)]
        batch = [request, *others]
        try:
            results = self._work([one.item for one in batch])
            for one, result in zip(batch, results, strict=True):
                one.results.append(result)
        except Exception:
            if not others:
                raise
            _log.debug("%d go alone, for together they failed", len(batch), exc_info=True)
        finally:
            self._appoint_successor()
            for one in others:
                one.woken.set()

    def _appoint_successor(self) -> None:
        with self._lock:
            successor = self._waiting.popleft() if self._waiting else None
            self._has_leader = successor is not None
        if successor is not None:
            successor.is_leader = True
            successor.woken.set()
