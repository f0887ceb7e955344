"""Replay: the events alone give back the tasks (E7)."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from taskflow.domain import tasks
from taskflow.domain.events import NewEvent
from taskflow.domain.replay import Replay, differing_fields
from taskflow.domain.tasks import Task, TaskChanges
from taskflow.domain.times import rfc3339
from tests.support.builders import A_TIME, a_draft


def a_life(steps: Sequence[str]) -> tuple[Task, list[dict[str, Any]]]:
    """Return a task after some changes, and the records of its events."""
    task, happened = tasks.create(a_draft(metadata={"a": [1.5, None]}), user_id="u", now=A_TIME)
    records = [_record(event) for event in happened]
    for number, step in enumerate(steps):
        now = A_TIME + timedelta(minutes=number + 1)
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
        else:
            task, more = tasks.update(task, TaskChanges(title=f"{step} {number}"), now=now)
        records += [_record(event) for event in more]
    return task, records


def _record(event: NewEvent) -> dict[str, Any]:
    return json.loads(
        json.dumps(
            {
                "event_type": event.event_type.value,
                "aggregate_id": event.aggregate_id,
                "version": event.version,
                "timestamp": rfc3339(event.timestamp),
                "data": event.data,
            }
        )
    )


LIVES = st.lists(st.sampled_from(["complete", "due", "delete", "rename"]), max_size=12)


@given(LIVES, st.data())
def test_the_events_in_any_order_and_doubled_give_the_task(
    steps: list[str], data: st.DataObject
) -> None:
    task, records = a_life(steps)
    doubled = data.draw(st.permutations(records + records[::2]))

    replay = Replay()
    for record in doubled:
        replay.apply(record)

    [rebuilt] = replay.states.values()
    assert differing_fields(rebuilt, task) == []


def test_what_differs_is_named() -> None:
    task, records = a_life(["rename"])
    replay = Replay()
    for record in records:
        replay.apply(record)

    changed = replace(task, title="another", deleted_at=A_TIME)

    assert differing_fields(replay.states[str(task.id)], changed) == ["deleted_at", "title"]


def test_an_event_that_is_not_about_a_task_changes_nothing() -> None:
    replay = Replay()

    replay.apply({"event_type": "user.registered"})

    assert (replay.states, replay.applied) == ({}, 0)
