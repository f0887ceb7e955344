"""Web Push: what a browser reads, what its push service is told, and what came of each notice."""

import socket
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from taskflow import clock
from taskflow.config import InvalidSetting
from taskflow.domain.notices import Notice
from taskflow.outbound import web_push
from taskflow.outbound.aes128gcm import CONTENT_MAX_BYTES
from taskflow.outbound.outcomes import Accepted, Deferred, Outcome, Rejected
from taskflow.outbound.push_limits import TEXT_MAX_CHARS
from taskflow.outbound.web_push import PushSubscription
from tests.support.network.browser import Browser, token_of
from tests.support.network.endpoint import LOOPBACK, Endpoint, a_server, an_endpoint
from tests.support.network.names import an_answer
from tests.support.settings import changed_settings

# Those of the application server in the example of RFC 8291 (5).
PRIVATE_KEY = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
PUBLIC_KEY = (
    "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"
)
SUBJECT = "mailto:ops@app.example"
AT = datetime(2026, 11, 30, 18, 30, tzinfo=UTC)
REMINDER = Notice(
    id=UUID("019ad3f0-8c00-7000-8000-000000000001"),
    title="Bücher 📚 zurückbringen",
    message=None,
    task_id=UUID("019ad3f0-8c00-7000-8000-000000000002"),
    remind_at=AT,
    due_date=AT + timedelta(hours=1),
    created_at=AT,
)
MESSAGE = Notice(
    id=UUID("019ad3f0-8c00-7000-8000-000000000003"),
    title=None,
    message="Maintenance tonight.",
    task_id=None,
    remind_at=None,
    due_date=None,
    created_at=AT,
)


@pytest.fixture(autouse=True)
def _configured() -> Generator[None]:
    with changed_settings(
        outbound_allowed_networks=LOOPBACK, vapid_private_key=PRIVATE_KEY, vapid_subject=SUBJECT
    ):
        yield


@pytest.fixture
def service() -> Generator[Endpoint]:
    with an_endpoint(201) as running:
        yield running


@pytest.fixture
def browser() -> Browser:
    return Browser()


def _send(browser: Browser, url: str, notice: Notice = REMINDER) -> Outcome:
    subscription = PushSubscription.model_validate(browser.subscription(url))
    return web_push.send(subscription, notice)


def test_a_browser_reads_the_notice_it_is_pushed(service: Endpoint, browser: Browser) -> None:
    assert _send(browser, service.url) == Accepted()

    [request] = service.requests
    assert browser.read(request) == {
        "id": "019ad3f0-8c00-7000-8000-000000000001",
        "title": "Bücher 📚 zurückbringen",
        "message": None,
        "task_id": "019ad3f0-8c00-7000-8000-000000000002",
        "remind_at": "2026-11-30T18:30:00.000000Z",
        "due_date": "2026-11-30T19:30:00.000000Z",
        "created_at": "2026-11-30T18:30:00.000000Z",
    }
    assert "Bücher".encode() not in request.body


def test_the_push_service_is_told_who_sends_and_how_urgent_it_is(
    service: Endpoint, browser: Browser
) -> None:
    before = clock.now()

    _send(browser, service.url)
    _send(browser, service.url, MESSAGE)

    reminder, message = service.requests
    claims = token_of(reminder, signed_by=PUBLIC_KEY)
    expires_at = datetime.fromtimestamp(claims.pop("exp"), UTC)
    assert claims == {"aud": f"http://127.0.0.1:{service.port}", "sub": SUBJECT}
    assert before < expires_at <= clock.now() + timedelta(hours=24)
    assert reminder.headers["ttl"] == "86400"
    assert (reminder.headers["urgency"], message.headers["urgency"]) == ("high", "normal")


def test_a_notice_that_is_sent_again_takes_the_place_of_the_first(
    service: Endpoint, browser: Browser
) -> None:
    for notice in (REMINDER, REMINDER, MESSAGE):
        _send(browser, service.url, notice)

    topics = [request.headers["topic"] for request in service.requests]
    assert topics[0] == topics[1] != topics[2]
    assert all(len(topic) <= 32 for topic in topics)
    # Each is encrypted anew.
    assert len({request.body[:86] for request in service.requests}) == 3


@pytest.mark.parametrize("character", ["x", "ü", "📚", '"', "\x01"], ids=ascii)
def test_a_notice_of_any_length_fits(service: Endpoint, browser: Browser, character: str) -> None:
    long = Notice(
        id=REMINDER.id,
        title=character * 255,
        message=character * 1000,
        task_id=REMINDER.task_id,
        remind_at=AT,
        due_date=AT,
        created_at=AT,
    )

    assert _send(browser, service.url, long) == Accepted()

    [request] = service.requests
    assert len(browser.decrypt(request.body)) <= CONTENT_MAX_BYTES
    read = browser.read(request)
    cut = character * (TEXT_MAX_CHARS - 1) + "…"
    assert (read["title"], read["message"]) == (cut, cut)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_notice_that_the_push_service_takes_is_accepted(
    service: Endpoint, browser: Browser, status: int
) -> None:
    service.status = status

    assert _send(browser, service.url) == Accepted()


