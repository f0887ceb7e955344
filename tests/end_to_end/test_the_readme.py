"""The README's session works as pasted."""

from tests.support.network.readme_session import answers_in, events_in, ran_as_pasted
from tests.support.processes.system import System


def test_the_session_of_the_readme_works_as_pasted(system: System) -> None:
    printed = ran_as_pasted(system.url, "A session")

    types = ["user.registered", "task.created", "task.updated", "task.completed"]
    assert events_in(printed) == list(enumerate(types, start=1))
    updated, completed, history = answers_in(printed)
    assert (updated["priority"], completed["completed"]) == ("high", True)
    assert [event["version"] for event in history["items"]] == [1, 2, 3]


def test_the_recurring_tasks_and_reminders_of_the_readme_work_as_pasted(system: System) -> None:
    printed = ran_as_pasted(system.url, "A session", "Recurring tasks and reminders")

    preview, task, inbox = answers_in(printed)[-3:]
    assert [each["local"][:10] for each in preview["items"]] == [
        "2027-01-31",
        "2027-02-28",
        "2027-03-31",
    ]
    assert task["next_occurrence"] == "2027-02-02T08:00:00.000000Z"
    assert [one["message"] for one in inbox["items"]] == ["Soon"]


def test_an_event_that_comes_before_the_line_break_of_an_answer_is_told_from_it() -> None:
    live = '     3  2026-11-30T16:30:00.000000Z  task.updated           "Buy milk"\n'
    printed = f'     0  connected\n{{"priority":"high"}}{live}\n{{"completed":true}}\n'

    assert events_in(printed) == [(3, "task.updated")]
    assert answers_in(printed) == [{"priority": "high"}, {"completed": True}]
