"""How an attempt to log in begins: at once, or when others like it have been decided."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from taskflow import clock
from taskflow.domain.errors import TooManyAttempts
from taskflow.domain.events import Cause
from taskflow.storage import Transaction, run
from taskflow.storage.attempt_store import AttemptsUndecided

WAIT_S = 5
"""Of ten attempts four are hashed at once, for some 20 ms; a crash may leave some undecided."""

LOOK_EVERY_S = 0.05

T = TypeVar("T")


def begin(work: Callable[[Transaction], T], cause: Cause) -> T:
    """Run a transaction that begins an attempt, again while it raises AttemptsUndecided.

    So of many right passwords at the same instant none is refused. Raises TooManyAttempts.
    """
    give_up_at_s = clock.monotonic_s() + WAIT_S
    while True:
        try:
            return run(work, cause)
        except AttemptsUndecided:
            if clock.monotonic_s() >= give_up_at_s:
                raise TooManyAttempts(retry_after_s=1) from None
        time.sleep(random.uniform(0, 2 * LOOK_EVERY_S))  # noqa: S311 - jitter, no secret
