"""Recurring tasks: each occurrence once, at its time, told by its events (R1-R8, T8, E1)."""

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from taskflow.domain import recurring, reminders, tasks
from taskflow.domain.errors import NoRecurrence
from taskflow.domain.events import NewEvent
from taskflow.domain.recurrence import (
    AHEAD_MAX,
    MISSED_AFTER,
    Missed,
    Recurrence,
    Series,
    local_time,
    occurrences,
)
from taskflow.domain.recurring import (
    PREVIEW_MAX,
    SPAWNED_MAX,
    PreviewDraft,
    RecurrenceDraft,
    Spawned,
)
from taskflow.domain.reminders import Reminder
from taskflow.domain.representations import TaskRepresentation
from taskflow.domain.tasks import Status, Task, TaskChanges
from taskflow.domain.times import rfc3339
from tests.support.data.builders import (
    A_TIME,
    a_recurring_task,
    a_reminder,
    a_series,
    a_task,
    json_data,
)
from tests.support.data.random_rules import ZONES, a_rule, a_start

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NO_LEAD = timedelta(0)
TASK_FIELDS = TaskRepresentation.__required_keys__
LIFE_MAX, REACHED_MAX = 60, 200
"""Occurrences of a random series; and those that a long lead may reach beyond them."""


def _set(
    task: Task,
    draft: RecurrenceDraft,
    *,
    zone: str = "UTC",
    lead: timedelta = NO_LEAD,
    now: datetime = A_TIME,
) -> tuple[Task, Sequence[NewEvent]]:
    return recurring.set_recurrence(task, draft, zone, lead=lead, now=now)


def _spawn(
    task: Task,
    now: datetime,
    templates: Sequence[Reminder] = (),
    existing: Collection[datetime] = (),
) -> Spawned:
    due = recurring.due_times(task, now=now)
    return recurring.spawn_due(task, due, templates, existing=existing, now=now)


def _times(made: Spawned) -> list[datetime]:
    return [one.occurrence_at for one in made.occurrences if one.occurrence_at is not None]


def _types(happened: Sequence[NewEvent]) -> list[str]:
    return [event.event_type.value for event in happened]


def _recurrence_of(task: Task) -> Recurrence:
    assert task.recurrence is not None
    return task.recurrence


def _completed(task: Task, now: datetime) -> Task:
    task, _ = tasks.set_completed(task, True, now=now)  # noqa: FBT003 - the domain's own
    return task


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _assert_explained(before: Task, after: Task, happened: Sequence[NewEvent]) -> None:
    """Check that the events of a task lead from its state before to its state after."""
    state, version = tasks.represent(before), before.version
    for event in happened:
        if event.aggregate_id != str(after.id):
            continue
        version += 1
        shown = {name: value for name, value in json_data(event).items() if name in TASK_FIELDS}
        assert event.version == shown["version"] == version
        assert json_data(event)["changes"] == {
            name: {"old": state[name], "new": shown[name]}
            for name in shown
            if state[name] != shown[name] and name not in {"version", "updated_at"}
        }
        state = shown
    assert state == tasks.represent(after)


# Setting a series


def test_a_series_begins_with_the_due_date_and_its_next_occurrence_comes_after_that() -> None:
    task = a_task(due_date="2026-03-06T08:00:00Z")

    recurs, [event] = _set(task, a_series("FREQ=WEEKLY"), zone="Europe/Berlin")

    assert recurs.next_occurrence == _utc("2026-03-13T08:00")
    assert (event.event_type.value, event.version) == ("recurrence.set", 2)
    assert json_data(event)["series"] == {
        "recurrence_rule": "FREQ=WEEKLY",
        "start": "2026-03-06T08:00:00.000000Z",
        "local_start": "2026-03-06T09:00:00",
        "timezone": None,
        "mode": "schedule",
        "missed": "all",
        "skip": "backward",
    }
    assert sorted(json_data(event)["changes"]) == [
        "is_recurring",
        "next_occurrence",
        "recurrence_rule",
    ]
    _assert_explained(task, recurs, [event])
    assert recurring.represent(recurs) == {
        "task_id": str(task.id),
        **json_data(event)["series"],
        "next_occurrence": "2026-03-13T08:00:00.000000Z",
    }


