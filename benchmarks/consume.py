"""record-audit-entry working off what waits, from the database queue and from Kafka.

Beside it pgbench, which does the same to the tables.
"""

import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from sqlalchemy import func, make_url, select, text

from benchmarks.figures import show
from benchmarks.rig import PARTS, Rig, running
from taskflow import clock
from taskflow.domain import tasks
from taskflow.eventing import CronRun
from taskflow.kafka.publisher import Publisher
from taskflow.standalone.postgres import BINARIES
from taskflow.storage import task_changes, transaction
from taskflow.storage.tables import AUDIT_ENTRIES
from tests.support.data.accounts import A_CAUSE, a_user
from tests.support.data.builders import a_draft
from tests.support.polling import eventually
from tests.support.processes import roles

NAMES = ("delivery", "consumers", "PostgreSQL", "Kafka")

USERS = 50
EVENTS_EACH = 120
DESCRIPTION = "x" * 200
CLIENTS = 8
WORKED_OFF_WITHIN_S = 120

_WAITING = USERS * EVENTS_EACH
_LOOK_S = 0.2

_PREPARE = (
    # The triggers let nobody else take entries away.
    "SET LOCAL session_replication_role = replica",
    "ALTER TABLE audit_entries DISABLE TRIGGER USER",
    "TRUNCATE audit_entries, claims",
    """
    CREATE TABLE waiting AS
    SELECT row_number() OVER (ORDER BY seq, user_id) AS number, user_id, seq, event_id
    FROM events WHERE event_type = 'task.created'
    """,
    "ALTER TABLE waiting ADD PRIMARY KEY (number)",
    "ANALYZE waiting",
)
_SCRIPT = f"""
\\set done :done + 1
\\set next :client_id * {_WAITING // CLIENTS} + :done
\\startpipeline
BEGIN;
INSERT INTO claims (consumer, event_id, claimed_at)
SELECT 'pgbench', event_id, now() FROM waiting WHERE number = :next
ON CONFLICT DO NOTHING RETURNING event_id;
\\endpipeline
INSERT INTO audit_entries (event_id, task_id, user_id, seq, event_type, aggregate_id, version,
    timestamp, correlation_id, actor, origin)
SELECT events.event_id, aggregate_id::uuid, events.user_id, events.seq, event_type, aggregate_id,
    version, timestamp, correlation_id, actor, origin
FROM events JOIN waiting USING (user_id, seq) WHERE number = :next
ON CONFLICT DO NOTHING;
COMMIT;
"""  # noqa: S608 - of a number of our own


def main(*, kafka: bool = False) -> None:
    """Let events wait while nothing is delivered; print how fast each works them off."""
    with running(kafka=kafka, WEB_CONCURRENCY="2") as rig, TemporaryDirectory() as name:
        ours_per_s, ours_ms = _work_off(rig)
        rig.system.stop()
        bare_per_s, bare_ms = _run_pgbench(rig, Path(name))
    source = "a full topic" if kafka else "the database queue"
    show(
        f"{_WAITING} events of {USERS} users, worked off from {source} by record-audit-entry",
        [
            ("", "events/s", "pgbench/s", "pgbench ÷ TaskFlow"),
            ("", ours_per_s, bare_per_s, bare_per_s / ours_per_s),
        ],
    )
    show(
        "CPU time of each for an event, in ms",
        [
            ("", *NAMES, "together", "PostgreSQL under pgbench"),
            ("", *ours_ms, sum(ours_ms), bare_ms),
        ],
    )


def _work_off(rig: Rig) -> tuple[float, Sequence[float]]:
    """Return how many events a second, and the CPU ms of each of NAMES for one."""
    users = [a_user().user_id for _ in range(USERS)]
    delivery, *_ = roles.wait_for(roles.delivery, rig.system)
    consumers = roles.wait_for(roles.consumers_workers, rig.system, count=2)
    rig.settle()
    delivery.send_signal(signal.SIGSTOP)
    for _ in range(EVENTS_EACH):
        _append(users)
    if rig.broker is not None:
        publisher = Publisher()
        publisher.sweep(CronRun(WORKED_OFF_WITHIN_S).is_over)
        publisher.stop()
    had = _entries()

    def used_s() -> Sequence[float]:
        servers_s = [rig.used_s()[PARTS.index(part)] for part in ("PostgreSQL", "Kafka")]
        return [_used_s(delivery), sum(map(_used_s, consumers)), *servers_s]

    def more_than(count: int) -> None:
        # To look costs PostgreSQL time too.
        time.sleep(_LOOK_S)
        assert _entries() > count  # noqa: S101 - what `eventually` waits for

    delivery.send_signal(signal.SIGCONT)
    # With Kafka it first has to find out that its place in the group is still its own.
    eventually(lambda: more_than(had), within_s=WORKED_OFF_WITHIN_S)
    before_s, began_s, left = used_s(), time.monotonic(), had + _WAITING - _entries()
    eventually(lambda: more_than(had + _WAITING - 1), within_s=WORKED_OFF_WITHIN_S)
    took_s = time.monotonic() - began_s
    used = zip(before_s, used_s(), strict=True)
    return left / took_s, [(after - before) * 1000 / left for before, after in used]


def _run_pgbench(rig: Rig, folder: Path) -> tuple[float, float]:
    """Return how many events a second, each in a transaction, and PostgreSQL's CPU ms for one."""
    with transaction(A_CAUSE) as tx:
        for statement in _PREPARE:
            tx.connection.execute(text(statement))
    script = folder / "script"
    script.write_text(_SCRIPT)
    socket = Path(str(make_url(rig.postgres.url).query["unix_sock"]))
    where = [f"--host={socket.parent}", "--username=postgres", f"--file={script}"]
    how = ["--no-vacuum", "--protocol=extended", "--define=done=0", f"--client={CLIENTS}"]
    much = [f"--transactions={_WAITING // CLIENTS}"]
    command = [str(BINARIES / "pgbench"), *where, *how, *much, "taskflow"]
    before_s, began_s = rig.used_s()[PARTS.index("PostgreSQL")], time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    took_s = time.monotonic() - began_s
    used_s = rig.used_s()[PARTS.index("PostgreSQL")] - before_s
    assert _entries() == _WAITING  # noqa: S101 - or it did something else
    return _WAITING / took_s, used_s * 1000 / _WAITING


def _append(users: Sequence[str]) -> None:
    with transaction(A_CAUSE) as tx:
        for user_id in users:
            draft = a_draft(description=DESCRIPTION)
            task, happened = tasks.create(draft, user_id=user_id, now=clock.now())
            task_changes.save_all(tx, new_tasks=[task], events=happened)


def _entries() -> int:
    with transaction(A_CAUSE) as tx:
        query = select(func.count()).select_from(AUDIT_ENTRIES)
        return tx.connection.execute(query).scalar_one()


def _used_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
