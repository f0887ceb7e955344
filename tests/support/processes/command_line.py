"""Running the command `taskflow`, as an operator does."""

import subprocess
import sys
from collections.abc import Mapping

from taskflow import config

ENDED_WITHIN_S = 60


def begin_taskflow(*arguments: str, **settings: str) -> subprocess.Popen[bytes]:
    """Begin to run the command, and leave it to the caller to end; nobody reads what it says."""
    return subprocess.Popen(
        [sys.executable, "-m", "taskflow.command_line", *arguments],
        env={**_environment(), **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def taskflow(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; `settings` are environment variables."""
    return subprocess.run(
        [sys.executable, "-m", "taskflow.command_line", *arguments],
        env={**_environment(), **settings},
        capture_output=True,
        text=True,
        timeout=ENDED_WITHIN_S,
        check=False,
    )


def _environment() -> Mapping[str, str]:
    # A Kafka that is named for the whole run is not the one that a test means.
    named = ("KAFKA_BOOTSTRAP_SERVERS", "KAFKA_BROKERS")
    return {name: value for name, value in config.environment().items() if name not in named}
