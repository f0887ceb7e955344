"""Exports: all that is a user's, as lines of JSON, and how another account takes the tasks of it.

An export begins with a header and ends with a trailer that counts its lines by type, so that one
that was cut off is known. An import makes the tasks anew, with ids and events of their own: what an
export says of events and of the inbox is read by nobody here, or it could forge the log; nor is
where somebody was told, or it could have us write to strangers.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field
from typing_extensions import TypedDict

from taskflow.domain import (
    accounts,
    destinations,
    notifications,
    recurring,
    reminders,
    tasks,
    webhooks,
)
from taskflow.domain.accounts import (
    USER_ID_MAX_CHARS,
    Account,
    Channels,
    EmailDigest,
    SettingsChanges,
    TimeOfDay,
)
from taskflow.domain.content import ABSENT, WHOLE, Content, IfSent
from taskflow.domain.destinations import Channel, Destination, DestinationRepresentation
from taskflow.domain.errors import FieldError
from taskflow.domain.event_data import SeriesData
from taskflow.domain.events import EventRepresentation, NewEvent
from taskflow.domain.identifiers import id_for
from taskflow.domain.notifications import Notification
from taskflow.domain.recurrence import Missed, Mode, Recurrence, RuleText, Series, Skip
from taskflow.domain.recurrence.series import START_MAX
from taskflow.domain.recurring import START_YEARS
from taskflow.domain.reminders import REMINDERS_MAX, BeforeDue, Message, Reminder
from taskflow.domain.representations import (
    NotificationRepresentation,
    ReminderRepresentation,
    ReminderStatus,
    SettingsRepresentation,
    TaskRepresentation,
)
from taskflow.domain.tasks import (
    Description,
    DueTime,
    Metadata,
    PriorityField,
    ReadOnly,
    Status,
    StatusField,
    Tags,
    Task,
    Title,
)
from taskflow.domain.text import Text
from taskflow.domain.times import Time, TimeText, TimeZone, rfc3339
from taskflow.domain.webhooks import WebhookRepresentation

VERSION = 1
"""Of the format; raised when an older import could no longer take it."""

IMPORTED_REMINDERS_MAX = 1000
"""Of one task, with those that are past."""

MADE_MAX = 1_000_000
"""How many occurrences an imported series may say to have made."""


class Header(TypedDict):
    """The first line: whose export it is, and up to which event of their stream."""

    type: Literal["header"]
    format: Literal["taskflow-export"]
    version: Annotated[int, Field(description="Of the format.")]
    user_id: Annotated[str, Field(description="Whose data follow.")]
    seq: Annotated[int, Field(description="The newest event that it shows the outcome of.")]


class AccountLine(SettingsRepresentation):
    """The account and its settings."""

    type: Literal["account"]
    id: Annotated[str, Field(description="The user's id.")]
    email: Annotated[str | None, Field(description="The email address, if there is one.")]
    roles: Annotated[list[str], Field(description="The roles of the account.")]
    created_at: Annotated[TimeText, Field(description="When the account was opened.")]


class ReminderLine(ReminderRepresentation):
    """A reminder of a task, with what only the server goes by."""

    is_snoozed: Annotated[bool, Field(description="Whether its user has moved it.")]
    is_removed: Annotated[bool, Field(description="Whether its user has taken it away.")]


class SeriesLine(SeriesData):
    """The series of a recurring task."""

    made: Annotated[int, Field(description="How many were made by completions, for COUNT.")]


class TaskLine(TaskRepresentation):
    """A task with its series and its reminders; in the order of creation."""

    type: Literal["task"]
    deleted_at: Annotated[TimeText | None, Field(description="When it was deleted, if it is.")]
    series: Annotated[SeriesLine | None, Field(description="Its series, if it recurs.")]
    reminders: Annotated[list[ReminderLine], Field(description="All there ever were.")]


class DestinationLine(DestinationRepresentation):
    """Where the user is told of reminders, without what could be sent there with."""

    type: Literal["destination"]


class WebhookLine(WebhookRepresentation):
    """Where the user's events are sent, without the secrets."""

    type: Literal["webhook"]