def test_without_a_due_date_a_series_begins_now() -> None:
    assert a_recurring_task("FREQ=DAILY").next_occurrence == A_TIME + DAY


def test_a_series_in_a_zone_of_its_own_ignores_the_zone_of_its_user() -> None:
    task, _ = _set(
        a_task(),
        a_series(start="2026-03-06T09:00:00+09:00", timezone="Asia/Tokyo"),
        zone="Europe/Berlin",
    )

    recurrence = _recurrence_of(task)
    assert recurrence.zone == recurrence.series.timezone == "Asia/Tokyo"
    assert recurrence.series.start.isoformat() == "2026-03-06T09:00:00"


def test_a_series_that_began_long_ago_makes_no_occurrence_before_now() -> None:
    # R7
    task, _ = _set(a_task(), a_series(start="2020-01-01T12:00:00Z", missed="all"), lead=2 * DAY)

    assert task.next_occurrence == _utc("2026-03-01T12:00")
    assert _times(_spawn(task, A_TIME)) == [
        _utc("2026-03-01T12:00"),
        _utc("2026-03-02T12:00"),
    ]


def test_setting_the_same_series_again_changes_nothing() -> None:
    draft = a_series("FREQ=DAILY", start="2026-03-01T08:00:00Z")
    task, _ = _set(a_task(), draft)

    assert _set(task, draft, now=A_TIME + 5 * DAY) == (task, [])


def test_another_rule_begins_anew_after_now_and_counts_from_one() -> None:
    task = a_recurring_task("FREQ=DAILY;COUNT=3", mode="after_completion")
    task = replace(task, recurrence=replace(_recurrence_of(task), made=2))

    changed, happened = _set(
        task, a_series("FREQ=WEEKLY", start="2026-03-02T08:00:00Z"), now=A_TIME + 3 * DAY
    )

    assert changed.next_occurrence == _utc("2026-03-09T08:00")
    assert _recurrence_of(changed).made == 0
    assert _types(happened) == ["recurrence.set"]
    _assert_explained(task, changed, happened)


def test_a_series_that_ends_with_its_own_task_makes_no_occurrence() -> None:
    task = a_recurring_task("FREQ=DAILY;COUNT=1")

    assert task.recurrence is not None
    assert task.next_occurrence is None
    assert recurring.represent(task)["next_occurrence"] is None
    assert recurring.due_times(task, now=A_TIME + 99 * DAY) == []


def test_a_series_that_follows_completions_has_no_next_time() -> None:
    task = a_recurring_task("FREQ=DAILY", mode="after_completion")

    assert task.next_occurrence is None
    assert _spawn(task, A_TIME + 99 * DAY) == Spawned(task, [], [], [])


def test_ending_a_series_removes_its_next_time() -> None:
    task = a_recurring_task()

    ended, [event] = recurring.remove_recurrence(task, now=A_TIME + HOUR)

    assert (ended.recurrence, ended.next_occurrence) == (None, None)
    assert (event.event_type.value, event.version) == ("recurrence.removed", 3)
    _assert_explained(task, ended, [event])
    with pytest.raises(NoRecurrence):
        recurring.represent(ended)
    with pytest.raises(NoRecurrence):
        recurring.remove_recurrence(ended, now=A_TIME)


@pytest.mark.parametrize(
    ("wrong", "at"),
    [
        ({}, "recurrence_rule"),
        ({"recurrence_rule": "FREQ=HOURLY"}, "recurrence_rule"),
        ({"recurrence_rule": "FREQ=DAILY", "start": "2026-03-01T09:00:00"}, "start"),
        ({"recurrence_rule": "FREQ=DAILY", "start": "1899-12-31T23:59:59Z"}, "start"),
        ({"recurrence_rule": "FREQ=DAILY", "start": "9999-01-01T00:00:00Z"}, "start"),
        ({"recurrence_rule": "FREQ=DAILY", "timezone": "Mars"}, "timezone"),
        ({"recurrence_rule": "FREQ=DAILY", "timezone": "europe/berlin"}, "timezone"),
        ({"recurrence_rule": "FREQ=DAILY", "mode": "always"}, "mode"),
        ({"recurrence_rule": "FREQ=DAILY", "missed": "some"}, "missed"),
        ({"recurrence_rule": "FREQ=DAILY", "skip": "x"}, "skip"),
        ({"recurrence_rule": "FREQ=DAILY", "limit": 3}, "limit"),
    ],
    ids=str,
)
def test_a_wrong_series_is_refused_by_the_name_of_its_field(wrong: dict[str, Any], at: str) -> None:
    with pytest.raises(ValidationError) as refused:
        RecurrenceDraft.model_validate(wrong)

    assert [error["loc"] for error in refused.value.errors()] == [(at,)]


