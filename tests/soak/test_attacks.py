"""The cost of attacks to the attacker and to a second user, one by one and all at once (A14)."""

import math
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from secrets import randbits

import pytest
from sqlalchemy import func, select

from taskflow import clock, config
from taskflow.serving.pages import PAGE_MAX_BYTES
from taskflow.storage import events, transaction
from taskflow.storage.tables import DEAD_LETTERS, EVENTS, STREAMS
from tests.support.data.accounts import A_CAUSE, a_user
from tests.support.data.bulk_tasks import add_tasks
from tests.support.data.due_items import check_all_is_audited
from tests.support.database.connection import database_of
from tests.support.load.attacks import ATTACKS, Outcome, Target, big_log, measured, repeated
from tests.support.load.chaos import JWT_SECRET
from tests.support.load.interrupted_load import Load
from tests.support.load.second_user import Samples, SecondUser, percentile
from tests.support.network.remote_api import a_new_user
from tests.support.polling import eventually
from tests.support.processes.system import System
from tests.support.processes.usage import Memory, used_s

pytestmark = pytest.mark.soak

QUIET_S = 15.0
SETTLED_WITHIN_S = 120.0
SETTLING_LOOK_S = 1.0
IDLE_FACTOR, IDLE_MORE_S = 1.3, 0.1
"""What is used in a second once an attack has worked off, beside what the quiet takes."""

ALL_AT_ONCE_S = float(config.environment().get("ATTACKS_S", "180"))
REST_S = 5.0
ATTACKERS = 2
"""Processes that attack: each can use a core."""

ORDINARY_PAUSE_S = 0.2
CAUGHT_UP_WITHIN_S = 300.0
MANY_TASKS = 150_000

LATE_MAX_S = 60.0
"""The worst that N2 allows, under any load."""

RSS_MAX_MB = {"api": 400, "consumers": 300, "crons": 300, "delivery": 200}
ANSWER_MAX_BYTES = PAGE_MAX_BYTES + 200_000
"""A page ends with the item that goes beyond its bound."""


@pytest.fixture
def system(tmp_path: Path) -> Generator[System]:
    """Run a system with the limits that it has by default."""
    limits = {"RATE_LIMIT_USER_PER_S": "", "RATE_LIMIT_AUTH_PER_MIN": ""}
    running = System(tmp_path / "data", JWT_SECRET=JWT_SECRET, WEB_CONCURRENCY="2", **limits)
    running.start()
    yield running
    running.kill()


def _targets(system: System) -> dict[str, Target]:
    """Open an account for each attack; those on a big log share one."""
    with database_of(system):
        accounts = {name: a_user() for name in ATTACKS}
        add_tasks(accounts["120 lists of 150,000 tasks"].user_id, MANY_TASKS)
    accounts["120 searches of 150,000 tasks"] = accounts["120 lists of 150,000 tasks"]
    accounts["5 sockets unread"] = accounts["100 pages unread"]
    accounts["10 wrong passwords"] = a_new_user(system)
    targets = {name: Target(system.port, account) for name, account in accounts.items()}
    big_log(targets["100 pages unread"])
    return targets


def _settle(system: System, quiet_per_s: float) -> float:
    """Wait until the system uses little more than in the quiet; return when that was."""
    deadline_s = time.monotonic() + SETTLED_WITHIN_S
    while time.monotonic() < deadline_s:
        before_s = sum(used_s(system))
        time.sleep(SETTLING_LOOK_S)
        if (sum(used_s(system)) - before_s) / SETTLING_LOOK_S <= (
            IDLE_FACTOR * quiet_per_s + IDLE_MORE_S
        ):
            break
    return clock.now().timestamp()


# One by one


@dataclass(frozen=True, slots=True)
class Row:
    """The measurements of one attack."""

    name: str
    outcome: Outcome
    until_s: float
    """When all that it led to had been worked off."""
    used_s: Sequence[float]
    largest_mb: Mapping[str, float]

    def show(self, everything: Samples, quiet: Samples) -> None:
        """Print the row, beside the times of the second user without an attack."""
        meanwhile = everything.between(self.outcome.began_s, self.until_s)
        waits: list[str] = []
        times: list[str] = []
        for what in ("create", "list"):
            took_s = meanwhile.took_s(what)
            waits.append("/".join(f"{1000 * percentile(took_s, rank):.0f}" for rank in (50, 95)))
            times.append(f"{percentile(took_s, 95) / percentile(quiet.took_s(what), 95):.1f}")
        late_s = meanwhile.took_s("reminder") or [math.nan]
        cells = (
            *_attacker(self.name, self.outcome),
            *waits,
            ", ".join(times),
            f"{1000 * percentile(late_s, 50):.0f}/{1000 * late_s[-1]:.0f}",
            ", ".join(f"{mb:.0f}" for mb in self.largest_mb.values()),
            ", ".join(f"{seconds:.1f}" for seconds in (*self.used_s, self.outcome.cpu_s)),
            f"{self.until_s - self.outcome.began_s:.0f}",
        )
        _show(*cells)


ATTACKER_COLUMNS = ("attack", "the attacker hears", "largest answer, KB", "slowest, s")
COLUMNS = (
    *ATTACKER_COLUMNS,
    "second user: create, ms p50/p95",
    "list",
    "times the quiet p95",
    "reminder late, ms p50/max",
    "RSS, MB: api, consumers, delivery",
    "CPU, s: TaskFlow, PostgreSQL, attacker",
    "worked off after, s",
)


