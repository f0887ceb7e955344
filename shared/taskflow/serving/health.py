"""Health: what a function answers of itself and the parts it needs."""

from flask import Response

from taskflow import storage
from taskflow.serving.answers import as_json

PATHS = frozenset({"/health", "/health/liveness", "/health/readiness"})


def answer(path: str) -> Response:
    """Answer a health path: liveness asks only whether we run, the others ask the database too."""
    if path == "/health/liveness":
        return as_json({"status": "ok"})
    reachable = storage.is_reachable()
    parts = {"database": "ok" if reachable else "unreachable"}
    status = "ok" if reachable else "unavailable"
    return as_json({"status": status, "parts": parts}, 200 if reachable else 503)
