"""The commands of docs/personal-data.md work as pasted."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests

from tests.support.network.readme_session import commands_of, printed_by
from tests.support.paths import ROOT
from tests.support.processes.system import System

DOCUMENT = ROOT / "docs" / "personal-data.md"
PASSWORD = "correct horse battery"
SERIES = 250
"""More than a part may have."""


class Account:
    """An account of a test, and a shell that is signed in to it."""

    def __init__(self, system: System, folder: Path) -> None:
        """Open it."""
        self.url, self.folder = system.url, folder
        self.credentials = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD}
        signed_in = self._posted("auth/register", json=self.credentials)
        self.token = signed_in["access_token"]

    def fill(self) -> None:
        """Import so many series that an export of them has to be taken apart."""
        header = {"type": "header", "format": "taskflow-export", "version": 1}
        for first in range(0, SERIES, 125):
            lines = [{**header, "user_id": "x", "seq": 1}, *(_series() for _ in range(125))]
            added = self._posted(
                "import",
                data="".join(f"{json.dumps(line)}\n" for line in lines),
                headers={"Content-Type": "application/jsonl"},
            )
            assert added["tasks"] == first + 125

    def paste(self, title: str) -> list[Any]:
        """Run the commands of a section; return the lines that they print, each an object."""
        script = f"API={self.url}/api\nTOKEN={self.token}\n{commands_of(DOCUMENT, title)}"
        return [json.loads(line) for line in printed_by(script, self.folder).splitlines() if line]

    def can_log_in(self) -> bool:
        """Say whether the password still counts."""
        answer = requests.post(f"{self.url}/api/auth/login", json=self.credentials, timeout=20)
        return answer.status_code == 200

    def _posted(self, path: str, *, headers: dict[str, str] | None = None, **body: Any) -> Any:  # noqa: ANN401 - as requests
        given = {"Authorization": f"Bearer {self.token}"} if path != "auth/register" else {}
        answer = requests.post(
            f"{self.url}/api/{path}", headers={**given, **(headers or {})}, timeout=20, **body
        )
        assert answer.ok, answer.text
        return answer.json()


def _series() -> dict[str, Any]:
    return {
        "type": "task",
        "id": str(uuid4()),
        "title": "Water the plants",
        "description": "With the can",
        "status": "pending",
        "priority": "medium",
        "tags": [],
        "metadata": {},
        "due_date": None,
        "completed_at": None,
        "created_at": "2026-01-01T00:00:00Z",
        "deleted_at": None,
        "recurring_task_id": None,
        "occurrence_at": None,
        "series": {
            "recurrence_rule": "FREQ=DAILY",
            "local_start": "2126-01-01T09:00:00",
            "timezone": None,
            "mode": "schedule",
            "missed": "all",
            "skip": "backward",
            "made": 0,
        },
        "reminders": [],
    }


def test_an_account_is_taken_along_and_brought_into_another(system: System, tmp_path: Path) -> None:
    before, after = Account(system, tmp_path), Account(system, tmp_path)
    before.fill()

    [trailer] = before.paste("Taking it along")
    parts = after.paste("Bringing it into another account")

    assert (trailer["type"], trailer["tasks"]) == ("trailer", SERIES)
    assert len(parts) > 1
    assert sum(part["added"] for part in parts) == SERIES
    assert [part["is_complete"] for part in parts] == [False] * (len(parts) - 1) + [True]


def test_a_calendar_gets_an_address_and_loses_it(system: System, tmp_path: Path) -> None:
    account = Account(system, tmp_path)

    [opened] = account.paste("Showing it to a calendar")

    assert opened["url"] == system.url + opened["path"]
    assert requests.get(opened["url"], timeout=20).status_code == 404


def test_an_account_is_erased(system: System, tmp_path: Path) -> None:
    account = Account(system, tmp_path)
    assert account.can_log_in()

    printed = account.paste("Having it erased")

    assert printed == []
    assert not account.can_log_in()
