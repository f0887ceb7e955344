"""Telling the other server processes of a commit, by datagrams, so that no socket waits for a poll.

One that is not delivered is no loss: whoever would have heard it compares with the log anyway.
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

USERS_PER_DATAGRAM = 20
"""With ids of 255 characters, each of them two escapes, they still fit."""

DATAGRAM_MAX_BYTES = 64 * 1024
USERS_LATE_MAX = 10_000
"""Of whom one process is still to be told; one that takes nothing finds out by itself."""

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
        for user_id, seq in newest.items():
            # Two threads may tell of one user out of order; a hint that is too low is only late.
            self._pending[user_id] = max(seq, self._pending.get(user_id, 0))
        self._woken.set()

    def _listen(self) -> None:
        while True:
            self._heard(json.loads(self._socket.recv(DATAGRAM_MAX_BYTES)))

    def _speak(self) -> None:
        mouth = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        mouth.settimeout(0)
        # One that is busy keeps nobody else waiting.
        late: dict[Path, dict[str, int]] = {}
        while True:
            self._woken.wait(_PAUSE_S if late else None)
            self._woken.clear()
            told: dict[str, int] = {}
            while self._pending:
                user_id, seq = self._pending.popitem()
                told[user_id] = seq
            if told:
                for peer in self._folder.iterdir():
                    if peer.name != self._name:
                        late.setdefault(peer, {}).update(told)
            late = {
                peer: left for peer, users in late.items() if (left := _told(mouth, peer, users))
            }


def _told(mouth: socket.socket, peer: Path, users: dict[str, int]) -> dict[str, int]:
    """Tell a process as much as it takes; return what is left."""
    while users:
        some = dict(islice(users.items(), USERS_PER_DATAGRAM))
        try:
            mouth.sendto(compact_json(some).encode(), str(peer))
        except BlockingIOError:
            # Its queue is full: it is busy, or about to be ended.
            return users if len(users) <= USERS_LATE_MAX else {}
        except (ConnectionRefusedError, FileNotFoundError):
            # Its process was killed.
            with contextlib.suppress(FileNotFoundError):
                peer.unlink()
            return {}
        for user_id in some:
            del users[user_id]
    return users
