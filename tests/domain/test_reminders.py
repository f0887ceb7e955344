"""Reminders: their times, and how they follow the changes of their task (N1, N2, T4-T6, E1)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from taskflow.domain import notifications, reminders, tasks
from taskflow.domain.errors import InvalidContent, TaskIsClosed
from taskflow.domain.events import EVENT_TYPES, Aggregate, NewEvent
from taskflow.domain.reminders import (
    REMINDERS_MAX,
    Added,
    Reminder,
    ReminderDraft,
    ReminderStatus,
    Snooze,
)
from taskflow.domain.representations import ReminderRepresentation
from taskflow.domain.tasks import Task, TaskChanges
from taskflow.domain.times import Duration, rfc3339
from tests.support.data.builders import A_TIME, a_reminder, a_task, json_data

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DUE = A_TIME + 10 * DAY
IN_AN_HOUR = rfc3339(A_TIME + HOUR)
REMINDER_FIELDS = ReminderRepresentation.__required_keys__


def _draft(**fields: Any) -> ReminderDraft:  # noqa: ANN401 - what JSON may hold
    return ReminderDraft.model_validate(fields)


def _add(
    task: Task,
    others: Sequence[Reminder] = (),
    now: datetime = A_TIME,
    **fields: Any,  # noqa: ANN401 - as above
) -> Added:
    return reminders.add(task, _draft(**fields), others, "UTC", now=now)


def _due_task(due: datetime = DUE, **fields: Any) -> Task:  # noqa: ANN401 - as above
    return a_task(due_date=rfc3339(due), **fields)


def _types(happened: Sequence[NewEvent]) -> list[str]:
    return [event.event_type.value for event in happened]


def _wrong(task: Task, **fields: Any) -> list[str]:  # noqa: ANN401 - as above
    with pytest.raises(InvalidContent) as refused:
        _add(task, **fields)
    return [error.pointer for error in refused.value.errors]


def _rescheduled(
    before: Task, after: Task, reminder: Reminder, *, now: datetime = A_TIME
) -> tuple[Reminder, list[str]]:
    """Return what a task's change makes of its one reminder, and the types of the events."""
    changed, happened = reminders.reschedule(before, after, [reminder], now=now)
    assert len(changed) == len(happened)
    return (changed[0] if changed else reminder), _types(happened)


# Setting one


def test_an_absolute_reminder_is_scheduled_with_one_event() -> None:
    task = a_task()

    added = _add(task, remind_at=IN_AN_HOUR, message="Milk!")

    reminder, [scheduled] = added.reminder, added.happened
    assert added.notification is None
    assert (reminder.remind_at, reminder.status) == (A_TIME + HOUR, ReminderStatus.SCHEDULED)
    assert (scheduled.event_type.value, scheduled.version) == ("reminder.scheduled", 1)
    assert (scheduled.user_id, scheduled.aggregate_id) == (task.user_id, str(reminder.id))
    assert scheduled.data == {
        "id": str(reminder.id),
        "task_id": str(task.id),
        "user_id": task.user_id,
        "remind_at": IN_AN_HOUR,
        "before_due": None,
        "message": "Milk!",
        "status": "scheduled",
        "notified": False,
        "fires_immediately": False,
        "created_at": rfc3339(A_TIME),
    }


@pytest.mark.parametrize(
    ("before_due", "shown", "long"),
    [
        ("P1D", "P1D", DAY),
        ("P1W", "P7D", 7 * DAY),
        ("PT24H", "PT24H", DAY),
        ("PT90M", "PT1H30M", 1.5 * HOUR),
        ("PT0S", "PT0S", 0 * HOUR),
    ],
)
def test_a_relative_reminder_is_its_duration_before_the_due_date(
    before_due: str, shown: str, long: timedelta
) -> None:
    reminder = _add(_due_task(), before_due=before_due).reminder

    assert reminder.remind_at == DUE - long
    assert reminder.is_relative
    assert reminders.represent(reminder)["before_due"] == shown