@pytest.mark.parametrize("start", ["1900-01-01T00:00:00Z", "9998-12-31T23:59:59Z"])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_first_and_the_last_start_can_be_reckoned_with_anywhere(start: str, zone: str) -> None:
    task = a_recurring_task("FREQ=MONTHLY", zone=zone, start=start)

    assert recurring.represent(task)["start"] == start.replace("Z", ".000000Z")
    assert task.next_occurrence is not None


def test_the_last_start_of_all_leaves_the_series_itself_and_no_more() -> None:
    # The next would lie beyond what a date can express.
    task = a_recurring_task("FREQ=YEARLY;INTERVAL=9", start="9998-12-31T23:59:59Z")

    assert task.next_occurrence is None


# Previews


def test_a_preview_shows_local_and_utc_and_why_a_day_was_moved() -> None:
    draft = PreviewDraft.model_validate(
        {"recurrence_rule": "FREQ=MONTHLY", "start": "2026-01-31T08:00:00Z", "limit": 2}
    )

    rows = recurring.represent_preview(draft, "Europe/Berlin", now=A_TIME)

    assert json.loads(json.dumps(rows)) == [
        {
            "local": "2026-01-31T09:00:00",
            "utc": "2026-01-31T08:00:00.000000Z",
            "fate": "kept",
            "reason": None,
        },
        {
            "local": "2026-02-28T09:00:00",
            "utc": "2026-02-28T08:00:00.000000Z",
            "fate": "moved",
            "reason": "2026-02 has no day 31",
        },
    ]


def test_a_preview_shows_a_day_left_out_without_a_local_and_a_utc_time() -> None:
    draft = PreviewDraft.model_validate(
        {
            "recurrence_rule": "FREQ=MONTHLY",
            "start": "2026-01-31T08:00:00Z",
            "skip": "omit",
            "limit": 2,
        }
    )

    rows = recurring.represent_preview(draft, "UTC", now=A_TIME)

    assert [row["fate"] for row in rows] == ["kept", "skipped", "kept"]
    assert (rows[1]["local"], rows[1]["utc"]) == (None, None)


@pytest.mark.parametrize("limit", [0, PREVIEW_MAX + 1, "3", None])
def test_a_preview_has_a_reasonable_length(limit: object) -> None:
    with pytest.raises(ValidationError):
        PreviewDraft.model_validate({"recurrence_rule": "FREQ=DAILY", "limit": limit})


# Occurrences by the schedule


def test_an_occurrence_is_a_task_of_its_own_told_with_its_series() -> None:
    task = a_recurring_task(zone="Europe/Berlin")
    task, _ = tasks.update(
        task,
        TaskChanges.model_validate(
            {
                "title": "Water the plants",
                "description": "all of them",
                "priority": "high",
                "tags": ["home"],
                "metadata": {"a": 1},
                "status": "in_progress",
            }
        ),
        now=A_TIME,
    )
    now = A_TIME + DAY + HOUR

    made = _spawn(task, now)

    [one], [created, spawned] = made.occurrences, made.happened
    assert (one.title, one.description) == ("Water the plants", "all of them")
    assert (one.priority, one.tags) == (task.priority, ("home",))
    assert (one.status, one.metadata, one.version) == (Status.PENDING, {}, 1)
    assert one.due_date == one.occurrence_at == A_TIME + DAY
    assert one.created_at == one.updated_at == now
    assert (one.recurring_task_id, one.recurrence, one.predecessor_id) == (task.id, None, None)
    assert created.data == tasks.represent(one)
    assert (created.event_type.value, created.version) == ("task.created", 1)
    assert spawned.event_type.value == "recurring.spawned"
    assert json_data(spawned)["occurrence"] == {
        "id": str(one.id),
        "occurrence_at": rfc3339(A_TIME + DAY),
    }
    assert made.task.next_occurrence == A_TIME + 2 * DAY
    _assert_explained(task, made.task, made.happened)


def test_no_occurrence_is_made_before_its_time() -> None:
    task = a_recurring_task()

    early = _spawn(task, A_TIME + DAY - timedelta.resolution)

    assert early == Spawned(task, [], [], [])
    assert _times(_spawn(task, A_TIME + DAY)) == [A_TIME + DAY]


def test_an_occurrence_comes_as_early_as_its_longest_reminder_with_all_relative_ones() -> None:
    # R6
    task = a_recurring_task("FREQ=WEEKLY", lead=2 * DAY, start=rfc3339(A_TIME + HOUR))
    due = replace(task, due_date=A_TIME + HOUR)
    gone, _ = reminders.remove(a_reminder(due, before_due="P3D"), now=A_TIME)
    templates = [
        gone,
        a_reminder(due, before_due="P2D", message="soon"),
        a_reminder(due, remind_at=rfc3339(A_TIME + MINUTE)),
        a_reminder(due, before_due="PT0S"),
    ]
    at = A_TIME + HOUR + 7 * DAY

    early = _spawn(task, at - 2 * DAY - timedelta.resolution, templates)
    made = _spawn(task, at - 2 * DAY, templates)

    assert early.occurrences == []
    assert _times(made) == [at]
    assert [(one.remind_at, one.message) for one in made.reminders] == [
        (at - 2 * DAY, "soon"),
        (at, None),
    ]
    assert {one.task_id for one in made.reminders} == {made.occurrences[0].id}
    assert _types(made.happened) == [
        *("task.created", "reminder.scheduled", "reminder.scheduled", "recurring.spawned")
    ]


def test_completing_a_recurring_task_does_not_stop_its_series() -> None:
    task = _completed(a_recurring_task(), A_TIME + HOUR)

    assert _times(_spawn(task, A_TIME + DAY)) == [A_TIME + DAY]


@pytest.mark.parametrize("how", ["delete", "cancel", "remove"])
def test_an_ended_series_makes_no_occurrence(how: str) -> None:
    task, now = a_recurring_task(), A_TIME + HOUR
    if how == "delete":
        ended, _ = tasks.delete(task, now=now)
    elif how == "cancel":
        ended, _ = tasks.update(task, TaskChanges(status=Status.CANCELLED), now=now)
    else:
        ended, _ = recurring.remove_recurrence(task, now=now)

    assert recurring.due_times(ended, now=A_TIME + 9 * DAY) == []
    assert _spawn(ended, A_TIME + 9 * DAY) == Spawned(ended, [], [], [])


def test_an_existing_occurrence_is_not_made_again_wherever_it_is_among_the_due_ones() -> None:
    task, now = a_recurring_task(), A_TIME + 5 * DAY
    existing = {A_TIME + number * DAY for number in (1, 3, 5)}

    made = _spawn(task, now, existing=existing)

    assert _times(made) == [A_TIME + 2 * DAY, A_TIME + 4 * DAY]
    assert made.task.next_occurrence == A_TIME + 6 * DAY
    _assert_explained(task, made.task, made.happened)


def test_a_series_whose_due_occurrences_all_exist_goes_on_after_them() -> None:
    task, now = a_recurring_task(), A_TIME + 2 * DAY

    made = _spawn(task, now, existing={A_TIME + DAY, A_TIME + 2 * DAY})

    assert made.occurrences == []
    assert _types(made.happened) == ["recurrence.set"]
    assert made.task.next_occurrence == A_TIME + 3 * DAY
    _assert_explained(task, made.task, made.happened)


def test_the_last_occurrence_leaves_no_next_time() -> None:
    task = a_recurring_task("FREQ=DAILY;COUNT=3")

    made = _spawn(task, A_TIME + 9 * DAY)

    assert _times(made) == [A_TIME + DAY, A_TIME + 2 * DAY]
    assert made.task.next_occurrence is None
    assert json_data(made.happened[-1])["next_occurrence"] is None
    assert _spawn(made.task, A_TIME + 99 * DAY) == Spawned(made.task, [], [], [])


