"""What is due: taken by any number of cron functions at once, each item once."""

import logging
from collections.abc import Callable, Collection, Sequence
from typing import Generic, TypeVar
from uuid import UUID

from taskflow.domain.events import Cause
from taskflow.storage import DatabaseUnavailable, LockTimeout, Transaction, run

T = TypeVar("T")

Lock = Callable[[Transaction, int, Collection[UUID]], Sequence[T]]
"""Locks and returns so many due items, but none of those with these ids; others hold the rest."""

_log = logging.getLogger(__name__)


class Due(Generic[T]):
    """The due items of one kind, taken until there are none.

    Some share a transaction, for a commit costs as much as they do. If it fails, each is given one
    of its own: one bad item changes nothing for the others, and is left to the next run.
    """

    def __init__(
        self,
        lock: Lock[T],
        carry_out: Callable[[Transaction, Sequence[T]], None],
        id_of: Callable[[T], UUID],
        *,
        together: int,
    ) -> None:
        """Take items by `lock`, `together` at a time, and do by `carry_out` what is to be done."""
        self._lock = lock
        self._carry_out = carry_out
        self._id_of = id_of
        self._together = together
        self._singly = 0
        self._bad: set[UUID] = set()

    def take(self, cause: Cause) -> int:
        """Take some items, and return how many there were.

        Raises DatabaseUnavailable and LockTimeout.
        """
        limit = 1 if self._singly else self._together
        taken: Sequence[T] = []

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

    def _failed(self, taken: Sequence[T]) -> None:
        ids = [self._id_of(item) for item in taken]
        if len(ids) > 1:
            _log.warning("%d items failed together; each is tried by itself", len(ids))
            self._singly = len(ids) + 1
        else:
            _log.exception("what is due failed: %s", ids[0])
            self._bad.update(ids)
