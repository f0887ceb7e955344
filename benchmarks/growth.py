"""Reconciling and forgetting in a log of ten million events: `python -m benchmarks.growth`.

Takes some minutes and 8 GB of disk, and so is not among what `make bench` runs.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

from benchmarks.figures import Row, show
from benchmarks.rig import SECRET
from taskflow import clock, config
from taskflow.config import Settings
from taskflow.domain.events import EventType
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import Transaction, claims, events, run
from taskflow.storage.migrations import runner
from taskflow.storage.transactions import engine
from tests.support.data.accounts import A_CAUSE
from tests.support.data.bulk_events import add_events
from tests.support.database.plans import counted_reads

EVENTS, USERS = 10_000_000, 10_000
SPREAD_OVER = timedelta(days=100)
"""So that a tenth of the claims are older than they are kept."""

LOOKED_AT = 5_000
CONSUMER = "record-audit-entry"
TYPES = frozenset(event_type.value for event_type in EventType)
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def main() -> None:
    """Fill a database, and print what each piece of work reads and takes once it is cached."""
    rows: list[Row] = [("", "rows read", "ms", "how")]
    with tempfile.TemporaryDirectory(prefix="taskflow-") as folder:
        postgres = EmbeddedPostgres(Path(folder) / "database", options=FAST)
        postgres.start()
        try:
            config.settings.set(
                Settings(environment="test", database_url=postgres.url, jwt_secret=SECRET)
            )
            runner.apply()
            add_events(EVENTS, users=USERS, over=SPREAD_OVER, claimed_by=CONSUMER)
            for name, work in WORK.items():
                run(work, A_CAUSE)
                began_s = time.perf_counter()
                run(work, A_CAUSE)
                took_ms = 1000 * (time.perf_counter() - began_s)
                with counted_reads(engine()) as reads:
                    run(work, A_CAUSE)
                rows.append((name, reads.rows, took_ms, ", ".join(reads.scans)))
        finally:
            postgres.stop()
    show(f"One transaction each, of {EVENTS} events and as many claims", rows)


def _reconcile(after: int) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        reached = events.position_behind(tx, after, to=EVENTS, limit=LOOKED_AT)
        claims.unclaimed(tx, CONSUMER, TYPES, after=after, to=reached, now=clock.now())

    return work


def _forget(tx: Transaction) -> None:
    claims.forget_old(tx, now=clock.now())


WORK: Mapping[str, Callable[[Transaction], None]] = {
    f"reconcile {LOOKED_AT} events": _reconcile(EVENTS // 2),
    "reconcile the newest 100": _reconcile(EVENTS - 100),
    "forget 1000 claims": _forget,
}

if __name__ == "__main__":
    main()
