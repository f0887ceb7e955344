"""Rate limits by the generic cell rate algorithm: a number per key, in memory that forks share."""

import hashlib
import math
import mmap
import struct

from taskflow import clock

SLOTS = 1 << 16
PROBES = 8
"""Slots that a key may use; of more keys than that at one place, the most idle one gives way."""

_SLOT = struct.Struct("=Qd")


class RateLimiter:
    """Lets `rate_per_s` requests of a key through, and `burst` at once after a pause.

    Made before a server forks, it counts for all its processes together. Two that write one slot
    in the same instant may count once; that lets one request too many through, and no lock is
    needed.
    """

    def __init__(self, *, rate_per_s: float, burst: int) -> None:
        """Set the limit; a rate of 0 switches it off."""
        self._interval_s = 1 / rate_per_s if rate_per_s else 0.0
        self._tolerance_s = self._interval_s * (burst - 1)
        self._memory = mmap.mmap(-1, SLOTS * _SLOT.size) if rate_per_s else None

    def wait_s(self, key: str, *, count: bool = True) -> int:
        """Count a request of `key`: 0 lets it through, else the whole seconds to wait.

        Without `count`, only say so: for where what turns out wrong is counted afterwards.
        """
        if self._memory is None:
            return 0
        now = clock.monotonic_s()
        digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
        # A slot that was never written holds 0, which no key may be.
        name = int.from_bytes(digest[:8], "big") or 1
        offset, due = self._slot(int.from_bytes(digest[8:], "big"), name)
        due = max(due, now)
        if due - now > self._tolerance_s + 1e-9:
            return math.ceil(due - now - self._tolerance_s)
        if count:
            _SLOT.pack_into(self._memory, offset, name, due + self._interval_s)
        return 0

    def _slot(self, start: int, name: int) -> tuple[int, float]:
        memory = self._memory
        assert memory is not None  # noqa: S101 - wait_s has looked
        idlest, idlest_due = 0, math.inf
        for probe in range(PROBES):
            offset = ((start + probe) % SLOTS) * _SLOT.size
            holder, due = _SLOT.unpack_from(memory, offset)
            if holder == name:
                return offset, due
            if due < idlest_due:
                idlest, idlest_due = offset, due
        return idlest, 0.0
