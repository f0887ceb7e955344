"""Reminders: when a user is to be reminded of a task, and what the task's own changes do to that.

A reminder is at a time of its own, or relative to the task's due date. It is `scheduled` until its
time, then `triggered`, and `sent` once the user has it; `cancelled` while there is nothing to be
reminded of.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, PlainValidator
from pydantic_core import PydanticCustomError

from taskflow.domain import notifications
from taskflow.domain.content import Content, examples
from taskflow.domain.errors import FieldError, InvalidContent, TaskIsClosed
from taskflow.domain.event_data import (
    EventData,
    ReminderChanged,
    ReminderFailed,
    ReminderScheduled,
    ReminderTriggered,
)
from taskflow.domain.events import EventType, NewEvent, changed_fields
from taskflow.domain.identifiers import new_id
from taskflow.domain.notifications import Message, Notification
from taskflow.domain.representations import ReminderRepresentation, ReminderStatus
from taskflow.domain.tasks import Task
from taskflow.domain.times import (
    DURATION_PATTERN,
    Duration,
    Time,
    duration_text,
    parse_duration,
    rfc3339,
)

REMINDERS_MAX = 50
"""Of one task, still to come."""

BEFORE_DUE_MAX = Duration(days=366)
# Two days more, for the local times of all zones are within one.
_EARLIEST_DUE = datetime.min.replace(tzinfo=UTC) + timedelta(days=BEFORE_DUE_MAX.days + 2)


def _not_too_long(before_due: Duration) -> Duration:
    if before_due.nominal_s > BEFORE_DUE_MAX.nominal_s:
        raise PydanticCustomError(
            "before_due_too_long",
            "must be at most {longest}",
            {"longest": duration_text(BEFORE_DUE_MAX)},
        )
    return before_due


BeforeDue = Annotated[
    Duration,
    PlainValidator(parse_duration, json_schema_input_type=str),
    AfterValidator(_not_too_long),
    Field(
        description="How long before the due date (RFC 5545, 3.3.6): weeks, or days and time; at"
        f" most `{duration_text(BEFORE_DUE_MAX)}`.",
        json_schema_extra={"format": "duration", "pattern": DURATION_PATTERN},
    ),
]


class ReminderDraft(Content):
    """What a client sends to be reminded: at a time, or so long before the task is due."""

    model_config = examples(
        {"remind_at": "2126-05-01T09:00:00Z", "message": "It is time"}, {"before_due": "P1DT2H"}
    )

    remind_at: Annotated[Time, Field(description="When; this or `before_due`.")] | None = None
    before_due: BeforeDue | None = None
    message: Message | None = None

    def field_errors(self, due_date: datetime | None, pointer: str = "") -> list[FieldError]:
        """Return the invalid fields of this reminder, of a task with this due date.

        `pointer` is the JSON Pointer to the reminder in the request.
        """
        if self.remind_at is None and self.before_due is None:
            return [FieldError(f"{pointer}/remind_at", "is required, or before_due")]
        if self.remind_at is not None and self.before_due is not None:
            return [FieldError(f"{pointer}/before_due", "contradicts remind_at beside it")]
        if self.before_due is not None and due_date is None:
            return [FieldError(f"{pointer}/before_due", "needs a task with a due date")]
        if self.before_due is not None and due_date is not None and due_date < _EARLIEST_DUE:
            return [FieldError(f"{pointer}/before_due", "lies before the first of all times")]
        return []


class Snooze(Content):
    """What a client sends to be reminded again later."""

    model_config = examples({"until": "2126-05-01T09:00:00Z"})

    until: Annotated[Time, Field(description="When to be reminded again.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminder:
    """A reminder as it stands; `version` counts its events.

    `remind_at` is when, also for one that is `before_due`, unless it `is_snoozed`. One that
    `is_removed` was taken away by its user, and nothing arms it again. The days of `before_due` are
    of the calendar in `zone`, its user's at present.
    """

    id: UUID
    task_id: UUID
    user_id: str
    remind_at: datetime
    before_due: Duration | None
    zone: str
    message: str | None
    status: ReminderStatus
    created_at: datetime
    version: int
    is_snoozed: bool = False
    is_removed: bool = False

    @property
    def is_relative(self) -> bool:
        """Whether the reminder moves with its task's due date, and is copied to occurrences."""
        return self.before_due is not None and not self.is_removed

    @property
    def is_notified(self) -> bool:
        """Say whether its user has been reminded."""
        return self.status in {ReminderStatus.TRIGGERED, ReminderStatus.SENT}

    def copied_to(self, occurrence: Task, *, now: datetime) -> tuple["Reminder", NewEvent]:
        """Return a copy of this relative reminder, for an occurrence of its task, and its event."""
        draft = ReminderDraft.model_construct(before_due=self.before_due, message=self.message)
        return _scheduled(occurrence, draft, self.zone, now=now)