@pytest.mark.parametrize("late", [timedelta(0), timedelta(seconds=90.5), 400 * DAY])
def test_a_reminder_at_a_past_time_fires_at_once_and_says_how_late_it_is(late: timedelta) -> None:
    task = a_task(title="Buy milk")

    added = _add(task, remind_at=rfc3339(A_TIME - late), message="Milk!")

    triggered = added.happened[1]
    assert _types(added.happened) == [
        *("reminder.scheduled", "reminder.triggered", "notification.created", "reminder.sent")
    ]
    assert (added.reminder.status, added.reminder.version) == (ReminderStatus.SENT, 3)
    assert added.reminder.is_notified
    assert json_data(triggered)["late_by_s"] == late.total_seconds()
    assert json_data(triggered)["task_title"] == "Buy milk"
    assert json_data(triggered)["reminder_message"] == "Milk!"
    assert json_data(triggered)["changes"] == {
        "status": {"old": "scheduled", "new": "triggered"},
        "notified": {"old": False, "new": True},
    }
    assert added.notification is not None
    assert added.happened[2].data == notifications.represent(added.notification)
    assert (added.notification.title, added.notification.message) == ("Buy milk", "Milk!")
    assert (added.notification.task_id, added.notification.user_id) == (task.id, task.user_id)
    assert added.notification.reminder_id == added.reminder.id


def test_a_second_reminder_at_the_same_time_is_the_first_one_and_appends_no_event() -> None:
    task = _due_task(A_TIME + 2 * HOUR)
    first = a_reminder(task, remind_at=IN_AN_HOUR)

    by_time = _add(task, [first], remind_at=IN_AN_HOUR, message="other")
    by_length = _add(task, [first], before_due="PT1H")

    assert by_time == by_length == Added(first, None, [])


def test_a_day_and_24_hours_are_two_reminders_also_while_they_are_at_the_same_time() -> None:
    task = _due_task()
    a_day, a_week = a_reminder(task, before_due="P1D"), a_reminder(task, before_due="P1W")
    snoozed, _ = reminders.snooze(a_day, task, Snooze(until=DUE - HOUR), now=A_TIME)

    hours = _add(task, [a_day, a_week], before_due="PT24H")

    assert hours.reminder.remind_at == a_day.remind_at
    assert _types(hours.happened) == ["reminder.scheduled"]
    assert _add(task, [a_day, a_week], before_due="P7D") == Added(a_week, None, [])
    assert _add(task, [hours.reminder], before_due="PT1440M") == Added(hours.reminder, None, [])
    # What was snoozed is by now at a time of its own.
    assert _add(task, [snoozed], before_due="PT1H") == Added(snoozed, None, [])


def test_a_second_reminder_at_the_same_past_time_does_not_fire_again() -> None:
    task = a_task()
    fired = _add(task, remind_at=rfc3339(A_TIME - HOUR)).reminder

    again = _add(task, [fired], remind_at=rfc3339(A_TIME - HOUR))

    assert again == Added(fired, None, [])


def test_a_reminder_at_the_time_of_a_removed_one_is_a_new_reminder() -> None:
    task = a_task()
    gone, _ = reminders.remove(a_reminder(task, remind_at=IN_AN_HOUR), now=A_TIME)

    added = _add(task, [gone], remind_at=IN_AN_HOUR)

    assert added.reminder.id != gone.id
    assert _types(added.happened) == ["reminder.scheduled"]


def test_a_task_has_a_maximum_of_reminders_without_the_removed_ones() -> None:
    task = a_task()
    others = [
        a_reminder(task, remind_at=rfc3339(A_TIME + (2 + number) * HOUR))
        for number in range(REMINDERS_MAX)
    ]
    gone, _ = reminders.remove(others[0], now=A_TIME)

    with pytest.raises(InvalidContent):
        _add(task, others, remind_at=IN_AN_HOUR)

    assert _add(task, others, remind_at=rfc3339(others[0].remind_at)).reminder == others[0]
    assert _add(task, [gone, *others[1:]], remind_at=IN_AN_HOUR).happened