@pytest.mark.parametrize(
    ("missed", "made_up"), [("all", [1, 2, 3, 4, 5]), ("latest", [5]), ("skip", [])]
)
def test_after_an_outage_missed_occurrences_are_handled_as_the_series_says(
    missed: str, made_up: list[int]
) -> None:
    # R7
    task = a_recurring_task(missed=missed)

    made = _spawn(task, A_TIME + 5 * DAY + HOUR)

    assert _times(made) == [A_TIME + number * DAY for number in made_up]
    assert made.task.next_occurrence == A_TIME + 6 * DAY
    _assert_explained(task, made.task, made.happened)
    assert made.happened, "the next time has changed"


@pytest.mark.parametrize("missed", list(Missed))
def test_a_dropped_missed_occurrence_is_not_made_later(missed: Missed) -> None:
    task = a_recurring_task(missed=missed.value)
    once = _spawn(task, A_TIME + 5 * DAY + HOUR)

    again = _spawn(once.task, A_TIME + 5 * DAY + 2 * HOUR)

    assert again == Spawned(once.task, [], [], [])


@pytest.mark.parametrize(("missed", "sizes"), [("all", [100, 100, 50]), ("latest", [1])])
def test_many_missed_occurrences_are_made_in_several_turns_until_none_is_left(
    missed: str, sizes: list[int]
) -> None:
    task, now = a_recurring_task(missed=missed), A_TIME + 250 * DAY + HOUR
    made: list[Spawned] = []

    while task.next_occurrence is not None and task.next_occurrence <= now:
        made.append(_spawn(task, now))
        task = made[-1].task

    times = [at for each in made for at in _times(each)]
    assert [len(each.occurrences) for each in made] == sizes
    assert times == sorted({*times})
    assert times[-1] == A_TIME + 250 * DAY
    assert task.next_occurrence == A_TIME + 251 * DAY


def test_a_full_turn_of_existing_occurrences_is_followed_by_the_next_turn() -> None:
    task, now = a_recurring_task(), A_TIME + 150 * DAY
    first = set(recurring.due_times(task, now=now))

    made = _spawn(task, now, existing=first)

    assert len(first) == SPAWNED_MAX
    assert (made.occurrences, made.task.next_occurrence) == ([], A_TIME + 101 * DAY)


def test_a_longer_lead_time_makes_the_occurrences_within_it_at_once() -> None:
    task = a_recurring_task()
    longer = replace(task, recurrence=replace(_recurrence_of(task), lead=3 * DAY))

    assert _times(_spawn(longer, A_TIME)) == [A_TIME + number * DAY for number in (1, 2, 3)]


def test_the_lead_time_extended_by_added_reminders_is_the_one_fit_to_all() -> None:
    task = replace(a_recurring_task(), due_date=A_TIME + 10 * DAY)
    two_hours, an_hour, three_hours = (
        a_reminder(task, before_due=text) for text in ("PT2H", "PT1H", "PT3H")
    )
    absolute = a_reminder(task, remind_at=rfc3339(A_TIME))
    held: list[Reminder] = []
    leads: list[timedelta] = []

    for added in (two_hours, an_hour, absolute, three_hours):
        extended = recurring.extend_lead_time(task, [added], now=A_TIME)
        held.append(added)
        assert extended == recurring.fit_lead_time(task, held, now=A_TIME)
        task = extended
        leads.append(_recurrence_of(task).lead)

    assert leads == [2 * HOUR, 2 * HOUR, 2 * HOUR, 3 * HOUR]
    assert recurring.extend_lead_time(a_task(), held, now=A_TIME).recurrence is None


# Occurrences after a completion


def _after(
    task: Task, completed: Task, now: datetime, templates: Sequence[Reminder] = ()
) -> Spawned:
    return recurring.spawn_after(task, completed, templates, now=now)


