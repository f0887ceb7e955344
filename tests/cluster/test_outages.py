"""What is away for minutes: the database, and what wakes the schedule (A4, R4, section 10)."""

import shlex
import subprocess
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

import pytest
import requests

from taskflow import clock, config
from taskflow.domain.times import rfc3339
from taskflow.manifests.deployments import SOCKET_LIFETIME_S
from tests.support.data.accounts import SignedIn
from tests.support.kubernetes.deployed import Deployed, kubectl
from tests.support.kubernetes.platform import PING_SOURCE_ADAPTER
from tests.support.load.task_writers import TaskWriters
from tests.support.network.remote_api import RemoteApi, a_new_user
from tests.support.network.remote_audit import RemoteAudit
from tests.support.network.sockets import ResumingClient, seqs
from tests.support.polling import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]

DATABASE_AWAY_S = float(config.environment().get("CLUSTER_OUTAGE_S", "600"))
STOP_DATABASE = config.environment().get("CLUSTER_STOP_DATABASE")
START_DATABASE = config.environment().get("CLUSTER_START_DATABASE")
"""Commands, where the database is no StatefulSet of the namespace."""

AT_ONCE_S = 5.0
"""Within which a function that is awake says that it can't answer just now."""

AWAKE_S = 30.0
"""Within which one at zero says so: it has to start."""

SOCKET_LASTS_MIN_S = 0.8 * SOCKET_LIFETIME_S
"""The shortest time after which a client is told to resume, on another socket."""

REDEPLOYED = ("get-statistics", "record-audit-entry")
"""Functions that get a new revision meanwhile: one of requests, one of events."""

READY_WITHIN_S = 120.0
BACK_WITHIN_S = 30.0
SETTLED_WITHIN_S = 300.0
LOOK_S = 1.0

WAKER_AWAY_S = 180.0
REMINDERS = 100


@contextmanager
def _without_database() -> Generator[None]:
    _database(STOP_DATABASE, replicas=0)
    try:
        yield
    finally:
        _database(START_DATABASE, replicas=1)


def _database(command: str | None, *, replicas: int) -> None:
    if command is not None:
        words = shlex.split(command)
        subprocess.run(words, check=True, timeout=120, stdin=subprocess.DEVNULL)
    else:
        kubectl("scale", "statefulset/postgresql", f"--replicas={replicas}")


class Asking:
    """A user who asks, and how soon each kind of function answered them."""

    def __init__(self, deployed: Deployed, user: SignedIn) -> None:
        self._deployed = deployed
        self._user = user
        self.slowest_s: defaultdict[str, float] = defaultdict(float)
        self.answers: Counter[str] = Counter()

    def check_refused(self, path: str, what: str) -> None:
        """Check that a function says that it can't answer now, and when to ask again."""
        answer = self._ask("GET", path, what)
        assert answer.status_code == 503, answer.text
        assert answer.headers["Retry-After"]
        assert answer.headers["Content-Type"] == "application/problem+json"

    def check_answered(self, method: str, path: str) -> None:
        """Check that a function answers as it does when the database is there."""
        answer = self._ask(method, path, "back")
        assert answer.ok, answer.text

    def _ask(self, method: str, path: str, what: str) -> requests.Response:
        began_s = time.monotonic()
        with RemoteApi(self._deployed, self._user) as remote:
            answer = remote.request(method, path, {"title": "Lost?"} if method == "POST" else None)
        self.slowest_s[what] = max(self.slowest_s[what], time.monotonic() - began_s)
        self.answers[f"{what}: {answer.status_code}"] += 1
        return answer


def _redeploy(deployed: Deployed) -> None:
    before = deployed.revisions()
    for function in REDEPLOYED:
        deployed.redeploy(function)

    def check() -> None:
        now = deployed.revisions()
        assert all(now[function] != before[function] for function in REDEPLOYED)

    eventually(check, within_s=READY_WITHIN_S, every_s=LOOK_S)


