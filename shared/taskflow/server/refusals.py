"""What the HTTP server itself refuses, before a function sees it, as a problem like all others."""

# gunicorn has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import re
import uuid
from typing import Any

from gunicorn.http import errors
from gunicorn.util import http_date

from taskflow import logs
from taskflow.serving import browser, problems, tracing
from taskflow.serving.problems import Problem, ProblemKind

_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~%!$&'()*+,;=]*)(?::[0-9]*)?")
"""RFC 9110, 7.2: a host as in a URI (RFC 3986, 3.2.2), which may be empty, and a port."""

_CLOSE = {"Connection": "close"}


def _kind(status: int, slug: str, meaning: str) -> ProblemKind:
    return ProblemKind(status, slug, meaning, tuple(_CLOSE))


NO_HOST = _kind(400, "no-host", "Send a Host header.")
BAD_HOST = _kind(400, "bad-host", "The Host header is not a host.")
MALFORMED = _kind(400, "malformed-request", "The request is not as HTTP/1.1 has it.")
URI_TOO_LONG = _kind(414, "uri-too-long", "The request line is too long.")
UNKNOWN_EXPECTATION = _kind(417, "unknown-expectation", "Expect may be 100-continue alone.")
HEADERS_TOO_LARGE = _kind(431, "headers-too-large", "The headers are too many or too long.")
UNKNOWN_CODING = _kind(501, "unknown-coding", "Transfer-Encoding may be chunked alone.")
OTHER_VERSION = _kind(505, "other-version", "This server speaks HTTP/1.1.")

OF_LIMITS = (URI_TOO_LONG, HEADERS_TOO_LARGE)
"""What a request that is otherwise right can be refused with before a function sees it."""

OTHERS = (NO_HOST, BAD_HOST, MALFORMED, UNKNOWN_EXPECTATION, UNKNOWN_CODING, OTHER_VERSION)


def check_head(req: Any) -> None:  # noqa: ANN401 - gunicorn's own
    """Refuse HTTP/1.1 without a Host, or with what is none (RFC 9112, 3.2). Raises Problem 400.

    And 501 for a transfer coding that gunicorn would take and nobody decodes (RFC 9112, 7).
    """
    codings = [value for name, value in req.headers if name == "TRANSFER-ENCODING"]
    if codings and ",".join(codings).strip().lower() != "chunked":
        raise _problem(UNKNOWN_CODING)
    given = [value for name, value in req.headers if name == "HOST"]
    if not given and req.version >= (1, 1):
        raise _problem(NO_HOST)
    if given and not _HOST.fullmatch(given[0]):
        raise _problem(BAD_HOST)


def problem_of(error: BaseException) -> Problem | None:
    """Return the problem of a request that gunicorn could not read; None for any other error."""
    match error:
        case Problem():
            return error
        case errors.LimitRequestLine():
            kind = URI_TOO_LONG
        case errors.LimitRequestHeaders():
            kind = HEADERS_TOO_LARGE
        case errors.ExpectationFailed():
            kind = UNKNOWN_EXPECTATION
        case errors.UnsupportedTransferCoding():
            kind = UNKNOWN_CODING
        case errors.InvalidHTTPVersion(version=tuple()):
            kind = OTHER_VERSION
        case errors.ParseException():
            return _problem(MALFORMED, _words(error))
        case _:
            return None
    return _problem(kind)


def answer(problem: Problem, path: str = "", *, with_body: bool = True) -> bytes:
    """Write a problem as a whole answer, after which the connection closes."""
    bound = logs.correlation_id.set(str(uuid.uuid4()))
    try:
        response = problems.answer(problem, instance=path)
        browser.protect(response)
        response.headers["X-Correlation-ID"] = logs.correlation_id.get()
        response.headers["traceparent"] = tracing.new_traceparent()
    finally:
        logs.correlation_id.reset(bound)
    content = response.get_data()
    headers = response.headers
    headers.update({"Date": http_date(), "Content-Length": str(len(content)), **_CLOSE})
    head = [f"HTTP/1.1 {response.status}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + (content if with_body else b"")


def _problem(kind: ProblemKind, detail: str | None = None) -> Problem:
    return Problem(kind, detail or kind.meaning, headers=_CLOSE)


def _words(error: Exception) -> str:
    match error:
        case errors.InvalidRequestMethod():
            return "The method is none."
        case errors.InvalidHTTPVersion() | errors.InvalidRequestLine():
            return "The request line is not as HTTP/1.1 has it."
        case errors.InvalidHeader(hdr="CONTENT-LENGTH" | "TRANSFER-ENCODING"):
            return "Content-Length and Transfer-Encoding do not say where the body ends."
        case _:
            return MALFORMED.meaning
