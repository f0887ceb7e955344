"""The headers of requests and answers: what each means, for the documents of the API."""

from collections.abc import Mapping
from dataclasses import dataclass

from taskflow.domain.text import JsonObject
from taskflow.serving import idempotency


@dataclass(frozen=True, slots=True)
class Header:
    """A header: its `meaning`, and what its value is like as a JSON Schema."""

    meaning: str
    schema: JsonObject


_TEXT: JsonObject = {"type": "string"}

IDEMPOTENCY_KEY = idempotency.HEADER
IF_MATCH, IF_NONE_MATCH = "If-Match", "If-None-Match"
CORRELATION_ID, TRACEPARENT = "X-Correlation-ID", "traceparent"

OF_REQUESTS: Mapping[str, Header] = {
    IDEMPOTENCY_KEY: Header(
        "A second request with the same key has no second effect and gets the answer of the first."
        " Kept for a day.",
        {"type": "string", "pattern": f"^{idempotency.KEY_PATTERN}$"},
    ),
    IF_MATCH: Header(
        'Only if the resource stands at one of these versions, such as `"3"` (RFC 9110, 13.1.1).',
        _TEXT,
    ),
    IF_NONE_MATCH: Header(
        'Only if the resource stands at none of these versions, such as `"3"` (RFC 9110, 13.1.2).',
        _TEXT,
    ),
}

OF_ANSWERS: Mapping[str, Header] = {
    "Accept": Header("The media types that are taken as a body.", _TEXT),
    "Accept-Patch": Header("The media types that are taken as a patch (RFC 5789).", _TEXT),
    "Allow": Header("The methods that the path takes.", _TEXT),
    "Cache-Control": Header("Whether the answer may be stored, and for how long.", _TEXT),
    "Connection": Header("`close`: the connection ends with the answer.", _TEXT),
    "Content-Disposition": Header("The name of the file to keep it in (RFC 6266).", _TEXT),
    "Content-Encoding": Header("How the body is compressed.", {"type": "string", "const": "gzip"}),
    "Content-Security-Policy": Header("What a browser lets the page load.", _TEXT),
    "Cross-Origin-Opener-Policy": Header("Which windows may reach into the page's.", _TEXT),
    "ETag": Header("The version of what is shown (RFC 9110).", _TEXT),
    "Link": Header('Where the next page is, with `rel="next"` (RFC 8288).', _TEXT),
    "Location": Header("Where the new resource is.", {"type": "string", "format": "uri-reference"}),
    "Permissions-Policy": Header("What of the device the page may not use.", _TEXT),
    "Retry-After": Header(
        "After how many seconds to try again.", {"type": "integer", "minimum": 1}
    ),
    "Sec-WebSocket-Version": Header("The version of WebSocket that is spoken.", _TEXT),
    "Set-Cookie": Header("The refresh token, as a browser keeps it.", _TEXT),
    "Upgrade": Header("The protocol to upgrade to.", _TEXT),
    "WWW-Authenticate": Header("How to sign in (RFC 6750).", _TEXT),
    CORRELATION_ID: Header("The name of the request, its own or a new one.", _TEXT),
    TRACEPARENT: Header("The trace that the answer is part of (W3C Trace Context).", _TEXT),
}
