"""The pods of earlier revisions, which go on for a while after a deploy."""

import sys
import time
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from threading import Lock

from knative.cluster import LOOK_S, SERVICES, get
from taskflow.config import FUNCTIONS_CONNECTIONS_MAX

OLD_PODS_S = 600
"""How long the pods of an earlier revision may be there: its sockets live for SOCKET_LIFETIME_S,
then Knative waits for its window of a minute and half a minute more, and lets a pod end."""

SERVICE, REVISION = "serving.knative.dev/service", "serving.knative.dev/revision"
"""Knative's labels of a pod."""

ENDED = ("Succeeded", "Failed")
"""Phases of a pod that is kept although nothing runs in it, such as one that was evicted."""


class Connections:
    """The connections to the database while functions are deployed.

    The pods of both revisions of a function hold some. So the next is begun with where those of all
    pods there are leave room for as many pods of it as it has, or when no earlier revision of
    any function has pods: then nothing is won by waiting longer.
    """

    def __init__(self, pool_sizes: Mapping[str, int]) -> None:
        """Take how many connections a pod of each function may hold."""
        self._pool_sizes = pool_sizes
        self._lock = Lock()
        self._taken: dict[str, int] = {}

    @contextmanager
    def room_for(self, name: str) -> Generator[None]:
        """Wait for room for the new pods of a function, at most OLD_PODS_S, and keep it."""
        deadline, said = time.monotonic() + OLD_PODS_S, False
        while not self._take(name, at_once=time.monotonic() > deadline):
            if not said:
                print(f"{name}: waits for connections to the database", flush=True)
            said = True
            time.sleep(LOOK_S)
        try:
            yield
        finally:
            with self._lock:
                del self._taken[name]

    def _take(self, name: str, *, at_once: bool) -> bool:
        with self._lock:
            pods, old = _pods()
            needed = max(1, pods[name]) * self._pool_sizes[name]
            held = sum(self._pool_sizes.get(each, 0) * count for each, count in pods.items())
            room = FUNCTIONS_CONNECTIONS_MAX - held - sum(self._taken.values())
            if needed > room and not at_once and (old or self._taken):
                return False
            self._taken[name] = needed
            return True


def wait_until_old_pods_are_gone() -> None:
    """Wait until no pod of an earlier revision is left; end with their names if some stay."""
    deadline, said = time.monotonic() + OLD_PODS_S, False
    while old := ", ".join(sorted(_pods()[1])):
        if time.monotonic() > deadline:
            sys.exit(f"Pods of earlier revisions are still there: {old}. Deploy again.")
        if not said:
            print(f"Waiting until the pods of earlier revisions are gone: {old}", flush=True)
        said = True
        time.sleep(LOOK_S)


def _pods() -> tuple[Counter[str], set[str]]:
    """Return how many pods each function has, and which have some of an earlier revision."""
    newest = {
        each["metadata"]["name"]: each.get("status", {}).get("latestReadyRevisionName")
        for each in get(SERVICES)["items"]
    }
    labels = [
        each["metadata"]["labels"]
        for each in get("pods", f"--selector={SERVICE}")["items"]
        if each.get("status", {}).get("phase") not in ENDED
    ]
    old = {each[SERVICE] for each in labels if each[REVISION] != newest.get(each[SERVICE])}
    return Counter(each[SERVICE] for each in labels), old
