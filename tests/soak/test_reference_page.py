"""The page at /docs, in a real browser: it shows the API, and loads nothing from elsewhere."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.browser.chromium import ARGUMENTS, provide
from tests.support.paths import ROOT
from tests.support.processes.system import System

pytestmark = pytest.mark.soak

SHOWN_WITHIN_MS = 20_000


def test_the_page_shows_every_tag_and_its_operations_and_asks_no_other_host(
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
    description = json.loads((ROOT / "docs" / "openapi.json").read_text())
    for tag in description["tags"]:
        assert f'id="operations-tag-{tag["name"]}"' in shown.stdout
    of_tasks = {
        operation["operationId"]
        for path in description["paths"].values()
        for operation in path.values()
        if operation["tags"] == ["tasks"]
    }
    assert "create_task" in of_tasks
    for name in of_tasks:
        assert f'id="operations-tasks-{name}"' in shown.stdout
    asked = {
        event["params"]["url"]
        for event in json.loads(requests.read_text())["events"]
        if event.get("params", {}).get("initiator") == system.url
    }
    assert {f"{system.url}/openapi.json", f"{system.url}/docs/swagger-ui-bundle.js"} <= asked
    assert all(url.startswith((system.url, "data:")) for url in asked)
