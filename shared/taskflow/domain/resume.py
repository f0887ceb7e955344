"""Where a client that was away goes on in its stream of events."""

from dataclasses import dataclass

MISSED_MAX = 10_000
"""A client that missed more reads the lists, which is faster for both than so many events."""


@dataclass(frozen=True, slots=True)
class Start:
    """Send what comes after `seq`; with `resync`, the client must read the lists first."""

    seq: int
    resync: bool


def resume(since: int | None, *, newest: int) -> Start:
    """Say where to start for a client that has everything up to `since`; None is from now on."""
    if since is None:
        return Start(newest, resync=False)
    missed = newest - since
    return Start(since, resync=False) if 0 <= missed <= MISSED_MAX else Start(newest, resync=True)
