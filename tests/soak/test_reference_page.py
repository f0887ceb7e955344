"""The page at /docs, in a real browser: it shows the API, and loads nothing from elsewhere."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.browser.chromium import ARGUMENTS, provide
from tests.support.processes.system import System

pytestmark = pytest.mark.soak

SHOWN_WITHIN_MS = 20_000


def test_the_page_shows_every_operation_and_asks_no_other_host(
    system: System, tmp_path: Path
) -> None:
    requests = tmp_path / "requests.json"

    shown = subprocess.run(
        [
            provide(),
            "--headless",
            *ARGUMENTS,
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--virtual-time-budget={SHOWN_WITHIN_MS}",
            f"--log-net-log={requests}",
            "--enable-logging=stderr",
            "--dump-dom",
            f"{system.url}/docs#/tasks",
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "CONSOLE" not in shown.stderr, shown.stderr
    for name in ("create_task", "list_tasks", "add_reminder"):
        assert f"-{name}" in shown.stdout
    asked = {
        event["params"]["url"]
        for event in json.loads(requests.read_text())["events"]
        if event.get("params", {}).get("initiator") == system.url
    }
    assert {f"{system.url}/openapi.json", f"{system.url}/docs/swagger-ui-bundle.js"} <= asked
    assert all(url.startswith((system.url, "data:")) for url in asked)
