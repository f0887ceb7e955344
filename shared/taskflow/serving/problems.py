"""Errors as RFC 9457 problem details, and the one table that says which error is which problem."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, NotRequired

from flask import Response
from pydantic import Field
from typing_extensions import TypedDict

from taskflow import logs
from taskflow.domain import errors
from taskflow.domain.errors import DomainError, FieldError
from taskflow.domain.text import compact_json
from taskflow.storage import DatabaseUnavailable, LockTimeout

MEDIA_TYPE = "application/problem+json"
ERRORS_MAX = 20
POINTER_MAX_CHARS = 1024
"""Of an invalid field: its name is the client's own, and may be as long as a body."""


TYPE_PREFIX = "urn:taskflow:problem:"
"""Of the `type` of a problem; its kind's slug follows."""


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A kind of problem: its status, its `slug`, and the headers that tell more about it.

    `meaning` is a sentence for who reads of it before it happens.
    """

    status: int
    slug: str
    meaning: str
    headers: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        """The URI by which clients know the kind (RFC 9457, 3.1.1)."""
        return TYPE_PREFIX + self.slug


class WrongField(TypedDict):
    """A field of the request that is not valid."""

    pointer: Annotated[
        str, Field(description="Where it is in what was sent: a JSON Pointer (RFC 6901).")
    ]
    detail: Annotated[str, Field(description="What is wrong with it.")]


class ProblemDetails(TypedDict):
    """A refusal (RFC 9457); more members may be added."""

    type: Annotated[str, Field(description="The kind of problem: a URI to compare, not to open.")]
    title: Annotated[str, Field(description="The phrase of the status.")]
    status: Annotated[int, Field(description="The status of the answer.")]
    detail: Annotated[str, Field(description="What is wrong this time, for a person to read.")]
    instance: Annotated[str, Field(description="The path of the request.")]
    correlation_id: Annotated[
        str, Field(description="The `X-Correlation-ID` of the request, by which logs know it.")
    ]
    errors: NotRequired[
        Annotated[
            list[WrongField],
            Field(
                max_length=ERRORS_MAX,
                description="Of invalid content: each wrong field, or the first of many.",
            ),
        ]
    ]


_RETRY = ("Retry-After",)
_CLOSES = ("Connection",)
_CHALLENGE = ("WWW-Authenticate",)

NOT_UTF_8 = ProblemKind(400, "not-utf-8", "The path or the query is not UTF-8 once decoded.")
NOT_JSON = ProblemKind(400, "not-json", "The body is not JSON, or none that can be read.")
BODY_CUT_OFF = ProblemKind(400, "body-cut-off", "The body is shorter than it was to be.")
MALFORMED_CHUNKS = ProblemKind(
    400, "malformed-chunks", "The body is not in chunks as HTTP/1.1 has them.", _CLOSES
)
BAD_IDEMPOTENCY_KEY = ProblemKind(
    400, "bad-idempotency-key", "The Idempotency-Key is not 1 to 255 printable ASCII characters."
)
NO_TOKEN = ProblemKind(401, "no-token", "The request has no bearer token.", _CHALLENGE)
INVALID_TOKEN = ProblemKind(
    401, "invalid-token", "The token is wrong or expired, or its session has ended.", _CHALLENGE
)
NOT_YOUR_ACCOUNT = ProblemKind(
    403, "not-your-account", "The path is that of another account, whether or not there is one."
)
MISSING_PERMISSION = ProblemKind(
    403, "missing-permission", "The token lacks the permission that is asked for here."
)
MISSING_ROLE = ProblemKind(403, "missing-role", "The token lacks the role that is asked for here.")
NO_SUCH_PATH = ProblemKind(
    404,
    "no-such-path",
    "No function takes this path; where users sign in at an outside issuer, none is in /api/auth.",
)
NO_METRICS = ProblemKind(404, "no-metrics", "Nobody sees the metrics here.")
METHOD_NOT_ALLOWED = ProblemKind(
    405, "method-not-allowed", "The path does not take this method.", ("Allow",)
)
BODY_TOO_SLOW = ProblemKind(408, "body-too-slow", "The body did not come.", _CLOSES)
REQUEST_STILL_RUNNING = ProblemKind(
    409, "request-still-running", "The first request with this Idempotency-Key still runs.", _RETRY
)
BODY_TOO_LARGE = ProblemKind(413, "body-too-large", "The body is larger than is taken.", _CLOSES)
OTHER_MEDIA_TYPE = ProblemKind(
    415,
    "other-media-type",
    "The body is of another media type than is taken, or is compressed.",
    ("Accept", "Accept-Patch"),
)
INVALID_CONTENT = ProblemKind(
    422, "invalid-content", "Some of what was sent is not valid; `errors` names each field."
)
IDEMPOTENCY_KEY_REUSED = ProblemKind(
    422, "idempotency-key-reused", "The Idempotency-Key was used for another request."
)
UPGRADE_NEEDED = ProblemKind(
    426,
    "upgrade-needed",
    "The path speaks WebSocket.",
    ("Upgrade", "Connection", "Sec-WebSocket-Version"),
)
TOO_MANY_REQUESTS = ProblemKind(
    429, "too-many-requests", "The user or the network asks too often.", _RETRY
)
INTERNAL_ERROR = ProblemKind(
    500, "internal-error", "Something went wrong on the server's side; its log says what."
)
UNAVAILABLE = ProblemKind(
    503,
    "unavailable",
    "The database, the server or the outside issuer is busy or away; try again shortly.",
    _RETRY,
)

_OF_ERRORS: Sequence[tuple[type[DomainError], int, str, tuple[str, ...]]] = (
    (errors.TaskNotFound, 404, "task-not-found", ()),
    (errors.TaskIsClosed, 409, "task-is-closed", ()),
    (errors.NoRecurrence, 404, "no-recurrence", ()),
    (errors.ReminderNotFound, 404, "reminder-not-found", ()),
    (errors.NotificationNotFound, 404, "notification-not-found", ()),
    (errors.FeedNotFound, 404, "feed-not-found", ()),
    (errors.SessionNotFound, 404, "session-not-found", ()),
    (errors.DestinationNotFound, 404, "destination-not-found", ()),
    (errors.OutboundMessageNotFound, 404, "message-not-found", ()),
    (errors.LinkIsInvalid, 404, "link-is-invalid", ()),
    (errors.NoWebPush, 404, "no-web-push", ()),
    (errors.WebhookExists, 409, "webhook-exists", ()),
    (errors.WebhookIsDisabled, 409, "webhook-is-disabled", ()),
    (errors.DeadLetterNotFound, 404, "dead-letter-not-found", ()),
    (errors.DeadLetterIsSettled, 409, "dead-letter-is-settled", ()),
    (errors.NotAnEventOfOurs, 409, "not-an-event-of-ours", ()),
    (errors.ReplayNotFound, 404, "replay-not-found", ()),
    (errors.ReplayIsOver, 409, "replay-is-over", ()),
    (errors.TooManyReplays, 409, "too-many-replays", ()),
    (errors.NoKafka, 409, "no-kafka", ()),
    (errors.VersionIsStale, 412, "version-is-stale", ()),
    (errors.VersionIsExcluded, 412, "version-is-excluded", ()),
    (errors.AccountNotFound, 401, "account-not-found", _CHALLENGE),
    (errors.AccountIsNotEmpty, 409, "account-is-not-empty", ()),
    (errors.EmailIsTaken, 409, "email-is-taken", ()),
    (errors.InvalidCredentials, 401, "credentials-are-wrong", _CHALLENGE),
    (errors.InvalidRefreshToken, 401, "refresh-token-is-invalid", _CHALLENGE),
    (errors.TooManyAttempts, 429, "too-many-attempts", _RETRY),
    (errors.TooManyConfirmations, 429, "too-many-confirmations", _RETRY),
    (errors.TooManyRegistrations, 429, "too-many-registrations", _RETRY),
)

PROBLEMS: dict[type[DomainError], ProblemKind] = {
    errors.InvalidContent: INVALID_CONTENT,
    **{
        error: ProblemKind(status, slug, error.detail, headers)
        for error, status, slug, headers in _OF_ERRORS
    },
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
        case (
            errors.TooManyAttempts() | errors.TooManyConfirmations() | errors.TooManyRegistrations()
        ):
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
    body: ProblemDetails = {
        "type": kind.type,
        "title": HTTPStatus(kind.status).phrase,
        "status": kind.status,
        "detail": problem.detail,
        "instance": instance,
        "correlation_id": logs.correlation_id.get() or "",
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
