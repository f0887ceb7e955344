"""What is due: taken by any number of cron functions at once, each item once."""

import logging
from collections.abc import Callable, Collection, Sequence
from uuid import UUID

from taskflow.domain.events import Cause
from taskflow.storage import DatabaseUnavailable, LockTimeout, Transaction, run

Lock = Callable[[Transaction, int, Collection[UUID]], Sequence[UUID]]
"""Locks so many due items, but none of those with these ids, and returns their own.

What others hold is passed over. It reads no more than ids, so that a bad row is known by its own.
"""

CarryOut = Callable[[Transaction, Sequence[UUID]], None]
"""Reads what was locked, and does what is to be done with it."""

_log = logging.getLogger(__name__)


class Due:
    """The due items of one kind, taken until there are none.

    Some share a transaction, for a commit costs as much as they do. If it fails, each is given one
    of its own: one bad item changes nothing for the others, and is left to the next run.
    """

    def __init__(self, lock: Lock, carry_out: CarryOut, *, together: int) -> None:
        """Take items by `lock`, `together` at a time, and do by `carry_out` what is to be done."""
        self._lock = lock
        self._carry_out = carry_out
        self._together = together
        self._singly = 0
        self._bad: set[UUID] = set()

    def take(self, cause: Cause) -> int:
        """Take some items, and return how many there were.

        Raises DatabaseUnavailable and LockTimeout.
        """
        limit = 1 if self._singly else self._together
        taken: Sequence[UUID] = []

        def work(tx: Transaction) -> None:
            nonlocal taken
            taken = self._lock(tx, limit, self._bad)
            if taken:
                self._carry_out(tx, taken)

        try:
            run(work, cause)
        except (DatabaseUnavailable, LockTimeout):
            raise
        except Exception:
            if not taken:
                raise
            self._failed(taken)
        self._singly = max(0, self._singly - 1)
        return len(taken)

    def _failed(self, taken: Sequence[UUID]) -> None:
        if len(taken) > 1:
            _log.warning("%d items failed together; each is tried by itself", len(taken))
            self._singly = len(taken) + 1
        else:
            _log.exception("what is due failed: %s", taken[0])
            self._bad.update(taken)
