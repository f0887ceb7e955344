"""The whole TaskFlow: `taskflow up` in a process group of its own, on a free port."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import requests

from taskflow import config
from tests.support.network.ports import a_free_port
from tests.support.paths import ROOT
from tests.support.polling import eventually

STARTED_WITHIN_S = 60
STOPPED_WITHIN_S = 30


class System:
    """A TaskFlow with a data folder of its own, which can be stopped, killed and restarted."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        """Prepare the system; `settings` are environment variables."""
        self.port = a_free_port()
        self.data_dir = data_dir
        self.log = data_dir.with_suffix(".log")
        self.settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of the HTTP server."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        """The URL for sockets."""
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The first process of the system."""
        assert self._process is not None
        return self._process

    def start(self) -> None:
        """Start the system and wait until it is ready."""
        self.spawn()
        eventually(self._check_ready, within_s=STARTED_WITHIN_S)

    def spawn(self) -> None:
        """Start the system without waiting."""
        own = {
            "TASKFLOW_DATA_DIR": str(self.data_dir),
            "PORT": str(self.port),
            "FUNCTIONS_DIR": str(ROOT / "functions"),
            "DOCS_DIR": str(ROOT / "docs"),
            # Where it is set, the tests with a Kafka say so themselves.
            "KAFKA_BOOTSTRAP_SERVERS": "",
            "KAFKA_BROKERS": "",
            "RATE_LIMIT_AUTH_PER_MIN": "0",
            "RATE_LIMIT_USER_PER_S": "0",
            # A load lasts longer than a token of 15 minutes.
            "ACCESS_TOKEN_LIFETIME_S": "86400",
            **self.settings,
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "taskflow.command_line", "up"],
                env={**config.environment(), **own},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """Stop the system in an orderly way; return its exit status."""
        self.process.send_signal(with_signal)
        return self.process.wait(timeout=STOPPED_WITHIN_S)

    def processes(self) -> list[psutil.Process]:
        """Return all its running processes: its session, and the PostgreSQL on its data."""
        return [found for found in psutil.process_iter() if self._owns(found)]

    def _owns(self, found: psutil.Process) -> bool:
        try:
            # Each backend of PostgreSQL has a session of its own, but all work in one folder.
            return found.status() != psutil.STATUS_ZOMBIE and (
                os.getsid(found.pid) == self.process.pid
                or found.cwd() == str(self.data_dir.resolve() / "postgres")
            )
        except (psutil.Error, ProcessLookupError):
            return False

    def kill(self, *, with_postgresql: bool = False) -> None:
        """End its process group with SIGKILL; PostgreSQL, in its own, then ends by itself."""
        server = [found for found in self.processes() if _is_postgresql(found)]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        if with_postgresql:
            for found in server:
                with contextlib.suppress(psutil.NoSuchProcess):
                    found.kill()
        self.process.wait(timeout=STOPPED_WITHIN_S)
        eventually(self._check_group_has_ended, within_s=STOPPED_WITHIN_S)

    def _check_group_has_ended(self) -> None:
        assert all(_is_postgresql(found) for found in self.processes())

    def _check_ready(self) -> None:
        assert self.process.poll() is None, f"it ended:\n{self.log.read_text()[-4000:]}"
        try:
            answer = requests.get(f"{self.url}/health", timeout=2)
        except requests.ConnectionError as error:
            raise AssertionError(self.log.read_text()[-4000:]) from error
        assert answer.status_code == 200, answer.text


def _is_postgresql(found: psutil.Process) -> bool:
    # One that has ended meanwhile is nobody's concern: its backends come and go.
    with contextlib.suppress(psutil.NoSuchProcess):
        return found.name() == "postgres"
    return True
