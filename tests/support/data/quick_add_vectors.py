"""Lines of text for quick add, with what each is to be understood as."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from tests.support.paths import ROOT

_FILE = ROOT / "tests/domain/quick_add_vectors.json"


@dataclass(frozen=True)
class Vector:
    """A line, when and where it was typed, and the task it makes, or why it makes none.

    `task` leaves out what a task has by default; its times are local, with their offset. Each of
    `parts` is a kind, a text, a start and an end.
    """

    about: str
    text: str
    now: datetime
    zone: str
    task: Mapping[str, Any]
    parts: Sequence[tuple[str, str, int, int]]
    refused: str | None

    def __str__(self) -> str:
        """Return the name of its test."""
        return f"{self.text} ({self.now:%Y-%m-%dT%H:%M}, {self.zone})"

    @property
    def summary(self) -> str:
        """What the line makes, as docs/quick-add.md shows it."""
        if self.refused is not None:
            return "422"
        due = f"due {_shown(self.task['due'])}" if "due" in self.task else None
        mode = "after completion" if "mode" in self.task else None
        rule = f"`{self.task['rule']}`" if "rule" in self.task else None
        reminders = [
            f"reminded {each} before" if each.startswith("P") else f"reminded {_shown(each)}"
            for each in self.task.get("reminders", [])
        ]
        tags = [f"tag {tag}" for tag in self.task.get("tags", [])]
        said = [due, rule, mode, self.task.get("priority"), *tags, *reminders]
        return "; ".join([f"“{self.task['title']}”", *(each for each in said if each)])


def _shown(at: str) -> str:
    return datetime.fromisoformat(at).strftime("%a %Y-%m-%d %H:%M")


def _vector(case: Mapping[str, Any]) -> Vector:
    return Vector(
        about=case["about"],
        text=case["text"],
        now=datetime.fromisoformat(case["now"]),
        zone=case["zone"],
        task=case.get("task", {}),
        parts=[(kind, text, start, end) for kind, text, start, end in case.get("parts", [])],
        refused=case.get("refused"),
    )


VECTORS = [_vector(case) for case in json.loads(_FILE.read_text())["cases"]]


def local_time(at: str | None, zone: str) -> str | None:
    """Return an RFC 3339 time as the vectors have it: in a zone, with its offset."""
    return at and datetime.fromisoformat(at).astimezone(ZoneInfo(zone)).isoformat()
