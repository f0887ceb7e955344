"""Telling the other server processes of a commit, by datagrams, so that no socket waits for a poll.

A datagram that can't be delivered is dropped after a moment: the feed compares with the log anyway.
"""

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path

from taskflow.domain.text import compact_json

USERS_PER_DATAGRAM = 100
DATAGRAM_MAX_BYTES = 64 * 1024
_ATTEMPTS = 25
_PAUSE_S = 0.002


class Signals:
    """This process's ear and mouth among those that share `folder`."""

    def __init__(self, folder: Path, heard: Callable[[Mapping[str, int]], None]) -> None:
        """Listen in `folder`, which must be short enough for a socket's path; `heard` is told."""
        self._folder = folder
        self._name = str(os.getpid())
        self._heard = heard
        self._pending: dict[str, int] = {}
        self._woken = threading.Event()
        # A process that had our number before may have been killed.
        (folder / self._name).unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(folder / self._name))
        for work in (self._listen, self._speak):
            threading.Thread(target=work, name="signals", daemon=True).start()

    def tell(self, newest: Mapping[str, int]) -> None:
        """Tell the others how far these users' streams have grown; returns at once."""
        self._pending.update(newest)
        self._woken.set()

    def _listen(self) -> None:
        while True:
            self._heard(json.loads(self._socket.recv(DATAGRAM_MAX_BYTES)))

    def _speak(self) -> None:
        mouth = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        mouth.settimeout(0)
        while True:
            self._woken.wait()
            self._woken.clear()
            while self._pending:
                some = {
                    user: self._pending.pop(user)
                    for user in list(islice(self._pending, USERS_PER_DATAGRAM))
                }
                datagram = compact_json(some).encode()
                for peer in self._folder.iterdir():
                    if peer.name != self._name:
                        _send(mouth, datagram, peer)


def _send(mouth: socket.socket, datagram: bytes, peer: Path) -> None:
    for _ in range(_ATTEMPTS):
        try:
            mouth.sendto(datagram, str(peer))
        except BlockingIOError:
            # Its queue is full: it is busy, or about to be ended.
            threading.Event().wait(_PAUSE_S)
        except (ConnectionRefusedError, FileNotFoundError):
            # Its process was killed.
            with contextlib.suppress(FileNotFoundError):
                peer.unlink()
            return
        else:
            return
