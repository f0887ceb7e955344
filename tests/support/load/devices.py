"""Devices of one user that write at the same time, each knowing what it was told at its last look.

A device keeps its tasks by the messages of the stream alone, from where it was: what it then has
must be what the tables hold, and what the log gives.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from secrets import randbits

from werkzeug.test import TestResponse

from taskflow.domain import tasks
from taskflow.domain.events import EventType, is_of_task
from taskflow.domain.representations import TaskRepresentation
from taskflow.domain.text import JsonObject
from taskflow.storage import task_store, transaction
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user, an_administrator
from tests.support.delivery.replays import finished, started
from tests.support.functions.client import Api, content

DEVICES = 3
ROUNDS_MAX = 6
REFUSALS = frozenset({404, 409, 412, 422})
"""What a device may be told that does not know yet what another has changed."""

_SHOWN = TaskRepresentation.__required_keys__
_TIMES = [
    None,
    "2126-02-28T23:30:00Z",
    "2126-03-01T09:00:00+05:30",
    "2026-01-01T00:00:00Z",
]
_RULES = [
    {"recurrence_rule": "FREQ=DAILY", "mode": "after_completion"},
    {"recurrence_rule": "FREQ=MONTHLY;BYMONTHDAY=31", "start": "2126-01-31T09:00:00"},
]

State = dict[str, JsonObject]
"""Tasks as they are shown, by id, without the deleted ones."""


class Device:
    """One of a user's devices."""

    def __init__(self, user: SignedIn, random: Random) -> None:
        """Begin with nothing, at the beginning of the stream."""
        self._api = Api(user)
        self._random = random
        self._since = 0
        self._deleted: list[str] = []
        self.tasks: State = {}

    def resume(self) -> None:
        """Ask for what was missed, until there is no more of it."""
        while True:
            page = content(self._api.get(f"/api/events?since={self._since}&wait=0"))
            assert not page["resync"]
            for message in page["items"]:
                assert message["seq"] == self._since + 1
                self._since = message["seq"]
                self._take(message)
            if self._since >= page["seq"]:
                return

    def _take(self, message: JsonObject) -> None:
        if not is_of_task(message["type"]):
            return
        data = message["data"]
        if message["type"] == EventType.TASK_DELETED:
            self.tasks.pop(data["id"], None)
            self._deleted.append(data["id"])
        else:
            self.tasks[data["id"]] = {name: data[name] for name in _SHOWN}

    def write(self) -> int:
        """Do something to the tasks that this device knows of; return the status of the answer."""
        deeds: list[Callable[[], TestResponse]] = [self._create]
        if self.tasks:
            deeds += [
                *(self._rename, self._edit, self._edit, self._complete, self._reopen),
                *(self._move, self._delete, self._recur, self._recur_no_more, self._remind),
            ]
        if self._deleted:
            deeds += [self._restore, self._restore]
        answer = self._random.choice(deeds)()
        allowed = answer.status_code < 300 or answer.status_code in REFUSALS
        assert allowed, answer.text
        return answer.status_code

    def _some(self) -> tuple[str, JsonObject]:
        task_id = self._random.choice(sorted(self.tasks))
        return f"/api/tasks/{task_id}", self.tasks[task_id]

    def _create(self) -> TestResponse:
        return self._api.post("/api/tasks", self._fields())

    def _fields(self) -> JsonObject:
        pick = self._random.choice
        return {
            "title": pick(["Buy milk", "Zażółć gęślą jaźń", "牛乳を買う", "a" * 255]),
            "description": pick([None, "", "Two litres\nof it"]),
            "priority": pick(["low", "medium", "high", "urgent"]),
            "tags": pick([[], ["home"], ["home", "żółw", "a b"]]),
            "metadata": pick([{}, {"price": 1.10}, {"a": {"b": [1, None, "é"]}, "big": 1e300}]),
            "due_date": pick(_TIMES),
        }

    def _rename(self) -> TestResponse:
        path, _ = self._some()
        return self._api.patch(path, {"title": f"{self._random.random()}"})

    def _edit(self) -> TestResponse:
        """Send the task back as it is known here, with other fields, as of its version or not."""
        path, task = self._some()
        fields = self._fields()
        changed = self._random.sample(sorted(fields), self._random.randint(1, 3))
        body = {**task, **{name: fields[name] for name in changed}}
        tag = {"If-Match": f'"{task["version"]}"'} if self._random.random() < 0.5 else {}
        return self._api.put(path, body, headers=tag)

    def _complete(self) -> TestResponse:
        return self._api.post(f"{self._some()[0]}/complete")

    def _reopen(self) -> TestResponse:
        return self._api.post(f"{self._some()[0]}/complete", {"completed": False})

    def _move(self) -> TestResponse:
        due = {"due_date": self._random.choice(_TIMES)}
        return self._api.put(f"{self._some()[0]}/due-date", due)

    def _delete(self) -> TestResponse:
        return self._api.delete(self._some()[0])

    def _restore(self) -> TestResponse:
        return self._api.post(f"/api/tasks/{self._random.choice(self._deleted)}/restore")

    def _recur(self) -> TestResponse:
        return self._api.post(f"{self._some()[0]}/recurrence", self._random.choice(_RULES))

    def _recur_no_more(self) -> TestResponse:
        return self._api.delete(f"{self._some()[0]}/recurrence")

    def _remind(self) -> TestResponse:
        wanted = self._random.choice([{"before_due": "PT1H"}, {"remind_at": "2126-01-01T00:00Z"}])
        return self._api.post(f"{self._some()[0]}/reminders", wanted)


def live_tasks_of(user_id: str) -> State:
    """Return a user's tasks as the tables hold them."""
    with transaction(A_CAUSE) as tx:
        found = task_store.all_of(tx, user_id)
    return {str(task.id): {**tasks.represent(task)} for task in found if task.deleted_at is None}


def assert_devices_tables_and_log_agree(sequences: int) -> None:
    """Have devices of as many users write, each a sequence, and then replay the whole log.

    The database must have no other writers.
    """
    seed, began_s = randbits(32), time.monotonic()
    random, statuses = Random(seed), Counter[int]()
    sys.stdout.write(f"\nSeed {seed}\n")
    with ThreadPoolExecutor(DEVICES) as pool:
        for _ in range(sequences):
            statuses.update(_write_a_sequence(random, pool))
    written_s = time.monotonic()

    admin = Api(an_administrator())
    found = finished(admin, started(admin))

    sys.stdout.write(
        f"{sequences} sequences in {written_s - began_s:.0f} s, answered {dict(statuses)};"
        f" {found['events_done']} events replayed in {time.monotonic() - written_s:.0f} s,"
        f" {found['tasks_same']} tasks the same\n"
    )
    assert found["differences"] == []
    assert found["equal"]
    assert found["tasks_same"] > sequences / 2
    # Most writes had an effect, or nothing would be shown by this.
    assert sum(statuses[status] for status in (200, 201, 204)) > statuses.total() / 2


def _write_a_sequence(random: Random, pool: ThreadPoolExecutor) -> Sequence[int]:
    """Have a new user's devices write, and resume now and then; check what each has in the end.

    In each round all of them write at once. Return the statuses of the answers.
    """
    user = a_user()
    devices = [Device(user, Random(random.random())) for _ in range(DEVICES)]
    statuses: list[int] = []
    for _ in range(random.randint(1, ROUNDS_MAX)):
        statuses += pool.map(Device.write, devices)
        for device in devices:
            if random.random() < 0.6:
                device.resume()
    live = live_tasks_of(user.user_id)
    for device in devices:
        device.resume()
        assert device.tasks == live
    return statuses
