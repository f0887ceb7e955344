"""One function in a process of its own, as a pod runs it."""

import signal
import subprocess
import sys
from pathlib import Path

import requests

from taskflow import config
from tests.support.network.ports import a_free_port
from tests.support.paths import ROOT
from tests.support.polling import eventually

STARTED_WITHIN_S = 60
ENDED_WITHIN_S = 30


class Pod:
    """The server of one function."""

    def __init__(self, function: str, log: Path, **variables: str) -> None:
        """Start it on this process's database, with these environment variables besides."""
        self.port = a_free_port()
        self.log = log
        settings = config.settings()
        variables = {
            **config.environment(),
            "PORT": str(self.port),
            "ENVIRONMENT": "test",
            "DATABASE_URL": settings.database_url or "",
            "DATABASE_POOL_SIZE": "5",
            "JWT_SECRET": settings.jwt_secret or "",
            "FUNCTION_TARGET": function.replace("-", "_"),
            "FUNCTION_SOURCE": f"functions/{function}/main.py",
            "FORWARDED_ALLOW_IPS": "",
            **variables,
        }
        command = [sys.executable, "-m", "taskflow.server.function"]
        with log.open("w") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=variables, stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        """Where its sockets are, if it has any."""
        return f"ws://127.0.0.1:{self.port}/ws"

    def wait(self) -> None:
        """Wait until it is ready."""

        def check() -> None:
            assert self.process.poll() is None, self.log.read_text()
            try:
                answer = requests.get(f"{self.url}/health/readiness", timeout=2)
            except requests.RequestException as error:
                raise AssertionError(self.log.read_text()) from error
            assert answer.status_code == 200

        eventually(check, within_s=STARTED_WITHIN_S)

    def end(self) -> int:
        """Tell it to end; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(ENDED_WITHIN_S)