@dataclass(frozen=True, slots=True)
class Triggered:
    """A reminder that has been sent, its notification, and the events of both."""

    reminder: Reminder
    notification: Notification
    happened: Sequence[NewEvent]


@dataclass(frozen=True, slots=True)
class Added:
    """A new reminder; or the one that is there already, and then nothing happened.

    `notification` is what its user gets where the time is past already.
    """

    reminder: Reminder
    notification: Notification | None
    happened: Sequence[NewEvent]


def represent(reminder: Reminder, *, fires_immediately: bool = False) -> ReminderRepresentation:
    """Return a reminder as answers and events show it."""
    before_due = reminder.before_due
    return {
        "id": str(reminder.id),
        "task_id": str(reminder.task_id),
        "user_id": reminder.user_id,
        "remind_at": rfc3339(reminder.remind_at),
        "before_due": None if before_due is None else duration_text(before_due),
        "message": reminder.message,
        "status": reminder.status,
        "notified": reminder.is_notified,
        "fires_immediately": fires_immediately,
        "created_at": rfc3339(reminder.created_at),
    }


def add(
    task: Task, draft: ReminderDraft, others: Sequence[Reminder], user_zone: str, *, now: datetime
) -> Added:
    """Have the user reminded of a task, among the `others` it has; at once if the time is past.

    Raises InvalidContent, and TaskIsClosed where there is nothing to be reminded of.
    """
    if errors := draft.field_errors(task.due_date):
        raise InvalidContent(*errors)
    if not task.is_open:
        raise TaskIsClosed
    reminder, happened = _scheduled(task, draft, user_zone, now=now)
    for other in others:
        if other.status is not ReminderStatus.CANCELLED and _is_same(other, reminder):
            return Added(other, None, [])
    if sum(one.status is ReminderStatus.SCHEDULED for one in others) >= REMINDERS_MAX:
        raise InvalidContent(
            FieldError("", f"a task has at most {REMINDERS_MAX} pending reminders")
        )
    if reminder.remind_at > now:
        return Added(reminder, None, [happened])
    fired = trigger(reminder, task, now=now)
    return Added(fired.reminder, fired.notification, [happened, *fired.happened])


def imported(
    task: Task,
    *,
    reminder_id: UUID,
    remind_at: datetime,
    before_due: Duration | None,
    zone: str,
    message: str | None,
    created_at: datetime,
    is_scheduled: bool,
    is_snoozed: bool,
    is_removed: bool,
    now: datetime,
) -> tuple[Reminder, Sequence[NewEvent]]:
    """Return a reminder that its user had elsewhere, and the events.

    One that was scheduled comes if its time is still to come; any other is kept as cancelled.
    """
    at = remind_at
    has_time = before_due is None or task.due_date is not None or is_snoozed
    if before_due is not None and task.due_date is not None and not is_snoozed:
        at = _before(task.due_date, before_due, zone)
    reminder = Reminder(
        id=reminder_id,
        task_id=task.id,
        user_id=task.user_id,
        remind_at=at,
        before_due=before_due,
        zone=zone,
        message=message,
        status=ReminderStatus.SCHEDULED,
        created_at=created_at,
        version=1,
        is_snoozed=is_snoozed,
    )
    data: ReminderScheduled = {**represent(reminder)}
    scheduled = _event(EventType.REMINDER_SCHEDULED, reminder, data, now=now)
    if is_scheduled and has_time and task.is_open and at > now and not is_removed:
        return reminder, [scheduled]
    after = replace(reminder, status=ReminderStatus.CANCELLED, is_removed=is_removed)
    after, cancelled = _recorded(EventType.REMINDER_CANCELLED, reminder, after, now=now)
    return after, [scheduled, cancelled]