def test_a_completion_makes_the_next_occurrence_counted_from_its_day() -> None:
    # R5
    task = _completed(
        a_recurring_task("FREQ=DAILY;INTERVAL=3", mode="after_completion"), A_TIME + 4 * DAY + HOUR
    )
    template = a_reminder(replace(a_task(), due_date=A_TIME + DAY), before_due="PT1H")

    made = _after(task, task, A_TIME + 4 * DAY + 2 * HOUR, [template])

    [one] = made.occurrences
    assert one.due_date == one.occurrence_at == A_TIME + 7 * DAY
    assert (one.recurring_task_id, one.predecessor_id) == (task.id, task.id)
    assert [each.remind_at for each in made.reminders] == [A_TIME + 7 * DAY - HOUR]
    assert _types(made.happened) == ["task.created", "reminder.scheduled", "recurring.spawned"]
    assert made.task.next_occurrence is None
    assert _recurrence_of(made.task).made == 1
    _assert_explained(task, made.task, made.happened)


def test_a_chain_of_completions_ends_with_its_count() -> None:
    task, now = a_recurring_task("FREQ=DAILY;COUNT=3", mode="after_completion"), A_TIME
    completed, made = _completed(task, now), list[Task]()
    task = completed

    while spawned := _after(task, completed, now).occurrences:
        made += spawned
        task = _after(task, completed, now).task
        now += DAY
        completed = _completed(spawned[0], now)

    assert [one.occurrence_at for one in made] == [A_TIME + DAY, A_TIME + 2 * DAY]


def test_an_occurrence_completed_before_its_time_is_not_made_again() -> None:
    task = a_recurring_task("FREQ=DAILY", mode="after_completion")
    first = _after(task, _completed(task, A_TIME), A_TIME)

    early = _after(first.task, _completed(first.occurrences[0], A_TIME + HOUR), A_TIME + HOUR)

    assert _times(early) == [A_TIME + 2 * DAY]


@pytest.mark.parametrize("how", ["schedule", "reopened", "deleted", "cancelled", "plain"])
def test_only_a_completed_task_whose_series_follows_completions_makes_the_next_occurrence(
    how: str,
) -> None:
    mode = "schedule" if how == "schedule" else "after_completion"
    task = a_recurring_task(mode=mode)
    completed = _completed(task, A_TIME)
    if how == "reopened":
        completed = task
    elif how == "deleted":
        task, _ = tasks.delete(task, now=A_TIME)
    elif how == "cancelled":
        task, _ = tasks.update(task, TaskChanges(status=Status.CANCELLED), now=A_TIME)
    elif how == "plain":
        task, _ = recurring.remove_recurrence(task, now=A_TIME)

    assert _after(task, completed, A_TIME) == Spawned(task, [], [], [])


# Following the user's zone


def test_a_series_in_a_zone_of_its_own_does_not_follow_its_users_move() -> None:
    task = a_recurring_task(zone="Europe/Berlin", timezone="Europe/Berlin")

    assert recurring.change_zone(task, "Asia/Tokyo", now=A_TIME) == (task, [])


def test_a_move_to_the_same_zone_changes_nothing() -> None:
    task = a_recurring_task(zone="Europe/Berlin")

    assert recurring.change_zone(task, "Europe/Berlin", now=A_TIME) == (task, [])
    assert recurring.change_zone(a_task(), "Europe/Berlin", now=A_TIME)[1] == []


@pytest.mark.parametrize(
    ("zone", "following"),
    [
        ("America/New_York", "2026-03-03T15:00"),
        ("Asia/Tokyo", "2026-03-03T01:00"),
        ("Pacific/Kiritimati", "2026-03-02T20:00"),
    ],
)
def test_a_series_goes_on_at_its_wall_time_in_the_new_zone(zone: str, following: str) -> None:
    # 10 o'clock in Berlin; that of the 2nd was made just before.
    task = a_recurring_task(zone="Europe/Berlin")
    now = A_TIME + DAY + MINUTE
    task = _spawn(task, now).task

    moved, [event] = recurring.change_zone(task, zone, now=now)

    assert moved.next_occurrence == _utc(following)
    assert (event.event_type.value, event.version) == ("recurrence.set", task.version + 1)
    assert json_data(event)["series"]["local_start"] == "2026-03-01T10:00:00"
    _assert_explained(task, moved, [event])


