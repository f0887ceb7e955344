"""A worker that is told to end while it starts ends, as one does that has started."""

import subprocess
import sys
import time
from pathlib import Path

ENDED_WITHIN_S = 30
ENDED_AT_ONCE_S = 6
"""The server's patience with its workers is 10 s."""

SERVER = """
from taskflow.server.patching import patch_all
patch_all()

import os, signal, sys, time
from taskflow.server.application import Server
from taskflow.server.worker import Worker

class StartsSlowly(Worker):
    def init_process(self):
        # As soon as it is there, and while it has yet to set up what it does at a signal.
        os.kill(os.getppid(), signal.SIGTERM)
        print("told", flush=True)
        time.sleep(0.5)
        super().init_process()

class Starting(Server):
    def load_config(self):
        super().load_config()
        self.cfg.set("worker_class", StartsSlowly)

Starting(lambda environ, start_response: [], "unix:" + sys.argv[1]).run()
"""


def test_a_worker_that_is_told_to_end_while_it_starts_ends_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVER, str(tmp_path / "socket")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "told\n"
        began_s = time.monotonic()
        ended = server.wait(ENDED_WITHIN_S)

    assert ended == 0
    assert time.monotonic() - began_s < ENDED_AT_ONCE_S
