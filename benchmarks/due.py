"""Thousands of reminders, and of occurrences, that are all due at one moment."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial

from benchmarks.figures import Row, percentile, show
from benchmarks.rig import running
from taskflow import clock
from tests.support.data.accounts import SignedIn, a_user
from tests.support.data.due_items import (
    add_reminders,
    add_series,
    check_all_are_carried_out,
    check_all_is_audited,
    lateness_s,
)
from tests.support.polling import eventually

DUE, USERS = 4000, 200
LEAD = timedelta(seconds=40)
"""Long enough for all that comes before to have been worked off."""

WORKED_OFF_WITHIN_S = 240
_LOOK_S = 0.5
KINDS: Mapping[str, Callable[[list[SignedIn], int, datetime, float], None]] = {
    "reminders": add_reminders,
    "series": add_series,
}


def main() -> None:
    """Have them fall due, and print how late each was."""
    rows: list[Row] = [("", "a second", "late p50 ms", "p95 ms", "max ms")]
    for kind, add in KINDS.items():
        with running() as rig:
            begin = clock.now() + LEAD
            add([a_user() for _ in range(USERS)], DUE, begin, 0.0)
            rig.settle()
            check_all_is_audited()
            time.sleep((begin - clock.now()).total_seconds())
            eventually(partial(_check, kind), within_s=WORKED_OFF_WITHIN_S)
            late_s = lateness_s(kind)
        late_ms = [1000 * late for late in late_s]
        at = [percentile(late_ms, rank) for rank in (50, 95, 100)]
        rows.append((kind, DUE / late_s[-1], *at))
    show(f"{DUE} of {USERS} users, all due at once", rows)


def _check(kind: str) -> None:
    # To look costs PostgreSQL time too.
    time.sleep(_LOOK_S)
    check_all_are_carried_out(kind, DUE)
