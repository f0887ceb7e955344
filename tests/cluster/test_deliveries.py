"""What KafkaSources and PingSources bring: nothing lost, nothing doubled (E5-E8, R4)."""

import itertools
import random
import threading
import time
from collections import Counter
from datetime import datetime, timedelta

import pytest

from taskflow import clock
from taskflow.domain.times import rfc3339
from tests.support.kubernetes.deployed import Deployed
from tests.support.kubernetes.platform import ACTIVATOR, KAFKA_SOURCE_DISPATCHER
from tests.support.load.task_writers import TaskWriters
from tests.support.network.remote_api import RemoteApi, a_new_user
from tests.support.network.remote_audit import RECONCILED_WITHIN_S, RemoteAudit
from tests.support.network.sockets import ResumingClient, seqs
from tests.support.polling import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

SETTLED_WITHIN_S = 300
LOOK_S = 2.0
LOAD_S, KILL_EVERY_S = 180.0, 10.0
USERS, WRITERS = 8, 4
SERIES, REMINDERS = 40, 100


@pytest.mark.timeout(LOAD_S + 3 * RECONCILED_WITHIN_S)
def test_every_event_has_its_audit_entry_once_while_pods_are_killed(
    deployed: Deployed, audit: RemoteAudit
) -> None:
    users = [a_new_user(deployed) for _ in range(USERS)]
    rng = random.Random(7)
    killed: Counter[str] = Counter()

    with TaskWriters(deployed, users, threads=WRITERS, pause_s=0.05) as writers:
        until_s = time.monotonic() + LOAD_S
        for part in itertools.cycle([None, ACTIVATOR, None, KAFKA_SOURCE_DISPATCHER]):
            if time.monotonic() > until_s:
                break
            if part is not None:
                killed[part.name] += len(part.kill())
            # The consumers and cron functions that work just now, too.
            victim = rng.choice(sorted(deployed.awake()))
            killed[victim] += deployed.kill_pods(victim)
            threading.Event().wait(KILL_EVERY_S)
    created = Counter(user_id for user_id, _ in writers.acknowledged)

    began_s = time.monotonic()
    for user in users:
        # The account, and then a task each.
        audit.wait_until_complete(user, created[user.user_id] + 1)
    audited_s = time.monotonic() - began_s
    audit.wait_until_no_letter_is_dead()
    settled_s = time.monotonic() - began_s
    print(
        f"{len(writers.acknowledged)} tasks, killed {dict(killed)}, all audited "
        f"{audited_s:.0f} s later, no letter dead {settled_s:.0f} s later; answers "
        f"{dict(writers.outcomes)}, the slowest acknowledged one {writers.slowest_s:.1f} s"
    )
    assert killed[ACTIVATOR.name] > 0
    assert killed[KAFKA_SOURCE_DISPATCHER.name] > 0
    for user in users:
        audit.assert_verified(user)


def test_each_completed_occurrence_has_one_successor_while_its_consumer_is_killed(
    deployed: Deployed,
) -> None:
    user = a_new_user(deployed)
    rule = {"recurrence_rule": "FREQ=DAILY", "mode": "after_completion"}

    with RemoteApi(deployed, user) as remote:
        tasks = [
            remote.create(
                f"Series {number}",
                due_date=rfc3339(clock.now() + timedelta(days=1)),
                recurrence=rule,
            )
            for number in range(SERIES)
        ]
        for number, task in enumerate(tasks):
            answer = remote.request("POST", f"tasks/{task['id']}/complete")
            assert answer.status_code == 200, answer.text
            if number % 10 == 5:
                deployed.kill_pods("spawn-next-occurrence")

        def check() -> Counter[str]:
            answer = remote.request("GET", "tasks?completed=false&limit=200")
            titles = Counter(task["title"] for task in answer.json()["items"])
            assert len(titles) == SERIES
            return titles

        titles = eventually(check, within_s=SETTLED_WITHIN_S, every_s=LOOK_S)

    assert set(titles.values()) == {1}


def test_a_reminder_comes_in_the_second_it_is_due_and_once(deployed: Deployed) -> None:
    user = a_new_user(deployed)

    with RemoteApi(deployed, user) as remote, ResumingClient(deployed, user) as client:
        # At any second of a minute, not only at the tick that begins it.
        due = clock.now() + timedelta(seconds=90)
        wanted = [due + timedelta(seconds=60 * number / REMINDERS) for number in range(REMINDERS)]
        for number, at in enumerate(wanted):
            remote.create(
                f"Task {number}", due_date=rfc3339(at), reminders=[{"remind_at": rfc3339(at)}]
            )
        came: dict[int, datetime] = {}

        def check() -> None:
            for message in list(client.messages):
                if message["type"] == "reminder":
                    came.setdefault(message["seq"], clock.now())
            assert len(came) == REMINDERS

        eventually(check, within_s=SETTLED_WITHIN_S, every_s=0.02)

    late_s = sorted(
        (came[message["seq"]] - _due(message)).total_seconds()
        for message in client.messages
        if message["seq"] in came
    )
    p50_s, p95_s = late_s[len(late_s) // 2], late_s[len(late_s) * 95 // 100]
    print(f"late by {p50_s:.2f} s (p50), {p95_s:.2f} s (p95), {late_s[-1]:.2f} s at most")
    assert len(late_s) == REMINDERS
    assert late_s[0] >= 0
    assert seqs(client.messages) == list(range(1, len(client.messages) + 1))


def _due(message: dict[str, dict[str, str]]) -> datetime:
    return datetime.fromisoformat(message["data"]["remind_at"])
