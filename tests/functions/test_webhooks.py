"""Webhooks: a user's own events, sent to an address of theirs and signed for them alone (N7)."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from standardwebhooks import Webhook
from werkzeug.test import TestResponse

from taskflow import clock
from taskflow.domain.destinations import DESTINATIONS_MAX, Channel, Destination
from taskflow.domain.webhooks import (
    DESCRIPTION_MAX_CHARS,
    REPLACED_SIGNS,
    SECRETS_MAX,
    SWITCHED_OFF,
)
from taskflow.eventing import CronRun
from taskflow.eventing.lanes import lanes
from taskflow.eventing.outbound import Delivery
from taskflow.outbound.outcomes import Accepted, Deferred, Outcome, Rejected
from taskflow.outbound.urls import URL_MAX_CHARS
from taskflow.outbound.web_push import public_key
from taskflow.storage import destination_store, outbound_store, transaction
from tests.functions.conftest import Travel
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.data.builders import log_of
from tests.support.data.destinations import (
    a_destination,
    a_message,
    a_webhook,
    destination_now,
    due_at,
    messages_to,
    states_of,
)
from tests.support.functions.client import Api, content
from tests.support.functions.problems import assert_invalid, assert_refused
from tests.support.functions.tasks import created, items, pages
from tests.support.network.endpoint import LOOPBACK, Endpoint, Request, an_endpoint
from tests.support.outbound.scripted_provider import ScriptedProvider
from tests.support.settings import changed_settings

pytestmark = pytest.mark.usefixtures("own_messages")

PATH = "/api/{user_id}/webhooks"
URL = "https://example.com/hooks/taskflow"
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
_numbers = count()


@pytest.fixture
def user(own_messages: None) -> SignedIn:
    """Open an account in the database of these tests."""
    del own_messages
    return a_user()


@pytest.fixture
def other(own_messages: None) -> SignedIn:
    """Open another."""
    del own_messages
    return a_user()


def _a_url() -> str:
    return f"https://example.com/{next(_numbers)}"


def _add(api: Api, url: str | None = None, **fields: Any) -> TestResponse:  # noqa: ANN401 - what JSON may hold
    return api.post(PATH, {"url": url or _a_url(), **fields})


def _added(api: Api, url: str | None = None, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    answer = _add(api, url, **fields)
    assert answer.status_code == 201, answer.text
    return content(answer)


def _stored(shown: dict[str, Any]) -> Destination:
    with transaction(A_CAUSE) as tx:
        return destination_store.lock(tx, shown["id"])


def _send(provider: ScriptedProvider | None = None) -> ScriptedProvider:
    """Have one run send what is due to all webhooks."""
    provider = provider or ScriptedProvider(Channel.WEBHOOK)
    Delivery(CronRun(0), A_CAUSE, [provider.lane()]).send_all()
    return provider


def _told_of(destination: Destination) -> Sequence[str | None]:
    return [message.event_type for message in messages_to(destination)]


# To have one


def test_a_webhook_is_sent_what_happens_from_then_on(api: Api) -> None:
    created(api)
    webhook = _stored(_added(api))
    task = created(api)
    api.post(f"/api/tasks/{task['id']}/complete")

    provider = _send()

    assert _told_of(webhook) == ["task.created", "task.completed"]
    assert provider.addresses() == [webhook.address] * 2


def test_its_secret_is_told_once_and_then_by_nothing(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")

    answer = _add(api)

    shown = content(answer)
    secret = shown.pop("secret")
    assert answer.headers["Cache-Control"] == "no-store"
    assert secret.startswith("whsec_")
    Webhook(secret)
    path = f"{PATH}/{shown['id']}"
    said = [
        api.get(PATH),
        api.patch(path, {"description": "x"}),
        api.post(f"{path}/rotate-secret"),
        api.get(f"{path}/messages"),
        api.get("/api/{user_id}/export"),
        api.get("/api/{user_id}/settings"),
        api.get("/api/{user_id}/events?since=0"),
    ]
    assert [each.status_code for each in said] == [200, 200, 201, 200, 200, 200, 200]
    texts = [each.text for each in said]
    texts += [caplog.text, repr([record.__dict__ for record in caplog.records])]
    assert not any(secret in each or secret.removeprefix("whsec_") in each for each in texts)
    new = content(said[2])["secret"]
    assert new != secret
    assert not any(new in each for each in (*texts[:2], *texts[3:]))
    stored = json.dumps(_stored(shown).details)
    assert secret in stored
    assert new in stored


def test_a_key_of_idempotency_keeps_no_secret(api: Api) -> None:
    headers = {"Idempotency-Key": "mine"}
    first = api.post(PATH, {"url": URL}, headers=headers)

    second = api.post(PATH, {"url": URL}, headers=headers)

    assert first.status_code == 201
    assert_refused(second, 409, "webhook-exists")
    with transaction(A_CAUSE) as tx:
        kept = tx.connection.execute(text("SELECT count(*) FROM idempotency_keys")).scalar_one()
    assert kept == 0


def test_a_webhook_is_sent_the_types_of_events_that_it_names(api: Api) -> None:
    wanted = ["task.completed", "task.deleted", "task.completed"]
    shown = _added(api, event_types=wanted, description="Our chat")
    task = created(api)
    api.post(f"/api/tasks/{task['id']}/complete")
    api.delete(f"/api/tasks/{task['id']}")

    _send()

    assert shown["event_types"] == ["task.completed", "task.deleted"]
    assert shown["description"] == "Our chat"
    assert _told_of(_stored(shown)) == ["task.completed", "task.deleted"]


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/hook",
        "https://localhost:8080/hook",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://10.1.2.3/",
        "https://192.168.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[fd00:ec2::254]/",
        "https://user:password@example.com/",
        "https://example.com/#fragment",
        "https://example.com\\@localhost/",
        "https://example.com/a b",
        "https://example.com/\r\nHost: localhost",
        "ftp://example.com/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "//example.com/",
        "example.com",
        "",
        "https://",
        "https://example.com/" + "x" * URL_MAX_CHARS,
        # Each is three bytes, and no two are alike: what is stored of it can't be made shorter.
        "https://example.com/" + "".join(map(chr, range(0x4E00, 0x4E00 + 2000))),
    ],
    ids=lambda url: ascii(url[:40]),
)
def test_an_address_that_may_not_be_asked_is_refused(api: Api, url: str) -> None:
    added = api.post(PATH, {"url": url})
    webhook = _added(api)
    changed = api.patch(f"{PATH}/{webhook['id']}", {"url": url})

    for answer in (added, changed):
        assert assert_invalid(answer, "/url")["errors"][0]["detail"].startswith("must ")
    assert [each["url"] for each in items(api, PATH)] == [webhook["url"]]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"url": None}, "/url"),
        ({"event_types": []}, "/event_types"),
        ({"event_types": ["task.eaten"]}, "/event_types/0"),
        ({"event_types": ["task.created"] * 100}, "/event_types"),
        ({"event_types": "task.created"}, "/event_types"),
        ({"description": " "}, "/description"),
        ({"description": "x" * (DESCRIPTION_MAX_CHARS + 1)}, "/description"),
        ({"secret": "whsec_mine"}, "/secret"),
        ({"secrets": []}, "/secrets"),
        ({"seq": 0}, "/seq"),
    ],
    ids=repr,
)
def test_what_a_webhook_cannot_be_is_refused(
    api: Api, fields: dict[str, Any], pointer: str
) -> None:
    webhook = _added(api)

    assert_invalid(api.post(PATH, {"url": _a_url(), **fields}), pointer)
    assert_invalid(api.patch(f"{PATH}/{webhook['id']}", fields), pointer)


def test_an_address_is_one_webhook_of_a_user(user: SignedIn, other: SignedIn) -> None:
    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(_add, Api(user), URL) for _ in range(8)]
    answers = [each.result() for each in sent]

    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert _add(Api(other), URL).status_code == 201


def test_a_user_has_so_many_webhooks(user: SignedIn) -> None:
    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(_add, Api(user)) for _ in range(DESTINATIONS_MAX + 3)]
    answers = [each.result() for each in sent]

    assert sorted(answer.status_code for answer in answers) == [201] * DESTINATIONS_MAX + [422] * 3
    refused = _add(Api(user))
    assert str(DESTINATIONS_MAX) in assert_invalid(refused, "/url")["errors"][0]["detail"]


# Whose it is


def test_another_s_webhook_is_not_there(api: Api, other: SignedIn) -> None:
    theirs = a_webhook(other.user_id)
    message_id = a_message(theirs)
    own = _added(api)
    path = f"{PATH}/{theirs.id}"

    answers = [
        api.patch(path, {"url": URL}),
        api.delete(path),
        api.post(f"{path}/rotate-secret"),
        api.get(f"{path}/messages"),
        api.post(f"{path}/messages/{message_id}/resend"),
    ]

    for answer in answers:
        assert_refused(answer, 404, "destination-not-found")
    resent = api.post(f"{PATH}/{own['id']}/messages/{message_id}/resend")
    assert_refused(resent, 404, "message-not-found")
    assert [each["id"] for each in items(api, PATH)] == [own["id"]]
    assert destination_now(theirs) == theirs
    assert states_of(theirs) == ["sent"]


def test_a_mailbox_is_no_webhook(user: SignedIn, api: Api) -> None:
    mailbox = a_destination(user.user_id)
    message_id = a_message(mailbox)
    path = f"{PATH}/{mailbox.id}"

    for answer in (
        api.patch(path, {"url": URL}),
        api.delete(path),
        api.post(f"{path}/rotate-secret"),
        api.get(f"{path}/messages"),
        api.post(f"{path}/messages/{message_id}/resend"),
    ):
        assert_refused(answer, 404, "destination-not-found")
    assert items(api, PATH) == []
    assert destination_now(mailbox) == mailbox


def test_the_other_s_events_are_not_sent(user: SignedIn, other: SignedIn) -> None:
    webhook = a_webhook(user.user_id)

    created(Api(other))
    _send()

    assert messages_to(webhook) == []


def test_no_event_tells_of_a_webhook(user: SignedIn, api: Api) -> None:
    webhook = _added(api)
    api.post(f"{PATH}/{webhook['id']}/rotate-secret")
    api.delete(f"{PATH}/{webhook['id']}")

    assert len(log_of(user.user_id)) == 1


# To change it


def test_a_change_merges(api: Api) -> None:
    webhook = _added(api, event_types=["task.created"], description="Our chat")
    path = f"{PATH}/{webhook['id']}"

    kept = content(api.patch(path, {"url": URL}))
    cleared = content(api.patch(path, {"event_types": None, "description": None}))

    assert (kept["url"], kept["event_types"]) == (URL, ["task.created"])
    assert kept["description"] == "Our chat"
    assert (cleared["url"], cleared["event_types"], cleared["description"]) == (URL, None, None)
    assert items(api, PATH) == [cleared]
    assert len(_stored(webhook).details["secrets"]) == 1


def test_no_webhook_gets_the_address_of_another(api: Api) -> None:
    first, second = _added(api), _added(api)

    taken = api.patch(f"{PATH}/{second['id']}", {"url": first["url"]})
    own = api.patch(f"{PATH}/{second['id']}", {"url": second["url"]})

    assert_refused(taken, 409, "webhook-exists")
    assert own.status_code == 200


def test_what_waits_goes_to_the_new_address(api: Api) -> None:
    webhook = _added(api)
    created(api)
    api.patch(f"{PATH}/{webhook['id']}", {"url": URL})

    assert _send().addresses() == [URL]


def test_a_webhook_that_is_switched_off_is_sent_nothing(api: Api) -> None:
    webhook = _stored(_added(api))
    created(api)
    with transaction(A_CAUSE) as tx:
        outbound_store.follow(tx, now=clock.now())

    answer = api.patch(f"{PATH}/{webhook.id}", {"enabled": False})
    created(api)
    provider = _send()

    assert (content(answer)["enabled"], content(answer)["disabled_because"]) == (
        False,
        SWITCHED_OFF,
    )
    assert provider.given == []
    assert [(each.state, each.reason) for each in messages_to(webhook)] == [
        ("cancelled", SWITCHED_OFF)
    ]
    assert due_at(webhook) is None


def test_one_that_is_switched_on_again_goes_on_from_then(api: Api) -> None:
    webhook = _stored(_added(api))
    failing = webhook.failed("the endpoint answered 500", jitter=1, retry_after_s=None, now=NOW)
    with transaction(A_CAUSE) as tx:
        gone = failing.gone("the endpoint answered 410, it is gone", now=NOW)
        destination_store.save(tx, gone)
    created(api)

    answer = api.patch(f"{PATH}/{webhook.id}", {"enabled": True})
    again = api.patch(f"{PATH}/{webhook.id}", {"enabled": True})
    task = created(api)
    api.post(f"/api/tasks/{task['id']}/complete")
    _send()

    shown = content(answer)
    assert (shown["enabled"], shown["failing_since"], shown["disabled_because"]) == (
        True,
        None,
        None,
    )
    assert content(again) == shown
    assert _told_of(webhook) == ["task.created", "task.completed"]


def test_what_failed_is_tried_at_a_new_address_at_once(api: Api) -> None:
    webhook = _stored(_added(api))
    created(api)
    provider = ScriptedProvider(Channel.WEBHOOK)
    provider.acts[webhook.address] = lambda: Deferred("it answered 500", retry_after_s=3600)
    _send(provider)
    assert _told_of(webhook) == ["task.created"]

    api.patch(f"{PATH}/{webhook.id}", {"url": "https://new.example/hook"})
    moved = _send()

    assert moved.addresses() == ["https://new.example/hook"]


def test_a_change_of_one_that_is_off_leaves_it_off(api: Api) -> None:
    webhook = _stored(_added(api))
    with transaction(A_CAUSE) as tx:
        destination_store.save(tx, webhook.disabled("the endpoint answered 410, it is gone"))

    shown = content(api.patch(f"{PATH}/{webhook.id}", {"url": URL}))
    off = content(api.patch(f"{PATH}/{webhook.id}", {"enabled": False}))

    assert shown["enabled"] is False
    assert off["disabled_because"] == "the endpoint answered 410, it is gone"


def test_one_that_is_removed_goes_with_what_waits(api: Api) -> None:
    webhook = _stored(_added(api))
    created(api)
    with transaction(A_CAUSE) as tx:
        outbound_store.follow(tx, now=clock.now())

    assert api.delete(f"{PATH}/{webhook.id}").status_code == 204

    assert _send().given == []
    assert_refused(api.get(f"{PATH}/{webhook.id}/messages"), 404, "destination-not-found")
    assert messages_to(webhook) == []


# Its secrets


def _signs(request: Request, secret: str) -> bool:
    at = datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC)
    expected = Webhook(secret).sign(request.headers["webhook-id"], at, request.body.decode())
    return expected in request.headers["webhook-signature"].split(" ")


def _sent_to(endpoint: Endpoint, api: Api) -> Request:
    """Have something happen, and return what was sent of it."""
    created(api)
    Delivery(CronRun(0), A_CAUSE, lanes()).send_all()
    return endpoint.requests[-1]


def test_a_message_is_verified_by_the_secret_that_was_told(api: Api) -> None:
    with an_endpoint() as endpoint, changed_settings(outbound_allowed_networks=LOOPBACK):
        secret = _added(api, endpoint.url)["secret"]
        task = created(api)
        Delivery(CronRun(0), A_CAUSE, lanes()).send_all()

    [request] = endpoint.requests
    told = Webhook(secret).verify(request.body, dict(request.headers))
    assert told["data"]["id"] == task["id"]


def test_the_secret_before_signs_too_for_a_day(user: SignedIn, travel: Travel) -> None:
    with an_endpoint() as endpoint, changed_settings(outbound_allowed_networks=LOOPBACK):
        api = travel(user, NOW)
        shown = _added(api, endpoint.url)
        old = shown["secret"]
        answer = api.post(f"{PATH}/{shown['id']}/rotate-secret")
        new = content(answer)["secret"]
        at_once = _sent_to(endpoint, api)
        late = _sent_to(endpoint, travel(user, NOW + REPLACED_SIGNS - timedelta(seconds=1)))
        later = _sent_to(endpoint, travel(user, NOW + REPLACED_SIGNS))

    assert content(answer)["replaced_signs_until"] == "2026-03-03T08:00:00.000000Z"
    assert answer.headers["Cache-Control"] == "no-store"
    for request in (at_once, late):
        assert _signs(request, old)
        assert _signs(request, new)
    assert not _signs(later, old)
    assert _signs(later, new)


def test_no_more_secrets_sign_than_a_header_can_hold(user: SignedIn, travel: Travel) -> None:
    with an_endpoint() as endpoint, changed_settings(outbound_allowed_networks=LOOPBACK):
        api = travel(user, NOW)
        shown = _added(api, endpoint.url)
        rotated = [
            content(api.post(f"{PATH}/{shown['id']}/rotate-secret"))["secret"]
            for _ in range(2 * SECRETS_MAX)
        ]
        request = _sent_to(endpoint, api)

    kept = [secret for secret in (shown["secret"], *rotated) if _signs(request, secret)]
    assert kept == rotated[-SECRETS_MAX:]
    api = travel(user, NOW + REPLACED_SIGNS)
    api.post(f"{PATH}/{shown['id']}/rotate-secret")
    assert len(_stored(shown).details["secrets"]) == 2


def test_secrets_that_are_rotated_at_once_all_sign(user: SignedIn) -> None:
    webhook = a_webhook(user.user_id)
    path = f"{PATH}/{webhook.id}/rotate-secret"

    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(Api(user).post, path) for _ in range(4)]
    rotated = {content(each.result())["secret"] for each in sent}

    kept = {each["secret"] for each in destination_now(webhook).details["secrets"]}
    assert kept == {*rotated, webhook.details["secrets"][0]["secret"]}


# What was sent


def test_messages_are_listed_newest_first_in_pages(user: SignedIn, api: Api) -> None:
    webhook = _stored(_added(api))
    tasks = [created(api) for _ in range(5)]
    _send()

    found = pages(api, f"{PATH}/{webhook.id}/messages?limit=2")

    listed = [message for page in found for message in page]
    assert [len(page) for page in found] == [2, 2, 1]
    events = [event for event in log_of(user.user_id) if event.event_type == "task.created"]
    assert [event.aggregate_id for event in events] == [task["id"] for task in tasks]
    assert [(each["seq"], each["event_id"]) for each in listed] == [
        (event.seq, str(event.event_id)) for event in reversed(events)
    ]
    assert {(each["event_type"], each["state"], each["failures"]) for each in listed} == {
        ("task.created", "sent", 0)
    }
    assert all(each["settled_at"] for each in listed)


def test_messages_are_listed_by_their_state(api: Api) -> None:
    webhook = _stored(_added(api))
    provider = ScriptedProvider(Channel.WEBHOOK)
    for outcome in (
        Accepted(),
        Rejected("the address must lead to the public internet"),
        Deferred("the endpoint answered 500"),
    ):
        provider.acts[webhook.address] = lambda outcome=outcome: outcome
        created(api)
        _send(provider)
    path = f"{PATH}/{webhook.id}/messages"

    found = {state: items(api, f"{path}?state={state}") for state in ("sent", "failed", "pending")}

    assert [len(each) for each in found.values()] == [1, 1, 1]
    [[failed], [pending]] = found["failed"], found["pending"]
    assert failed["reason"] == "the address must lead to the public internet"
    assert (pending["reason"], pending["failures"]) == ("the endpoint answered 500", 1)
    assert pending["settled_at"] is None
    assert items(api, f"{path}?state=cancelled") == []
    assert len(items(api, path)) == 3
    assert_invalid(api.get(f"{path}?state=eaten"), "/state")


def test_the_cursor_of_another_list_is_refused(api: Api) -> None:
    for _ in range(2):
        created(api)
    tasks = content(api.get("/api/tasks?limit=1"))["next_cursor"]
    webhook = _added(api)

    answer = api.get(f"{PATH}/{webhook['id']}/messages?cursor={tasks}")

    assert_invalid(answer, "/cursor")


@pytest.mark.parametrize("outcome", [Accepted(), Rejected("no")], ids=repr)
def test_a_message_is_sent_once_more_as_the_same(api: Api, outcome: Outcome) -> None:
    webhook = _stored(_added(api))
    provider = ScriptedProvider(Channel.WEBHOOK)
    provider.acts[webhook.address] = lambda: outcome
    created(api)
    _send(provider)
    [message] = messages_to(webhook)

    answer = api.post(f"{PATH}/{webhook.id}/messages/{message.id}/resend")
    again = api.post(f"{PATH}/{webhook.id}/messages/{message.id}/resend")
    provider.acts.clear()
    _send(provider)

    assert (answer.status_code, again.status_code) == (202, 202)
    assert content(answer)["state"] == "pending"
    assert [given for _, given in provider.given] == [message.id] * 2
    assert states_of(webhook) == ["sent"]


def test_nothing_is_sent_again_to_one_that_is_off(api: Api) -> None:
    webhook = _stored(_added(api))
    message_id = a_message(webhook)
    api.patch(f"{PATH}/{webhook.id}", {"enabled": False})

    answer = api.post(f"{PATH}/{webhook.id}/messages/{message_id}/resend")

    assert_refused(answer, 409, "webhook-is-disabled")
    assert states_of(webhook) == ["sent"]


def test_a_message_that_is_not_there_is_not_found(api: Api) -> None:
    webhook = _added(api)

    answer = api.post(f"{PATH}/{webhook['id']}/messages/{uuid4()}/resend")

    assert_refused(answer, 404, "message-not-found")


# The key of pushes to browsers


def test_a_browser_is_given_the_key_by_which_it_subscribes(
    api: Api,
    all_channels: None,
) -> None:
    del all_channels

    answer = api.get("/api/{user_id}/web-push-key")

    assert content(answer) == {"public_key": public_key()}


def test_where_browsers_are_not_pushed_to_there_is_no_key(api: Api) -> None:
    assert_refused(api.get("/api/{user_id}/web-push-key"), 404, "no-web-push")
