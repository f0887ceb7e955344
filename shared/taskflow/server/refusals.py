"""What the HTTP server itself refuses, before a function sees it, as a problem like all others."""

# gunicorn has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import re
import uuid
from typing import Any

from gunicorn.http import errors
from gunicorn.util import http_date

from taskflow import logs
from taskflow.serving import problems
from taskflow.serving.problems import Problem, ProblemKind

_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~%!$&'()*+,;=]*)(?::[0-9]*)?")
"""RFC 9110, 7.2: a host as in a URI (RFC 3986, 3.2.2), which may be empty, and a port."""

_CLOSE = {"Connection": "close"}


def check_head(req: Any) -> None:  # noqa: ANN401 - gunicorn's own
    """Refuse HTTP/1.1 without a Host, or with what is none (RFC 9112, 3.2). Raises Problem 400.

    And 501 for a transfer coding that gunicorn would take and nobody decodes (RFC 9112, 7).
    """
    codings = [value for name, value in req.headers if name == "TRANSFER-ENCODING"]
    if codings and ",".join(codings).strip().lower() != "chunked":
        detail = "Transfer-Encoding may be chunked alone."
        raise Problem(_kind(501, "unknown-coding"), detail, headers=_CLOSE)
    given = [value for name, value in req.headers if name == "HOST"]
    if not given and req.version >= (1, 1):
        raise Problem(_kind(400, "no-host"), "Send a Host header.", headers=_CLOSE)
    if given and not _HOST.fullmatch(given[0]):
        raise Problem(_kind(400, "bad-host"), "The Host header is not a host.", headers=_CLOSE)


def problem_of(error: BaseException) -> Problem | None:
    """Return the problem of a request that gunicorn could not read; None for any other error."""
    match error:
        case Problem():
            return error
        case errors.LimitRequestLine():
            status, slug, detail = 414, "uri-too-long", "The request line is too long."
        case errors.LimitRequestHeaders():
            status, slug, detail = 431, "headers-too-large", "The headers are too many or too long."
        case errors.ExpectationFailed():
            status, slug, detail = 417, "unknown-expectation", "Expect may be 100-continue alone."
        case errors.UnsupportedTransferCoding():
            status, slug, detail = 501, "unknown-coding", "Transfer-Encoding may be chunked alone."
        case errors.InvalidHTTPVersion(version=tuple()):
            status, slug, detail = 505, "other-version", "This server speaks HTTP/1.1."
        case errors.ParseException():
            status, slug, detail = 400, "malformed-request", _words(error)
        case _:
            return None
    return Problem(_kind(status, slug), detail, headers=_CLOSE)


def answer(problem: Problem, path: str = "", *, with_body: bool = True) -> bytes:
    """Write a problem as a whole answer, after which the connection closes."""
    bound = logs.correlation_id.set(str(uuid.uuid4()))
    try:
        response = problems.answer(problem, instance=path)
        response.headers["X-Correlation-ID"] = logs.correlation_id.get()
    finally:
        logs.correlation_id.reset(bound)
    content = response.get_data()
    headers = response.headers
    headers.update({"Date": http_date(), "Content-Length": str(len(content)), **_CLOSE})
    head = [f"HTTP/1.1 {response.status}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + (content if with_body else b"")


def _kind(status: int, slug: str) -> ProblemKind:
    return ProblemKind(status, slug, tuple(_CLOSE))


def _words(error: Exception) -> str:
    match error:
        case errors.InvalidRequestMethod():
            return "The method is none."
        case errors.InvalidHTTPVersion() | errors.InvalidRequestLine():
            return "The request line is not as HTTP/1.1 has it."
        case errors.InvalidHeader(hdr="CONTENT-LENGTH" | "TRANSFER-ENCODING"):
            return "Content-Length and Transfer-Encoding do not say where the body ends."
        case _:
            return "The request is not as HTTP/1.1 has it."
