"""The page at /docs, in a real browser: it shows the API, and loads nothing from elsewhere."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.processes.debian_packages import install
from tests.support.processes.system import System

pytestmark = pytest.mark.soak

CHROMIUM = "chromium"
ON_ITS_OWN = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
SHOWN_WITHIN_MS = 20_000


def test_the_page_shows_every_operation_and_asks_no_other_host(
    system: System, tmp_path: Path
) -> None:
    if shutil.which(CHROMIUM) is None:
        install([CHROMIUM], purpose="the page of the reference", needed=f"install {CHROMIUM}")
    requests = tmp_path / "requests.json"

    shown = subprocess.run(
        [
            CHROMIUM,
            *ON_ITS_OWN,
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
