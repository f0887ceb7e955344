"""The delivering process, killed between the effect of an event and the record of its delivery."""

import signal
import subprocess
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from taskflow import config
from taskflow.eventing.frame import Subscriber
from taskflow.standalone.processes import (
    CONSUMERS_SOCKET,
    GO,
    METRICS_FOLDER,
    make_meeting_folder,
)
from taskflow.storage import audit_store, transaction
from taskflow.storage.audit_store import AuditFilter
from tests.support.data.accounts import A_CAUSE, a_user
from tests.support.data.builders import a_stored_task
from tests.support.delivery.deliverers import progress_of
from tests.support.delivery.scripted_subscriber import serving
from tests.support.functions.client import all_functions
from tests.support.paths import ROOT
from tests.support.polling import eventually

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SOON_S = 30
ENDED_WITHIN_S = 20
CONSUMER = "record-audit-entry"


class KillingConsumers:
    """The real consumers, which kill given processes between an effect and its answer."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.kills: list[subprocess.Popen[str]] = []
        apps: dict[str, WSGIApplication] = {
            f"/{function.name}": function.app
            for function in all_functions()
            if isinstance(function.endpoint, Subscriber)
        }
        self._app = DispatcherMiddleware(NotFound(), apps)

    def __call__(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        """Have the effect, kill the process that waits for the answer, and answer."""
        answer = list(self._app(environ, start))
        if environ["SCRIPT_NAME"] == f"/{CONSUMER}":
            self.done.append(environ["HTTP_CE_ID"])
            while self.kills:
                victim = self.kills.pop()
                victim.kill()
                victim.wait(ENDED_WITHIN_S)
        return answer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_meeting_folder(tmp_path)


@contextmanager
def a_delivery_process(folder: Path) -> Generator[subprocess.Popen[str]]:
    settings = config.settings().model_copy(update={"functions_dir": ROOT / "functions"})
    process = subprocess.Popen(
        [sys.executable, "-m", "taskflow.standalone.background", str(folder)],
        stdin=subprocess.PIPE,
        text=True,
        env=config.environment_of(settings, metrics_dir=folder / METRICS_FOLDER),
    )
    with process:
        assert process.stdin is not None
        process.stdin.write(GO)
        process.stdin.flush()
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(ENDED_WITHIN_S)


@pytest.mark.usefixtures("own_database")
def test_an_event_whose_delivery_was_not_recorded_comes_again_and_has_its_effect_once(
    folder: Path,
) -> None:
    consumers = KillingConsumers()
    user = a_user()
    with serving(consumers, folder / CONSUMERS_SOCKET):
        with a_delivery_process(folder) as process:
            consumers.kills.append(process)
            process.wait(SOON_S)
        assert process.returncode == -signal.SIGKILL
        assert progress_of(CONSUMER, user.user_id) == 0
        assert _entries(user.user_id) == [1]

        with a_delivery_process(folder) as process:
            a_stored_task(user.user_id)
            eventually(lambda: _at(user.user_id, 2), within_s=SOON_S)

    assert process.returncode == 0, "SIGTERM is an orderly end"
    first = consumers.done[0]
    assert consumers.done.count(first) == 2
    assert _entries(user.user_id) == [1, 2]


def _at(user_id: str, seq: int) -> None:
    assert progress_of(CONSUMER, user_id) == seq


def _entries(user_id: str) -> list[int]:
    with transaction(A_CAUSE) as tx:
        found = audit_store.list_of(tx, AuditFilter(user_id=user_id), after=None, limit=10)
    return sorted(entry.seq for entry in found)
