"""Polling a check until it holds, up to a deadline, instead of sleeping for a guessed time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE_S = 0.01


def eventually(check: Callable[[], T], *, within_s: float = 10, every_s: float = PAUSE_S) -> T:
    """Return the result of `check` once it passes; raise its last error after `within_s`."""
    deadline_s = time.monotonic() + within_s
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > deadline_s:
                raise
        time.sleep(every_s)
