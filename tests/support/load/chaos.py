"""Writers, followers, kills and outages, and the report of what came of every write."""

import json
import random
import sys
import threading
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import psutil
import requests
from sqlalchemy import func, select

from taskflow import clock
from taskflow.domain.events import EventType
from taskflow.storage import audit_store, dead_letter_store, events, transaction
from taskflow.storage.tables import EVENTS
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user, an_administrator
from tests.support.database.connection import database_of
from tests.support.database.tampering import tamper
from tests.support.kafka.outages import Outages
from tests.support.load.socket_clients import SocketClients
from tests.support.load.task_writers import TaskWriters
from tests.support.polling import eventually
from tests.support.processes.roles import (
    Find,
    api_master,
    api_workers,
    consumers_workers,
    crons_workers,
    delivery,
    wait_for,
)
from tests.support.processes.system import System

JWT_SECRET = "a secret for tests, and for nothing else at all"
"""The secret of `database_of`: accounts that are opened in the database can sign in by it."""

WRITERS = 8
SETTLED_WITHIN_S = 180
VICTIMS: Sequence[Find] = (
    api_workers,
    api_master,
    consumers_workers,
    crons_workers,
    delivery,
)


@dataclass(frozen=True)
class ChaosRun:
    """A load of `users` with kills, each after a number of seconds, and outages of Kafka."""

    users: int
    kills: Sequence[tuple[float, Find]]
    outages: Outages | None = None
    figures: dict[str, object] = field(default_factory=dict[str, object])

    def run(self, system: System, rng: random.Random) -> None:
        """Run the load and the kills on a system, and check that no write was lost or doubled."""
        with database_of(system):
            users = [a_user() for _ in range(self.users)]
            administrator = an_administrator()
        with SocketClients(system, users) as clients:
            clients.wait_until_connected(within_s=SETTLED_WITHIN_S)
            with (
                TaskWriters(system, users, threads=WRITERS) as writers,
                self.outages or nullcontext(),
            ):
                began_s = clock.monotonic_s()
                killed = [self._kill(system, rng, *kill) for kill in self.kills]
                threading.Event().wait(self.kills[0][0])
            lasted_s = clock.monotonic_s() - began_s
            with database_of(system):
                newest = _newest(users)
                created = _created()
            self.figures.update(
                {
                    "seconds of load": round(lasted_s, 1),
                    "kills": dict(Counter(killed)),
                    "writes acknowledged": len(writers.acknowledged),
                    "answers to writes": dict(writers.outcomes),
                    "slowest of them, s": round(writers.slowest_s, 2),
                    "events": sum(newest.values()),
                }
            )
            _assert_all_in_the_log(writers.acknowledged, created)
            clients.wait_for(newest, within_s=SETTLED_WITHIN_S)
            away_s = sorted(away for client in clients.all for away in client.away_s)
            self.figures.update(
                {
                    "connections": sum(client.connected for client in clients.all),
                    "away, s: p50, p95, max": [
                        round(away_s[int((len(away_s) - 1) * part)], 1) for part in (0.5, 0.95, 1)
                    ]
                    if away_s
                    else [],
                }
            )
            clients.assert_complete(newest)
        waited_s = clock.monotonic_s()
        eventually(lambda: _assert_audited(system, administrator), within_s=SETTLED_WITHIN_S)
        self.figures["until the audit had all, s"] = round(clock.monotonic_s() - waited_s, 1)
        if self.outages is not None:
            self._check_kafka(self.outages, newest, writers.outcomes)
        with database_of(system):
            self._check_audit()
        self.figures["errors logged"] = dict(_errors_logged(system))
        _assert_tampering_is_seen(system, administrator, users[0])

    def show(self) -> None:
        """Print the figures."""
        for name, figure in self.figures.items():
            sys.stdout.write(f"  {name:28} {figure}\n")

    @staticmethod
    def _kill(system: System, rng: random.Random, after_s: float, find: Find) -> str:
        threading.Event().wait(after_s)
        victim = rng.choice(wait_for(find, system))
        try:
            victim.kill()
        except psutil.NoSuchProcess:
            return "nobody"
        return find.__name__

    def _check_kafka(
        self, outages: Outages, newest: Mapping[str, int], answers: Collection[str]
    ) -> None:
        held = eventually(lambda: outages.assert_published(newest), within_s=SETTLED_WITHIN_S)
        self.figures.update({"outages of Kafka": dict(outages.had), "in Kafka": held})
        # Nothing that was asked of us waited for Kafka, or failed with it.
        assert not {answer for answer in answers if answer.startswith("5") or "Timeout" in answer}

    def _check_audit(self) -> None:
        with transaction(A_CAUSE) as tx:
            found, entries = audit_store.counts(tx, user_id=None)
            letters = dead_letter_store.list_of(
                tx, state=None, consumer=None, after=None, limit=100
            )
        self.figures.update({"audit entries": entries, "dead letters": len(letters)})
        assert found == entries
        assert letters == []


def _errors_logged(system: System) -> Counter[str]:
    """Count what was logged as an error, by who logged it and how the message begins."""
    lines = [line for line in system.log.read_text().splitlines() if line.startswith("{")]
    found = [json.loads(line) for line in lines]
    return Counter(
        f"{line['logger'].rpartition('.')[2]}: {line['message'][:30]}"
        for line in found
        if line["level"] == "error"
    )


def _newest(users: Sequence[SignedIn]) -> dict[str, int]:
    with transaction(A_CAUSE) as tx:
        return events.newest_seqs(tx, [user.user_id for user in users])


def _created() -> Counter[tuple[str, str]]:
    """Count the creations in the log, by user and title."""
    title = func.json_extract_path_text(EVENTS.c.data, "title")
    query = select(EVENTS.c.user_id, title).where(
        EVENTS.c.event_type == EventType.TASK_CREATED.value
    )
    with transaction(A_CAUSE) as tx:
        return Counter((user_id, title) for user_id, title in tx.connection.execute(query))


def _assert_all_in_the_log(
    acknowledged: Sequence[tuple[str, str]], created: Counter[tuple[str, str]]
) -> None:
    assert acknowledged
    missing = [write for write in acknowledged if write not in created]
    doubled = [write for write, count in created.items() if count > 1]
    assert (missing, doubled) == ([], [])


def _verified(system: System, administrator: SignedIn) -> dict[str, object]:
    answer = requests.get(
        f"{system.url}/api/admin/audit/verify?settled=true",
        headers=administrator.headers,
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def _assert_audited(system: System, administrator: SignedIn) -> None:
    found = _verified(system, administrator)
    assert found["broken_chains"] == []
    assert found["differing_entries"] == []
    assert found["ok"] is True


def _assert_tampering_is_seen(system: System, administrator: SignedIn, user: SignedIn) -> None:
    with database_of(system):
        tamper(
            "UPDATE events SET data = '{}' WHERE user_id = :user_id AND seq = 1",
            user_id=user.user_id,
        )
    found = _verified(system, administrator)
    assert found["ok"] is False
    assert found["broken_chains"] == [{"user_id": user.user_id, "seq": 1}]
