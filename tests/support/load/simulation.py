"""Simulated weeks: series of all kinds, and schedulers in processes that are killed meanwhile."""

import json
import random
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path
from uuid import UUID

from taskflow import config
from taskflow.domain.events import Event
from taskflow.domain.recurrence import MISSED_AFTER, Missed, Mode, Recurrence
from taskflow.domain.recurrence import occurrences as occurrences_of
from taskflow.domain.tasks import Task
from taskflow.domain.times import parse_rfc3339
from taskflow.storage import events, reminder_store, task_store, transaction
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.data.builders import log_of
from tests.support.delivery.subscribers import assert_taken, deliver
from tests.support.events.explanation import fold, log_and_state_of
from tests.support.functions.client import Api, content
from tests.support.functions.tokens import signed_in_at
from tests.support.load.scheduler import TIME
from tests.support.paths import ROOT
from tests.support.polling import eventually

CAUGHT_UP_WITHIN_S = 60
LATE_MAX = timedelta(minutes=2)
"""How far a step goes beyond what is due next: less than what would be missed."""

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Pacific/Apia",
)
RULES = (
    "FREQ=DAILY",
    "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR",
    "FREQ=DAILY;COUNT=9",
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU",
    "FREQ=MONTHLY;BYMONTHDAY=31",
    "FREQ=DAILY;INTERVAL=3",
    "FREQ=MONTHLY;BYDAY=1MO,-1FR",
    "FREQ=WEEKLY",
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
    "FREQ=YEARLY;BYMONTH=3,4;BYMONTHDAY=1,31",
)
LEADS = (None, "PT0S", None, "PT10M", "P1D", None, "PT3H")
MISSED = tuple(Missed)

SetTime = Callable[[datetime], None]