class NotificationLine(NotificationRepresentation):
    """What stands in the inbox."""

    type: Literal["notification"]


class EventLine(EventRepresentation):
    """An event, as the history shows it."""

    type: Literal["event"]


class Trailer(TypedDict):
    """The last line: how many lines of each type came before it."""

    type: Literal["trailer"]
    destinations: int
    webhooks: int
    tasks: int
    notifications: int
    events: int


def header(user_id: str, seq: int) -> Header:
    """Return the first line."""
    return {
        "type": "header",
        "format": "taskflow-export",
        "version": VERSION,
        "user_id": user_id,
        "seq": seq,
    }


def account_line(account: Account) -> AccountLine:
    """Return the line of an account; of the password it says nothing."""
    return {
        "type": "account",
        "id": account.id,
        "email": account.email,
        "roles": list(account.roles),
        "created_at": rfc3339(account.created_at),
        **accounts.represent_settings(account),
    }


def destination_line(destination: Destination) -> DestinationLine | WebhookLine:
    """Return the line of a destination: neither secrets nor keys are in it."""
    if destination.channel is Channel.WEBHOOK:
        return {"type": "webhook", **webhooks.represent(destination)}
    return {"type": "destination", **destinations.represent(destination)}


def task_line(task: Task, its_reminders: Sequence[Reminder]) -> TaskLine:
    """Return the line of a task."""
    return {
        "type": "task",
        **tasks.represent(task),
        "deleted_at": None if task.deleted_at is None else rfc3339(task.deleted_at),
        "series": task.recurrence
        and {**recurring.represent_series(task.recurrence), "made": task.recurrence.made},
        "reminders": [
            {
                **reminders.represent(one),
                "is_snoozed": one.is_snoozed,
                "is_removed": one.is_removed,
            }
            for one in its_reminders
        ],
    }


def notification_line(notification: Notification) -> NotificationLine:
    """Return the line of a notification."""
    return {"type": "notification", **notifications.represent(notification)}


# What an import takes


class ImportedHeader(Content):
    """The header of an export that is to be imported."""

    type: Literal["header"]
    format: Literal["taskflow-export"]
    version: Annotated[int, Field(ge=1, le=VERSION), WHOLE]
    user_id: Annotated[Text, Field(min_length=1, max_length=USER_ID_MAX_CHARS)]
    seq: Annotated[int, Field(ge=0, le=(1 << 63) - 1), WHOLE]


class ImportedQuietHours(Content):
    """The quiet hours of an account."""

    start: TimeOfDay
    end: TimeOfDay


class ImportedAccount(Content):
    """An account whose settings are to be imported; who it was does not count."""

    type: Literal["account"]
    timezone: TimeZone
    notification_channels: Channels
    quiet_hours: ImportedQuietHours | None
    # Of an export from before there was it, nothing changes.
    email_digest: IfSent[EmailDigest] = ABSENT
    id: ReadOnly = None
    email: ReadOnly = None
    roles: ReadOnly = None
    created_at: ReadOnly = None

    def changes(self) -> SettingsChanges:
        """Return the settings as a change of those that the account has."""
        quiet = self.quiet_hours
        digest = {} if self.email_digest is ABSENT else {"email_digest": self.email_digest}
        return SettingsChanges.model_validate(
            {
                "timezone": self.timezone,
                "notification_channels": self.notification_channels,
                "quiet_hours": quiet and {"start": quiet.start, "end": quiet.end},
                **digest,
            }
        )