def test_a_reminder_time_that_its_task_cannot_have_is_refused_by_the_name_of_its_field() -> None:
    assert _wrong(_due_task()) == ["/remind_at"]
    assert _wrong(_due_task(), remind_at=IN_AN_HOUR, before_due="P1D") == ["/before_due"]
    assert _wrong(a_task(), before_due="P1D") == ["/before_due"]


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_a_reminder_of_a_closed_task_is_refused(status: str) -> None:
    with pytest.raises(TaskIsClosed):
        _add(a_task(status=status), remind_at=IN_AN_HOUR)


def test_a_reminder_of_a_deleted_task_is_refused() -> None:
    deleted, _ = tasks.delete(a_task(), now=A_TIME)

    with pytest.raises(TaskIsClosed):
        _add(deleted, remind_at=IN_AN_HOUR)


@pytest.mark.parametrize(
    "wrong",
    [
        {"remind_at": "2026-03-01T10:00:00"},
        {"remind_at": 5},
        {"before_due": "-P1D"},
        {"before_due": 3600},
        {"before_due": "P366DT1S"},
        {"before_due": "P1DT8761H"},
        {"before_due": "PT99999999999999999S"},
        {"before_due": "P999999999999999999W"},
        {"remind_at": IN_AN_HOUR, "message": ""},
        {"remind_at": IN_AN_HOUR, "message": " "},
        {"remind_at": IN_AN_HOUR, "message": "a\0"},
        {"remind_at": IN_AN_HOUR, "message": "a" * 1001},
        {"remind_at": IN_AN_HOUR, "status": "sent"},
    ],
    ids=str,
)
def test_a_wrong_reminder_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _draft(**wrong)


def test_a_reminder_comes_at_most_a_leap_year_before() -> None:
    assert _draft(before_due="P366D", message="a" * 1000).before_due == Duration(days=366)
    assert _draft(before_due="PT8784H").before_due == Duration(seconds=366 * 86_400)


def test_the_lead_time_is_that_of_the_earliest_remaining_relative_reminder() -> None:
    task = _due_task()
    absolute = a_reminder(task, remind_at=IN_AN_HOUR)
    at_due, an_hour, a_day = (a_reminder(task, before_due=text) for text in ("PT0S", "PT1H", "P1D"))
    gone, _ = reminders.remove(a_day, now=A_TIME)

    assert reminders.lead_time_of([]) == reminders.lead_time_of([absolute, at_due]) == timedelta(0)
    # A day may be as long as that.
    assert reminders.lead_time_of([absolute, an_hour, a_day, at_due]) == DAY + 3 * HOUR
    assert reminders.lead_time_of([an_hour, gone]) == HOUR


# What the task's changes do


def test_completing_a_task_cancels_its_coming_reminders_and_reopening_brings_them_back() -> None:
    task = _due_task()
    reminder = a_reminder(task, before_due="P1D")
    completed, _ = tasks.set_completed(task, True, now=A_TIME)  # noqa: FBT003 - the domain's own
    reopened, _ = tasks.set_completed(completed, False, now=A_TIME)  # noqa: FBT003 - as above

    cancelled, gone = _rescheduled(task, completed, reminder)
    armed, back = _rescheduled(completed, reopened, cancelled)

    assert (cancelled.status, gone) == (ReminderStatus.CANCELLED, ["reminder.cancelled"])
    assert (armed.status, back) == (ReminderStatus.SCHEDULED, ["reminder.scheduled"])
    assert replace(armed, version=1) == reminder


@pytest.mark.parametrize("fields", [{"before_due": "P1D"}, {"remind_at": rfc3339(DUE - DAY)}])
def test_a_reminder_whose_time_passed_while_its_task_was_closed_is_not_scheduled_again(
    fields: dict[str, Any],
) -> None:
    task = _due_task()
    deleted, _ = tasks.delete(task, now=A_TIME)
    cancelled, _ = _rescheduled(task, deleted, a_reminder(task, **fields))
    late = DUE - DAY

    at_its_time, happened = _rescheduled(deleted, task, cancelled, now=late)
    just_before, _ = _rescheduled(deleted, task, cancelled, now=late - timedelta.resolution)

    assert (at_its_time, happened) == (cancelled, [])
    assert just_before.status is ReminderStatus.SCHEDULED


