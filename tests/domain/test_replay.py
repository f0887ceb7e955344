"""Replay: the events alone give back the tasks (E7)."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from taskflow.domain import recurring, tasks
from taskflow.domain.events import SCHEMA_VERSION, NewEvent
from taskflow.domain.replay import Replay, differing_fields
from taskflow.domain.tasks import Changed, Status, Task, TaskChanges
from taskflow.domain.times import rfc3339
from tests.support.data.builders import A_TIME, a_draft, a_recurring_task, a_series


def a_changed_task(steps: Sequence[str]) -> tuple[Task, list[dict[str, Any]]]:
    """Return a task after some changes, and the records of its events."""
    task, happened = tasks.create(a_draft(metadata={"a": [1.5, None]}), user_id="u", now=A_TIME)
    records = [_record(event) for event in happened]
    for number, step in enumerate(steps):
        now = A_TIME + timedelta(hours=9 * (number + 1))
        if step != "delete" and task.deleted_at is not None:
            # The API finds it no more.
            continue
        if step == "complete":
            task, more = tasks.set_completed(task, not task.completed, now=now)
        elif step == "due":
            task, more = tasks.set_due_date(task, now, now=now)
        elif step == "delete":
            change = tasks.delete if task.deleted_at is None else tasks.restore
            task, more = change(task, now=now)
        elif step == "cancel":
            task, more = tasks.update(task, TaskChanges(status=Status.CANCELLED), now=now)
        elif step in {"recur", "spawn", "travel"}:
            task, more = _as_a_series(step, task, now)
        else:
            task, more = tasks.update(task, TaskChanges(title=f"{step} {number}"), now=now)
        records += [_record(event) for event in more]
    return task, records


def _as_a_series(step: str, task: Task, now: datetime) -> Changed:
    if step == "recur" and task.recurrence is not None:
        return recurring.remove_recurrence(task, now=now)
    if step == "recur":
        return recurring.set_recurrence(task, a_series(), "UTC", lead=timedelta(0), now=now)
    if step == "travel":
        return recurring.change_zone(task, "Asia/Tokyo", now=now)
    due = recurring.due_times(task, now=now)
    spawned = recurring.spawn_due(task, due, [], existing=(), now=now)
    # The occurrences are tasks of their own.
    own = [event for event in spawned.happened if event.aggregate_id == str(task.id)]
    return spawned.task, own


def _record(event: NewEvent) -> dict[str, Any]:
    return json.loads(
        json.dumps(
            {
                "event_type": event.event_type.value,
                "aggregate_id": event.aggregate_id,
                "version": event.version,
                "schema_version": SCHEMA_VERSION,
                "timestamp": rfc3339(event.timestamp),
                "data": event.data,
            }
        )
    )


LIVES = st.lists(
    st.sampled_from(
        [*("complete", "due", "delete", "rename", "cancel", "recur", "recur", "spawn", "travel")]
    ),
    max_size=14,
)


@given(LIVES, st.data())
def test_the_events_of_a_task_in_any_order_and_doubled_give_the_task(
    steps: list[str], data: st.DataObject
) -> None:
    task, records = a_changed_task(steps)
    doubled = data.draw(st.permutations(records + records[::2]))

    replay = Replay()
    for record in doubled:
        replay.apply(record)

    [rebuilt] = replay.states.values()
    assert differing_fields(rebuilt, task) == []


def test_the_events_of_a_series_give_its_task_alone() -> None:
    task, records = a_changed_task(
        ["recur", "rename", "rename", "rename", "spawn", "travel", "recur"]
    )
    replay, seen = Replay(), list[tuple[str, bool, str | None]]()

    for record in records:
        replay.apply(record)
        state = replay.states[str(task.id)].fields
        seen.append((record["event_type"], state["is_recurring"], state["next_occurrence"]))
        assert not state.keys() & {"series", "occurrence", "changes"}

    assert [each for each in seen if each[0] != "task.updated"] == [
        ("task.created", False, None),
        ("recurrence.set", True, "2026-03-02T18:00:00.000000Z"),
        ("recurring.spawned", True, "2026-03-03T18:00:00.000000Z"),
        ("recurrence.set", True, "2026-03-04T09:00:00.000000Z"),
        ("recurrence.removed", False, None),
    ]
    assert differing_fields(replay.states[str(task.id)], task) == []


def test_the_occurrences_are_rebuilt_beside_their_series() -> None:
    task = a_recurring_task()
    now = A_TIME + timedelta(days=2)
    due = recurring.due_times(task, now=now)
    spawned = recurring.spawn_due(task, due, [], existing=(), now=now)

    replay = Replay()
    for event in spawned.happened:
        replay.apply(_record(event))

    assert len(spawned.occurrences) == 2
    for one in (spawned.task, *spawned.occurrences):
        assert differing_fields(replay.states[str(one.id)], one) == []


def test_the_fields_in_which_a_replayed_task_differs_are_named() -> None:
    task, records = a_changed_task(["rename"])
    replay = Replay()
    for record in records:
        replay.apply(record)

    changed = replace(task, title="another", deleted_at=A_TIME)

    assert differing_fields(replay.states[str(task.id)], changed) == ["deleted_at", "title"]


def test_an_event_that_is_not_about_a_task_changes_nothing() -> None:
    replay = Replay()

    for event_type in ("user.registered", "reminder.scheduled", "notification.created"):
        replay.apply({"event_type": event_type})

    assert (replay.states, replay.applied) == ({}, 0)