@pytest.mark.parametrize("fields", [{"mode": "after_completion"}, {"rule": "FREQ=DAILY;COUNT=1"}])
def test_a_move_of_a_series_without_a_next_time_appends_no_event(fields: dict[str, Any]) -> None:
    task = a_recurring_task(zone="Europe/Berlin", **fields)

    moved, happened = recurring.change_zone(task, "Asia/Tokyo", now=A_TIME)

    assert happened == []
    assert moved == replace(task, recurrence=replace(_recurrence_of(task), zone="Asia/Tokyo"))


def test_an_ended_series_goes_on_in_the_new_zone_when_its_task_is_restored() -> None:
    task = a_recurring_task(zone="Europe/Berlin")
    deleted, _ = tasks.delete(task, now=A_TIME)

    moved, _ = recurring.change_zone(deleted, "Asia/Tokyo", now=A_TIME)
    restored, _ = tasks.restore(moved, now=A_TIME + 5 * DAY)

    assert restored.next_occurrence == _utc("2026-03-07T01:00")


def test_a_due_occurrence_that_was_not_made_yet_is_made_after_a_move() -> None:
    # R7: nothing lost. The schedule may be a moment late, or down for days.
    task = a_recurring_task(zone="Europe/Berlin")
    now = A_TIME + DAY + timedelta(seconds=1)

    moved, _ = recurring.change_zone(task, "Asia/Tokyo", now=now)

    [first, *_] = _spawn(moved, now).occurrences
    assert first.occurrence_at is not None
    assert local_time(first.occurrence_at, "Asia/Tokyo").date() == date(2026, 3, 2)


# Properties


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_each_occurrence_is_made_once_and_not_early_at_any_times_of_the_schedule(seed: int) -> None:
    rng = Random(seed)
    local, zone = a_start(rng), rng.choice(ZONES)
    start = local.replace(tzinfo=UTC)
    set_at = start + timedelta(minutes=rng.randint(-100_000, 100_000))
    lead = rng.choice((0, 0, 15, 1440, 100_000)) * MINUTE
    task = a_recurring_task(
        a_rule(rng, local), zone=zone, lead=lead, now=set_at, start=rfc3339(start), missed="all"
    )
    recurrence, since = _recurrence_of(task), max(set_at, start)
    expected = occurrences(recurrence.series, zone, after=since, limit=REACHED_MAX)
    # Some rules give few in a century.
    end = expected[LIFE_MAX] if len(expected) > LIFE_MAX else set_at + 3000 * DAY
    span_s = max(0.0, (end - lead - set_at).total_seconds())
    ticks = sorted(rng.uniform(0, span_s) for _ in range(15))

    made: list[datetime] = []
    for tick_s in [*ticks, span_s]:
        now = set_at + timedelta(seconds=tick_s)
        come = [at for at in expected if at <= now + lead]
        # Of a long lead, no more than so many ahead.
        until = ([at for at in come if at > now][AHEAD_MAX - 1 : AHEAD_MAX] or [now + lead])[0]
        while task.next_occurrence is not None and task.next_occurrence <= until:
            before, spawned = task, _spawn(task, now)
            task = spawned.task
            made += _times(spawned)
            _assert_explained(before, task, spawned.happened)
            assert task.version == before.version + len(spawned.occurrences)
        assert made == [at for at in come if at <= until]
        assert task.next_occurrence == next((at for at in expected if at > until), None)
        # What is capped waits, and is not looked at again and again.
        assert task.next_occurrence is None or recurrence.made_at(task.next_occurrence) > now


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.sampled_from([Missed.LATEST, Missed.SKIP]))
def test_only_missed_occurrences_are_dropped_and_all_others_are_made_once(
    seed: int, missed: Missed
) -> None:
    rng = Random(seed)
    lead = rng.choice((0, 0, 15, 3000)) * MINUTE
    rule = rng.choice(("FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO,TU", "FREQ=MONTHLY"))
    task = a_recurring_task(rule, zone=rng.choice(ZONES), lead=lead, missed=missed.value)
    recurrence = _recurrence_of(task)
    left = list(occurrences(recurrence.series, recurrence.zone, after=A_TIME, limit=REACHED_MAX))
    now = A_TIME

    for _ in range(20):
        now += timedelta(minutes=rng.choice((1, 30, 1440, 1443, rng.randrange(12_000))))
        before, spawned = task, _spawn(task, now)
        task = spawned.task
        come = [at for at in left if at <= now + lead]
        past = [at for at in come if at <= now]
        if missed is Missed.LATEST:
            wanted = [*past[-1:], *come[len(past) :]]
        else:
            wanted = [at for at in come if now - at <= MISSED_AFTER]
        assert _times(spawned) == wanted
        assert bool(spawned.happened) == bool(come)
        _assert_explained(before, task, spawned.happened)
        left = left[len(come) :]
        assert task.next_occurrence == left[0]