@pytest.mark.parametrize("close", [{"status": "cancelled"}, {"status": "completed"}])
def test_a_change_from_one_closed_state_to_another_leaves_reminders_alone(
    close: dict[str, Any],
) -> None:
    task = _due_task()
    closed, _ = tasks.update(task, TaskChanges.model_validate(close), now=A_TIME)
    deleted, _ = tasks.delete(closed, now=A_TIME)
    cancelled, _ = _rescheduled(task, closed, a_reminder(task, before_due="P1D"))

    assert _rescheduled(closed, deleted, cancelled) == (cancelled, [])
    assert not reminders.are_affected(closed, deleted)


def test_changes_of_several_tasks_move_the_reminders_of_each_task_by_its_own_change() -> None:
    moving, closing, same = _due_task(), _due_task(), _due_task()
    moved = tasks.set_due_date(moving, DUE + DAY, now=A_TIME + HOUR)[0]
    closed = tasks.set_completed(closing, True, now=A_TIME)[0]  # noqa: FBT003 - the domain's own
    renamed = tasks.update(same, TaskChanges(title="x"), now=A_TIME)[0]
    one, two, three = (a_reminder(task, before_due="P1D") for task in (moving, closing, same))

    changed, happened = reminders.reschedule_all(
        [(moving, moved), (closing, closed), (same, renamed)], [three, two, one]
    )

    later, [rescheduled] = reminders.reschedule(moving, moved, [one], now=A_TIME + HOUR)
    cancelled, [ended] = reminders.reschedule(closing, closed, [two], now=A_TIME)
    assert changed == [*later, *cancelled]
    assert happened == [rescheduled, ended]
    assert [event.timestamp for event in happened] == [A_TIME + HOUR, A_TIME]


def test_relative_reminders_move_with_the_due_date() -> None:
    task = _due_task()
    moved, _ = tasks.set_due_date(task, DUE + 3 * DAY, now=A_TIME)
    relative, absolute = a_reminder(task, before_due="P1D"), a_reminder(task, remind_at=IN_AN_HOUR)

    changed, [event] = reminders.reschedule(task, moved, [absolute, relative], now=A_TIME)

    [after] = changed
    assert after.remind_at == DUE + 2 * DAY
    assert event.event_type.value == "reminder.rescheduled"
    assert json_data(event)["changes"] == {
        "remind_at": {"old": rfc3339(DUE - DAY), "new": rfc3339(DUE + 2 * DAY)}
    }


def test_clearing_the_due_date_cancels_relative_reminders_and_a_new_date_brings_them_back() -> None:
    task = _due_task()
    cleared, _ = tasks.set_due_date(task, None, now=A_TIME)
    again, _ = tasks.set_due_date(cleared, DUE + 5 * DAY, now=A_TIME)

    cancelled, gone = _rescheduled(task, cleared, a_reminder(task, before_due="P1D"))
    back, scheduled = _rescheduled(cleared, again, cancelled)
    absolute = a_reminder(task, remind_at=IN_AN_HOUR)

    assert (cancelled.status, gone) == (ReminderStatus.CANCELLED, ["reminder.cancelled"])
    assert (back.remind_at, scheduled) == (DUE + 4 * DAY, ["reminder.scheduled"])
    assert _rescheduled(task, cleared, absolute) == (absolute, [])


