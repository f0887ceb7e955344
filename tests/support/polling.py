"""Waiting for what must become true soon: retried to a deadline, never a sleep that guesses."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE_S = 0.01


def eventually(check: Callable[[], T], *, within_s: float = 10) -> T:
    """Return what `check` returns once it raises no AssertionError; after `within_s`, its last."""
    deadline_s = time.monotonic() + within_s
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > deadline_s:
                raise
        time.sleep(PAUSE_S)
