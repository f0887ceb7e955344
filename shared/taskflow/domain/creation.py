"""Creating a task, and with it whatever else one request may ask for: its series, its reminders."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from taskflow.domain import recurring, reminders, tasks
from taskflow.domain.content import examples
from taskflow.domain.errors import FieldError, InvalidContent
from taskflow.domain.events import NewEvent
from taskflow.domain.notifications import Notification
from taskflow.domain.recurrence import RuleText
from taskflow.domain.recurring import RecurrenceDraft
from taskflow.domain.reminders import REMINDERS_MAX, Reminder, ReminderDraft
from taskflow.domain.tasks import Task, TaskDraft


class NewTask(TaskDraft):
    """What a client sends to create a task with all that belongs to it.

    `recurrence_rule` alone stands for a `recurrence` with this rule and nothing else said.
    """

    model_config = examples(
        {"title": "Buy milk"},
        {
            "title": "Water the plants",
            "priority": "high",
            "tags": ["home"],
            "due_date": "2026-05-01T09:00:00+02:00",
            "recurrence_rule": "FREQ=WEEKLY",
            "reminders": [{"before_due": "PT1H"}],
        },
    )

    recurrence_rule: RuleText | None = None
    recurrence: RecurrenceDraft | None = None
    reminders: (
        Annotated[
            list[ReminderDraft],
            Field(max_length=REMINDERS_MAX, description="When to be reminded of it."),
        ]
        | None
    ) = None

    @property
    def series(self) -> RecurrenceDraft | None:
        """Return the series that the request asks for, or None."""
        if self.recurrence is None and self.recurrence_rule is not None:
            return RecurrenceDraft(recurrence_rule=self.recurrence_rule)
        return self.recurrence

    @property
    def needs_zone(self) -> bool:
        """Say whether creating this depends on the user's zone."""
        return bool(self.series or self.reminders)


@dataclass(frozen=True, slots=True)
class Created:
    """A new task, its reminders, and what its user gets of those whose time is past."""

    task: Task
    reminders: Sequence[Reminder]
    notifications: Sequence[Notification]
    happened: Sequence[NewEvent]


def create(draft: NewTask, *, user_id: str, user_zone: str, now: datetime) -> Created:
    """Make a new task of a user. Raises InvalidContent for fields that contradict each other."""
    task, created = _bare(draft, user_id=user_id, now=now)
    happened = list(created)
    added: list[Reminder] = []
    notifications: list[Notification] = []
    of_reminders: list[NewEvent] = []
    for each in draft.reminders or ():
        one = reminders.add(task, each, added, user_zone, now=now)
        if one.happened:
            added.append(one.reminder)
            of_reminders += one.happened
        if one.notification is not None:
            notifications.append(one.notification)
    if draft.series is not None:
        lead = reminders.lead_time_of(added)
        task, set_ = recurring.set_recurrence(task, draft.series, user_zone, lead=lead, now=now)
        happened += set_
    return Created(task, added, notifications, [*happened, *of_reminders])


def _bare(draft: NewTask, *, user_id: str, now: datetime) -> tuple[Task, Sequence[NewEvent]]:
    """Make the task itself, once nothing in the whole request contradicts."""
    wanted = draft.reminders or []
    errors = [
        error
        for number, each in enumerate(wanted)
        for error in each.field_errors(draft.due_date, f"/reminders/{number}")
    ]
    if draft.recurrence is not None and draft.recurrence_rule is not None:
        errors.append(FieldError("/recurrence_rule", "contradicts recurrence beside it"))
    try:
        task, happened = tasks.create(draft, user_id=user_id, now=now)
    except InvalidContent as refused:
        raise InvalidContent(*refused.errors, *errors) from None
    if wanted and not task.is_open:
        errors.append(FieldError("/reminders", "need a task that is open"))
    if errors:
        raise InvalidContent(*errors)
    return task, happened