def test_a_sent_reminder_comes_again_only_when_its_due_date_moves_later() -> None:
    task = _due_task()
    sent = reminders.trigger(a_reminder(task, before_due="P1D"), task, now=DUE - DAY).reminder
    later, _ = tasks.set_due_date(task, DUE + 3 * DAY, now=A_TIME)
    sooner, _ = tasks.set_due_date(task, DUE - HOUR, now=A_TIME)
    closed, _ = tasks.set_completed(task, True, now=A_TIME)  # noqa: FBT003 - the domain's own

    again, happened = _rescheduled(task, later, sent, now=DUE - DAY)

    assert (again.status, again.remind_at) == (ReminderStatus.SCHEDULED, DUE + 2 * DAY)
    assert happened == ["reminder.rescheduled"]
    assert _rescheduled(task, sooner, sent, now=DUE - DAY) == (sent, [])
    assert _rescheduled(task, closed, sent, now=DUE - DAY) == (sent, [])
    assert _rescheduled(closed, task, sent, now=A_TIME) == (sent, [])


def test_a_due_date_that_is_moved_close_leaves_a_reminder_that_is_due_at_once() -> None:
    task = _due_task()
    moved, _ = tasks.set_due_date(task, A_TIME + HOUR, now=A_TIME)

    overdue, happened = _rescheduled(task, moved, a_reminder(task, before_due="P1D"))

    assert (overdue.status, overdue.remind_at) == (
        ReminderStatus.SCHEDULED,
        A_TIME + HOUR - DAY,
    )
    assert happened == ["reminder.rescheduled"]


