"""Writers that create tasks of many users, each sent again until it is acknowledged."""

import random
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Self

import requests

from taskflow import clock
from tests.support.data.accounts import SignedIn
from tests.support.network.remote_api import HttpServer, RemoteApi

PAUSE_S = 0.1
ANSWERED_WITHIN_S = 30
ENDED_WITHIN_S = 120


class TaskWriters:
    """Threads that each send one request at a time, for a user chosen at random."""

    def __init__(
        self, system: HttpServer, users: Sequence[SignedIn], *, threads: int, pause_s: float = 0.0
    ) -> None:
        self.acknowledged: list[tuple[str, str]] = []
        """Of each task that was acknowledged: whose it is, and its title, which no other has."""
        self.outcomes: Counter[str] = Counter()
        self.problems: list[str] = []
        self.slowest_s = 0.0
        """How long the slowest request took that was acknowledged."""
        self._system = system
        self._users = users
        self._pause_s = pause_s
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(f"writer {number}",), daemon=True)
            for number in range(threads)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(ENDED_WITHIN_S)
            assert not thread.is_alive(), "a writer never had its last answer"
        assert self.problems == []

    def _write(self, name: str) -> None:
        number, rng = 0, random.Random(name)
        remotes = {user.user_id: RemoteApi(self._system, user) for user in self._users}
        while not self._stopping.is_set() and not self.problems:
            user, title = rng.choice(self._users), f"{name}, task {number}"
            number += 1
            while not self._is_acknowledged(remotes[user.user_id], title) and not self.problems:
                threading.Event().wait(PAUSE_S)
            self.acknowledged.append((user.user_id, title))
            self._stopping.wait(self._pause_s)
        for remote in remotes.values():
            remote.close()

    def _is_acknowledged(self, remote: RemoteApi, title: str) -> bool:
        began_s = clock.monotonic_s()
        try:
            answer = remote.request(
                "POST", "tasks", {"title": title}, key=title, timeout_s=ANSWERED_WITHIN_S
            )
        except requests.RequestException as error:
            self.outcomes[type(error).__name__] += 1
            return False
        self.outcomes[str(answer.status_code)] += 1
        if answer.status_code < 500 and answer.status_code not in {201, 409}:
            self.problems.append(f"{title}: {answer.status_code} {answer.text}")
        if answer.status_code == 201:
            self.slowest_s = max(self.slowest_s, clock.monotonic_s() - began_s)
        return answer.status_code == 201
