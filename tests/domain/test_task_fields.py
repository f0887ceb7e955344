"""Every field that a client gives a task is kept, and is its occurrences' too or says why not."""

from datetime import timedelta
from typing import Any

import pytest

from taskflow.domain import recurring, tasks
from taskflow.domain.tasks import TaskDraft
from taskflow.domain.times import parse_rfc3339
from tests.support.data.builders import A_TIME, a_draft, a_series, a_task, json_data

GIVEN: dict[str, Any] = {
    "title": "Water the plants",
    "description": "But not the cactus",
    "status": "completed",
    "completed": True,
    "priority": "high",
    "tags": ["home"],
    "metadata": {"room": 7},
    "due_date": "2026-05-01T09:00:00.000000Z",
}
"""A value for each field, other than the one it has where a client says nothing."""

NOT_COPIED = {
    "status": "an occurrence is yet to be done",
    "completed": "as its status",
    "metadata": "the client's own, of this one task",
    "due_date": "its time in the series",
}
"""Fields that an occurrence does not have from its series, and why."""

A_DAY_LATER = parse_rfc3339(GIVEN["due_date"]) + timedelta(days=1)

each_field = pytest.mark.parametrize("field", TaskDraft.model_fields)


@each_field
def test_a_new_task_has_each_field_that_was_given(field: str) -> None:
    task, [created] = tasks.create(a_draft(**GIVEN), user_id="somebody", now=A_TIME)

    assert tasks.represent(task)[field] == json_data(created)[field] == GIVEN[field]
    assert tasks.represent(a_task())[field] != GIVEN[field]


@each_field
def test_an_occurrence_has_each_field_of_its_series_or_there_is_a_reason(field: str) -> None:
    task = a_task(**GIVEN)
    series, _ = recurring.set_recurrence(task, a_series(), "UTC", lead=timedelta(0), now=A_TIME)
    due = recurring.due_times(series, now=A_DAY_LATER)

    made = recurring.spawn_due(series, due, [], existing=(), now=A_DAY_LATER)

    shown = tasks.represent(made.occurrences[-1])
    assert (shown[field] == GIVEN[field]) == (field not in NOT_COPIED), NOT_COPIED.get(field)
