"""Webhooks: verified by any library of Standard Webhooks, and what came of sending each."""

import base64
import hashlib
import hmac
import socket
import threading
from collections.abc import Generator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from taskflow.outbound import http, webhooks
from taskflow.outbound.http import RETRY_AFTER_MAX_S
from taskflow.outbound.outcomes import Accepted, Deferred, Outcome, Rejected
from tests.support.network.endpoint import (
    LOOPBACK,
    Endpoint,
    Request,
    a_server,
    an_endpoint,
    heard,
)
from tests.support.network.names import an_answer
from tests.support.settings import changed_settings

NOW = datetime(2026, 11, 30, 18, 30, 0, 999_999, tzinfo=UTC)
BODY = '{"type":"task.created","data":{"title":"Bücher 📚"}}'.encode()

# Those of the reference libraries, one in each language (standard-webhooks/libraries).
VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
VECTOR_TIME = datetime.fromtimestamp(1_614_265_330, UTC)
VECTOR_BODY = b'{"test": 2432232314}'
VECTOR_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.fixture(autouse=True)
def _nearby() -> Generator[None]:
    with changed_settings(outbound_allowed_networks=LOOPBACK):
        yield


@pytest.fixture
def endpoint() -> Generator[Endpoint]:
    with an_endpoint() as running:
        yield running


def _send(url: str, *secrets: str, now: datetime = NOW) -> Outcome:
    return webhooks.send(url, secrets or [webhooks.new_secret()], "msg-1", BODY, now=now)


def _is_verified(request: Request, secret: str) -> bool:
    """Verify a webhook as the specification says, with nothing of the library that signs."""
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    headers = request.headers
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return f"v1,{expected}" in headers["webhook-signature"].split(" ")


def test_a_webhook_is_verified_by_its_secret_and_by_no_other(endpoint: Endpoint) -> None:
    secret = webhooks.new_secret()

    assert _send(endpoint.url, secret) == Accepted()

    [request] = endpoint.requests
    assert _is_verified(request, secret)
    assert not _is_verified(request, webhooks.new_secret())
    assert request.body == BODY
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == "msg-1"
    assert request.headers["webhook-timestamp"] == str(int(NOW.timestamp()))


def test_while_a_secret_is_replaced_both_verify(endpoint: Endpoint) -> None:
    old, new = webhooks.new_secret(), webhooks.new_secret()

    _send(endpoint.url, new, old)

    [request] = endpoint.requests
    assert len(request.headers["webhook-signature"].split(" ")) == 2
    assert _is_verified(request, old)
    assert _is_verified(request, new)


def test_the_signature_is_that_of_the_reference_libraries(endpoint: Endpoint) -> None:
    webhooks.send(endpoint.url, [VECTOR_SECRET], VECTOR_ID, VECTOR_BODY, now=VECTOR_TIME)

    [request] = endpoint.requests
    assert request.headers["webhook-signature"] == VECTOR_SIGNATURE
    assert _is_verified(request, VECTOR_SECRET)


def test_a_time_of_another_zone_is_signed_as_it_is_sent(endpoint: Endpoint) -> None:
    secret = webhooks.new_secret()

    _send(endpoint.url, secret, now=NOW.astimezone(timezone(timedelta(hours=5, minutes=45))))

    assert _is_verified(endpoint.requests[0], secret)


def test_a_secret_is_new_each_time_and_as_long_as_the_specification_asks() -> None:
    made = {webhooks.new_secret() for _ in range(100)}

    assert len(made) == 100
    for secret in made:
        assert secret.startswith("whsec_")
        assert 24 <= len(base64.b64decode(secret[6:], validate=True)) <= 64


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_accepted(endpoint: Endpoint, status: int) -> None:
    endpoint.status = status

    assert _send(endpoint.url) == Accepted()


def test_an_endpoint_that_is_gone_wants_no_more(endpoint: Endpoint) -> None:
    endpoint.status = 410

    assert _send(endpoint.url) == Rejected("the endpoint answered 410, it is gone", is_gone=True)


@pytest.mark.parametrize("status", [301, 304, 400, 401, 404, 418, 429, 500, 502, 503, 504, 599])
def test_any_other_answer_is_tried_again(endpoint: Endpoint, status: int) -> None:
    endpoint.status = status

    assert _send(endpoint.url) == Deferred(f"the endpoint answered {status}")


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_endpoint_is_left_alone_for_as_long_as_it_asks(endpoint: Endpoint, status: int) -> None:
    endpoint.status = status
    for header, seconds in (("120", 120.0), ("999999", RETRY_AFTER_MAX_S)):
        endpoint.headers = {"Retry-After": header}

        assert _send(endpoint.url) == Deferred(f"the endpoint answered {status}", seconds)


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "https://[::1]/", "ftp://a.example/"])
def test_an_address_that_must_not_be_asked_is_rejected(url: str) -> None:
    outcome = _send(url)

    assert isinstance(outcome, Rejected)
    assert outcome.reason.startswith("the address must ")
    assert not outcome.is_gone


def test_a_name_that_leads_to_a_private_address_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with changed_settings(outbound_allowed_networks=()):
        for private in ("127.0.0.1", "10.0.0.1", "169.254.169.254"):
            monkeypatch.setattr(socket, "getaddrinfo", an_answer(private))

            assert _send("https://hooks.example/") == Deferred(
                "the name of the host must lead to the public internet"
            )


def test_a_name_server_that_does_not_answer_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    goes_on = threading.Event()

    def resolve(*_: object, **__: object) -> list[object]:
        goes_on.wait(timeout=60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(http, "CONNECT_TIMEOUT_S", 0.1)

    outcome = _send("https://hooks.example/")

    goes_on.set()
    assert outcome == Deferred("the name of the host was not found in time")


def test_an_endpoint_that_gives_no_answer_is_tried_again() -> None:
    with a_server(lambda connected: connected.close()) as url:
        assert isinstance(_send(url), Deferred)
    with a_server(lambda connected: connected.sendall(heard(connected))) as url:
        assert _send(url) == Deferred("what was answered is not HTTP")
