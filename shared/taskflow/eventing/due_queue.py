"""The queue of due items, which any number of runs of a cron function process, each item once."""

import logging
from collections.abc import Callable, Sequence
from uuid import UUID

from taskflow import clock
from taskflow.domain.events import Cause
from taskflow.storage import (
    DatabaseUnavailable,
    DueItem,
    DueQuery,
    LockDueItems,
    LockTimeout,
    Transaction,
    run,
    wait_for_locks_at_most,
)

Process = Callable[[Transaction, Sequence[UUID]], None]
"""Reads the locked items with these ids, and does what is due."""

LOCK_TIMEOUT_MS = 500
"""How long one user's lock, of a process that hangs say, may keep other users' items waiting."""

ALL_USERS_EVERY_S, ALL_USERS_SHARE = 0.25, 0.1
"""How often all due items are searched for further users; with a large backlog less often, so that
the search takes no more than this share of the time."""

_log = logging.getLogger(__name__)


class DueQueue:
    """The due items of one kind, processed in batches by one run of a cron function.

    A batch shares a transaction, for a commit costs as much as the items do. If it fails, its items
    are processed in a transaction each: one that fails again changes nothing for the others, and is
    left to the next run. A user whose item has failed, or was locked for too long, comes after all
    other users.
    """

    def __init__(self, lock: LockDueItems, process: Process, *, batch_size: int) -> None:
        """Lock at most `batch_size` items at a time by `lock`, and process them by `process`."""
        self._lock = lock
        self._process = process
        self._batch_size = batch_size
        self._left_singly = 0
        self._failed_ids: frozenset[UUID] = frozenset()
        self._deferred_users: frozenset[str] = frozenset()
        self._all_users_due_s = 0.0

    def process_batch(self, cause: Cause) -> int:
        """Process the next items, at most a batch, and return how many they were, failed ones too.

        Raises DatabaseUnavailable, and whatever `lock` raises.
        """
        batch: Sequence[DueItem] = []

        def work(tx: Transaction) -> None:
            nonlocal batch
            wait_for_locks_at_most(tx, LOCK_TIMEOUT_MS)
            batch = self._lock_batch(tx)
            if batch:
                self._process(tx, [item.id for item in batch])

        try:
            run(work, cause)
        except DatabaseUnavailable:
            raise
        except Exception as error:
            if not batch:
                raise
            self._on_failure(batch, error)
        else:
            self._left_singly = max(0, self._left_singly - 1)
        return len(batch)

    def _lock_batch(self, tx: Transaction) -> Sequence[DueItem]:
        began_s = clock.monotonic_s()
        all_users = began_s >= self._all_users_due_s
        limit = 1 if self._left_singly else self._batch_size
        batch = self._lock(
            tx, DueQuery(limit, self._failed_ids, self._deferred_users, all_users=all_users)
        )
        if all_users:
            ended_s = clock.monotonic_s()
            pause_s = max(ALL_USERS_EVERY_S, (ended_s - began_s) / ALL_USERS_SHARE)
            self._all_users_due_s = ended_s + pause_s
        if not batch and self._deferred_users:
            batch = self._lock(tx, DueQuery(limit, self._failed_ids))
        return batch

    def _on_failure(self, batch: Sequence[DueItem], error: Exception) -> None:
        if len(batch) > 1:
            _log.warning("%d items failed together; each is tried by itself", len(batch))
            self._left_singly = len(batch)
            return
        [item] = batch
        self._left_singly = max(0, self._left_singly - 1)
        self._failed_ids |= {item.id}
        self._deferred_users |= {item.user_id}
        if isinstance(error, LockTimeout):
            _log.warning("what is due is locked for too long: %s", item.id)
        else:
            _log.error("what is due failed: %s", item.id, exc_info=error)