def _attacker(name: str, outcome: Outcome) -> Sequence[str]:
    answers = [f"{count} × {status}" for status, count in outcome.answers.most_common()]
    notes = [f"{count:g} {what}" for what, count in outcome.notes.items()]
    largest_kb = f"{outcome.largest_bytes / 1000:.1f}"
    return (name, ", ".join(answers + notes), largest_kb, f"{outcome.slowest_s:.2f}")


def _show(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def _show_head(*columns: str) -> None:
    print()
    _show(*columns)
    _show(*("---" for _ in columns))


def test_each_attack_leaves_a_second_user_served(system: System) -> None:
    chosen = config.environment().get("ATTACKS", "").split(",")
    targets = _targets(system)
    rows: list[Row] = []
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as attackers,
        SecondUser(system.port, a_new_user(system)) as second,
        Memory(system) as memory,
    ):
        _settle(system, 0.2)
        quiet = Outcome(began_s=clock.now().timestamp())
        before = used_s(system)
        memory.forget()
        time.sleep(QUIET_S)
        until_s, used = clock.now().timestamp(), _since(before, system)
        rows.append(Row("quiet", quiet, until_s, used, memory.largest_mb))
        quiet_per_s = sum(used) / QUIET_S
        for name in (name for name in ATTACKS if any(word in name for word in chosen)):
            memory.forget()
            before = used_s(system)
            outcome = attackers.submit(measured, ATTACKS[name], targets[name]).result()
            until_s = _settle(system, quiet_per_s)
            rows.append(Row(name, outcome, until_s, _since(before, system), memory.largest_mb))
    samples = second.samples
    _show_head(*COLUMNS)
    for row in rows:
        row.show(samples, samples.between(rows[0].outcome.began_s, rows[0].until_s))

    for row in rows:
        _check_attacker(row.name, row.outcome)
        _check_memory(row.largest_mb)
    assert samples.statuses() == {"200", "201"}
    assert samples.took_s("reminder")[-1] < LATE_MAX_S


def _since(before: Sequence[float], system: System) -> Sequence[float]:
    return [now - then for now, then in zip(used_s(system), before, strict=True)]


def _check_attacker(name: str, outcome: Outcome) -> None:
    statuses = set(outcome.answers)
    assert not {status for status in statuses if status.startswith("500")}, name
    assert "kept" not in statuses, name
    assert outcome.largest_bytes <= ANSWER_MAX_BYTES, name
    if name == "116,508 unknown fields":
        assert outcome.largest_bytes < 10_000
    if name == "10 wrong passwords":
        assert outcome.answers["200 for the owner"]
        assert not outcome.answers["429 for the owner"]


def _check_memory(largest_mb: Mapping[str, float]) -> None:
    assert {role: mb for role, mb in largest_mb.items() if mb > RSS_MAX_MB[role]} == {}


# All at once


def test_all_attacks_at_once_leave_an_ordinary_load_served(system: System) -> None:
    seed = randbits(32)
    targets = _targets(system)
    del targets["nothing but CPU"]
    load = Load(system, seed=seed, pause_s=ORDINARY_PAUSE_S)
    shares = [dict(list(targets.items())[number::ATTACKERS]) for number in range(ATTACKERS)]
    with (
        ProcessPoolExecutor(ATTACKERS, mp_context=get_context("spawn")) as attackers,
        Memory(system) as memory,
        SecondUser(system.port, a_new_user(system)) as second,
        load.on(),
    ):
        time.sleep(QUIET_S)
        all_of, before = Outcome(began_s=clock.now().timestamp()), used_s(system)
        attacking = [attackers.submit(repeated, its, ALL_AT_ONCE_S, REST_S) for its in shares]
        found = {name: one for share in attacking for name, one in share.result().items()}
        all_of.cpu_s = sum(outcome.cpu_s for outcome in found.values())
        row = Row("all", all_of, clock.now().timestamp(), _since(before, system), memory.largest_mb)
    samples = second.samples
    print(f"\nSeed {seed}\n{load.report}")
    _show_head(*ATTACKER_COLUMNS)
    for name, outcome in found.items():
        _show(*_attacker(name, outcome))
    _show_head(*COLUMNS)
    quiet = samples.between(all_of.began_s - QUIET_S, all_of.began_s)
    row.show(samples, quiet)

    with database_of(system):
        eventually(check_all_is_audited, within_s=CAUGHT_UP_WITHIN_S)
        _check_the_log()
    for name, outcome in found.items():
        _check_attacker(name, outcome)
    assert samples.statuses() <= {"200", "201"}
    assert samples.took_s("reminder")[-1] < LATE_MAX_S
    _check_memory(row.largest_mb)
    assert system.stop() == 0


def _check_the_log() -> None:
    """Check that no stream has a gap or a broken link, and that no event was given up."""
    counts = select(EVENTS.c.user_id, func.count(), func.max(EVENTS.c.seq)).group_by(
        EVENTS.c.user_id
    )
    with transaction(A_CAUSE) as tx:
        found = {user: (count, newest) for user, count, newest in tx.connection.execute(counts)}
        streams = {
            row.user_id: row.seq
            for row in tx.connection.execute(select(STREAMS.c.user_id, STREAMS.c.seq))
        }
        letters = tx.connection.execute(select(func.count()).select_from(DEAD_LETTERS)).scalar_one()
    assert {user: count for user, (count, newest) in found.items() if count != newest} == {}
    assert {user: newest for user, (_, newest) in found.items()} == streams
    assert letters == 0
    for user in streams:
        with transaction(A_CAUSE) as tx:
            assert events.broken_link(tx, user) is None
