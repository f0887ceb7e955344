"""The CPU time of each greenlet: its thread's, told apart where that switches between them."""

import time
from typing import Any

import greenlet


class _Clock:
    """What the greenlets of a thread have used, until the latest switch."""

    def __init__(self) -> None:
        self.switched_s = time.thread_time()

    def switch(self, _event: str, greenlets: tuple[Any, Any]) -> None:
        """Count what the greenlet that is left has used since it was switched to."""
        left, _ = greenlets
        now_s = time.thread_time()
        left.cpu_s = getattr(left, "cpu_s", 0.0) + now_s - self.switched_s
        self.switched_s = now_s


_clock: _Clock | None = None


def start() -> None:
    """Begin to count, in the thread that calls; a switch costs half a microsecond more."""
    global _clock  # noqa: PLW0603 - one loop runs in a process
    _clock = _Clock()
    greenlet.settrace(_clock.switch)


def used_s() -> float:
    """Return the seconds of CPU time that the greenlet that calls has used, since `start`."""
    if _clock is None:
        return time.thread_time()
    current: Any = greenlet.getcurrent()
    return getattr(current, "cpu_s", 0.0) + time.thread_time() - _clock.switched_s
