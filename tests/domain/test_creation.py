"""Creating a task with its series and its reminders, all or nothing (T2, R1, N1)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from taskflow.domain import creation, reminders, tasks
from taskflow.domain.creation import Created, NewTask
from taskflow.domain.errors import InvalidContent
from taskflow.domain.events import NewEvent
from taskflow.domain.recurrence import Mode
from taskflow.domain.reminders import REMINDERS_MAX, ReminderStatus
from tests.support.data.builders import A_TIME

DUE = "2026-05-01T09:00:00.000000Z"
DUE_AT = datetime.fromisoformat(DUE)
PAST = "2026-02-28T09:00:00Z"


def _draft(**fields: Any) -> NewTask:  # noqa: ANN401 - what JSON may hold
    return NewTask.model_validate({"title": "Buy milk", **fields})


def _create(zone: str = "UTC", **fields: Any) -> Created:  # noqa: ANN401 - as above
    return creation.create(_draft(**fields), user_id="somebody", user_zone=zone, now=A_TIME)


def _types(happened: Sequence[NewEvent]) -> list[str]:
    return [event.event_type.value for event in happened]


def _refused(**fields: Any) -> list[str]:  # noqa: ANN401 - as above
    with pytest.raises(InvalidContent) as refused:
        _create(**fields)
    return [error.pointer for error in refused.value.errors]


def test_a_draft_of_a_title_alone_makes_a_task_without_series_or_reminders() -> None:
    made = _create()

    assert _types(made.happened) == ["task.created"]
    assert made.happened[0].data == tasks.represent(made.task)
    assert (made.reminders, made.notifications) == ([], [])


def test_a_task_its_series_and_its_reminders_are_made_and_told_in_this_order() -> None:
    made = _create(
        due_date=DUE,
        recurrence={"recurrence_rule": "FREQ=WEEKLY", "mode": "after_completion"},
        reminders=[{"before_due": "P1D", "message": "soon"}, {"remind_at": "2026-04-01T00:00:00Z"}],
    )

    assert _types(made.happened) == [
        *("task.created", "recurrence.set", "reminder.scheduled", "reminder.scheduled")
    ]
    assert made.happened[1].version == made.task.version == 2
    assert made.task.recurrence is not None
    assert made.task.recurrence.series.mode is Mode.AFTER_COMPLETION
    assert made.task.recurrence.lead == timedelta(days=1, hours=3)
    assert [one.remind_at for one in made.reminders] == [
        DUE_AT - timedelta(days=1),
        datetime.fromisoformat("2026-04-01T00:00:00Z"),
    ]
    assert {one.task_id for one in made.reminders} == {made.task.id}
    assert [event.data for event in made.happened[2:]] == [
        reminders.represent(one) for one in made.reminders
    ]


def test_a_rule_alone_makes_a_series_with_the_defaults() -> None:
    by_rule = _create("Europe/Berlin", due_date=DUE, recurrence_rule="RRULE:FREQ=WEEKLY")
    by_series = _create(
        "Europe/Berlin", due_date=DUE, recurrence={"recurrence_rule": "FREQ=WEEKLY"}
    )

    assert by_rule.task.recurrence == by_series.task.recurrence
    assert by_rule.task.next_occurrence == DUE_AT + timedelta(days=7)
    assert tasks.represent(by_rule.task)["recurrence_rule"] == "FREQ=WEEKLY"


def test_a_reminder_whose_time_is_past_fires_with_the_creation() -> None:
    made = _create(reminders=[{"remind_at": PAST, "message": "late"}])

    [reminder], [notification] = made.reminders, made.notifications
    assert reminder.status is ReminderStatus.SENT
    assert notification.reminder_id == reminder.id
    assert _types(made.happened) == [
        "task.created",
        "reminder.scheduled",
        "reminder.triggered",
        "notification.created",
        "reminder.sent",
    ]


def test_reminders_of_the_same_time_are_one() -> None:
    made = _create(
        due_date=DUE,
        reminders=[
            {"before_due": "P7D"},
            {"before_due": "P1W"},
            {"remind_at": "2026-04-24T11:00:00+02:00"},
            {"remind_at": PAST},
            {"remind_at": PAST},
        ],
    )

    assert [one.remind_at for one in made.reminders] == [
        DUE_AT - timedelta(days=7),
        datetime.fromisoformat(PAST),
    ]
    assert len(made.notifications) == 1
    assert _types(made.happened).count("reminder.scheduled") == 2


def test_a_completed_task_may_recur() -> None:
    made = _create(completed=True, due_date=DUE, recurrence_rule="FREQ=DAILY")

    assert made.task.next_occurrence == DUE_AT + timedelta(days=1)


def test_a_cancelled_task_keeps_a_series_that_makes_no_occurrence() -> None:
    made = _create(status="cancelled", recurrence_rule="FREQ=DAILY")

    assert made.task.recurrence is not None
    assert made.task.next_occurrence is None


def test_every_wrong_reminder_is_named_together_with_the_other_wrong_fields() -> None:
    wrong = _refused(
        recurrence_rule="FREQ=DAILY",
        recurrence={"recurrence_rule": "FREQ=DAILY"},
        reminders=[
            {"remind_at": PAST},
            {},
            {"before_due": "P1D"},
            {"before_due": "P1D", "remind_at": PAST},
        ],
    )

    assert sorted(wrong) == [
        "/recurrence_rule",
        "/reminders/1/remind_at",
        "/reminders/2/before_due",
        "/reminders/3/before_due",
    ]


def test_a_contradicting_status_is_named_beside_the_other_wrong_fields() -> None:
    # A2: every wrong field at once.
    assert sorted(_refused(status="cancelled", completed=True, reminders=[{}])) == [
        "/completed",
        "/reminders/0/remind_at",
    ]


@pytest.mark.parametrize("closed", [{"status": "cancelled"}, {"completed": True}])
def test_a_reminder_of_a_task_created_closed_is_refused(closed: dict[str, Any]) -> None:
    assert _refused(**closed, reminders=[{"remind_at": DUE}]) == ["/reminders"]
    assert _create(**closed, reminders=[]).reminders == []


def test_more_reminders_than_a_task_may_have_are_refused() -> None:
    times = [
        {"remind_at": (DUE_AT + timedelta(hours=number)).isoformat()}
        for number in range(REMINDERS_MAX)
    ]

    assert len(_create(reminders=times).reminders) == REMINDERS_MAX
    with pytest.raises(ValidationError):
        _draft(reminders=[*times, {"remind_at": DUE}])


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"recurrence_rule": "FREQ=HOURLY"}, ("recurrence_rule",)),
        ({"recurrence_rule": 5}, ("recurrence_rule",)),
        ({"recurrence": {}}, ("recurrence", "recurrence_rule")),
        ({"recurrence": {"recurrence_rule": "FREQ=DAILY", "x": 1}}, ("recurrence", "x")),
        ({"reminders": [{"remind_at": "tomorrow"}]}, ("reminders", 0, "remind_at")),
        ({"reminders": [{"before_due": "P1M"}]}, ("reminders", 0, "before_due")),
        ({"reminders": [{"before_due": "P367D"}]}, ("reminders", 0, "before_due")),
        ({"reminders": [{"remind_at": DUE, "message": " "}]}, ("reminders", 0, "message")),
        ({"reminders": {"remind_at": DUE}}, ("reminders",)),
        ({"next_occurrence": DUE}, ("next_occurrence",)),
    ],
    ids=str,
)
def test_a_wrong_field_of_a_new_task_is_refused_by_its_path(
    fields: dict[str, Any], at: tuple[str | int, ...]
) -> None:
    with pytest.raises(ValidationError) as refused:
        _draft(**fields)

    assert [error["loc"] for error in refused.value.errors()] == [at]


@pytest.mark.parametrize("due", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_due_date_that_no_series_can_begin_with_is_refused_by_name(due: str) -> None:
    # Without a start of its own, a series begins with the due date.
    assert len(_refused(due_date=due, recurrence_rule="FREQ=DAILY")) == 1


def test_a_reminder_before_the_first_of_all_times_is_refused_by_name() -> None:
    wrong = _refused(due_date="0001-01-01T00:00:00Z", reminders=[{"before_due": "P1D"}])

    assert wrong == ["/reminders/0/before_due"]
