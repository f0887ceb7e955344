"""A server that is told to end does so in order, also while it starts and while clients wait."""

import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.support.polling import eventually

ENDED_WITHIN_S = 30
ENDED_AT_ONCE_S = 6
"""A worker that hears nothing is killed after 15 s (`application.KILLED_AFTER_S`)."""

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


def _connect(client: socket.socket, path: str) -> None:
    try:
        client.connect(path)
    except OSError as error:
        raise AssertionError from error


CUTTING = """
from taskflow.server.patching import patch_all
patch_all()

import sys, time
from taskflow.process import resource
from taskflow.server import application
from taskflow.server.application import Server

application.GRACEFUL_S = 0

@resource(close=lambda _: print("closed", flush=True))
def made(): return "something"

def app(environ, start_response):
    made()
    print("begun", flush=True)
    time.sleep(600)

Server(app, "unix:" + sys.argv[1]).run()
"""


def test_a_request_that_does_not_end_is_cut_off_and_its_worker_closes_what_it_made(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "socket")
    command = [sys.executable, "-c", CUTTING, path]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
        socket.socket(socket.AF_UNIX) as client,
    ):
        assert server.stdout is not None
        eventually(lambda: _connect(client, path), within_s=ENDED_WITHIN_S)
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        begun = server.stdout.readline()

        server.terminate()
        cut_off = client.recv(1)
        closed = server.stdout.readline()

        assert server.wait(ENDED_WITHIN_S) == 0
    assert (begun, cut_off, closed) == ("begun\n", b"", "closed\n")