@pytest.mark.parametrize("status", [404, 410])
def test_a_browser_that_is_subscribed_no_more_is_gone(
    service: Endpoint, browser: Browser, status: int
) -> None:
    service.status = status

    outcome = _send(browser, service.url)

    assert outcome == Rejected("the browser is subscribed no more", is_gone=True)


def test_a_message_that_is_too_large_is_rejected(service: Endpoint, browser: Browser) -> None:
    service.status = 413

    assert _send(browser, service.url) == Rejected("the push service takes no message of that size")


@pytest.mark.parametrize("status", [401, 403])
def test_a_push_service_that_refuses_the_key_holds_up_nobody_else(
    service: Endpoint, browser: Browser, status: int
) -> None:
    service.status = status

    assert _send(browser, service.url) == Deferred("the VAPID key was refused", of_all=False)


@pytest.mark.parametrize("status", [301, 400, 429, 500, 503])
def test_any_other_answer_is_tried_again_when_the_push_service_says(
    service: Endpoint, browser: Browser, status: int
) -> None:
    service.status = status
    assert _send(browser, service.url) == Deferred(f"the push service answered {status}")

    service.headers = {"Retry-After": "120"}
    assert _send(browser, service.url) == Deferred(f"the push service answered {status}", 120)


def test_a_push_service_that_gives_no_answer_is_tried_again(browser: Browser) -> None:
    with a_server(lambda connected: connected.close()) as url:
        assert isinstance(_send(browser, url), Deferred)


def test_a_subscription_that_must_not_be_asked_any_more_is_rejected(
    service: Endpoint, browser: Browser
) -> None:
    subscription = PushSubscription.model_validate(browser.subscription(service.url))

    with changed_settings(outbound_allowed_networks=()):
        outcome = web_push.send(subscription, REMINDER)

    assert outcome == Rejected("the address of the push service must lead to the public internet")
    assert service.requests == []


def test_a_push_service_whose_name_leads_to_a_private_address_is_tried_again(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", an_answer("10.0.0.1"))

    assert _send(browser, "https://push.example/") == Deferred(
        "the name of the host must lead to the public internet"
    )


def test_browsers_subscribe_with_the_public_key() -> None:
    assert web_push.public_key() == PUBLIC_KEY
    with changed_settings(vapid_private_key=f"{PRIVATE_KEY}="):
        assert web_push.public_key() == PUBLIC_KEY
    with changed_settings(vapid_private_key=None):
        assert web_push.public_key() is None


def test_without_a_key_nothing_can_be_pushed(service: Endpoint, browser: Browser) -> None:
    with (
        changed_settings(vapid_private_key=None),
        pytest.raises(InvalidSetting, match=r"^VAPID_PRIVATE_KEY: "),
    ):
        _send(browser, service.url)


def test_a_subscription_is_taken_as_browsers_write_it(browser: Browser) -> None:
    written = browser.subscription("https://push.example.net/p/1")

    for expiration in (None, 1_764_527_400_000, 1_764_527_400_000.5):
        PushSubscription.model_validate({**written, "expirationTime": expiration})
    del written["expirationTime"]
    PushSubscription.model_validate(written)
    padded = {"p256dh": f"{written['keys']['p256dh']}=", "auth": f"{written['keys']['auth']}=="}
    PushSubscription.model_validate({**written, "keys": padded})


@pytest.mark.parametrize(
    ("where", "wrong"),
    [
        (("endpoint",), "http://169.254.169.254/push"),
        (("endpoint",), "ftp://push.example.net/"),
        (("keys", "p256dh"), ""),
        (("keys", "p256dh"), "B" + "A" * 86),
        (("keys", "p256dh"), PUBLIC_KEY[:-4]),
        (("keys", "p256dh"), f"+{PUBLIC_KEY[1:]}"),
        (("keys", "auth"), "short"),
        (("keys", "auth"), "A" * 23),
    ],
)
def test_a_subscription_that_cannot_be_pushed_to_is_refused(
    where: tuple[str, ...], wrong: str, browser: Browser
) -> None:
    written: Any = browser.subscription("https://push.example.net/p/1")
    within = written
    for name in where[:-1]:
        within = within[name]
    within[where[-1]] = wrong

    with pytest.raises(ValidationError) as refused:
        PushSubscription.model_validate(written)

    assert [error["loc"] for error in refused.value.errors()] == [where]