def reschedule(
    before: Task, after: Task, reminders: Sequence[Reminder], *, now: datetime
) -> tuple[Sequence[Reminder], Sequence[NewEvent]]:
    """Return the reminders that a task's change changes, as they are after it, and the events.

    Closing a task cancels its scheduled reminders; opening it schedules those again whose time is
    still to come. Reminders relative to the due date move with it.
    """
    is_moved = before.due_date != after.due_date
    changed: list[Reminder] = []
    happened: list[NewEvent] = []
    for reminder in reminders:
        rescheduled = _rescheduled(reminder, after, is_moved=is_moved, now=now)
        if rescheduled is not None:
            event_type, one = rescheduled
            one, event = _recorded(event_type, reminder, one, now=now)
            changed.append(one)
            happened.append(event)
    return changed, happened


def reschedule_all(
    changes: Iterable[tuple[Task, Task]], reminders: Iterable[Reminder]
) -> tuple[Sequence[Reminder], Sequence[NewEvent]]:
    """Return the reminders that changes of several tasks change, and the events, as `reschedule`.

    Each change is the task before and after; its time is the `updated_at` of the latter.
    `reminders` are all reminders of these tasks.
    """
    by_task: dict[UUID, list[Reminder]] = defaultdict(list)
    for reminder in reminders:
        by_task[reminder.task_id].append(reminder)
    changed: list[Reminder] = []
    happened: list[NewEvent] = []
    for before, after in changes:
        its_reminders = by_task[after.id]
        its_changed, its_events = reschedule(before, after, its_reminders, now=after.updated_at)
        changed += its_changed
        happened += its_events
    return changed, happened


def change_zone(
    reminder: Reminder, due_date: datetime | None, *, now: datetime
) -> tuple[Reminder, NewEvent] | None:
    """Return a reminder moved to its user's new zone and the event, or None if its time stays."""
    if reminder.before_due is None or due_date is None or reminder.is_snoozed:
        return None
    at = _before(due_date, reminder.before_due, reminder.zone)
    if at == reminder.remind_at:
        return None
    after = replace(reminder, remind_at=at)
    return _recorded(EventType.REMINDER_RESCHEDULED, reminder, after, now=now)


def change_zone_all(
    reminders: Iterable[tuple[Reminder, datetime | None]], *, now: datetime
) -> tuple[Sequence[Reminder], Sequence[NewEvent]]:
    """Return the reminders that their user's new zone moves, and the events.

    Each of `reminders` comes with its task's due date.
    """
    found = [change_zone(reminder, due_date, now=now) for reminder, due_date in reminders]
    moved = [each for each in found if each is not None]
    return [reminder for reminder, _ in moved], [event for _, event in moved]


def are_affected(before: Task, after: Task) -> bool:
    """Say whether a task's change can change its reminders."""
    return (before.due_date, before.is_open) != (after.due_date, after.is_open)


def snooze(
    reminder: Reminder, task: Task, wanted: Snooze, *, now: datetime
) -> tuple[Reminder, Sequence[NewEvent]]:
    """Move a reminder to a later time; the time that it has already is no change.

    Raises InvalidContent for a time past, and TaskIsClosed.
    """
    if wanted.until <= now:
        raise InvalidContent(FieldError("/until", "must lie in the future"))
    if not task.is_open:
        raise TaskIsClosed
    after = replace(
        reminder, remind_at=wanted.until, status=ReminderStatus.SCHEDULED, is_snoozed=True
    )
    if after == reminder:
        return reminder, []
    after, happened = _recorded(EventType.REMINDER_RESCHEDULED, reminder, after, now=now)
    return after, [happened]


def remove(reminder: Reminder, *, now: datetime) -> tuple[Reminder, NewEvent]:
    """Take a reminder away for good."""
    after = replace(reminder, status=ReminderStatus.CANCELLED, is_removed=True)
    return _recorded(EventType.REMINDER_CANCELLED, reminder, after, now=now)


def trigger(reminder: Reminder, task: Task, *, now: datetime) -> Triggered:
    """Remind the user: on their sockets by the event, and in the inbox."""
    late_by_s = round((now - reminder.remind_at).total_seconds(), 3)
    fired, data = _changed(reminder, replace(reminder, status=ReminderStatus.TRIGGERED))
    shown: ReminderTriggered = {
        **data,
        "task_title": task.title,
        "reminder_message": reminder.message,
        "late_by_s": late_by_s,
    }
    triggered = _event(EventType.REMINDER_TRIGGERED, fired, shown, now=now)
    notification, created = notifications.create(
        user_id=task.user_id,
        task_id=task.id,
        reminder_id=reminder.id,
        title=task.title,
        message=reminder.message,
        late_by_s=late_by_s,
        now=now,
    )
    sent, delivered = _recorded(
        EventType.REMINDER_SENT, fired, replace(fired, status=ReminderStatus.SENT), now=now
    )
    return Triggered(sent, notification, [triggered, created, delivered])