class ImportedReminder(Content):
    """A reminder of an imported task."""

    id: Annotated[UUID, Field(strict=False)]
    remind_at: Time
    before_due: BeforeDue | None
    message: Message | None
    status: Annotated[ReminderStatus, Field(strict=False)]
    created_at: Time
    is_snoozed: bool
    is_removed: bool
    task_id: ReadOnly = None
    user_id: ReadOnly = None
    notified: ReadOnly = None
    fires_immediately: ReadOnly = None


class ImportedSeries(Content):
    """The series of an imported task."""

    recurrence_rule: RuleText
    local_start: Annotated[datetime, Field(strict=False)]
    timezone: TimeZone | None
    mode: Annotated[Mode, Field(strict=False)]
    missed: Annotated[Missed, Field(strict=False)]
    skip: Annotated[Skip, Field(strict=False)]
    made: Annotated[int, Field(ge=0, le=MADE_MAX), WHOLE]
    start: ReadOnly = None

    def field_errors(self) -> Sequence[FieldError]:
        """Return what is wrong with the start."""
        start = self.local_start
        if start.tzinfo is not None or start.year not in START_YEARS or start > START_MAX:
            return [FieldError("/series/local_start", "must be a local time from 1900 to 9998")]
        return []


class ImportedTask(Content):
    """A task that is to be imported; what follows from the rest of it does not count."""

    type: Literal["task"]
    id: Annotated[UUID, Field(strict=False)]
    title: Title
    description: Description | None
    status: StatusField
    priority: PriorityField
    tags: Tags
    metadata: Metadata
    due_date: DueTime | None
    completed_at: Time | None
    created_at: Time
    deleted_at: Time | None
    recurring_task_id: Annotated[UUID, Field(strict=False)] | None
    occurrence_at: Time | None
    series: ImportedSeries | None
    reminders: Annotated[list[ImportedReminder], Field(max_length=IMPORTED_REMINDERS_MAX)]
    user_id: ReadOnly = None
    completed: ReadOnly = None
    recurrence_rule: ReadOnly = None
    is_recurring: ReadOnly = None
    next_occurrence: ReadOnly = None
    updated_at: ReadOnly = None
    version: ReadOnly = None

    def field_errors(self) -> Sequence[FieldError]:
        """Return what contradicts within the line."""
        errors = [*(self.series.field_errors() if self.series else ())]
        if (self.recurring_task_id is None) != (self.occurrence_at is None):
            errors.append(FieldError("/occurrence_at", "goes with recurring_task_id"))
        ids = [one.id for one in self.reminders]
        if len(set(ids)) < len(ids):
            errors.append(FieldError("/reminders", "must each have an id of its own"))
        pending = sum(one.status is ReminderStatus.SCHEDULED for one in self.reminders)
        if pending > REMINDERS_MAX:
            errors.append(FieldError("/reminders", f"at most {REMINDERS_MAX} may be scheduled"))
        return errors


class ImportedTrailer(Content):
    """The trailer of an export that is to be imported."""

    type: Literal["trailer"]
    tasks: Annotated[int, Field(ge=0), WHOLE]
    destinations: ReadOnly = None
    webhooks: ReadOnly = None
    notifications: ReadOnly = None
    events: ReadOnly = None


IMPORTED: Mapping[str, type[Content] | None] = {
    "header": ImportedHeader,
    "account": ImportedAccount,
    "destination": None,
    "webhook": None,
    "task": ImportedTask,
    "notification": None,
    "event": None,
    "trailer": ImportedTrailer,
}
"""What is taken of each type of line; None where it is passed over unread."""


class Progress(TypedDict):
    """How far an import has come."""

    added: Annotated[int, Field(description="How many tasks this part has added.")]
    present: Annotated[int, Field(description="How many tasks of it were there already.")]
    passed_over: Annotated[
        int,
        Field(
            description="How many lines were events, destinations, webhooks or of the inbox, which"
            " are not imported."
        ),
    ]
    tasks: Annotated[int, Field(description="How many tasks the import has added in all.")]
    is_complete: Annotated[bool, Field(description="Whether the trailer has come.")]