HOMES = (
    *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Auckland"),
    *("Pacific/Kiritimati", "Pacific/Pago_Pago", "Pacific/Honolulu", "Asia/Kolkata"),
    *("America/Havana", "America/St_Johns", "Pacific/Chatham", "UTC"),
)
FOLLOWED = ("FREQ=DAILY", "FREQ=DAILY;INTERVAL=2", "FREQ=WEEKLY;BYDAY=MO,TH", "FREQ=MONTHLY")


@settings(max_examples=150)
@given(st.integers(0, 2**32))
def test_a_series_repeats_no_day_and_loses_none_when_its_user_moves(seed: int) -> None:
    rng = Random(seed)
    zone, lead = rng.choice(HOMES), rng.choice((0, 0, 60, 2000)) * MINUTE
    now = datetime(2026, rng.choice((3, 4, 9, 10, 11)), 1, tzinfo=UTC)
    now += timedelta(minutes=rng.randrange(50_000))
    task = a_recurring_task(rng.choice(FOLLOWED), zone=zone, lead=lead, now=now)
    series = _recurrence_of(task).series
    made: list[date] = [local_time(now, zone).date()]
    moves: list[tuple[datetime, str]] = []

    for _ in range(25):
        now += timedelta(minutes=rng.randrange(3000))
        spawned = _spawn(task, now)
        task = spawned.task
        made += [local_time(at, zone).date() for at in _times(spawned)]
        if rng.random() < 0.4:
            zone = rng.choice(HOMES)
            moves.append((now, zone))
            task, _ = recurring.change_zone(task, zone, now=now)

    wanted = _days_of(series, until=made[-1])
    assert made == sorted({*made}), "a day came twice"
    lost = [day for day in wanted if day not in made and not _was_past(series, day, moves)]
    assert lost == []
    assert {*made} <= {*wanted}


def _days_of(series: Series, *, until: date) -> list[date]:
    """Return the days of the rule in a zone where every time exists."""
    times = occurrences(replace(series, timezone="UTC"), "UTC", limit=100)
    return [at.date() for at in times if at.date() <= until]


def _was_past(series: Series, day: date, moves: Sequence[tuple[datetime, str]]) -> bool:
    """Say whether the time on that day had already passed in the new zone of the user."""
    wall = datetime.combine(day, series.start.time())
    return any(local_time(now, zone) >= wall for now, zone in moves)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.booleans()), min_size=1, max_size=12))
def test_each_occurrence_of_a_chain_of_completions_has_its_own_time(
    completions: list[tuple[int, bool]],
) -> None:
    now, task = A_TIME, a_recurring_task("FREQ=DAILY;INTERVAL=2", mode="after_completion")
    chain: list[Task] = [task]

    for minutes, is_newest in completions:
        now += minutes * MINUTE
        place = len(chain) - 1 if is_newest else len(chain) // 2
        reopened, _ = tasks.set_completed(chain[place], False, now=now)  # noqa: FBT003 - the domain's own
        chain[place] = _completed(reopened, now)
        # What was completed before has its successor, which the store knows.
        if place == len(chain) - 1:
            spawned = _after(replace(task, status=chain[0].status), chain[place], now)
            task = spawned.task
            chain += spawned.occurrences

    times = [one.occurrence_at for one in chain[1:] if one.occurrence_at is not None]
    assert times == sorted({*times})
    assert _recurrence_of(task).made == len(times)
    assert [one.predecessor_id for one in chain[1:]] == [one.id for one in chain[:-1]]
