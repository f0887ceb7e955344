"""Two devices that change tasks at the very second at which their reminders are due."""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from taskflow import clock
from taskflow.domain.events import Event
from taskflow.domain.times import rfc3339
from taskflow.storage import transaction
from tests.support.data.accounts import A_CAUSE, SignedIn
from tests.support.database.connection import database_of
from tests.support.events.explanation import fold, log_and_state_of
from tests.support.network.remote_api import RemoteApi, a_new_user
from tests.support.polling import eventually
from tests.support.processes.system import System

USERS = 4
AROUND_S = 0.25
"""How long before and after the due time a device acts."""

SETTLED_WITHIN_S = 30

CHANGES: Sequence[tuple[str, str, dict[str, Any] | None]] = (
    ("POST", "tasks/{}/complete", {}),
    ("POST", "tasks/{}/complete", {"completed": False}),
    ("DELETE", "tasks/{}", None),
    ("POST", "tasks/{}/restore", None),
    ("PUT", "tasks/{}/due-date", {}),
)


class Race:
    """Tasks with three reminders each, all due at one time, and two devices for each of them."""

    def __init__(self, system: System, *, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self._system = system
        self._random = random.Random(seed)
        self._users = [a_new_user(system) for _ in range(USERS)]

    def run(self, tasks: int, *, due_in_s: float) -> None:
        """Create tasks that are due together, and change each twice around that time.

        They are due in `due_in_s`, or later where a busy machine takes longer to create them.
        """
        with ThreadPoolExecutor(2 * tasks) as devices:
            due, made = self._made_in_time(tasks, due_in_s)
            for user, task_id in made:
                for _ in range(2):
                    at = due + timedelta(seconds=self._random.uniform(-AROUND_S, AROUND_S))
                    what = self._random.choice(CHANGES)
                    later = due + timedelta(seconds=self._random.choice([0.1, 2, 3600]))
                    devices.submit(self._change, user, task_id, what, at=at, later=later)
        self.counts["tasks"] += tasks

    def _made_in_time(
        self, tasks: int, due_in_s: float
    ) -> tuple[datetime, list[tuple[SignedIn, str]]]:
        while True:
            due = clock.now() + timedelta(seconds=due_in_s)
            made = [
                (user, self._create(user, due))
                for user in (self._users[place % USERS] for place in range(tasks))
            ]
            if clock.now() < due - timedelta(seconds=AROUND_S):
                return due, made
            due_in_s *= 2

    def check(self) -> None:
        """Wait until no reminder is due any more, and check the log."""
        with database_of(self._system):
            eventually(_check_nothing_is_due, within_s=SETTLED_WITHIN_S)
            for user in self._users:
                log, state = log_and_state_of(user.user_id)
                assert fold({}, log) == state
                self._check(log)
            with transaction(A_CAUSE) as tx:
                deadlocks = tx.connection.execute(
                    text("SELECT sum(deadlocks) FROM pg_stat_database")
                ).scalar_one()
        assert deadlocks == 0
        assert not [name for name in self.counts if name.startswith("answered 5")], self.counts

    def _check(self, log: Sequence[Event]) -> None:
        closed: set[str] = set()
        fired: set[tuple[str, str]] = set()
        for event in log:
            data = json.loads(event.data_json)
            match event.event_type:
                case "task.completed" | "task.deleted":
                    closed.add(event.aggregate_id)
                case "task.uncompleted" | "task.restored" if not data["completed"]:
                    closed.discard(event.aggregate_id)
                case "reminder.triggered":
                    occasion = (event.aggregate_id, data["remind_at"])
                    assert data["task_id"] not in closed, data
                    assert occasion not in fired, data
                    assert rfc3339(event.timestamp) >= data["remind_at"]
                    fired.add(occasion)
                    self.counts["reminders"] += 1
                case "reminder.cancelled":
                    self.counts["cancelled"] += 1
                case "reminder.rescheduled" | "reminder.scheduled" if event.version > 1:
                    self.counts["moved, or armed again"] += 1
                case _:
                    pass

    def _create(self, user: SignedIn, due: datetime) -> str:
        reminders = [
            {"remind_at": rfc3339(due)},
            # The same time, but for a microsecond: twice the same would be one.
            {"remind_at": rfc3339(due + timedelta(microseconds=1))},
            {"before_due": "PT1S"},
        ]
        with RemoteApi(self._system, user) as remote:
            task = remote.create(
                due_date=rfc3339(due + timedelta(seconds=1, microseconds=2)), reminders=reminders
            )
        return task["id"]

    def _change(
        self,
        user: SignedIn,
        task_id: str,
        what: tuple[str, str, dict[str, Any] | None],
        *,
        at: datetime,
        later: datetime,
    ) -> None:
        method, path, body = what
        if method == "PUT":
            body = {"due_date": rfc3339(later)}
        with RemoteApi(self._system, user) as remote:
            threading.Event().wait(max(0.0, (at - clock.now()).total_seconds()))
            started_s = time.monotonic()
            answer = remote.request(method, path.format(task_id), body)
            self.counts["slowest, ms"] = max(
                self.counts["slowest, ms"], int((time.monotonic() - started_s) * 1000)
            )
        self.counts[f"answered {answer.status_code}"] += 1


def _check_nothing_is_due() -> None:
    with transaction(A_CAUSE) as tx:
        due = tx.connection.execute(
            text("SELECT count(*) FROM reminders WHERE status = 'scheduled' AND remind_at <= now()")
        ).scalar_one()
    assert due == 0
