"""Idempotency-Key: one effect and one answer, however often a request is sent (A5)."""

import hashlib
import re
from collections.abc import Callable
from http import HTTPStatus

from flask import Request, Response

from taskflow import clock
from taskflow.serving.problems import (
    BAD_IDEMPOTENCY_KEY,
    IDEMPOTENCY_KEY_REUSED,
    REQUEST_STILL_RUNNING,
    Problem,
)
from taskflow.storage import Transaction, idempotency_store
from taskflow.storage.idempotency_store import KeyIsHeld, StoredAnswer

HEADER = "Idempotency-Key"
KEY_PATTERN = r"[\x20-\x7e]{1,255}"
_KEY = re.compile(KEY_PATTERN)
_KEPT_HEADERS = ("Content-Type", "ETag", "Location")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def key_of(request: Request) -> str | None:
    """Return the key of an unsafe request, if it has one. Raises Problem 400 for a bad one."""
    key = request.headers.get(HEADER)
    if key is None or request.method in _SAFE_METHODS:
        return None
    if not _KEY.fullmatch(key):
        raise Problem(BAD_IDEMPOTENCY_KEY, f"{HEADER} must be 1 to 255 printable ASCII characters.")
    return key


def once(tx: Transaction, key: str, fingerprint: bytes, work: Callable[[], Response]) -> Response:
    """Do the work and store its 2xx answer under the key, or return the answer stored before.

    A repeat that comes while the first still runs waits for it. Raises Problem 409 where that
    takes too long, 422 where the key was used for another request.
    """
    user_id = tx.cause.actor
    try:
        stored = idempotency_store.claim(tx, user_id, key, fingerprint, now=clock.now())
    except KeyIsHeld:
        raise Problem(
            REQUEST_STILL_RUNNING,
            "The first request with this Idempotency-Key is still running.",
            headers={"Retry-After": "1"},
        ) from None
    if stored is not None:
        if stored.fingerprint != fingerprint:
            raise Problem(
                IDEMPOTENCY_KEY_REUSED, "This Idempotency-Key was used for another request."
            )
        return _again(stored)
    response = work()
    if HTTPStatus.OK <= response.status_code < HTTPStatus.MULTIPLE_CHOICES:
        headers = {
            name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers
        }
        answer = StoredAnswer(fingerprint, response.status_code, headers, response.get_data())
        idempotency_store.settle(tx, user_id, key, answer)
    return response


def fingerprint_of(request: Request, route: str, parameters: dict[str, str], body: bytes) -> bytes:
    """Return a hash of what the request asks for, the same for both spellings of its path."""
    parts = [route, *(f"{name}={value}" for name, value in sorted(parameters.items()))]
    parts += [request.query_string.decode("latin-1"), request.headers.get("If-Match", "")]
    if "If-None-Match" in request.headers:
        parts.append(request.headers["If-None-Match"])
    return hashlib.sha256("\n".join(parts).encode() + b"\n" + body).digest()


def _again(stored: StoredAnswer) -> Response:
    response = Response(stored.body, status=stored.status)
    # An answer without a body has no type; Flask would give it one.
    del response.headers["Content-Type"]
    response.headers.update(stored.headers)
    return response
