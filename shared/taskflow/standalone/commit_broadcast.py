"""Notifies the other server processes of commits, by datagrams, so that no socket waits for a poll.

A notification that is lost costs only time: each receiver compares with the log anyway.
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
UNSENT_USERS_MAX = 10_000
"""How many users' notifications wait for one receiver whose queue is full. Beyond that they are
dropped: the receiver finds the commits in the log."""

_RETRY_S = 0.002


class CommitBroadcast:
    """Notifies the processes that share `folder` of commits, and receives their notifications.

    A notification is the newest `seq` of each user whose stream has grown.
    """

    def __init__(
        self, folder: Path, on_receive: Callable[[Mapping[str, int]], None] | None = None
    ) -> None:
        """Bind a socket in `folder`, and call `on_receive` with each notification, on a thread.

        Without `on_receive` this process notifies others, and is notified by none. The path of
        `folder` must be short enough for that of a Unix socket.
        """
        self._folder = folder
        self._name = str(os.getpid())
        self._pending: dict[str, int] = {}
        self._woken = threading.Event()
        # A process that had our number before may have been killed.
        (folder / self._name).unlink(missing_ok=True)
        if on_receive is not None:
            receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            receiver.bind(str(folder / self._name))
            _start(_receive_on, receiver, on_receive)
        _start(self._send_on)

    def notify(self, newest: Mapping[str, int]) -> None:
        """Notify the other processes of these users' newest `seq`; return at once."""
        for user_id, seq in newest.items():
            # Two threads may notify of one user out of order; a `seq` that is too low is only late.
            self._pending[user_id] = max(seq, self._pending.get(user_id, 0))
        self._woken.set()

    def _send_on(self) -> None:
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sender.settimeout(0)
        # By receiver, so that a busy one keeps nobody else waiting.
        unsent: dict[Path, dict[str, int]] = {}
        while True:
            self._woken.wait(_RETRY_S if unsent else None)
            self._woken.clear()
            newest: dict[str, int] = {}
            while self._pending:
                user_id, seq = self._pending.popitem()
                newest[user_id] = seq
            if newest:
                for peer in self._folder.iterdir():
                    if peer.name != self._name:
                        unsent.setdefault(peer, {}).update(newest)
            unsent = {
                peer: left for peer, users in unsent.items() if (left := _send(sender, peer, users))
            }


def _start(loop: Callable[..., None], *args: object) -> None:
    threading.Thread(target=loop, args=args, name="commit-broadcast", daemon=True).start()


def _receive_on(receiver: socket.socket, on_receive: Callable[[Mapping[str, int]], None]) -> None:
    while True:
        on_receive(json.loads(receiver.recv(DATAGRAM_MAX_BYTES)))


def _send(sender: socket.socket, peer: Path, newest: dict[str, int]) -> dict[str, int]:
    """Send a process as many of the notifications as it takes; return those left."""
    while newest:
        some = dict(islice(newest.items(), USERS_PER_DATAGRAM))
        try:
            sender.sendto(compact_json(some).encode(), str(peer))
        except BlockingIOError:
            # Its queue is full: it is busy, or about to be ended.
            return newest if len(newest) <= UNSENT_USERS_MAX else {}
        except (ConnectionRefusedError, FileNotFoundError):
            # Its process was killed.
            with contextlib.suppress(FileNotFoundError):
                peer.unlink()
            return {}
        for user_id in some:
            del newest[user_id]
    return newest
