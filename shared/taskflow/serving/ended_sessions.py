"""Sessions that have ended, and accounts that were deleted.

Their tokens and sockets go within seconds, in every process.
"""

import logging
import math
import threading
from datetime import timedelta

from taskflow import clock, config
from taskflow.domain.events import Cause
from taskflow.process import resource
from taskflow.storage import (
    DatabaseUnavailable,
    LockTimeout,
    Transaction,
    erasure_store,
    run,
    session_store,
)

LOOK_EVERY_S = 2.0
"""How often a process that is asked anything reads which sessions have ended."""

KEPT_BEYOND = timedelta(minutes=1)
"""A session is looked for this much longer than its last token lives: clocks differ."""

_CAUSE = Cause(correlation_id="sessions", traceparent="", actor="", origin="")

_log = logging.getLogger(__name__)


class EndedSessions:
    """The ids of ended sessions and of deleted accounts, as far as this process has read them."""

    def __init__(self) -> None:
        """Know of none, and read which have ended at the first look."""
        self._lock = threading.Lock()
        self._looked_s = -math.inf
        self._ended: frozenset[str] = frozenset()
        self._erased: frozenset[str] = frozenset()

    def look(self) -> None:
        """Read which sessions have ended, unless that was done just now.

        While the database is away, what was read last holds.
        """
        with self._lock:
            now_s = clock.monotonic_s()
            if now_s < self._looked_s + LOOK_EVERY_S:
                return
            # Others go on with what is known meanwhile.
            self._looked_s = now_s
        lifetime = timedelta(seconds=config.settings().access_token_lifetime_s)
        since = clock.now() - lifetime - KEPT_BEYOND

        def read(tx: Transaction) -> tuple[frozenset[str], frozenset[str]]:
            return session_store.ended_since(tx, since), erasure_store.requested_since(tx, since)

        try:
            self._ended, self._erased = run(read, _CAUSE)
        except (DatabaseUnavailable, LockTimeout):
            _log.warning("which sessions have ended can't be read; trying again")

    def look_again(self) -> None:
        """Have the next look read at once what this process itself has just written."""
        with self._lock:
            self._looked_s = -math.inf

    def has_ended(self, session_id: str | None, *, of: str | None) -> bool:
        """Say whether a session of a user had ended at the latest look, or the account with it."""
        return session_id in self._ended or of in self._erased


@resource()
def ended_sessions() -> EndedSessions:
    """Return the sessions that have ended, as far as this process knows."""
    return EndedSessions()
