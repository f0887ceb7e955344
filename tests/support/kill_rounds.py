"""Writers and followers of a system that is killed under them, and the reckoning."""

import json
import random
import statistics
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import requests

from taskflow.storage import events, transaction
from tests.support.accounts import A_CAUSE, SignedIn
from tests.support.attached import attached_to
from tests.support.builders import log_of
from tests.support.explained import fold, state_of
from tests.support.remote import Remote, a_new_user
from tests.support.sockets import Follower
from tests.support.system import System

WRITERS = 8
LOAD_MIN_S, LOAD_MAX_S = 0.2, 2.0
ANSWER_WITHIN_S = 15
CAUGHT_UP_WITHIN_S = 60
RETRIES_MAX = 50

LASTS_THE_TEST = {"ACCESS_TOKEN_LIFETIME_S": "86400"}


@dataclass(frozen=True)
class Write:
    """A write that was sent: what was asked for, and the task in its answer, None for a delete."""

    method: str
    task_id: str
    title: str
    task: dict[str, Any] | None


@dataclass
class Writer:
    """One user's device, which writes as fast as it is answered, half of it under a key."""

    system: System
    user: SignedIn
    random: random.Random
    is_up: threading.Event
    is_over: threading.Event
    acknowledged: list[Write] = field(default_factory=list[Write])
    keyed_titles: set[str] = field(default_factory=set[str])
    unanswered: int = 0
    retried: int = 0
    refused: Counter[int] = field(default_factory=Counter[int])
    alive: dict[str, str] = field(default_factory=dict[str, str])

    def run(self) -> None:
        """Write until it is over."""
        while not self.is_over.is_set():
            if not self.is_up.wait(timeout=0.1):
                continue
            with Remote(self.system, self.user) as remote:
                while self.is_up.is_set() and not self.is_over.is_set():
                    self._write(remote)

    def _write(self, remote: Remote) -> None:
        if not self.alive or self.random.random() < 0.4:
            self._create(remote)
            return
        task_id = self.random.choice(list(self.alive))
        match self.random.randrange(4):
            case 0:
                title = f"changed {uuid.uuid4()}"
                self._send(remote, "PATCH", task_id, title, {"title": title})
            case 1:
                done = {"completed": self.random.random() < 0.7}
                self._send(remote, "PATCH", f"{task_id}/complete", "", done)
            case 2:
                due = {"due_date": f"2027-01-{self.random.randrange(1, 29):02}T09:00:00Z"}
                self._send(remote, "PUT", f"{task_id}/due-date", "", due)
            case _:
                self._send(remote, "DELETE", task_id, "", None)

    def _create(self, remote: Remote) -> None:
        title = f"created {uuid.uuid4()}"
        if self.random.random() < 0.5:
            self._send(remote, "POST", "", title, {"title": title})
            return
        self.keyed_titles.add(title)
        for _ in range(RETRIES_MAX):
            if self._send(remote, "POST", "", title, {"title": title}, key=title):
                return
            # Its answer may have been lost: the same again, under the same key, once it is up.
            self.retried += 1
            self.is_over.wait(0.05)
            self.is_up.wait(timeout=60)

    def _send(
        self,
        remote: Remote,
        method: str,
        path: str,
        title: str,
        body: object,
        *,
        key: str | None = None,
    ) -> bool:
        try:
            answer = remote.request(
                method, f"tasks/{path}".rstrip("/"), body, key=key, timeout_s=ANSWER_WITHIN_S
            )
        except requests.RequestException:
            self.unanswered += 1
            return False
        if not answer.ok:
            self.refused[answer.status_code] += 1
            if answer.status_code == 404:
                # An unanswered delete was carried out after all.
                self.alive.pop(path.partition("/")[0], None)
            return False
        task = None if method == "DELETE" else answer.json()
        task_id = path if task is None else task["id"]
        self.acknowledged.append(Write(method, task_id, title, task))
        if task is None:
            self.alive.pop(task_id, None)
        else:
            self.alive[task_id] = title
        return True


@dataclass
class Reckoning:
    """What came of it; `print`ed, it is the record of the run."""

    rounds: int
    restarts_s: list[float]
    writers: Sequence[Writer]
    followers: Sequence[Follower]
    counts: Counter[str] = field(default_factory=Counter[str])

    def check(self) -> None:
        """Hold every acknowledged write and every message against the log and the tables."""
        for writer, follower in zip(self.writers, self.followers, strict=True):
            self._check_one(writer, follower)

    def _check_one(self, writer: Writer, follower: Follower) -> None:
        user_id = writer.user.user_id
        log = log_of(user_id)
        assert [event.seq for event in log] == list(range(1, len(log) + 1)), "the log has a gap"
        with transaction(A_CAUSE) as tx:
            assert events.broken_link(tx, user_id) is None, "the chain is broken"
        assert fold({}, log) == state_of(user_id), "the events do not explain the state"

        data_of = {event.event_id: json.loads(event.data_json) for event in log}
        recorded = {(event.aggregate_id, event.version): data_of[event.event_id] for event in log}
        deleted = {event.aggregate_id for event in log if event.event_type == "task.deleted"}
        for write in writer.acknowledged:
            if write.task is None:
                assert write.task_id in deleted, "an acknowledged deletion is lost"
                continue
            data = dict(recorded[write.task_id, write.task["version"]])
            data.pop("changes", None)
            assert data == write.task, "an acknowledged write is lost, or not as it was answered"
        created = Counter(
            data_of[event.event_id]["title"] for event in log if event.event_type == "task.created"
        )
        assert set(created.values()) == {1}, "a create had its effect twice"
        answered = {write.title for write in writer.acknowledged if write.method == "POST"}
        assert writer.keyed_titles <= set(created), "a retried create was never carried out"
        assert answered <= set(created)

        follower.wait_for(len(log), within_s=CAUGHT_UP_WITHIN_S)
        received = [(message["seq"], message["event_id"]) for message in follower.messages]
        assert received == [(event.seq, str(event.event_id)) for event in log]
        assert follower.resyncs == 0
        self.counts.update(
            {
                "writes acknowledged": len(writer.acknowledged),
                "unanswered": writer.unanswered,
                "sent again under their key": writer.retried,
                "creates under a key": len(writer.keyed_titles),
                "events in the log": len(log),
                "messages received": len(received),
                "connections of followers": follower.connected,
            }
        )
        for status, number in writer.refused.items():
            self.counts[f"answered {status}"] += number

    def __str__(self) -> str:
        """Write the counts."""
        lines = [f"{number:>8}  {name}" for name, number in self.counts.items()]
        median_s, max_s = statistics.median(self.restarts_s), max(self.restarts_s)
        restarts = f"restarts: {median_s:.2f} s median, {max_s:.2f} s max"
        return "\n".join([f"{self.rounds:>8}  kills", *lines, restarts])


def kill_rounds(system: System, *, rounds: int, seed: int) -> Reckoning:
    """Kill the whole process group `rounds` times under load and restart it; check everything."""
    chance = random.Random(seed)
    system.start()
    is_up, is_over = threading.Event(), threading.Event()
    users = [a_new_user(system) for _ in range(WRITERS)]
    writers = [
        Writer(system, user, random.Random(chance.random()), is_up, is_over) for user in users
    ]
    threads = [threading.Thread(target=writer.run) for writer in writers]
    restarts_s: list[float] = []
    with ExitStack() as stack:
        stack.callback(is_over.set)
        followers = [stack.enter_context(Follower(system, user)) for user in users]
        is_up.set()
        for thread in threads:
            thread.start()
        for _ in range(rounds):
            is_over.wait(chance.uniform(LOAD_MIN_S, LOAD_MAX_S))
            is_up.clear()
            system.kill()
            began_s = time.monotonic()
            system.start()
            restarts_s.append(time.monotonic() - began_s)
            is_up.set()
        is_over.wait(1)
        is_over.set()
        for thread in threads:
            thread.join(timeout=2 * ANSWER_WITHIN_S)
            assert not thread.is_alive(), "a writer hangs"
        reckoning = Reckoning(rounds, restarts_s, writers, followers)
        with attached_to(system):
            reckoning.check()
    return reckoning