def failed(
    reminder: Reminder, *, channel: str, reason: str, now: datetime
) -> tuple[Reminder, NewEvent]:
    """Record that an outside channel has given up telling of a reminder; it stays as it is."""
    after, changed = _changed(reminder, reminder)
    data: ReminderFailed = {**changed, "channel": channel, "reason": reason}
    return after, _event(EventType.REMINDER_FAILED, after, data, now=now)


def lead_time_of(reminders: Sequence[Reminder]) -> timedelta:
    """Return how long before its due date the first of a task's relative reminders may come."""
    leads = [one.before_due.longest for one in reminders if one.is_relative and one.before_due]
    return max(leads, default=timedelta(0))


def _is_same(other: Reminder, reminder: Reminder) -> bool:
    """Say whether two reminders are the same: `P1D` and `PT24H` part when the due date moves."""
    lengths = {one.before_due for one in (other, reminder)} - {None}
    will_part = len(lengths) > 1 and not other.is_snoozed
    return other.remind_at == reminder.remind_at and not will_part


def _before(due_date: datetime, before_due: Duration, zone: str) -> datetime:
    return before_due.before(max(due_date, _EARLIEST_DUE), zone)


def _rescheduled(
    reminder: Reminder, task: Task, *, is_moved: bool, now: datetime
) -> tuple[EventType, Reminder] | None:
    """Return the type of the event and the reminder after its task's change; None if unchanged."""
    if reminder.is_removed:
        return None
    before_due, due_date = reminder.before_due, task.due_date
    at = reminder.remind_at
    is_snoozed = reminder.is_snoozed and not (is_moved and before_due is not None)
    if before_due is not None and due_date is not None and not is_snoozed:
        at = _before(due_date, before_due, reminder.zone)
    has_time = before_due is None or due_date is not None or is_snoozed
    is_armed = task.is_open and has_time
    armed = replace(reminder, remind_at=at, is_snoozed=is_snoozed, status=ReminderStatus.SCHEDULED)
    comes_again = is_moved and before_due is not None and reminder.is_notified
    is_moved_to = at != reminder.remind_at
    event_type, one = None, reminder
    if is_armed and at > now and (reminder.status is ReminderStatus.CANCELLED or comes_again):
        back = EventType.REMINDER_RESCHEDULED if comes_again else EventType.REMINDER_SCHEDULED
        event_type, one = back, armed
    elif reminder.status is ReminderStatus.SCHEDULED and not is_armed:
        event_type = EventType.REMINDER_CANCELLED
        one = replace(armed, status=ReminderStatus.CANCELLED)
    elif is_moved_to and not reminder.is_notified:
        event_type, one = EventType.REMINDER_RESCHEDULED, replace(armed, status=reminder.status)
    return None if event_type is None else (event_type, one)


def _scheduled(
    task: Task, draft: ReminderDraft, zone: str, *, now: datetime
) -> tuple[Reminder, NewEvent]:
    at = draft.remind_at
    if at is None:
        assert task.due_date is not None and draft.before_due is not None  # noqa: PT018, S101 - `field_errors` says so
        at = draft.before_due.before(task.due_date, zone)
    reminder = Reminder(
        id=new_id(now),
        task_id=task.id,
        user_id=task.user_id,
        remind_at=at,
        before_due=draft.before_due,
        zone=zone,
        message=draft.message,
        status=ReminderStatus.SCHEDULED,
        created_at=now,
        version=1,
    )
    data: ReminderScheduled = {**represent(reminder)}
    return reminder, _event(EventType.REMINDER_SCHEDULED, reminder, data, now=now)


def _recorded(
    event_type: EventType, before: Reminder, after: Reminder, *, now: datetime
) -> tuple[Reminder, NewEvent]:
    after, data = _changed(before, after)
    return after, _event(event_type, after, data, now=now)


def _changed(before: Reminder, after: Reminder) -> tuple[Reminder, ReminderChanged]:
    after = replace(after, version=before.version + 1)
    new = represent(after)
    return after, {**new, "changes": changed_fields(represent(before), new)}


def _event(
    event_type: EventType, reminder: Reminder, data: EventData, *, now: datetime
) -> NewEvent:
    return NewEvent(
        event_type=event_type,
        user_id=reminder.user_id,
        aggregate_id=str(reminder.id),
        version=reminder.version,
        timestamp=now,
        data=data,
    )
