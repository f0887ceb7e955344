"""The commands of the README, run as pasted."""

import json
import re
import subprocess
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
    readme = (ROOT / "README.md").read_text()
    found = [re.search(rf"## {title}.*?```sh\n(.*?)```", readme, re.DOTALL) for title in titles]
    script = "".join(section[1] for section in found if section is not None)
    ran = subprocess.run(
        ["bash"],
        input=script.replace(IN_THE_README, url).replace("sleep 3\n", f"{UNTIL_IT_CAME}\n"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=SESSION_ENDS_WITHIN_S,
    )
    # Shown by pytest where the test fails.
    print(ran.stdout)
    assert None not in found
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout
