"""The commands of the README and of other documents, run as pasted."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

IN_THE_README = "http://127.0.0.1:8080"
SESSION_ENDS_WITHIN_S = 60
UNTIL_IT_CAME = (
    'until curl -s $API/notifications -H "Authorization: Bearer $TOKEN" | grep -q Soon; '
    "do sleep 0.2; done"
)
"""In place of the wait that is enough on any machine but a very busy one."""

LIVE_LINE = re.compile(r" +(\d+)  (?:connected|\d{4}-\S+  ([a-z._]+)).*\n")
"""What the stream prints in the background: often, but not always, at the beginning of a line, for
an answer and its line break are two writes."""


def events_in(printed: str) -> list[tuple[int, str]]:
    """Return the events that the stream has shown, by number and type."""
    return [(int(seq), of_type) for seq, of_type in LIVE_LINE.findall(printed) if of_type]


def answers_in(printed: str) -> list[Any]:
    """Return the answers of the API that were printed, each an object of JSON."""
    lines = LIVE_LINE.sub("", printed).splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def ran_as_pasted(url: str, *titles: str) -> str:
    """Run the commands of these sections of the README at a URL, and return what they print."""
    script = commands_of(ROOT / "README.md", *titles)
    return printed_by(
        script.replace(IN_THE_README, url).replace("sleep 3\n", f"{UNTIL_IT_CAME}\n"), ROOT
    )


def commands_of(document: Path, *titles: str) -> str:
    """Return the commands of these sections of a document."""
    text = document.read_text()
    found = [re.search(rf"## {title}.*?```sh\n(.*?)```", text, re.DOTALL) for title in titles]
    assert None not in found
    return "".join(section[1] for section in found if section is not None)


def printed_by(script: str, folder: Path) -> str:
    """Run commands in a folder, and return what they print; check that they complain of nothing."""
    ran = subprocess.run(
        ["bash"],
        input=script,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=SESSION_ENDS_WITHIN_S,
    )
    # Shown by pytest where the test fails.
    print(ran.stdout)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout
