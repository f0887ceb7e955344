"""Reminders and occurrences in real time: how late, under a race, and fifty thousand at once."""

import math
import random
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from secrets import randbits

import pytest

from taskflow import clock
from taskflow.domain.times import parse_rfc3339
from tests.support.data.accounts import SignedIn, a_user
from tests.support.data.due_items import (
    add_reminders,
    add_series,
    check_all_are_carried_out,
    check_all_is_audited,
    lateness_s,
)
from tests.support.database.connection import database_of
from tests.support.load.chaos import JWT_SECRET
from tests.support.load.reminder_races import Race
from tests.support.network.remote_api import RemoteApi, a_new_user
from tests.support.network.sockets import Message, following, receive
from tests.support.polling import eventually
from tests.support.processes.system import System

pytestmark = pytest.mark.soak

REMINDERS, SPREAD_S, USERS = 1000, 120.0, 20
RACES, TASKS_EACH = 34, 30
MANY, MANY_USERS = 50_000, 1000
PROBES, PROBE_PAUSE_S = 4, 0.1
LOOK_S = 1.0
"""How often to look at tens of thousands of rows: to look takes PostgreSQL's time too."""

LATE_MAX_S = {"reminders": 60, "series": 300}
"""The worst that N2 and R8 allow."""


class ReminderListener(threading.Thread):
    """A socket of one user, which notes when each reminder came."""

    def __init__(self, system: System, user: SignedIn) -> None:
        super().__init__(daemon=True)
        self._system = system
        self._user = user
        self._closing = threading.Event()
        self.listens = threading.Event()
        self.late_s: list[float] = []
        self.received: Counter[tuple[str, str]] = Counter()
        self.start()

    def run(self) -> None:
        """Listen until told to stop."""
        with following(self._system, self._user) as socket:
            self.listens.set()
            while not self._closing.is_set():
                with suppress(TimeoutError):
                    self._take(receive(socket, within_s=1))

    def close(self) -> None:
        """Close the socket."""
        self._closing.set()
        self.join()

    def _take(self, message: Message) -> None:
        if message["type"] == "reminder":
            data = message["data"]
            late = clock.now() - parse_rfc3339(data["remind_at"])
            self.late_s.append(late.total_seconds())
            self.received[data["id"], data["remind_at"]] += 1


class Probe(threading.Thread):
    """A user who creates, completes and lists tasks, and notes how long each took."""

    def __init__(self, system: System) -> None:
        super().__init__(daemon=True)
        self._remote = RemoteApi(system, a_new_user(system))
        self._stopping = threading.Event()
        self.took_s: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.start()

    def run(self) -> None:
        """Go on until told to stop."""
        while not self._stopping.wait(PROBE_PAUSE_S):
            task = self._timed("POST", "tasks", {"title": "Buy milk"})
            self._timed("POST", f"tasks/{task['id']}/complete", {})
            self._timed("GET", "tasks?limit=10")

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        self.join()
        self._remote.close()

    def _timed(self, method: str, path: str, body: object = None) -> dict[str, str]:
        started_s = clock.monotonic_s()
        answer = self._remote.request(method, path, body)
        self.took_s.append(clock.monotonic_s() - started_s)
        self.statuses[answer.status_code] += 1
        return answer.json()


def figures(seconds: Sequence[float]) -> str:
    """Write the usual percentiles in milliseconds."""
    ordered = sorted(seconds)
    at = {f"p{rank}": ordered[math.ceil(len(ordered) * rank / 100) - 1] for rank in (50, 95, 99)}
    return ", ".join(f"{name} {1000 * s:.1f}" for name, s in {**at, "max": ordered[-1]}.items())


def test_a_thousand_reminders_over_two_minutes_come_in_time(system: System) -> None:
    users = [a_new_user(system) for _ in range(USERS)]
    listeners = [ReminderListener(system, user) for user in users]
    assert all(listener.listens.wait(timeout=10) for listener in listeners)
    begin = clock.now() + timedelta(seconds=40)
    times = [begin + timedelta(seconds=random.uniform(0, SPREAD_S)) for _ in range(REMINDERS)]

    for user, its_times in zip(users, (times[place::USERS] for place in range(USERS)), strict=True):
        with RemoteApi(system, user) as remote:
            for at in its_times:
                remote.create(reminders=[{"remind_at": at.isoformat()}])

    def all_came() -> None:
        assert sum(len(listener.late_s) for listener in listeners) == REMINDERS

    try:
        assert clock.now() < begin
        eventually(all_came, within_s=SPREAD_S + 60)
    finally:
        for listener in listeners:
            listener.close()
    late_s = [late for listener in listeners for late in listener.late_s]
    print(f"\n{REMINDERS} reminders, due to socket, ms: {figures(late_s)}")
    assert min(late_s) >= 0
    assert max(late_s) < 1
    assert {number for listener in listeners for number in listener.received.values()} == {1}


def test_a_thousand_tasks_changed_by_two_devices_keep_their_due_reminders_right(
    system: System,
) -> None:
    seed = randbits(32)
    race = Race(system, seed=seed)

    for _ in range(RACES):
        race.run(TASKS_EACH, due_in_s=2)
    race.check()

    print(f"\nSeed {seed}: {dict(race.counts)}")


@pytest.mark.parametrize("kind", ["reminders", "series"])
def test_fifty_thousand_due_items_of_one_minute_come_in_time(own_system: System, kind: str) -> None:
    own_system.settings["JWT_SECRET"] = JWT_SECRET
    own_system.start()
    with database_of(own_system):
        users = [a_user() for _ in range(MANY_USERS)]
        add = add_reminders if kind == "reminders" else add_series
        # Far enough away for everything before to have been worked off.
        begin = clock.now() + timedelta(seconds=300)
        add(users, MANY, begin, 60.0)
        eventually(check_all_is_audited, within_s=270, every_s=LOOK_S)
        print(f"\n{MANY} {kind} are stored; {(begin - clock.now()).total_seconds():.0f} s to go")
        probes = [Probe(own_system) for _ in range(PROBES)]
        threading.Event().wait(max(0.0, (begin - clock.now()).total_seconds()))
        quiet_s = [took for probe in probes for took in probe.took_s]
        for probe in probes:
            probe.took_s.clear()
        eventually(lambda: check_all_are_carried_out(kind, MANY), within_s=600, every_s=LOOK_S)
        through_s = (clock.now() - begin).total_seconds()
        busy_s = [took for probe in probes for took in probe.took_s]
        for probe in probes:
            probe.stop()
        late_s = lateness_s(kind)
        eventually(check_all_is_audited, within_s=600, every_s=LOOK_S)
        audited_s = (clock.now() - begin).total_seconds()

    print(f"All through {through_s:.1f} s after the minute began; audited after {audited_s:.1f} s")
    print(f"Lateness, ms: {figures(late_s)}")
    print(f"API before, ms: {figures(quiet_s)}")
    print(f"API meanwhile, ms: {figures(busy_s)}")
    assert len(late_s) == MANY
    assert late_s[0] >= 0
    assert late_s[-1] < LATE_MAX_S[kind]
    assert {status for probe in probes for status in probe.statuses} <= {200, 201}
    assert own_system.stop() == 0
