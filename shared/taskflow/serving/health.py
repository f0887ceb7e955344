"""Health and metrics: what a function answers of itself and the parts it needs."""

from flask import Response

from taskflow import metrics, storage
from taskflow.serving.answers import as_json

PATHS = frozenset({"/health", "/health/liveness", "/health/readiness", "/metrics"})


def answer(path: str) -> Response:
    """Answer one of PATHS; liveness asks only whether we run, not whether the database does."""
    if path == "/metrics":
        return Response(metrics.exposition(), content_type=metrics.CONTENT_TYPE)
    if path == "/health/liveness":
        return as_json({"status": "ok"})
    database = storage.state()
    status = "ok" if database == "ok" else "unavailable"
    return as_json(
        {"status": status, "parts": {"database": database}}, 200 if database == "ok" else 503
    )
