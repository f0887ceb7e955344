"""Tasks: every change gives the new state and the events that explain it (E1, A7, T1-T6)."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from taskflow.domain import tasks
from taskflow.domain.creation import NewTask
from taskflow.domain.errors import InvalidContent
from taskflow.domain.events import NewEvent
from taskflow.domain.tasks import READ_ONLY, Changed, Status, Task, TaskChanges
from taskflow.domain.times import parse_rfc3339
from tests.support.data.builders import A_TIME, a_draft, a_recurring_task, a_task, json_data

LATER = A_TIME + timedelta(seconds=1)
DUE = "2026-05-01T09:00:00.000000Z"


def _changes(**fields: Any) -> TaskChanges:  # noqa: ANN401 - what JSON may hold
    return TaskChanges.model_validate(fields)


def _types(happened: Sequence[NewEvent]) -> list[str]:
    return [event.event_type.value for event in happened]


# Create


def test_a_new_task_is_told_by_one_event_with_its_whole_state() -> None:
    draft = a_draft(due_date=DUE, tags=["home", "home"], status="completed")

    task, [created] = tasks.create(draft, user_id="somebody", now=A_TIME)

    assert (created.event_type.value, created.version) == ("task.created", 1)
    assert created.data == tasks.represent(task)
    assert (created.user_id, created.aggregate_id) == ("somebody", str(task.id))
    assert created.timestamp == task.created_at == task.updated_at == task.completed_at == A_TIME
    assert task.tags == ("home",), "each tag once"


def test_a_draft_cannot_be_changed() -> None:
    draft = a_draft()

    with pytest.raises(ValidationError):
        draft.title = "x"


# Update


def test_an_update_without_changes_appends_no_event() -> None:
    task = a_task(due_date=DUE)

    same, happened = tasks.update(task, _changes(), now=LATER)

    assert same is task
    assert happened == []


def test_an_update_appends_one_event_for_each_kind_of_change_in_order() -> None:
    task = a_task()

    changed, happened = tasks.update(
        task, _changes(status="completed", due_date=DUE, title="x", tags=["y"]), now=LATER
    )

    assert _types(happened) == ["task.updated", "task.due_date_changed", "task.completed"]
    assert [event.version for event in happened] == [2, 3, 4]
    assert [sorted(json_data(event)["changes"]) for event in happened] == [
        ["tags", "title"],
        ["due_date"],
        ["completed", "completed_at", "status"],
    ]
    assert [json_data(event)["title"] for event in happened] == ["x"] * 3
    assert [json_data(event)["due_date"] for event in happened] == [None, DUE, DUE]
    assert changed.version == 4
    assert changed.updated_at == changed.completed_at == LATER


def test_a_status_that_neither_completes_nor_reopens_is_an_update() -> None:
    task = a_task(status="pending")

    changed, happened = tasks.update(task, _changes(status="cancelled", title="x"), now=LATER)

    assert changed.status is Status.CANCELLED
    assert _types(happened) == ["task.updated"]
    assert set(json_data(happened[0])["changes"]) == {"title", "status"}


def test_completing_a_completed_task_does_not_move_its_time_of_completion() -> None:
    task = a_task(status="completed")

    same, happened = tasks.update(task, _changes(status="completed", completed=True), now=LATER)
    corrected, _ = tasks.correct(task, _changes(title="x", status="completed"), now=LATER)

    assert same is task
    assert happened == []
    assert corrected.completed_at == task.completed_at


@pytest.mark.parametrize("one", [1, 1.0, True, "1", [1], {"1": 1}], ids=repr)
@pytest.mark.parametrize("other", [1, 1.0, True, "1", [1], {"1": 1}], ids=repr)
def test_metadata_differs_as_json_does_not_as_python_does(one: object, other: object) -> None:
    task = a_task(metadata={"a": one})

    changed, happened = tasks.update(task, _changes(metadata={"a": other}), now=LATER)

    assert len(happened) == (json.dumps(one) != json.dumps(other))
    assert json.dumps(changed.metadata) == json.dumps({"a": other})


def test_all_read_only_fields_that_differ_are_refused_together() -> None:
    task = a_task()

    with pytest.raises(InvalidContent) as refused:
        tasks.update(task, _changes(title="x", **dict.fromkeys(READ_ONLY, "wrong")), now=LATER)

    assert [error.pointer for error in refused.value.errors] == [
        f"/{name}" for name in sorted(READ_ONLY)
    ]


def test_the_fields_that_cannot_be_set_are_those_that_are_read_only() -> None:
    shown, settable = set(tasks.represent(a_task())), set(TaskChanges.model_fields)

    assert shown == settable
    assert shown - READ_ONLY == {
        *("title", "description", "status", "completed", "priority", "tags", "metadata"),
        "due_date",
    }
    assert set(NewTask.model_fields) - settable == {"recurrence", "reminders"}


@pytest.mark.parametrize("change", [tasks.update, tasks.correct])
def test_a_status_that_contradicts_completed_is_refused(
    change: Callable[..., Changed],
) -> None:
    with pytest.raises(InvalidContent) as refused:
        change(a_task(), _changes(status="cancelled", completed=True), now=LATER)

    assert [error.pointer for error in refused.value.errors] == ["/completed"]


# Delete, restore


def test_a_restored_task_is_as_it_was_before_its_deletion() -> None:
    task = a_task(due_date=DUE, tags=["home"], metadata={"a": 1})

    deleted, [gone] = tasks.delete(task, now=LATER)
    restored, [back] = tasks.restore(deleted, now=LATER + timedelta(seconds=1))

    assert deleted.deleted_at == LATER
    assert (gone.event_type.value, gone.version) == ("task.deleted", 2)
    assert (back.event_type.value, back.version) == ("task.restored", 3)
    assert replace(restored, version=1, updated_at=A_TIME) == task


def test_a_task_that_is_not_deleted_is_not_restored() -> None:
    task = a_task()

    assert tasks.restore(task, now=LATER) == (task, [])


# Open, recurring


@pytest.mark.parametrize(
    ("status", "is_open"),
    [("pending", True), ("in_progress", True), ("completed", False), ("cancelled", False)],
)
def test_a_task_is_open_unless_it_is_completed_cancelled_or_deleted(
    status: str,
    is_open: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    task = a_task(status=status)
    deleted, _ = tasks.delete(task, now=LATER)

    assert task.is_open == is_open
    assert not deleted.is_open


def test_a_task_recurs_while_it_is_neither_deleted_nor_cancelled() -> None:
    task = a_recurring_task()
    completed, _ = tasks.set_completed(task, True, now=LATER)  # noqa: FBT003 - the domain's own
    cancelled, _ = tasks.update(task, _changes(status="cancelled"), now=LATER)
    deleted, _ = tasks.delete(task, now=LATER)

    assert [one.recurs for one in (task, completed, cancelled, deleted, a_task())] == [
        *(True, True, False, False, False)
    ]


def _delete(task: Task, now: datetime) -> Changed:
    return tasks.delete(task, now=now)


def _restore(task: Task, now: datetime) -> Changed:
    return tasks.restore(task, now=now)


def _cancel(task: Task, now: datetime) -> Changed:
    return tasks.update(task, _changes(status="cancelled"), now=now)


def _cancel_by_correction(task: Task, now: datetime) -> Changed:
    return tasks.correct(task, _changes(status="cancelled"), now=now)


def _uncancel(task: Task, now: datetime) -> Changed:
    return tasks.update(task, _changes(status="pending"), now=now)


def _complete_cancelled(task: Task, now: datetime) -> Changed:
    return tasks.set_completed(task, True, now=now)  # noqa: FBT003 - the domain's own


@pytest.mark.parametrize(
    ("end", "go_on"),
    [
        (_delete, _restore),
        (_cancel, _uncancel),
        (_cancel, _complete_cancelled),
        (_cancel_by_correction, _uncancel),
    ],
    ids=["deleted, restored", "cancelled, open", "cancelled, completed", "corrected, open"],
)
def test_an_ended_series_has_no_next_time_and_goes_on_from_the_restoration(
    end: Callable[[Task, datetime], Changed], go_on: Callable[[Task, datetime], Changed]
) -> None:
    task, back_at = a_recurring_task("FREQ=DAILY"), A_TIME + timedelta(days=9, hours=1)
    first, following = "2026-03-02T09:00:00.000000Z", "2026-03-11T09:00:00.000000Z"

    ended, [gone] = end(task, LATER)
    back, [again] = go_on(ended, back_at)

    assert ended.next_occurrence is None
    assert json_data(gone)["changes"]["next_occurrence"] == {"old": first, "new": None}
    assert back.next_occurrence == parse_rfc3339(following), "nothing is made up for"
    assert json_data(again)["changes"]["next_occurrence"] == {"old": None, "new": following}
    assert back.recurrence == ended.recurrence == task.recurrence


def test_a_cancelled_and_deleted_series_goes_on_only_when_both_are_undone() -> None:
    task = a_recurring_task()
    cancelled, _ = _cancel(task, LATER)
    deleted, _ = tasks.delete(cancelled, now=LATER)

    restored, [event] = tasks.restore(deleted, now=LATER)
    back, _ = _uncancel(restored, LATER)

    assert restored.next_occurrence is None
    assert "next_occurrence" not in json_data(event)["changes"]
    assert back.next_occurrence == task.next_occurrence


def test_completing_reopening_or_moving_a_recurring_task_leaves_its_next_time() -> None:
    task = a_recurring_task()
    now = A_TIME + timedelta(days=30)

    completed, _ = tasks.set_completed(task, True, now=now)  # noqa: FBT003 - the domain's own
    reopened, _ = tasks.set_completed(completed, False, now=now)  # noqa: FBT003 - as above
    moved, _ = tasks.set_due_date(reopened, parse_rfc3339(DUE), now=now)

    assert {one.next_occurrence for one in (completed, reopened, moved)} == {task.next_occurrence}
    assert moved.recurrence == task.recurrence


def test_a_series_that_follows_completions_has_no_next_time_when_it_goes_on_either() -> None:
    deleted, _ = tasks.delete(a_recurring_task(mode="after_completion"), now=LATER)

    restored, _ = tasks.restore(deleted, now=LATER)

    assert restored.recurs
    assert restored.next_occurrence is None


def test_a_recurring_task_shows_its_rule_and_its_next_time() -> None:
    shown = tasks.represent(a_recurring_task("RRULE:FREQ=DAILY"))

    assert (shown["is_recurring"], shown["recurrence_rule"]) == (True, "FREQ=DAILY")
    assert shown["next_occurrence"] == "2026-03-02T09:00:00.000000Z"
    assert (shown["recurring_task_id"], shown["occurrence_at"]) == (None, None)


# Properties

PATCHES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(["a", "b", "ü🦉"]),
        "description": st.sampled_from([None, "", "x"]),
        "status": st.sampled_from([status.value for status in Status]),
        "priority": st.sampled_from([None, "low", "high"]),
        "tags": st.none() | st.lists(st.sampled_from(["x", "y"]), max_size=2),
        "metadata": st.sampled_from([None, {}, {"a": 1}, {"a": True}, {"a": 1.0}]),
        "due_date": st.sampled_from([None, DUE, "2026-05-01T11:00:00+02:00"]),
    },
)

Step = Callable[[Task, datetime], Changed]


def _update(patch: dict[str, Any]) -> Step:
    return lambda task, now: tasks.update(task, _changes(**patch), now=now)


def _correct(patch: dict[str, Any]) -> Step:
    return lambda task, now: tasks.correct(task, _changes(**patch), now=now)


def _complete(*, completed: bool) -> Step:
    return lambda task, now: tasks.set_completed(task, completed, now=now)


def _move(due: datetime | None) -> Step:
    return lambda task, now: tasks.set_due_date(task, due, now=now)


STEPS = st.lists(
    st.one_of(
        PATCHES.map(_update),
        PATCHES.map(_correct),
        st.booleans().map(lambda completed: _complete(completed=completed)),
        st.sampled_from([None, parse_rfc3339(DUE)]).map(_move),
        st.just(_delete),
        st.just(_restore),
    ),
    max_size=8,
)


@settings(max_examples=40)
@given(STEPS)
def test_the_changes_of_all_events_folded_give_the_task(steps: list[Step]) -> None:
    task, happened = tasks.create(a_draft(), user_id="somebody", now=A_TIME)
    state: dict[str, Any] = json_data(happened[0])
    count = 1

    for number, step in enumerate(steps, start=1):
        now = A_TIME + timedelta(seconds=number)
        before = task
        task, happened = step(task, now)
        for event in happened:
            count += 1
            for name, change in json_data(event)["changes"].items():
                assert json.dumps(state[name]) == json.dumps(change["old"])
                assert json.dumps(change["old"]) != json.dumps(change["new"])
                state[name] = change["new"]
            state |= {"version": count, "updated_at": json_data(event)["updated_at"]}
            assert event.version == count
            assert event.timestamp == now
            assert {**state, "changes": json_data(event)["changes"]} == event.data
        if not happened:
            assert task == before

    assert task.version == count
    assert json.dumps(state) == json.dumps(tasks.represent(task))
    assert (task.status is Status.COMPLETED) == (task.completed_at is not None)


@settings(max_examples=30)
@given(PATCHES, PATCHES)
def test_updates_of_different_fields_give_the_same_task_in_either_order(
    one: dict[str, Any], two: dict[str, Any]
) -> None:
    two = {name: value for name, value in two.items() if name not in one}
    task = a_task()

    one_first, two_first = task, task
    for patch in (one, two):
        one_first, _ = tasks.update(one_first, _changes(**patch), now=LATER)
    for patch in (two, one):
        two_first, _ = tasks.update(two_first, _changes(**patch), now=LATER)
    together, _ = tasks.update(task, _changes(**one, **two), now=LATER)

    assert one_first == two_first
    assert replace(together, version=one_first.version) == one_first


@settings(max_examples=30)
@given(PATCHES, PATCHES)
def test_a_shown_task_that_is_edited_and_put_back_changes_the_edited_field_alone(
    first: dict[str, Any], edit: dict[str, Any]
) -> None:
    task, _ = tasks.update(a_task(), _changes(**first), now=LATER)
    now = LATER + timedelta(seconds=1)
    shown = json.loads(json.dumps(tasks.represent(task)))

    put, put_events = tasks.update(task, _changes(**{**shown, **edit}), now=now)
    patched, patch_events = tasks.update(task, _changes(**edit), now=now)

    assert put == patched
    assert put_events == patch_events


@settings(max_examples=40)
@given(PATCHES)
def test_a_second_update_with_the_same_changes_appends_no_event(patch: dict[str, Any]) -> None:
    once, _ = tasks.update(a_task(), _changes(**patch), now=LATER)

    twice, happened = tasks.update(once, _changes(**patch), now=LATER + timedelta(seconds=1))

    assert twice is once
    assert happened == []


def test_a_representation_is_json_with_times_in_utc() -> None:
    task = a_task(due_date="2026-05-01T11:00:00+02:00", now=datetime(2026, 3, 1, tzinfo=UTC))

    shown = json.loads(json.dumps(tasks.represent(task)))

    assert shown["due_date"] == DUE
    assert shown["created_at"] == "2026-03-01T00:00:00.000000Z"
