"""Many requests a second over ten functions that all begin at zero (D3, section 10)."""

import itertools
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest

from taskflow import config
from tests.support.kubernetes.deployed import Deployed
from tests.support.network.remote_api import RemoteApi, a_new_user

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

RATE = int(config.environment().get("CLUSTER_LOAD_RATE", "1000"))
"""Requests a second that are asked for: how many are sent depends on the client's machine too."""

LOAD_S = float(config.environment().get("CLUSTER_LOAD_S", "60"))
CLIENTS, USERS = 50, 20
ANSWERED_WITHIN_S = 90
COUNT_EVERY_S = 2.0

REQUESTS: dict[str, tuple[str, str, dict[str, object] | None]] = {
    "create-task": ("POST", "tasks", {"title": "Buy milk"}),
    "list-tasks": ("GET", "tasks", None),
    "get-task": ("GET", "tasks/{task}", None),
    "update-task": ("PATCH", "tasks/{task}", {"description": "Two litres"}),
    "complete-task": ("PATCH", "tasks/{task}/complete", {"completed": True}),
    "list-task-history": ("GET", "tasks/{task}/history", None),
    "get-settings": ("GET", "settings", None),
    "list-events": ("GET", "events", None),
    "list-notifications": ("GET", "notifications", None),
    "list-pending-reminders": ("GET", "reminders/pending", None),
}


@dataclass
class Answers:
    """What came back: how often which status, and after how many seconds each."""

    statuses: Counter[int] = field(default_factory=Counter[int])
    took_s: list[float] = field(default_factory=list[float])


def test_ten_functions_take_a_load_from_zero_without_an_error(deployed: Deployed) -> None:
    users = [a_new_user(deployed) for _ in range(USERS)]
    remotes = [RemoteApi(deployed, users[number % USERS]) for number in range(CLIENTS)]
    tasks = [remote.create()["id"] for remote in remotes]
    deployed.wait_until_at_zero(*REQUESTS)
    answers, pods_max = Answers(), Counter[str]()
    over = threading.Event()

    def ask(number: int) -> None:
        turns = itertools.islice(itertools.cycle(REQUESTS.values()), number % len(REQUESTS), None)
        next_s = time.monotonic() + number / RATE
        while not over.is_set():
            method, path, body = next(turns)
            over.wait(max(0.0, next_s - time.monotonic()))
            next_s = max(next_s + CLIENTS / RATE, time.monotonic())
            began_s = time.monotonic()
            answer = remotes[number].request(
                method, path.format(task=tasks[number]), body, timeout_s=ANSWERED_WITHIN_S
            )
            answers.took_s.append(time.monotonic() - began_s)
            answers.statuses[answer.status_code] += 1

    with ThreadPoolExecutor(CLIENTS) as pool:
        began_s = time.monotonic()
        asking = [pool.submit(ask, number) for number in range(CLIENTS)]
        while time.monotonic() < began_s + LOAD_S:
            for name, count in deployed.awake().items():
                pods_max[name] = max(pods_max[name], count)
            over.wait(COUNT_EVERY_S)
        over.set()
        for each in asking:
            each.result()
        took_s = time.monotonic() - began_s

    answers.took_s.sort()
    count = len(answers.took_s)
    print(
        f"{count} requests in {took_s:.0f} s ({count / took_s:.0f}/s of {RATE}/s asked for), "
        f"statuses {dict(answers.statuses)}; p50 {answers.took_s[count // 2]:.2f} s, "
        f"p95 {answers.took_s[count * 95 // 100]:.2f} s, slowest {answers.took_s[-1]:.2f} s; "
        f"pods at most {dict(pods_max)}"
    )
    assert set(answers.statuses) == {200, 201}
    assert all(pods_max[name] >= 1 for name in REQUESTS)
