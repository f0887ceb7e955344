"""Assertions about refusals: problems of RFC 9457, without internal details."""

from http import HTTPStatus
from typing import Any

from werkzeug import Response

from tests.support.functions.client import content

MEMBERS = {"type", "title", "status", "detail", "instance", "correlation_id"}


def assert_refused(answer: Response, status: int, slug: str | None = None) -> dict[str, Any]:
    """Check that the answer is a problem of this status and kind; return the problem."""
    text = answer.get_data(as_text=True)
    assert answer.status_code == status, text
    assert answer.mimetype == "application/problem+json"
    problem = content(answer)
    assert set(problem) - {"errors"} == MEMBERS
    assert problem["type"].startswith("urn:taskflow:problem:")
    assert slug is None or problem["type"] == f"urn:taskflow:problem:{slug}"
    assert problem["title"] == HTTPStatus(status).phrase
    assert problem["status"] == status
    assert problem["detail"]
    assert problem["instance"].startswith("/")
    assert problem["correlation_id"] == answer.headers["X-Correlation-ID"]
    assert "Traceback" not in text
    assert ".py" not in text
    if status == HTTPStatus.UNAUTHORIZED:
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    return problem


def assert_invalid(answer: Response, *pointers: str) -> dict[str, Any]:
    """Check that the answer is a 422 that names just these fields."""
    problem = assert_refused(answer, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-content")
    named = [error["pointer"] for error in problem["errors"]]
    assert sorted(named) == sorted(pointers), problem["errors"]
    assert all(error["detail"] for error in problem["errors"])
    return problem


def without_request(problem: dict[str, Any]) -> dict[str, Any]:
    """Return the members of a problem that do not depend on the request."""
    return {
        name: value for name, value in problem.items() if name not in {"instance", "correlation_id"}
    }