def test_without_a_database_each_request_is_refused_at_once_and_nothing_is_lost(
    deployed: Deployed, audit: RemoteAudit
) -> None:
    user = a_new_user(deployed)
    asking = Asking(deployed, user)

    deployed.wait_until_at_zero("list-notifications", "get-settings")
    with ResumingClient(deployed, user) as client:
        with TaskWriters(deployed, [user], threads=2, pause_s=0.2) as writers:
            client.wait_for(3, within_s=BACK_WITHIN_S)
            connected = client.connected
            with _without_database():
                until_s = time.monotonic() + DATABASE_AWAY_S
                asking.check_refused("tasks", "awake")
                _redeploy(deployed)
                asking.check_refused("statistics", "redeployed")
                asleep = ["notifications", "settings"]
                while time.monotonic() < until_s:
                    if asleep and time.monotonic() > until_s - DATABASE_AWAY_S / 2:
                        asking.check_refused(asleep.pop(), "from zero")
                    else:
                        asking.check_refused("tasks", "awake")
                    threading.Event().wait(LOOK_S)
                opened = client.connected - connected
            back_s = time.monotonic()
            eventually(lambda: asking.check_answered("GET", "tasks"), within_s=BACK_WITHIN_S)
            eventually(lambda: asking.check_answered("POST", "tasks"), within_s=BACK_WITHIN_S)
            back_s = time.monotonic() - back_s
            assert [name for name, is_ready in deployed.services().items() if not is_ready] == []
        # The account, and the one task that was created above.
        written = len(writers.acknowledged)
        client.wait_for(2 + written, within_s=SETTLED_WITHIN_S)
    settled_s = time.monotonic()
    audit.wait_until_complete(user, seqs(client.messages)[-1])
    audited_s = time.monotonic() - settled_s
    audit.wait_until_no_letter_is_dead()
    settled_s = time.monotonic() - settled_s

    slowest_s = asking.slowest_s
    print(
        f"away {DATABASE_AWAY_S:.0f} s: answers {dict(asking.answers)}, slowest {dict(slowest_s)}; "
        f"back after {back_s:.1f} s; socket opened {client.connected} times, {opened} "
        f"of them meanwhile; {written} writes acknowledged, all audited after {audited_s:.0f} s, "
        f"no letter dead after {settled_s:.0f} s"
    )
    audit.assert_verified(user)
    titles = Counter(
        message["data"]["title"] for message in client.messages if message["type"] == "task.created"
    )
    assert set(titles.values()) == {1}
    assert {title for _, title in writers.acknowledged} <= set(titles)
    assert slowest_s["awake"] < AT_ONCE_S
    assert max(slowest_s["redeployed"], slowest_s["from zero"]) < AWAKE_S
    assert opened <= 1 + DATABASE_AWAY_S // SOCKET_LASTS_MIN_S
    assert client.resyncs == 0


def test_reminders_that_were_due_while_nothing_woke_the_schedule_come_once(
    deployed: Deployed,
) -> None:
    user = a_new_user(deployed)

    with RemoteApi(deployed, user) as remote, ResumingClient(deployed, user) as client:
        began_s = time.monotonic()
        due = clock.now() + timedelta(seconds=60)
        for number in range(REMINDERS):
            at = due + timedelta(seconds=number * 2)
            remote.create(f"Task {number}", reminders=[{"remind_at": rfc3339(at)}])
        killed: set[str] = set()
        while time.monotonic() < began_s + WAKER_AWAY_S:
            # Its Deployment makes it anew.
            killed |= PING_SOURCE_ADAPTER.kill()
            threading.Event().wait(LOOK_S)
        assert len(killed) > 1

        def came() -> Counter[str]:
            reminders = [one["data"] for one in client.messages if one["type"] == "reminder"]
            return Counter(one["task_id"] for one in reminders)

        def check() -> None:
            assert len(came()) == REMINDERS

        eventually(check, within_s=SETTLED_WITHIN_S, every_s=LOOK_S)
    assert set(came().values()) == {1}
    assert seqs(client.messages) == list(range(1, len(client.messages) + 1))