@dataclass(frozen=True, slots=True)
class Imported:
    """Tasks made of an export, their reminders, and the events."""

    tasks: Sequence[Task]
    reminders: Sequence[Reminder]
    happened: Sequence[NewEvent]


def import_tasks(
    wanted: Sequence[ImportedTask], *, user_id: str, user_zone: str, now: datetime
) -> Imported:
    """Make the tasks of an export in a user's account, each with the events of its own creation.

    What an imported task refers to must be there, or come before it. Series go on after `now`, and
    no reminder whose time is past comes again.
    """
    made = [_made(each, user_id=user_id, zone=user_zone, now=now) for each in wanted]
    return Imported(
        [each.tasks[0] for each in made],
        [one for each in made for one in each.reminders],
        [event for each in made for event in each.happened],
    )


def missing_references(
    wanted: Sequence[ImportedTask], present: Collection[UUID], *, user_id: str
) -> Mapping[int, FieldError]:
    """Return, by their places, the tasks that are occurrences of none before them or `present`."""
    known = set(present)
    missing: dict[int, FieldError] = {}
    for number, each in enumerate(wanted):
        series = each.recurring_task_id
        if series is not None and id_for(user_id, series) not in known:
            missing[number] = FieldError("/recurring_task_id", "names no task before this one")
        known.add(id_for(user_id, each.id))
    return missing


def _made(wanted: ImportedTask, *, user_id: str, zone: str, now: datetime) -> Imported:
    completes = wanted.status is Status.COMPLETED
    series_id = wanted.recurring_task_id
    task = Task(
        id=id_for(user_id, wanted.id),
        user_id=user_id,
        title=wanted.title,
        description=wanted.description,
        status=wanted.status,
        priority=wanted.priority,
        tags=tuple(wanted.tags),
        metadata=wanted.metadata,
        due_date=wanted.due_date,
        completed_at=min(wanted.completed_at or now, now) if completes else None,
        created_at=min(wanted.created_at, now),
        updated_at=now,
        version=1,
        recurring_task_id=None if series_id is None else id_for(user_id, series_id),
        occurrence_at=wanted.occurrence_at,
    )
    happened = [tasks.created(task)]
    its_reminders: list[Reminder] = []
    for each in wanted.reminders:
        reminder, of_reminder = reminders.imported(
            task,
            # Of the task too, so that no two tasks can have the same.
            reminder_id=id_for(f"{user_id}\n{wanted.id}", each.id),
            remind_at=each.remind_at,
            before_due=each.before_due,
            zone=zone,
            message=each.message,
            created_at=min(each.created_at, now),
            is_scheduled=each.status is ReminderStatus.SCHEDULED and wanted.deleted_at is None,
            is_snoozed=each.is_snoozed,
            is_removed=each.is_removed,
            now=now,
        )
        its_reminders.append(reminder)
        happened += of_reminder
    if wanted.series is not None:
        task, of_series = recurring.go_on(
            task,
            _recurrence(wanted.series, zone=zone, its_reminders=its_reminders, now=now),
            now=now,
        )
        happened += of_series
    if wanted.deleted_at is not None:
        task, of_deletion = tasks.delete(task, now=now)
        happened += of_deletion
    return Imported([task], its_reminders, happened)


def _recurrence(
    wanted: ImportedSeries, *, zone: str, its_reminders: Sequence[Reminder], now: datetime
) -> Recurrence:
    return Recurrence(
        series=Series(
            recurrence_rule=wanted.recurrence_rule,
            start=wanted.local_start,
            timezone=wanted.timezone,
            mode=wanted.mode,
            missed=wanted.missed,
            skip=wanted.skip,
        ),
        zone=wanted.timezone or zone,
        lead=reminders.lead_time_of(its_reminders),
        made=wanted.made,
        led_since=now,
    )