class Simulation:
    """Users with series, and schedulers, on simulated time."""

    def __init__(
        self, url: str, folder: Path, start: datetime, set_time: SetTime, *, seed: int
    ) -> None:
        self.now = self.start = start
        self.counts: Counter[str] = Counter()
        self.outages: list[tuple[datetime, datetime]] = []
        self._url = url
        self._clock_file = folder / "clock"
        self._log = folder / "schedulers.log"
        self._set_time = set_time
        self._random = random.Random(seed)
        self._schedulers: list[subprocess.Popen[bytes]] = []
        self._users: list[SignedIn] = []
        self._series: list[UUID] = []
        self._open: list[tuple[SignedIn, str]] = []
        self._move_to(start)

    def add_series(self, number: int, *, users: int) -> None:
        """Create recurring tasks of all kinds, due at all times of the day, with reminders."""
        self._users = [a_user(timezone=ZONES[place % len(ZONES)]) for place in range(users)]
        for place in range(number):
            user = self._users[place % users]
            mode = Mode.AFTER_COMPLETION if place % 5 == 4 else Mode.SCHEDULE
            lead = LEADS[place % len(LEADS)]
            # Not before a day has passed, so that no reminder of a recurring task is late.
            due = self.start + timedelta(seconds=self._random.randrange(90_000, 500_000))
            task = content(
                self._api(user).post(
                    "/api/tasks",
                    {
                        "title": f"Series {place}",
                        "due_date": due.isoformat(),
                        "recurrence": {
                            "recurrence_rule": RULES[place % len(RULES)],
                            "timezone": self._random.choice([None, *ZONES]),
                            "mode": mode.value,
                            "missed": MISSED[place % len(MISSED)].value,
                        },
                        "reminders": [{"before_due": lead}] if lead else [],
                    },
                )
            )
            self._series.append(UUID(task["id"]))
            if mode is Mode.AFTER_COMPLETION:
                self._open.append((user, task["id"]))
            self.counts[f"series by {mode.value}"] += 1

    @contextmanager
    def scheduling(self, number: int = 3) -> Generator[None]:
        """Run schedulers for the length of the block; they end by SIGKILL."""
        self._schedulers = [self._scheduler() for _ in range(number)]
        try:
            yield
        finally:
            for scheduler in self._schedulers:
                scheduler.kill()
                scheduler.wait()

    def pass_until(self, end: datetime, *, kills: float = 0.0) -> None:
        """Move from one due item to the next; `kills` is the probability of a kill at each step."""
        while self.now < end:
            late = timedelta(seconds=self._random.uniform(0, LATE_MAX.total_seconds()))
            following = min(self._next_due() or end, end)
            self._move_to(min(max(self.now, following) + late + timedelta(seconds=1), end))
            if self._random.random() < kills:
                self._kill_one()
            eventually(self._check_nothing_is_due, within_s=CAUGHT_UP_WITHIN_S)
            self.counts["steps"] += 1
            if self._open and self._random.random() < 0.1:
                self._complete_one()

    def fail_for(self, length: timedelta) -> None:
        """Let time pass without a schedule, and then wait until all due items are carried out."""
        went = self.now
        self._move_to(went + length)
        self.outages.append((went, self.now))
        with self.scheduling():
            eventually(self._check_nothing_is_due, within_s=CAUGHT_UP_WITHIN_S)

    def check(self) -> None:
        """Check every occurrence, every reminder and every event, and count them."""
        with transaction(A_CAUSE) as tx:
            series = task_store.with_ids(tx, self._series)
            all_tasks = [one for user in self._users for one in task_store.all_of(tx, user.user_id)]
        made: dict[UUID, list[Task]] = defaultdict(list)
        for task in all_tasks:
            if task.recurring_task_id is not None:
                made[task.recurring_task_id].append(task)
        for task in series:
            self._check_series(task, made[task.id])
        for user in self._users:
            log, state = log_and_state_of(user.user_id)
            assert fold({}, log) == state
            self._check_log(log)
            self._check_reminders(user)
            with transaction(A_CAUSE) as tx:
                assert events.broken_link(tx, user.user_id) is None
        self.counts["events"] += sum(len(log_of(user.user_id)) for user in self._users)

    def _check_series(self, task: Task, made: Sequence[Task]) -> None:
        assert task.recurrence is not None
        times = sorted(one.occurrence_at for one in made if one.occurrence_at is not None)
        self.counts["occurrences"] += len(times)
        if task.recurrence.series.mode is Mode.SCHEDULE:
            assert times == self._expected(task.recurrence), task
        for one in made:
            assert one.due_date is not None
            assert one.created_at >= one.due_date - task.recurrence.lead or one.predecessor_id
            late = one.created_at - (one.due_date - task.recurrence.lead)
            is_late = late > LATE_MAX and not one.predecessor_id
            assert not is_late or any(one.created_at >= back for _, back in self.outages)
        assert len({one.predecessor_id for one in made if one.predecessor_id}) == sum(
            one.predecessor_id is not None for one in made
        )

    def _expected(self, recurrence: Recurrence) -> list[datetime]:
        series, zone, lead = recurrence.series, recurrence.zone, recurrence.lead
        all_times = occurrences_of(series, zone, after=None, limit=200)[1:]
        wanted = list(takewhile(lambda at: at - lead <= self.now, all_times))
        for went, back in self.outages:
            missed = [at for at in wanted if went < at - lead and at <= back]
            kept = {
                Missed.ALL: missed,
                Missed.LATEST: missed[-1:],
                Missed.SKIP: [at for at in missed if at >= back - MISSED_AFTER],
            }[series.missed]
            self.counts[f"missed and dropped ({series.missed.value})"] += len(missed) - len(kept)
            wanted = [at for at in wanted if at not in missed or at in kept]
        return wanted

    def _check_log(self, log: Sequence[Event]) -> None:
        kinds = Counter(event.event_type for event in log)
        spawned = [
            json.loads(event.data_json)["occurrence"]["id"]
            for event in log
            if event.event_type == "recurring.spawned"
        ]
        created = {event.aggregate_id for event in log if event.event_type == "task.created"}
        assert len(set(spawned)) == len(spawned)
        assert created == {*spawned, *(str(task_id) for task_id in self._series)} & created
        assert len(created - {str(task_id) for task_id in self._series}) == len(spawned)
        assert (
            kinds["reminder.triggered"] == kinds["reminder.sent"] == kinds["notification.created"]
        )
        self.counts["reminders sent"] += kinds["reminder.sent"]

    def _check_reminders(self, user: SignedIn) -> None:
        triggered = {
            event.aggregate_id: event.timestamp
            for event in log_of(user.user_id)
            if event.event_type == "reminder.triggered"
        }
        with transaction(A_CAUSE) as tx:
            found = reminder_store.all_of(tx, user.user_id)
        for reminder in found:
            fired = triggered.get(str(reminder.id))
            assert reminder.is_notified == (fired is not None)
            assert fired is None or fired >= reminder.remind_at
            # What is closed has none to come.
            is_closed = reminder.status.value == "cancelled"
            assert reminder.is_notified or is_closed or reminder.remind_at > self.now

    def _api(self, user: SignedIn) -> Api:
        return Api(signed_in_at(user, self.now))

    def _complete_one(self) -> None:
        user, task_id = self._open.pop(self._random.randrange(len(self._open)))
        assert self._api(user).post(f"/api/tasks/{task_id}/complete").status_code == 200
        [completed] = [
            event
            for event in log_of(user.user_id)
            if (event.event_type, event.aggregate_id) == ("task.completed", task_id)
        ]
        for _ in range(2):
            assert_taken(deliver("spawn-next-occurrence", completed))
        with transaction(A_CAUSE) as tx:
            found = task_store.all_of(tx, user.user_id)
        after = [one for one in found if str(one.predecessor_id) == task_id]
        assert len(after) <= 1
        self._open += [(user, str(one.id)) for one in after]
        for one in after:
            assert one.due_date is not None
            assert one.due_date > parse_rfc3339(json.loads(completed.data_json)["completed_at"])
        self.counts["completions"] += 1

    def _next_due(self) -> datetime | None:
        with transaction(A_CAUSE) as tx:
            times = [task_store.next_due(tx), reminder_store.next_due(tx)]
        return min((at for at in times if at is not None), default=None)

    def _check_nothing_is_due(self) -> None:
        if any(one.poll() is not None for one in self._schedulers):
            raise RuntimeError(self._log.read_text()[-3000:])
        following = self._next_due()
        assert following is None or following > self.now

    def _move_to(self, at: datetime) -> None:
        # Whole seconds, so that all see the same time.
        self.now = at.replace(microsecond=0)
        self._clock_file.touch()
        with self._clock_file.open("r+b") as file:
            file.write(TIME.pack(self.now.timestamp()))
        self._set_time(self.now)

    def _kill_one(self) -> None:
        # Somewhere in the middle of what it does, which takes some milliseconds.
        time.sleep(self._random.uniform(0, 0.02))
        place = self._random.randrange(len(self._schedulers))
        self._schedulers[place].kill()
        self._schedulers[place].wait()
        self._schedulers[place] = self._scheduler()
        self.counts["kills"] += 1

    def _scheduler(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.support.load.scheduler",
                    str(self._clock_file),
                ],
                cwd=ROOT,
                env={
                    **config.environment(),
                    "ENVIRONMENT": "test",
                    "DATABASE_URL": self._url,
                    "JWT_SECRET": "not used here, where nobody logs in",
                },
                stdout=log,
                stderr=log,
            )
