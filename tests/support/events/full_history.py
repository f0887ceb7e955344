"""A user's history, in which an event of every type happens, or of all but the last."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from taskflow.domain import accounts, notifications, recurring, reminders, tasks
from taskflow.domain.accounts import Registration, SettingsChanges
from taskflow.domain.events import NewEvent
from taskflow.domain.reminders import ReminderDraft, Snooze
from taskflow.domain.tasks import Changed, Task, TaskChanges
from taskflow.domain.times import rfc3339
from tests.support.data.builders import A_TIME, a_draft, a_series

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class UserHistory:
    """A user with all their resources: the events in order, and the final tasks."""

    def __init__(self, user_id: str | None = None, *, now: datetime = A_TIME) -> None:
        """Open the account, whose id may be given."""
        self.now = now
        account, registered = accounts.register(
            Registration(email="somebody@example.com", password="a long password"), now=now
        )
        if user_id is not None:
            account = replace(account, id=user_id)
            data = accounts.represent(account)
            registered = replace(registered, user_id=user_id, aggregate_id=user_id, data=data)
        self.account = account
        self.happened: list[NewEvent] = [registered]
        self.tasks: dict[str, Task] = {}

    def changes_settings(self) -> None:
        """Move to Berlin, and be told nothing at night."""
        changes = SettingsChanges.model_validate(
            {
                "timezone": "Europe/Berlin",
                "notification_channels": ["email"],
                "quiet_hours": {"start": "22:00", "end": "07:00"},
                "email_digest": False,
            }
        )
        self.account, happened = accounts.change_settings(self.account, changes, now=self._tick())
        self.happened += happened

    def changes_a_task(self) -> None:
        """Create a task, and change it in every way."""
        draft = a_draft(
            description="Oat milk, if there is any",
            tags=["home", "zakupy: żółw"],
            metadata={"price": 1.1, "nested": {"a": [1, None, "é"]}},
            due_date=rfc3339(self.now + 4 * DAY),
        )
        task, happened = tasks.create(draft, user_id=self.account.id, now=self._tick())
        self.happened += happened
        renamed = TaskChanges.model_validate({"title": "Buy bread"})
        corrected = TaskChanges.model_validate({"priority": "high"})
        changes: Sequence[Callable[[datetime], Changed]] = (
            lambda now: tasks.update(task, renamed, now=now),
            lambda now: tasks.set_due_date(task, now + DAY, now=now),
            lambda now: tasks.set_completed(task, completed=True, now=now),
            lambda now: tasks.set_completed(task, completed=False, now=now),
            lambda now: tasks.correct(task, corrected, now=now),
            lambda now: tasks.delete(task, now=now),
            lambda now: tasks.restore(task, now=now),
        )
        for change in changes:
            task, happened = change(self._tick())
            self.happened += happened
        self.tasks[str(task.id)] = task

    def has_a_series(self) -> None:
        """Have occurrences of a task created, and end its series."""
        task, happened = tasks.create(
            a_draft(title="Stand-up"), user_id=self.account.id, now=self._tick()
        )
        self.happened += happened
        task, happened = recurring.set_recurrence(
            task, a_series(timezone="Europe/Berlin"), "UTC", lead=timedelta(0), now=self._tick()
        )
        self.happened += happened
        self.now += 2 * DAY
        due = recurring.due_times(task, now=self.now)
        spawned = recurring.spawn_due(task, due, [], existing=(), now=self.now)
        self.happened += spawned.happened
        self.tasks |= {str(one.id): one for one in spawned.occurrences}
        task, happened = recurring.remove_recurrence(spawned.task, now=self._tick())
        self.happened += happened
        self.tasks[str(task.id)] = task

    def is_reminded(self) -> None:
        """Have reminders of a task moved, snoozed, cancelled and triggered; read the notification.

        One is scheduled again when its task is opened again, and fails to be mailed.
        """
        draft = a_draft(title="Water the plants", due_date=rfc3339(self.now + 30 * DAY))
        task, happened = tasks.create(draft, user_id=self.account.id, now=self._tick())
        self.happened += happened
        wanted = ReminderDraft.model_validate({"before_due": "P1D", "message": "Do it"})
        added = reminders.add(task, wanted, [], "UTC", now=self._tick())
        self.happened += added.happened
        reminder, happened = reminders.snooze(
            added.reminder, task, Snooze(until=self.now + HOUR), now=self._tick()
        )
        self.happened += happened
        for completed in (True, False):
            before = task
            task, happened = tasks.set_completed(task, completed=completed, now=self._tick())
            [reminder], of_reminder = reminders.reschedule(before, task, [reminder], now=self.now)
            self.happened += [*happened, *of_reminder]
        self.now = reminder.remind_at + timedelta(seconds=1.5)
        fired = reminders.trigger(reminder, task, now=self.now)
        self.happened += fired.happened
        _, gave_up = reminders.failed(
            fired.reminder, channel="email", reason="No such mailbox.", now=self._tick()
        )
        _, happened = notifications.read(fired.notification, now=self._tick())
        self.happened += [gave_up, *happened]
        self.tasks[str(task.id)] = task

    def leaves(self) -> None:
        """Delete the account."""
        self.happened.append(accounts.delete(self.account, now=self._tick()))

    def _tick(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


def a_full_history(user_id: str | None = None, *, now: datetime = A_TIME) -> UserHistory:
    """Return a history from `now` on with an event of every type that does not end it."""
    history = UserHistory(user_id, now=now)
    history.changes_settings()
    history.changes_a_task()
    history.has_a_series()
    history.is_reminded()
    return history


def a_history_to_its_end(user_id: str | None = None, *, now: datetime = A_TIME) -> UserHistory:
    """Return a full history at whose end the account is deleted."""
    history = a_full_history(user_id, now=now)
    history.leaves()
    return history
