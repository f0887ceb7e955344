"""How a server on gevent does several things at once, and what each of its greenlets costs."""

# gevent has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import time
from collections.abc import Callable
from typing import Any, TypeVar

import gevent
import greenlet
from gevent import monkey

T = TypeVar("T")

_start_new_thread: Callable[[Callable[[], None], tuple[()]], int] = monkey.get_original(
    "_thread", "start_new_thread"
)


class Greenlets:
    """Greenlets of one thread: what blocks goes to others, and each one's CPU time is told."""

    def __init__(self) -> None:
        """Begin to count, in the thread that calls; a switch costs half a microsecond more."""
        self._switched_s = time.thread_time()
        greenlet.settrace(self._switch)

    def start_thread(self, work: Callable[[], None]) -> None:
        """Run `work` on a thread of the operating system; it must use nothing of gevent's."""
        _start_new_thread(work, ())

    def offload(self, work: Callable[[], T]) -> T:
        """Run `work` on a thread of the hub's pool, while other greenlets go on."""
        return gevent.get_hub().threadpool.apply(work)

    def cpu_s(self) -> float:
        """Return the seconds of CPU time that the greenlet that calls has used."""
        current: Any = greenlet.getcurrent()
        return getattr(current, "cpu_s", 0.0) + time.thread_time() - self._switched_s

    def _switch(self, _event: str, greenlets: tuple[Any, Any]) -> None:
        # What the greenlet that is left has used since it was switched to.
        left, _ = greenlets
        now_s = time.thread_time()
        left.cpu_s = getattr(left, "cpu_s", 0.0) + now_s - self._switched_s
        self._switched_s = now_s
