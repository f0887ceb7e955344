"""What is due: taken by any number of cron functions at once, each item once."""

import logging
from collections.abc import Callable, Sequence
from uuid import UUID

from taskflow import clock
from taskflow.domain.events import Cause
from taskflow.storage import (
    DatabaseUnavailable,
    DueItem,
    Lock,
    LockTimeout,
    Look,
    Transaction,
    run,
    wait_for_locks_at_most,
)

CarryOut = Callable[[Transaction, Sequence[UUID]], None]
"""Reads what was locked, and does what is to be done with it."""

LOCKS_WITHIN_MS = 500
"""How long a lock that is one user's, of a process that hangs say, may keep the others waiting."""

AMONG_ALL_EVERY_S, AMONG_ALL_SHARE = 0.25, 0.1
"""How often all that is due is looked through for other users; of a large backlog less often, so
that it takes no more than this share of the time."""

_log = logging.getLogger(__name__)


class Due:
    """The due items of one kind, taken until there are none.

    Some share a transaction, for a commit costs as much as they do. If it fails, each is given one
    of its own: one bad item changes nothing for the others, and is left to the next run. Whose
    item has failed, or was locked for too long, comes after everybody else.
    """

    def __init__(self, lock: Lock, carry_out: CarryOut, *, together: int) -> None:
        """Take items by `lock`, `together` at a time, and do by `carry_out` what is to be done."""
        self._lock = lock
        self._carry_out = carry_out
        self._together = together
        self._singly = 0
        self._bad: frozenset[UUID] = frozenset()
        self._last_users: frozenset[str] = frozenset()
        self._among_all_s = 0.0

    def take(self, cause: Cause) -> int:
        """Take some items, and return how many there were.

        Raises DatabaseUnavailable, and what a look itself raises.
        """
        taken: Sequence[DueItem] = []

        def work(tx: Transaction) -> None:
            nonlocal taken
            wait_for_locks_at_most(tx, LOCKS_WITHIN_MS)
            taken = self._look(tx)
            if taken:
                self._carry_out(tx, [item.id for item in taken])

        try:
            run(work, cause)
        except DatabaseUnavailable:
            raise
        except Exception as error:
            if not taken:
                raise
            self._failed(taken, error)
        else:
            self._singly = max(0, self._singly - 1)
        return len(taken)

    def _look(self, tx: Transaction) -> Sequence[DueItem]:
        began_s = clock.monotonic_s()
        among_all = began_s >= self._among_all_s
        limit = 1 if self._singly else self._together
        taken = self._lock(tx, Look(limit, self._bad, self._last_users, among_all=among_all))
        if among_all:
            ended_s = clock.monotonic_s()
            pause_s = max(AMONG_ALL_EVERY_S, (ended_s - began_s) / AMONG_ALL_SHARE)
            self._among_all_s = ended_s + pause_s
        if not taken and self._last_users:
            taken = self._lock(tx, Look(limit, self._bad))
        return taken

    def _failed(self, taken: Sequence[DueItem], failed: Exception) -> None:
        if len(taken) > 1:
            _log.warning("%d items failed together; each is tried by itself", len(taken))
            self._singly = len(taken)
            return
        [item] = taken
        self._singly = max(0, self._singly - 1)
        self._bad |= {item.id}
        self._last_users |= {item.user_id}
        if isinstance(failed, LockTimeout):
            _log.warning("what is due is locked for too long: %s", item.id)
        else:
            _log.error("what is due failed: %s", item.id, exc_info=failed)
