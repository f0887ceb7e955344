"""The README's session works as pasted."""

import json
import re

from tests.support.network.readme_session import ran_as_pasted
from tests.support.processes.system import System


def test_the_session_of_the_readme_works_as_pasted(system: System) -> None:
    printed = ran_as_pasted(system.url, "A session")

    live = re.findall(r"^ +(\d+)  \S+  ([a-z._]+)", printed, re.MULTILINE)
    types = ["user.registered", "task.created", "task.updated", "task.completed"]
    assert live == [(str(seq), event_type) for seq, event_type in enumerate(types, start=1)]
    updated, completed, history = (
        json.loads(line) for line in printed.splitlines() if line.startswith("{")
    )
    assert (updated["priority"], completed["completed"]) == ("high", True)
    assert [event["version"] for event in history["items"]] == [1, 2, 3]


def test_the_recurring_tasks_and_reminders_of_the_readme_work_as_pasted(system: System) -> None:
    printed = ran_as_pasted(system.url, "A session", "Recurring tasks and reminders")

    preview, task, inbox = (
        json.loads(line) for line in printed.splitlines()[-3:] if line.startswith("{")
    )
    assert [each["local"][:10] for each in preview["items"]] == [
        "2027-01-31",
        "2027-02-28",
        "2027-03-31",
    ]
    assert task["next_occurrence"] == "2027-02-02T08:00:00.000000Z"
    assert [one["message"] for one in inbox["items"]] == ["Soon"]
