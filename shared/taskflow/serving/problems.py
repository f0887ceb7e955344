"""Errors as RFC 9457 problem details, and the one table that says which error is which problem."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from flask import Response

from taskflow import logs
from taskflow.domain import errors
from taskflow.domain.errors import DomainError, FieldError
from taskflow.domain.text import JsonObject, compact_json
from taskflow.storage import DatabaseUnavailable, LockTimeout

MEDIA_TYPE = "application/problem+json"
ERRORS_MAX = 20
POINTER_MAX_CHARS = 1024
"""Of a wrong field: its name is the client's own, and may be as long as a body."""

PROBLEMS: dict[type[DomainError], tuple[int, str]] = {
    errors.InvalidContent: (422, "invalid-content"),
    errors.TaskNotFound: (404, "task-not-found"),
    errors.TaskIsClosed: (409, "task-is-closed"),
    errors.NoRecurrence: (404, "no-recurrence"),
    errors.ReminderNotFound: (404, "reminder-not-found"),
    errors.NotificationNotFound: (404, "notification-not-found"),
    errors.DeadLetterNotFound: (404, "dead-letter-not-found"),
    errors.DeadLetterIsSettled: (409, "dead-letter-is-settled"),
    errors.NotAnEventOfOurs: (409, "not-an-event-of-ours"),
    errors.VersionIsStale: (412, "version-is-stale"),
    errors.VersionIsExcluded: (412, "version-is-excluded"),
    errors.AccountNotFound: (401, "account-not-found"),
    errors.EmailIsTaken: (409, "email-is-taken"),
    errors.CredentialsAreWrong: (401, "credentials-are-wrong"),
    errors.RefreshTokenIsInvalid: (401, "refresh-token-is-invalid"),
    errors.TooManyAttempts: (429, "too-many-attempts"),
}


class Problem(Exception):
    """A request that the frame itself refuses; `slug` names the kind of problem."""

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
        more_errors: int = 0,
    ) -> None:
        """Describe the problem; `detail` is a sentence for the one who sent the request.

        `more_errors` counts what is wrong beside the `errors` named.
        """
        super().__init__(detail)
        self.status = status
        self.slug = slug
        self.detail = detail
        self.headers = dict(headers or {})
        self.errors = errors
        self.more_errors = more_errors


def problem_of(error: Exception) -> Problem:
    """Return the problem that a client is told for an error; an unforeseen one tells it nothing."""
    match error:
        case Problem():
            return error
        case errors.InvalidContent():
            return Problem(422, "invalid-content", str(error), errors=error.errors)
        case errors.TooManyAttempts():
            headers = {"Retry-After": str(error.retry_after_s)}
            return Problem(429, "too-many-attempts", str(error), headers=headers)
        case DomainError():
            status, slug = PROBLEMS[type(error)]
            return Problem(status, slug, str(error))
        case DatabaseUnavailable() | LockTimeout():
            return Problem(
                503,
                "unavailable",
                "The database is busy or away; try again shortly.",
                headers={"Retry-After": "1"},
            )
        case _:
            return Problem(
                500,
                "internal-error",
                "Something went wrong on our side; tell us the correlation id.",
            )


def answer(problem: Problem, *, instance: str) -> Response:
    """Build the answer: `application/problem+json` with the correlation id of the request."""
    body: JsonObject = {
        "type": f"urn:taskflow:problem:{problem.slug}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": instance,
        "correlation_id": logs.correlation_id.get(),
    }
    if problem.errors:
        body["errors"] = [
            {"pointer": _cut(error.pointer), "detail": error.detail}
            for error in problem.errors[:ERRORS_MAX]
        ]
        more = len(problem.errors) - ERRORS_MAX + problem.more_errors
        if more > 0:
            body["detail"] += f" {more} more fields are wrong."
    # The name of an unknown field may hold what UTF-8 can't.
    content = compact_json(body).encode("utf-8", "replace")
    response = Response(content, status=problem.status, content_type=MEDIA_TYPE)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="taskflow"'
    response.headers.update(problem.headers)
    return response


def _cut(pointer: str) -> str:
    return pointer if len(pointer) <= POINTER_MAX_CHARS else pointer[:POINTER_MAX_CHARS] + "…"
