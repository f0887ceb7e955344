"""Requests made from docs/openapi.json, and answers held against it, by Schemathesis."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import requests

from taskflow import config
from tests.support.paths import ROOT
from tests.support.processes.command_line import taskflow
from tests.support.processes.system import System

CONFIG = Path(__file__).parent / "schemathesis.toml"
PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Sender:
    """Somebody who has signed in to a running system."""

    name: str
    user_id: str
    token: str


@dataclass(frozen=True)
class Run:
    """What a run of Schemathesis has done: how many requests it made, and all that it printed."""

    is_clean: bool
    cases: int
    output: str


def sign_up(system: System, name: str) -> Sender:
    """Open an account."""
    body = {"email": f"{name}@example.com", "password": PASSWORD}
    answer = requests.post(f"{system.url}/api/auth/register", json=body, timeout=30)
    return Sender(name, answer.json()["user"]["id"], answer.json()["access_token"])


def sign_up_administrator(system: System, name: str) -> Sender:
    """Open an account, and make it an administrator's."""
    sender = sign_up(system, name)
    email = f"{name}@example.com"
    granted = taskflow("admin", "grant", email, TASKFLOW_DATA_DIR=str(system.data_dir))
    assert granted.returncode == 0, granted.stderr
    body = {"email": email, "password": PASSWORD}
    answer = requests.post(f"{system.url}/api/auth/login", json=body, timeout=30)
    return Sender(name, sender.user_id, answer.json()["access_token"])


def run(system: System, sender: Sender, other: Sender, folder: Path, *options: str) -> Run:
    """Send requests as `sender`; `other` must see nothing of theirs, nor they of the other's."""
    senders = folder / "senders.json"
    entries = [
        {
            "name": name,
            "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {each.token}"}],
        }
        for name, each in (("somebody", sender), ("another", other))
    ]
    senders.write_text(json.dumps({"auth": entries}))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run"]
    own = {"SENDERS": str(senders), "USER_ID": sender.user_id, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [*command, str(ROOT / "docs" / "openapi.json"), "--url", system.url, *options],
        cwd=folder,
        env={**config.environment(), **own},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"(\d+) generated", ran.stdout)
    return Run(ran.returncode == 0, int(found[1]) if found else 0, ran.stdout + ran.stderr)
