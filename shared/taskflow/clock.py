"""The only reader of the time, so that a test can set it."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time, aware, in UTC, to the microsecond."""
    return datetime.now(UTC)


def monotonic_s() -> float:
    """Return seconds of a clock that never goes back, the same in all processes of a machine."""
    return time.monotonic()
