"""Errors as RFC 9457 problem details, and the one table that says which error is which problem."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
"""Of an invalid field: its name is the client's own, and may be as long as a body."""


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A kind of problem: its status, its `slug`, and the headers that tell more about it."""

    status: int
    slug: str
    headers: tuple[str, ...] = ()


_RETRY = ("Retry-After",)
_CLOSES = ("Connection",)
_CHALLENGE = ("WWW-Authenticate",)

NOT_UTF_8 = ProblemKind(400, "not-utf-8")
NOT_JSON = ProblemKind(400, "not-json")
BODY_CUT_OFF = ProblemKind(400, "body-cut-off")
MALFORMED_CHUNKS = ProblemKind(400, "malformed-chunks", _CLOSES)
BAD_IDEMPOTENCY_KEY = ProblemKind(400, "bad-idempotency-key")
NO_TOKEN = ProblemKind(401, "no-token", _CHALLENGE)
INVALID_TOKEN = ProblemKind(401, "invalid-token", _CHALLENGE)
NOT_YOUR_ACCOUNT = ProblemKind(403, "not-your-account")
MISSING_PERMISSION = ProblemKind(403, "missing-permission")
MISSING_ROLE = ProblemKind(403, "missing-role")
NO_SUCH_PATH = ProblemKind(404, "no-such-path")
NO_METRICS = ProblemKind(404, "no-metrics")
METHOD_NOT_ALLOWED = ProblemKind(405, "method-not-allowed", ("Allow",))
BODY_TOO_SLOW = ProblemKind(408, "body-too-slow", _CLOSES)
REQUEST_STILL_RUNNING = ProblemKind(409, "request-still-running", _RETRY)
BODY_TOO_LARGE = ProblemKind(413, "body-too-large", _CLOSES)
OTHER_MEDIA_TYPE = ProblemKind(415, "not-json", ("Accept", "Accept-Patch"))
INVALID_CONTENT = ProblemKind(422, "invalid-content")
IDEMPOTENCY_KEY_REUSED = ProblemKind(422, "idempotency-key-reused")
UPGRADE_NEEDED = ProblemKind(
    426, "upgrade-needed", ("Upgrade", "Connection", "Sec-WebSocket-Version")
)
TOO_MANY_REQUESTS = ProblemKind(429, "too-many-requests", _RETRY)
INTERNAL_ERROR = ProblemKind(500, "internal-error")
UNAVAILABLE = ProblemKind(503, "unavailable", _RETRY)

PROBLEMS: dict[type[DomainError], ProblemKind] = {
    errors.InvalidContent: INVALID_CONTENT,
    errors.TaskNotFound: ProblemKind(404, "task-not-found"),
    errors.TaskIsClosed: ProblemKind(409, "task-is-closed"),
    errors.NoRecurrence: ProblemKind(404, "no-recurrence"),
    errors.ReminderNotFound: ProblemKind(404, "reminder-not-found"),
    errors.NotificationNotFound: ProblemKind(404, "notification-not-found"),
    errors.DeadLetterNotFound: ProblemKind(404, "dead-letter-not-found"),
    errors.DeadLetterIsSettled: ProblemKind(409, "dead-letter-is-settled"),
    errors.NotAnEventOfOurs: ProblemKind(409, "not-an-event-of-ours"),
    errors.VersionIsStale: ProblemKind(412, "version-is-stale"),
    errors.VersionIsExcluded: ProblemKind(412, "version-is-excluded"),
    errors.AccountNotFound: ProblemKind(401, "account-not-found", _CHALLENGE),
    errors.EmailIsTaken: ProblemKind(409, "email-is-taken"),
    errors.InvalidCredentials: ProblemKind(401, "credentials-are-wrong", _CHALLENGE),
    errors.InvalidRefreshToken: ProblemKind(401, "refresh-token-is-invalid", _CHALLENGE),
    errors.TooManyAttempts: ProblemKind(429, "too-many-attempts", _RETRY),
}
"""The kind of problem with which each error of the domain is answered."""


class Problem(Exception):
    """A request that the frame itself refuses."""

    def __init__(
        self,
        kind: ProblemKind,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
        more_errors: int = 0,
    ) -> None:
        """Describe the problem; `detail` is a sentence for the sender of the request.

        `more_errors` counts what is wrong beside the `errors` named.
        """
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.errors = errors
        self.more_errors = more_errors


def problem_of(error: Exception) -> Problem:
    """Return the problem that answers an error; of an unforeseen one it discloses nothing."""
    match error:
        case Problem():
            return error
        case errors.InvalidContent():
            return Problem(INVALID_CONTENT, str(error), errors=error.errors)
        case errors.TooManyAttempts():
            headers = {"Retry-After": str(error.retry_after_s)}
            return Problem(PROBLEMS[type(error)], str(error), headers=headers)
        case DomainError():
            return Problem(PROBLEMS[type(error)], str(error))
        case DatabaseUnavailable() | LockTimeout():
            return Problem(
                UNAVAILABLE,
                "The database is busy or away; try again shortly.",
                headers={"Retry-After": "1"},
            )
        case _:
            return Problem(
                INTERNAL_ERROR,
                "Something went wrong on our side; tell us the correlation id.",
            )


def answer(problem: Problem, *, instance: str) -> Response:
    """Build the answer: `application/problem+json` with the correlation id of the request."""
    kind = problem.kind
    body: JsonObject = {
        "type": f"urn:taskflow:problem:{kind.slug}",
        "title": HTTPStatus(kind.status).phrase,
        "status": kind.status,
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
    response = Response(content, status=kind.status, content_type=MEDIA_TYPE)
    if kind.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="taskflow"'
    response.headers.update(problem.headers)
    return response


def _cut(pointer: str) -> str:
    return pointer if len(pointer) <= POINTER_MAX_CHARS else pointer[:POINTER_MAX_CHARS] + "…"
