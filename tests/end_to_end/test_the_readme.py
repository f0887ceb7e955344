"""The README's session works as pasted."""

import json
import re
import subprocess

from tests.support.system import ROOT, System

SESSION_ENDS_WITHIN_S = 60


def test_the_session_works_as_pasted(system: System) -> None:
    readme = (ROOT / "README.md").read_text()
    found = re.search(r"## A session.*?```sh\n(.*?)```", readme, re.DOTALL)
    assert found is not None
    script = found[1].replace("127.0.0.1:8080", f"127.0.0.1:{system.port}")

    ran = subprocess.run(
        ["bash"],
        input=script,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=SESSION_ENDS_WITHIN_S,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    live = re.findall(r"^ +(\d+)  \S+  ([a-z._]+)", ran.stdout, re.MULTILINE)
    types = ["user.registered", "task.created", "task.updated", "task.completed"]
    assert live == [(str(seq), event_type) for seq, event_type in enumerate(types, start=1)]
    updated, completed, history = (
        json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")
    )
    assert (updated["priority"], completed["completed"]) == ("high", True)
    assert [event["version"] for event in history["items"]] == [1, 2, 3]