def test_a_due_date_moved_while_the_task_was_closed_counts_when_it_is_open_again() -> None:
    task = _due_task()
    closed, _ = tasks.set_completed(task, True, now=A_TIME)  # noqa: FBT003 - the domain's own
    moved, _ = tasks.set_due_date(closed, DUE + 3 * DAY, now=A_TIME)
    reopened, _ = tasks.set_completed(moved, False, now=A_TIME)  # noqa: FBT003 - as above
    cancelled, _ = _rescheduled(task, closed, a_reminder(task, before_due="P1D"))

    meanwhile, happened = _rescheduled(closed, moved, cancelled)
    back, _ = _rescheduled(moved, reopened, meanwhile)

    assert meanwhile.status is ReminderStatus.CANCELLED
    assert happened == ["reminder.rescheduled"]
    assert back.remind_at == meanwhile.remind_at == DUE + 2 * DAY


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
@pytest.mark.parametrize("before_due", ["P366D", "PT8784H", "P1D", "P1DT1S"])
@pytest.mark.parametrize("due", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_a_due_date_at_the_first_or_last_time_does_not_break_its_reminders(
    due: str, before_due: str, zone: str
) -> None:
    task = _due_task(A_TIME + 400 * DAY)
    moved, _ = tasks.set_due_date(task, datetime.fromisoformat(due), now=A_TIME)

    changed, happened = reminders.reschedule(
        task, moved, [a_reminder(task, zone=zone, before_due=before_due)], now=A_TIME
    )

    assert len(changed) == len(happened) == 1


BERLIN = "Europe/Berlin"
SPRING = datetime(2026, 3, 29, 7, tzinfo=UTC)
"""Nine in the morning in Berlin, some hours after the clocks went forward."""


def test_a_moved_due_date_moves_its_reminder_across_a_change_of_clocks() -> None:
    task = _due_task(SPRING - 3 * DAY)
    moved, _ = tasks.set_due_date(task, SPRING, now=A_TIME)

    by_days, _ = _rescheduled(task, moved, a_reminder(task, zone=BERLIN, before_due="P1D"))
    by_hours, _ = _rescheduled(task, moved, a_reminder(task, zone=BERLIN, before_due="PT24H"))

    assert by_days.remind_at == SPRING - 23 * HOUR
    assert by_hours.remind_at == SPRING - 24 * HOUR


def test_a_new_zone_moves_a_reminder_where_the_clocks_change_otherwise() -> None:
    task = _due_task(SPRING)
    days, hours = (a_reminder(task, before_due=text) for text in ("P1D", "PT24H"))
    absolute = a_reminder(task, remind_at=IN_AN_HOUR)
    snoozed, _ = reminders.snooze(days, task, Snooze(until=SPRING - HOUR), now=A_TIME)

    moved, *others = (
        reminders.change_zone(replace(one, zone=BERLIN), task.due_date, now=A_TIME)
        for one in (days, hours, absolute, snoozed)
    )

    assert moved is not None
    after, event = moved
    assert after == replace(days, zone=BERLIN, remind_at=SPRING - 23 * HOUR, version=2)
    assert event.event_type.value == "reminder.rescheduled"
    assert json_data(event)["changes"] == {
        "remind_at": {"old": rfc3339(SPRING - DAY), "new": rfc3339(SPRING - 23 * HOUR)}
    }
    assert others == [None, None, None]
    assert reminders.change_zone_all(
        [(replace(one, zone=BERLIN), task.due_date) for one in (hours, days, snoozed)], now=A_TIME
    ) == ([after], [event])
    assert reminders.change_zone(replace(days, zone="Asia/Kolkata"), SPRING, now=A_TIME) is None


# Snoozing, taking away


@pytest.mark.parametrize("is_sent", [False, True])
def test_a_snoozed_reminder_comes_again_at_the_time_named(is_sent: bool) -> None:  # noqa: FBT001 - a parameter of the test
    task = _due_task()
    reminder = a_reminder(task, before_due="P1D")
    if is_sent:
        reminder = reminders.trigger(reminder, task, now=DUE - DAY).reminder

    snoozed, [event] = reminders.snooze(reminder, task, Snooze(until=DUE - HOUR), now=DUE - DAY)

    assert (snoozed.status, snoozed.remind_at) == (ReminderStatus.SCHEDULED, DUE - HOUR)
    assert (event.event_type.value, event.version) == (
        "reminder.rescheduled",
        reminder.version + 1,
    )


def test_a_snoozed_reminder_stays_snoozed_until_the_due_date_moves() -> None:
    task = _due_task()
    closed, _ = tasks.set_completed(task, True, now=A_TIME)  # noqa: FBT003 - the domain's own
    moved, _ = tasks.set_due_date(task, DUE + DAY, now=A_TIME)
    snoozed, _ = reminders.snooze(
        a_reminder(task, before_due="P1D"), task, Snooze(until=DUE - HOUR), now=A_TIME
    )

    cancelled, _ = _rescheduled(task, closed, snoozed)
    back, _ = _rescheduled(closed, task, cancelled)
    taken_along, _ = _rescheduled(task, moved, snoozed)

    assert (back.remind_at, back.is_snoozed) == (DUE - HOUR, True)
    assert (taken_along.remind_at, taken_along.is_snoozed) == (DUE, False)


def test_a_snoozed_reminder_without_its_due_date_does_not_come_back_with_its_task() -> None:
    task = _due_task()
    cleared, _ = tasks.set_due_date(task, None, now=A_TIME)
    closed, _ = tasks.set_completed(cleared, True, now=A_TIME)  # noqa: FBT003 - the domain's own
    snoozed, _ = reminders.snooze(
        a_reminder(task, before_due="P1D"), task, Snooze(until=DUE - HOUR), now=A_TIME
    )

    cancelled, gone = _rescheduled(task, cleared, snoozed)
    reopened, back = _rescheduled(closed, cleared, cancelled)

    assert (cancelled.status, gone) == (ReminderStatus.CANCELLED, ["reminder.cancelled"])
    assert (reopened, back) == (cancelled, [])


@pytest.mark.parametrize("ago", [timedelta(0), HOUR])
def test_a_reminder_is_not_snoozed_until_a_time_that_is_past(ago: timedelta) -> None:
    task = a_task()
    reminder = a_reminder(task, remind_at=IN_AN_HOUR)

    with pytest.raises(InvalidContent) as refused:
        reminders.snooze(reminder, task, Snooze(until=A_TIME - ago), now=A_TIME)

    assert [error.pointer for error in refused.value.errors] == ["/until"]


def test_a_reminder_of_a_closed_task_is_not_snoozed() -> None:
    task = a_task()
    reminder = a_reminder(task, remind_at=IN_AN_HOUR)
    closed, _ = tasks.set_completed(task, True, now=A_TIME)  # noqa: FBT003 - the domain's own

    with pytest.raises(TaskIsClosed):
        reminders.snooze(reminder, closed, Snooze(until=A_TIME + HOUR), now=A_TIME)


def test_a_removed_reminder_never_comes_back() -> None:
    task = _due_task()
    gone, event = reminders.remove(a_reminder(task, before_due="P1D"), now=A_TIME)
    closed, _ = tasks.set_completed(task, True, now=A_TIME)  # noqa: FBT003 - the domain's own
    moved, _ = tasks.set_due_date(task, DUE + DAY, now=A_TIME)

    assert (gone.status, gone.is_relative) == (ReminderStatus.CANCELLED, False)
    assert (event.event_type.value, event.version) == ("reminder.cancelled", 2)
    assert _rescheduled(closed, task, gone) == _rescheduled(task, moved, gone) == (gone, [])


# Copies


def test_an_occurrence_has_the_relative_reminders_of_its_series() -> None:
    series = _due_task()
    template = a_reminder(series, before_due="P1D", message="soon")
    occurrence = _due_task(DUE + 7 * DAY)

    copy, scheduled = template.copied_to(occurrence, now=DUE)

    assert (copy.task_id, copy.user_id) == (occurrence.id, occurrence.user_id)
    assert (copy.remind_at, copy.message) == (DUE + 6 * DAY, "soon")
    assert (copy.before_due, copy.version, copy.created_at) == (Duration(days=1), 1, DUE)
    assert copy.id != template.id
    assert scheduled.data == reminders.represent(copy)


def test_a_copied_reminder_is_its_days_before_the_due_date_in_the_zone_of_its_user() -> None:
    template = a_reminder(_due_task(SPRING - 3 * DAY), zone=BERLIN, before_due="P1D")

    copy, _ = template.copied_to(_due_task(SPRING), now=A_TIME)

    assert (copy.remind_at, copy.zone) == (SPRING - 23 * HOUR, BERLIN)


# Properties


@dataclass
class _World:
    """A task with its reminders, the time, and what the events have shown so far."""

    task: Task
    now: datetime = A_TIME
    reminders: dict[UUID, Reminder] = field(default_factory=dict[UUID, Reminder])
    shown: dict[str, tuple[int, dict[str, Any]]] = field(
        default_factory=dict[str, tuple[int, dict[str, Any]]]
    )

    def pick(self, number: int) -> Reminder | None:
        """Return a reminder that its user can still see."""
        present = [one for one in self.reminders.values() if not one.is_removed]
        return present[number % len(present)] if present else None

    def apply(self, changed: Sequence[Reminder], happened: Sequence[NewEvent]) -> None:
        """Apply the result of a change, and check its events against it."""
        for reminder in changed:
            self.reminders[reminder.id] = reminder
        for event in happened:
            if EVENT_TYPES[event.event_type].aggregate is not Aggregate.REMINDER:
                continue
            state = {
                name: value for name, value in json_data(event).items() if name in REMINDER_FIELDS
            }
            version, before = self.shown.get(event.aggregate_id, (0, state))
            assert event.version == version + 1
            assert event.timestamp == self.now
            assert json_data(event).get("changes", {}) == {
                name: {"old": before[name], "new": state[name]}
                for name in state
                if before[name] != state[name]
            }
            self.shown[event.aggregate_id] = (event.version, state)

    def check(self) -> None:
        """Check what holds after every step."""
        for reminder in self.reminders.values():
            assert self.shown[str(reminder.id)] == (
                reminder.version,
                reminders.represent(reminder),
            )
            if reminder.is_removed:
                assert reminder.status is ReminderStatus.CANCELLED
            if reminder.status is not ReminderStatus.SCHEDULED:
                continue
            assert self.task.is_open
            if reminder.before_due is not None and not reminder.is_snoozed:
                assert self.task.due_date is not None
                nominal = timedelta(seconds=reminder.before_due.nominal_s)
                assert reminder.remind_at == self.task.due_date - nominal


Step = Callable[[_World], None]


def _change(change: Callable[[Task, datetime], tasks.Changed]) -> Step:
    def step(world: _World) -> None:
        before = world.task
        world.task, _ = change(before, world.now)
        known = list(world.reminders.values())
        changed, happened = reminders.reschedule(before, world.task, known, now=world.now)
        assert len(changed) == len(happened)
        assert not changed or reminders.are_affected(before, world.task)
        assert not [one.id for one in changed if world.reminders[one.id].is_removed]
        world.apply(changed, happened)

    return step


def _update(**fields: Any) -> Step:  # noqa: ANN401 - what JSON may hold
    changes = TaskChanges.model_validate(fields)
    return _change(lambda task, now: tasks.update(task, changes, now=now))


def _move_due(hours: int | None) -> Step:
    return _change(
        lambda task, now: tasks.set_due_date(
            task, None if hours is None else now + hours * HOUR, now=now
        )
    )


def _add_one(hours: int, *, is_relative: bool) -> Step:
    def step(world: _World) -> None:
        if not world.task.is_open or (is_relative and world.task.due_date is None):
            return
        how = (
            {"before_due": f"PT{abs(hours)}H"}
            if is_relative
            else {"remind_at": rfc3339(world.now + hours * HOUR)}
        )
        added = _add(world.task, list(world.reminders.values()), world.now, **how)
        assert (added.notification is not None) == (
            bool(added.happened) and added.reminder.remind_at <= world.now
        )
        world.apply([added.reminder], added.happened)

    return step


def _snooze(number: int, hours: int) -> Step:
    def step(world: _World) -> None:
        reminder = world.pick(number)
        is_without_due = reminder is not None and reminder.is_relative and not world.task.due_date
        if reminder is not None and world.task.is_open and not is_without_due:
            until = Snooze(until=world.now + hours * HOUR)
            after, happened = reminders.snooze(reminder, world.task, until, now=world.now)
            world.apply([after] if happened else [], happened)

    return step


def _remove(number: int) -> Step:
    def step(world: _World) -> None:
        reminder = world.pick(number)
        if reminder is not None:
            after, event = reminders.remove(reminder, now=world.now)
            world.apply([after], [event])

    return step


def _trigger_due(world: _World) -> None:
    for reminder in list(world.reminders.values()):
        if reminder.status is ReminderStatus.SCHEDULED and reminder.remind_at <= world.now:
            fired = reminders.trigger(reminder, world.task, now=world.now)
            assert json_data(fired.happened[0])["late_by_s"] >= 0
            world.apply([fired.reminder], fired.happened)


STEPS: st.SearchStrategy[Step] = st.one_of(
    st.booleans().map(
        lambda completed: _change(
            lambda task, now: tasks.set_completed(task, completed, now=now),
        )
    ),
    st.sampled_from(["pending", "in_progress", "completed", "cancelled"]).map(
        lambda status: _update(status=status)
    ),
    st.just(_change(lambda task, now: tasks.delete(task, now=now))),
    st.just(_change(lambda task, now: tasks.restore(task, now=now))),
    st.sampled_from([None, -5, 1, 3, 30, 100]).map(_move_due),
    st.builds(_add_one, st.sampled_from([-2, 1, 2, 24, 50]), is_relative=st.booleans()),
    st.builds(_snooze, st.integers(0, 5), st.sampled_from([1, 2, 40])),
    st.integers(0, 5).map(_remove),
    st.just(_trigger_due),
)


@settings(max_examples=150)
@given(st.lists(st.tuples(STEPS, st.sampled_from([0, 30, 60, 600])), max_size=25))
def test_reminders_follow_any_change_of_their_task_and_their_events_tell_all(
    steps: list[tuple[Step, int]],
) -> None:
    world = _World(_due_task(A_TIME + 30 * HOUR))
    for is_relative in (False, True):
        _add_one(24, is_relative=is_relative)(world)

    for step, minutes in steps:
        world.now += timedelta(minutes=minutes)
        step(world)
        world.check()
