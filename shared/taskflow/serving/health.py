"""Health and metrics of a function, and of the database it needs.

Anybody may ask for the health, and often: what costs more than a look at memory is looked up
about once a second, by one thread at a time.
"""

import hmac
import math
import threading
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from flask import Request, Response

from taskflow import clock, config, metrics, storage
from taskflow.domain.text import compact_json
from taskflow.process import draining, resource
from taskflow.serving import problems
from taskflow.serving.problems import NO_METRICS, NO_TOKEN, Problem

HEALTH, LIVENESS, READINESS = "/health", "/health/liveness", "/health/readiness"
OF_THE_PROCESS = frozenset({LIVENESS, READINESS})
"""These ask nothing that processes share: or one outage of the database would make all unready, and
requests would wait for one that is ready, where each can answer 503 with `Retry-After` at once."""

PATHS = frozenset({HEALTH, "/metrics"}) | OF_THE_PROCESS

CACHED_FOR_S = 1.0

T = TypeVar("T")


class Cached(Generic[T]):
    """The result of a look-up, cached for CACHED_FOR_S; one thread looks, and the others wait."""

    def __init__(self, look: Callable[[], T]) -> None:
        """Begin without a result; `look` returns one."""
        self._look = look
        self._lock = threading.Lock()
        self._found: T | None = None
        self._looked_s = -math.inf

    def get(self) -> T:
        """Return a result that is at most CACHED_FOR_S old. Raises what the look-up raises."""
        with self._lock:
            found = self._found
            if found is None or clock.monotonic_s() >= self._looked_s + CACHED_FOR_S:
                found = self._found = self._look()
                self._looked_s = clock.monotonic_s()
            return found


@resource()
def database() -> Cached[str]:
    """Return the cached state of the database."""
    return Cached(storage.state)


@resource()
def exposition() -> Cached[bytes]:
    """Return the cached metrics."""
    return Cached(metrics.exposition)


def answer(request: Request) -> Response:
    """Answer one of PATHS.

    Liveness is that we run; readiness that we can serve, as we can until we are to end: the
    settings were checked when the function was loaded. `/health` says how the database is.
    """
    if request.path == "/metrics":
        return _metrics(request)
    if request.path == LIVENESS:
        return _state("ok")
    if request.path == READINESS:
        return _state("unavailable" if draining().is_set() else "ok")
    state = database().get()
    return _state("ok" if state == "ok" else "unavailable", {"database": state})


def _state(status: str, parts: Mapping[str, str] | None = None) -> Response:
    body = {"status": status} if parts is None else {"status": status, "parts": parts}
    return Response(
        compact_json(body), 200 if status == "ok" else 503, content_type="application/json"
    )


def _metrics(request: Request) -> Response:
    settings = config.settings()
    if settings.metrics_token is None:
        if settings.environment == "production":
            detail = "Nobody sees the metrics, for METRICS_TOKEN is not set."
            return problems.answer(Problem(NO_METRICS, detail), instance=request.path)
    else:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        expected = settings.metrics_token.encode()
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), expected):
            detail = "Send the token of the metrics: Authorization: Bearer <token>."
            return problems.answer(Problem(NO_TOKEN, detail), instance=request.path)
    return Response(exposition().get(), content_type=metrics.CONTENT_TYPE)
