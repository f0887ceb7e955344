"""What a browser adds: cross-origin requests (CORS), the refresh token in its cookie, and harm.

It shows an answer as whatever it takes it for, frames it, keeps it, and tells the next site from
where it came; `protect` says that it may not.
"""

from urllib.parse import urlsplit

from flask import Request, Response

from taskflow import config
from taskflow.domain.accounts import RefreshRequest
from taskflow.domain.sessions import CLIENT_MAX_CHARS
from taskflow.serving import tracing
from taskflow.serving.answers import REFRESH_COOKIE
from taskflow.serving.body import MERGE_TYPES

EXPOSED = "ETag, Link, Location, Retry-After, X-Correlation-ID"
ALLOWED_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Correlation-ID, "
    "traceparent, tracestate"
)
PREFLIGHT_KEPT_S = 600

PROTECTION = {
    # Kept by who asked alone, and asked for again each time, by its entity tag where it has one.
    "Cache-Control": "private, no-cache",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""The headers of every answer that says nothing else (those that OWASP names for REST)."""


def preflight(methods: str) -> Response:
    """Answer OPTIONS: what may be asked here."""
    response = Response(status=204)
    del response.headers["Content-Type"]
    response.headers["Allow"] = methods
    if "PATCH" in methods:
        response.headers["Accept-Patch"] = ", ".join(MERGE_TYPES)
    response.headers["Access-Control-Allow-Methods"] = methods
    response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
    response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_KEPT_S)
    return response


def protect(response: Response) -> None:
    """Keep a browser from doing with an answer what is not meant."""
    for name, value in PROTECTION.items():
        response.headers.setdefault(name, value)


def allow_origin(request: Request, response: Response) -> None:
    """Let a page of a configured origin read the answer; others get nothing to go by."""
    origins = config.settings().cors_origins
    if not origins:
        return
    response.vary.add("Origin")
    origin = request.headers.get("Origin")
    if origin in origins:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = EXPOSED


def refresh_token_of(request: Request, body: RefreshRequest) -> str | None:
    """Return the refresh token of the body, or else of the cookie.

    The cookie counts only with an Origin of our own: another site's page, even one that the
    browser takes for the same site, can't use it.
    """
    if body.refresh_token is not None:
        return body.refresh_token
    # The scheme is left out: behind a gateway that ends TLS we see http.
    if urlsplit(request.headers.get("Origin", "")).netloc not in _own_hosts(request):
        return None
    return request.cookies.get(REFRESH_COOKIE)


def client_of(request: Request) -> str | None:
    """Return what a client says it is, as its user's list of sessions shows it."""
    said = "".join(each for each in tracing.agent_of(request) if each.isprintable())
    return said.strip()[:CLIENT_MAX_CHARS] or None


def _own_hosts(request: Request) -> set[str]:
    """Return the names by which we were asked, here and at a gateway that calls us by another.

    The latter is no secret between us and the gateway, and need not be: a page of another site
    can't have a browser send it (it is not among ALLOWED_HEADERS).
    """
    forwarded = request.headers.get("X-Forwarded-Host", "").rpartition(",")[2].strip()
    return {request.host, forwarded} - {""}
