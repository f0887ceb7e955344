"""The README's session works as pasted."""

import json
import re
import subprocess

from tests.support.paths import ROOT
from tests.support.processes.system import System

SESSION_ENDS_WITHIN_S = 60
UNTIL_IT_CAME = (
    'until curl -s $API/notifications -H "Authorization: Bearer $TOKEN" | grep -q Soon; '
    "do sleep 0.2; done"
)
"""In place of the wait that is enough on any machine but a very busy one."""


def ran_as_pasted(system: System, *titles: str) -> str:
    """Run the commands of these sections of the README, and return what they print."""
    readme = (ROOT / "README.md").read_text()
    found = [re.search(rf"## {title}.*?```sh\n(.*?)```", readme, re.DOTALL) for title in titles]
    script = "".join(section[1] for section in found if section is not None)
    ran = subprocess.run(
        ["bash"],
        input=script.replace("127.0.0.1:8080", f"127.0.0.1:{system.port}").replace(
            "sleep 3\n", f"{UNTIL_IT_CAME}\n"
        ),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=SESSION_ENDS_WITHIN_S,
    )
    assert None not in found
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def test_the_session_of_the_readme_works_as_pasted(system: System) -> None:
    printed = ran_as_pasted(system, "A session")

    live = re.findall(r"^ +(\d+)  \S+  ([a-z._]+)", printed, re.MULTILINE)
    types = ["user.registered", "task.created", "task.updated", "task.completed"]
    assert live == [(str(seq), event_type) for seq, event_type in enumerate(types, start=1)]
    updated, completed, history = (
        json.loads(line) for line in printed.splitlines() if line.startswith("{")
    )
    assert (updated["priority"], completed["completed"]) == ("high", True)
    assert [event["version"] for event in history["items"]] == [1, 2, 3]


def test_the_recurring_tasks_and_reminders_of_the_readme_work_as_pasted(system: System) -> None:
    printed = ran_as_pasted(system, "A session", "Recurring tasks and reminders")

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
