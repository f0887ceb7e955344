"""A second, ordinary user in a process of their own, whose waiting is measured."""

import json
import math
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Self

from websockets.sync.client import connect

from taskflow import clock
from taskflow.domain.times import rfc3339
from tests.support.data.accounts import SignedIn
from tests.support.network.plain_http import HOST, PlainHttp

PAUSE_S = 0.05
DUE_IN_S = 2.0
REMINDED_EVERY = 4
"""Of so many tasks one has a reminder."""

ENDED_WITHIN_S = 180


@dataclass(frozen=True, slots=True)
class Sample:
    """One wait of the user: its kind, its begin (of the wall clock), and its length.

    A reminder is waited for from when it is due; one that never came took infinitely long.
    """

    what: str
    at_s: float
    took_s: float
    status: str = ""


@dataclass(frozen=True)
class Samples:
    """All waits of one user."""

    all: Sequence[Sample] = field(default_factory=list[Sample])

    def between(self, began_s: float, ended_s: float) -> "Samples":
        """Return the waits that began between two times."""
        return Samples([one for one in self.all if began_s <= one.at_s < ended_s])

    def took_s(self, what: str) -> list[float]:
        """Return the length of each wait, the shortest first."""
        return sorted(one.took_s for one in self.all if one.what == what)

    def statuses(self) -> set[str]:
        """Return the statuses of the answers."""
        return {one.status for one in self.all if one.status}


def percentile(ordered: Sequence[float], percent: int) -> float:
    """Return the smallest of ordered values that `percent` of them do not exceed; nan of none."""
    return ordered[math.ceil(len(ordered) * percent / 100) - 1] if ordered else math.nan


class SecondUser:
    """Creates and lists tasks, and has reminders come, until the block is left."""

    def __init__(self, port: int, account: SignedIn) -> None:
        context = get_context("spawn")
        self.samples = Samples()
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_act, args=(port, account, theirs), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        # It says so once it listens.
        self._ours.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._ours.send("enough")
        if self._ours.poll(ENDED_WITHIN_S):
            self.samples = Samples(self._ours.recv())
        self._process.join(ENDED_WITHIN_S)


class _Activity:
    def __init__(self, port: int, account: SignedIn) -> None:
        self.samples: list[Sample] = []
        self.waits_from_s: dict[str, float] = {}
        """Of each reminded task: when it was due, or was acknowledged if that was later."""
        self.heard_s: dict[str, float] = {}
        self.listens = threading.Event()
        self.stopping = threading.Event()
        self._port, self._account = port, account

    def work(self) -> None:
        client = PlainHttp(self._port, self._account.headers)
        number = 0
        while not self.stopping.wait(PAUSE_S):
            number += 1
            due = clock.now() + timedelta(seconds=DUE_IN_S)
            task: dict[str, object] = {"title": "Buy milk"}
            if number % REMINDED_EVERY == 0:
                task["reminders"] = [{"remind_at": rfc3339(due)}]
            created = self._timed(client, "create", "POST", "/api/tasks", task)
            if created is not None and "reminders" in task:
                self.waits_from_s[created] = max(due, clock.now()).timestamp()
            self._timed(client, "list", "GET", "/api/tasks?limit=10")
        client.close()

    def _timed(
        self, client: PlainHttp, what: str, method: str, path: str, body: object = None
    ) -> str | None:
        at_s = clock.now().timestamp()
        answer = client.ask(method, path, body)
        self.samples.append(Sample(what, at_s, answer.took_s, answer.status))
        return answer.json["id"] if answer.status == "201" else None

    def listen(self) -> None:
        with connect(
            f"ws://{HOST}:{self._port}/ws",
            additional_headers=self._account.headers,
            compression=None,
            max_size=None,
            proxy=None,
        ) as socket:
            while not self.stopping.is_set() or self.waits_from_s.keys() - self.heard_s.keys():
                with suppress(TimeoutError):
                    message = json.loads(socket.recv(timeout=0.5))
                    self.listens.set()
                    if message["type"] == "reminder":
                        self.heard_s[message["data"]["task_id"]] = clock.now().timestamp()

    def reminders(self) -> list[Sample]:
        return [
            Sample("reminder", at_s, max(0.0, self.heard_s.get(task_id, math.inf) - at_s))
            for task_id, at_s in self.waits_from_s.items()
        ]


def _act(port: int, account: SignedIn, connection: Connection) -> None:
    activity = _Activity(port, account)
    listener = threading.Thread(target=activity.listen, daemon=True)
    listener.start()
    activity.listens.wait()
    worker = threading.Thread(target=activity.work, daemon=True)
    worker.start()
    connection.send("listening")
    connection.recv()
    activity.stopping.set()
    worker.join()
    listener.join(ENDED_WITHIN_S / 2)
    connection.send([*activity.samples, *activity.reminders()])
