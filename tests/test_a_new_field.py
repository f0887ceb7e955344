"""A later field of tasks with a default: the events of old tasks still replay equal."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

REPLAY = """
import json
from tests.support.events.old_events import old_events
print(json.dumps([old.differences() for old in old_events()]))
"""


def _with_a_new_field(folder: Path, *, declared: str) -> Path:
    """Copy the library into a folder, and give tasks the field `estimate_min`."""
    copy = folder / "taskflow"
    shutil.copytree(ROOT / "shared" / "taskflow", copy, ignore=shutil.ignore_patterns("*.pyc"))
    _insert(
        copy / "domain" / "representations.py", before="    due_date: Annotated[", added=declared
    )
    _insert(
        copy / "domain" / "tasks.py",
        before="    predecessor_id: UUID | None = None\n",
        added="    estimate_min: int | None = None\n",
    )
    _insert(
        copy / "domain" / "tasks.py",
        before='        "due_date": _time(task.due_date),\n',
        added='        "estimate_min": task.estimate_min,\n',
    )
    return folder


def _insert(path: Path, *, before: str, added: str) -> None:
    source = path.read_text()
    assert source.count(before) == 1, f"{path.name} has not one line {before!r}"
    path.write_text(source.replace(before, added + before))


def _differences(library: Path) -> list[dict[str, Any]]:
    """Replay the old events by another library; return the fields that differ, by task."""
    answered = subprocess.run(
        [sys.executable, "-c", REPLAY],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(library)},  # noqa: TID251 - a child's environment
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(answered.stdout)


def test_old_tasks_replay_equal_after_a_field_with_a_default_is_added(tmp_path: Path) -> None:
    declared = "    estimate_min: Annotated[int | None, Default(None)]\n"

    differences = _differences(_with_a_new_field(tmp_path, declared=declared))

    assert differences == [{}] * len(differences)
    assert differences


def test_a_new_field_without_a_default_differs_in_every_old_task(tmp_path: Path) -> None:
    declared = "    estimate_min: int | None\n"

    differences = _differences(_with_a_new_field(tmp_path, declared=declared))

    fields = [each for found in differences for each in found.values()]
    assert fields
    assert fields == [["estimate_min"]] * len(fields)
