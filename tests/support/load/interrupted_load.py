"""Load through REST on a system that is killed meanwhile, and the report of it afterwards."""

import json
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests

from taskflow.domain.events import Event
from taskflow.storage import events, transaction
from tests.support.data.accounts import A_CAUSE, SignedIn
from tests.support.database.connection import database_of
from tests.support.events.explanation import fold, log_and_state_of
from tests.support.network.remote_api import RemoteApi, a_new_user
from tests.support.network.sockets import ResumingClient
from tests.support.processes.system import System

WRITERS = 8
USERS = 3
TRIES_MAX = 500
RETRY_PAUSE_S = 0.05
RUNNING_WITHIN_S = 120
ANSWERED_WITHIN_S = 20
FOLLOWED_WITHIN_S = 60
LOADED_S = (0.2, 5.0)
"""How long the load runs before it is cut off: from the first requests to the thick of it."""

TASKS_MAX = 30


@dataclass
class Write:
    """A request that changes a task, and the answer that its sender got in the end."""

    kind: str
    method: str
    path: str
    marker: str
    """What can be found in the log where it took effect; of a deletion, the task's id."""
    body: dict[str, Any] | None = None
    key: str | None = None
    sent: int = 0
    status: int | None = None
    answer: dict[str, Any] | None = None

    @property
    def is_acknowledged(self) -> bool:
        """Say whether the sender was told that the write took effect."""
        return self.status is not None


class Writer:
    """A client that makes, changes, completes and deletes tasks of its own, one after the other."""

    def __init__(
        self,
        system: System,
        user: SignedIn,
        name: str,
        *,
        seed: float,
        pause_s: float,
        running: threading.Event,
        stopping: threading.Event,
    ) -> None:
        self.user = user
        self.writes: list[Write] = []
        self.problems: list[str] = []
        self._name = name
        self._system = system
        self._random = random.Random(seed)
        self._pause_s = pause_s
        self._running = running
        self._stopping = stopping
        self._tasks: list[str] = []
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until the writer has had its last answer."""
        self._thread.join(timeout=RUNNING_WITHIN_S)
        assert not self._thread.is_alive(), f"{self._name} is stuck"

    def _work(self) -> None:
        with RemoteApi(self._system, self.user) as remote:
            while not self._stopping.is_set() and not self.problems:
                if not self._running.wait(RUNNING_WITHIN_S):
                    self.problems.append("the system never came back")
                self._send(remote, self._wish())
                self._stopping.wait(self._pause_s)

    def _wish(self) -> Write:
        number = len(self.writes)
        marker = f"{self._name}-{number}"
        write = self._change(marker) if self._tasks else self._creation(marker)
        if self._random.random() < 0.5:
            write.key = marker
        self.writes.append(write)
        return write

    def _creation(self, marker: str) -> Write:
        return Write("create", "POST", "tasks", marker, {"title": marker})

    def _change(self, marker: str) -> Write:
        task_id = self._random.choice(self._tasks)
        path = f"tasks/{task_id}"
        kind = self._random.choices(
            ("create", "update", "complete", "delete"), weights=(3, 4, 4, 1)
        )[0]
        if kind == "delete" or len(self._tasks) > TASKS_MAX:
            # Whatever the answer, it is not touched again.
            self._tasks.remove(task_id)
            return Write("delete", "DELETE", path, task_id)
        if kind == "update":
            return Write(kind, "PATCH", path, marker, {"description": marker})
        if kind == "complete":
            wanted = {"completed": self._random.random() < 0.7}
            return Write(kind, "PATCH", f"{path}/complete", marker, wanted)
        return self._creation(marker)

    def _send(self, remote: RemoteApi, write: Write) -> None:
        while write.sent < TRIES_MAX:
            write.sent += 1
            try:
                answer = remote.request(
                    write.method,
                    write.path,
                    write.body,
                    key=write.key,
                    timeout_s=ANSWERED_WITHIN_S,
                )
            except requests.RequestException:
                pass
            else:
                if self._take(write, answer):
                    return
            if write.key is None:
                # Nobody knows whether it took effect, and sending it again might double it.
                return
            self._running.wait(RUNNING_WITHIN_S)
            threading.Event().wait(RETRY_PAUSE_S)
        self.problems.append(f"{write} was never answered")

    def _take(self, write: Write, answer: requests.Response) -> bool:
        if answer.status_code >= 500 or answer.status_code == 409:
            return False
        if not answer.ok:
            self.problems.append(f"{write}: {answer.status_code} {answer.text}")
            return True
        write.status = answer.status_code
        write.answer = answer.json() if answer.content else None
        if write.kind == "create" and write.answer is not None:
            self._tasks.append(write.answer["id"])
        return True


@dataclass
class LoadReport:
    """The counts of a load by what became of its requests, and the times of restarts."""

    counts: Counter[str] = field(default_factory=Counter[str])
    restarts_s: list[float] = field(default_factory=list[float])

    def __str__(self) -> str:
        lines = [f"  {name:32} {count:8,}" for name, count in self.counts.items()]
        if self.restarts_s:
            lines.append(
                f"  {'restart, s':32} {statistics.median(self.restarts_s):8.1f} p50"
                f" {max(self.restarts_s):8.1f} max"
            )
        return "\n".join(lines)


class Load:
    """Writers and clients of several users on one system, and the means to interrupt them."""

    def __init__(self, system: System, *, seed: int, pause_s: float = 0.0) -> None:
        """Prepare the load; each writer rests for `pause_s` after an answer."""
        self.system = system
        self._pause_s = pause_s
        self.random = random.Random(seed)
        self.report = LoadReport()
        self._running = threading.Event()
        self._stopping = threading.Event()
        self._clients: list[ResumingClient] = []
        self._writers: list[Writer] = []

    @contextmanager
    def on(self) -> Generator[None]:
        """Keep the load on for the length of the block, and then wait for all answers."""
        with ExitStack() as stack:
            users = [a_new_user(self.system) for _ in range(USERS)]
            self._clients = [
                stack.enter_context(ResumingClient(self.system, user)) for user in users
            ]
            self._running.set()
            stack.callback(self._stopping.set)
            self._writers = [
                Writer(
                    self.system,
                    users[number % USERS],
                    f"writer-{number}",
                    seed=self.random.random(),
                    pause_s=self._pause_s,
                    running=self._running,
                    stopping=self._stopping,
                )
                for number in range(WRITERS)
            ]
            yield
            self._stopping.set()
            for writer in self._writers:
                writer.join()
            with database_of(self.system):
                self._settle()

    def kill(self) -> None:
        """Kill the whole process group at some moment, and at times PostgreSQL; restart it."""
        threading.Event().wait(self.random.uniform(*LOADED_S))
        with_postgresql = self.random.random() < 0.5
        self.system.kill(with_postgresql=with_postgresql)
        self._running.clear()
        began_s = time.monotonic()
        self.system.start()
        self._running.set()
        self.report.restarts_s.append(time.monotonic() - began_s)
        self.report.counts["kills"] += 1
        self.report.counts["  with PostgreSQL"] += with_postgresql

    def _settle(self) -> None:
        """Compare the answers that clients got with the log, the tables and the sockets."""
        counts = self.report.counts
        for client in self._clients:
            user_id = client.user.user_id
            log, state = log_and_state_of(user_id)
            writers = [writer for writer in self._writers if writer.user == client.user]
            writes = [write for writer in writers for write in writer.writes]
            assert [writer.problems for writer in writers] == [[]] * len(writers)
            assert [event.seq for event in log] == list(range(1, len(log) + 1))
            with transaction(A_CAUSE) as tx:
                assert events.broken_link(tx, user_id) is None
            check_each_took_effect_once(writes, log)
            assert fold({}, log) == state
            client.wait_for(len(log), within_s=FOLLOWED_WITHIN_S)
            assert client.messages == [json.loads(event.message_json()) for event in log]
            assert client.resyncs == 0
            counts["events"] += len(log)
            counts["messages"] += len(client.messages)
            counts["sockets opened"] += client.connected
            counts["writes"] += len(writes)
            counts["  acknowledged"] += sum(write.is_acknowledged for write in writes)
            counts["  unanswered, without a key"] += sum(not w.is_acknowledged for w in writes)
            counts["  sent again with their key"] += sum(write.sent > 1 for write in writes)


def check_each_took_effect_once(writes: Sequence[Write], log: Sequence[Event]) -> None:
    """Check that each acknowledged write is in the log, once, and the others at most once."""
    by_version = {(event.aggregate_id, event.version): json.loads(event.data_json) for event in log}
    found = Counter(_marker(event) for event in log)
    for write in writes:
        times = found.pop(write.marker, 0)
        if write.kind == "complete":
            # One that changes nothing appends nothing; what its answer says is checked below.
            assert times == 0
        elif write.is_acknowledged:
            assert times == 1, f"{write} took effect {times} times"
        else:
            assert write.key is None, f"{write} was given up"
            assert times <= 1, f"{write} took effect {times} times"
        if write.answer is not None:
            data = by_version[write.answer["id"], write.answer["version"]]
            data.pop("changes", None)
            assert data == write.answer, f"{write} was told what is not so"
    assert set(found) <= {None}, "the log holds what nobody sent"


def _marker(event: Event) -> str | None:
    """Return the marker of the write that an event comes from, if it can be told."""
    data = json.loads(event.data_json)
    match event.event_type:
        case "task.created":
            return data["title"]
        case "task.updated":
            return data["description"]
        case "task.deleted":
            return event.aggregate_id
        case _:
            return None
