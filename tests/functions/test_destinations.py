"""Where users are told of reminders: only at what is theirs, and no more once they say so (N4)."""

import re
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from botocore.stub import Stubber
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from sqlalchemy import text
from werkzeug.test import Client, TestResponse

from taskflow import clock
from taskflow.domain.destinations import (
    CONFIRMATIONS_OF_ADDRESS_LONG_MAX,
    CONFIRMATIONS_OF_ADDRESS_MAX,
    CONFIRMATIONS_OF_USER_MAX,
    DESTINATIONS_MAX,
    DEVICE_TOKEN_MAX_CHARS,
    REFUSED,
    REGISTRATIONS_MAX,
    UNSUBSCRIBED,
    Channel,
    Destination,
    State,
)
from taskflow.domain.errors import LinkIsInvalid
from taskflow.outbound import links, mail, sns
from taskflow.serving.problems import ERRORS_MAX
from taskflow.storage import destination_store, outbound_store, quota_store, transaction
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.data.builders import log_of
from tests.support.data.destinations import (
    A_SUBSCRIPTION,
    a_destination,
    destination_now,
    due_at,
    messages_to,
)
from tests.support.functions.client import Api, all_functions, content
from tests.support.functions.problems import assert_invalid, assert_refused, without_request
from tests.support.functions.tasks import items
from tests.support.paths import ROOT
from tests.support.settings import changed_settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

pytestmark = pytest.mark.usefixtures("database", "all_channels")

PATH = "/api/{user_id}/destinations"
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
BROWSER: dict[str, Any] = {"channel": "web_push", "subscription": A_SUBSCRIPTION}
DEVICE = {"channel": "push", "device_token": "a-token-of-a-device"}
APPLICATION = f"arn:aws:sns:eu-central-1:{DEFAULT_ACCOUNT_ID}:app/GCM/taskflow"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ONE_CLICK = b"List-Unsubscribe=One-Click"
A_BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def _an_address() -> str:
    return f"{uuid4()}@example.com"


def _post(api: Api, address: str) -> TestResponse:
    return api.post(PATH, {"channel": "email", "address": address})


def _added(api: Api, address: str | None = None) -> Destination:
    answer = _post(api, address or _an_address())
    assert answer.status_code == 201, answer.text
    return _stored(content(answer)["id"])


def _stored(destination_id: str) -> Destination:
    with transaction(A_CAUSE) as tx:
        return destination_store.lock(tx, UUID(destination_id))


def _questions(destination: Destination) -> Sequence[str]:
    """Return the state of each mail that asks to confirm an address, oldest first."""
    with transaction(A_CAUSE) as tx:
        found = tx.connection.execute(
            text(
                "SELECT state FROM outbound_messages WHERE destination_id = :id AND seq IS NULL"
                " ORDER BY created_at"
            ),
            {"id": destination.id},
        )
        return list(found.scalars())


def _mails_went_out(destination: Destination) -> None:
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(
            text("UPDATE outbound_messages SET state = 'sent' WHERE destination_id = :id"),
            {"id": destination.id},
        )


def _confirmation(destination: Destination, at: datetime | None = None) -> str:
    token = links.to_confirm(destination.id, destination.generation, now=at or clock.now())
    return f"/email/confirm/{token}"


def _unsubscription(destination: Destination) -> str:
    return f"/email/unsubscribe/{links.to_unsubscribe(destination.id)}"


def _refusal(destination: Destination) -> str:
    return f"/email/refuse/{links.to_refuse(destination.id, destination.mailbox_hash)}"


def _press(path: str, **options: Any) -> TestResponse:  # noqa: ANN401 - werkzeug's own
    return Api().post(path, data=ONE_CLICK, headers=FORM, **options)


# To be told somewhere


def test_an_address_is_asked_before_anything_is_sent_there(api: Api) -> None:
    address = _an_address()

    answer = _post(api, address)

    assert answer.status_code == 201
    shown = content(answer)
    assert (shown["channel"], shown["address"], shown["state"]) == ("email", address, "unconfirmed")
    assert items(api, PATH) == [shown]
    destination = _stored(shown["id"])
    assert _questions(destination) == ["pending"]
    assert due_at(destination) is not None


def test_an_account_s_own_address_is_asked_as_any_other(user: SignedIn, api: Api) -> None:
    assert _added(api, user.email).state is State.UNCONFIRMED


def test_a_browser_is_told_at_once_and_its_keys_are_shown_to_nobody(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")

    answer = api.post(PATH, BROWSER)

    assert answer.status_code == 201
    shown = content(answer)
    assert (shown["channel"], shown["address"]) == ("web_push", "push.example.net")
    assert shown["state"] == "active"
    stored = _stored(shown["id"])
    assert stored.address == A_SUBSCRIPTION["endpoint"]
    assert stored.details == A_SUBSCRIPTION
    said = (
        answer.text
        + api.get(PATH).text
        + caplog.text
        + repr([record.__dict__ for record in caplog.records])
    )
    for secret in (A_SUBSCRIPTION["endpoint"], *A_SUBSCRIPTION["keys"].values()):
        assert secret not in said


def test_a_browser_that_comes_again_with_other_keys_is_the_same(api: Api) -> None:
    first = api.post(PATH, BROWSER)
    keys = {**A_SUBSCRIPTION["keys"], "auth": "A" * 22}

    again = api.post(
        PATH, {"channel": "web_push", "subscription": {**A_SUBSCRIPTION, "keys": keys}}
    )

    assert again.status_code == 200
    assert content(again) == content(first)
    assert _stored(content(again)["id"]).details["keys"] == keys


def test_the_same_address_in_another_spelling_is_the_same_destination(api: Api) -> None:
    first = _post(api, "Ada.Lovelace@Exämple.com")

    again = _post(api, "ada.lovelace@xn--exmple-cua.com")

    assert again.status_code == 200
    assert content(again) == content(first)
    assert len(items(api, PATH)) == 1


def test_two_that_add_one_address_at_once_are_asked_one_question(user: SignedIn) -> None:
    address = _an_address()

    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(_post, Api(user), address) for _ in range(8)]
    answers = [each.result() for each in sent]

    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({content(answer)["id"] for answer in answers}) == 1
    assert _questions(_stored(content(answers[0])["id"])) == ["pending"]


def test_a_destination_of_two_users_is_one_of_each(user: SignedIn, other: SignedIn) -> None:
    address = _an_address()
    mine, theirs = _added(Api(user), address), _added(Api(other), address)

    assert _press(_confirmation(mine)).status_code == 200

    assert destination_now(mine).state is State.ACTIVE
    assert destination_now(theirs).state is State.UNCONFIRMED


HOSTILE_ADDRESSES = [
    "me@example.com\r\nBcc: all@example.com",
    "me@example.com\nSubject: x",
    "me@example.com, you@example.com",
    "Me <me@example.com>",
    "<script>alert(1)</script>@example.com",
    '"quoted"@example.com',
    "me@example.com\x00",
    "me\x01@example.com",
    "me\x7f@example.com",
    "\u202emoc.elpmaxe@example.com",
    "me\u200b@example.com",
    "me@exam\u2028ple.com",
    "me@[127.0.0.1]",
    "me",
    "@example.com",
    "me@",
    "me@example..com",
    "x" * 255 + "@example.com",
]


@pytest.mark.parametrize("address", HOSTILE_ADDRESSES, ids=ascii)
def test_an_address_that_would_be_more_than_one_is_refused(api: Api, address: str) -> None:
    answer = _post(api, address)

    assert_invalid(answer, "/address")
    assert items(api, PATH) == []


@pytest.mark.parametrize("local", ["o'hara", "a&b", "a%0d%0ab", "{{7*7}}", "$id", "=?utf-8?q?x?="])
def test_an_odd_address_is_a_mailbox_and_nothing_else(api: Api, local: str) -> None:
    destination = _added(api, f"{local}@example.com")

    message = mail.to_confirm(
        destination.address,
        "https://app.example/x",
        "https://app.example/y",
        name=uuid4(),
        now=clock.now(),
    )

    assert message["To"].addresses == (Address(username=local, domain="example.com"),)
    assert mail.raw(message).count(b"\r\nTo: ") == 1


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/channel"]),
        ({"channel": "email"}, ["/address"]),
        ({"channel": "web_push"}, ["/subscription"]),
        ({"channel": "push"}, ["/device_token"]),
        ({"channel": "push", "device_token": "x"}, ["/channel"]),
        ({"channel": None}, ["/channel"]),
        ({"channel": ["email"]}, ["/channel"]),
        ({"address": "me@example.com"}, ["/channel"]),
        ([], [""]),
        ({"channel": "push", "device_token": " "}, ["/device_token"]),
        ({**BROWSER, "device_token": "x" * (DEVICE_TOKEN_MAX_CHARS + 1)}, ["/device_token"]),
        ({"channel": "email", "address": None}, ["/address"]),
        ({"channel": "webhook", "address": "me@example.com"}, ["/channel"]),
        ({**BROWSER, "address": "me@example.com"}, ["/address"]),
        ({**BROWSER, "channel": "email"}, ["/address", "/subscription"]),
        ({"channel": "email", "address": "me@example.com", "state": "active"}, ["/state"]),
    ],
)
def test_each_channel_takes_what_it_needs(
    api: Api, body: dict[str, Any], pointers: list[str]
) -> None:
    assert_invalid(api.post(PATH, body), *pointers)


def test_of_many_unknown_fields_the_first_are_named_and_the_known_are_none(api: Api) -> None:
    unknown = [f"x{number}" for number in range(ERRORS_MAX + 5)]

    answer = api.post(PATH, {**BROWSER, "address": "me@example.com", **dict.fromkeys(unknown, 1)})

    problem = assert_invalid(answer, *(f"/{name}" for name in unknown[:ERRORS_MAX]))
    assert problem["detail"].endswith(" 5 more fields are wrong.")


def test_what_says_no_channel_that_there_is_is_told_which_there_are(api: Api) -> None:
    missing, wrong = api.post(PATH, {}), api.post(PATH, {"channel": "webhook"})

    assert assert_invalid(missing, "/channel")["errors"][0]["detail"] == "is required"
    assert assert_invalid(wrong, "/channel")["errors"][0]["detail"] == (
        "must be one of 'email', 'push', 'web_push'"
    )


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://localhost/push",
        "https://127.0.0.1/push",
        "https://[::1]/push",
        "https://10.0.0.1/push",
        "https://169.254.169.254/latest/meta-data",
        "https://0x7f000001/",
        "https://user@push.example.net/",
        "ftp://push.example.net/",
        "https://push.example.net/\r\nX: y",
    ],
)
def test_a_browser_that_names_an_address_of_ours_is_refused(api: Api, endpoint: str) -> None:
    subscription = {**A_SUBSCRIPTION, "endpoint": endpoint}

    answer = api.post(PATH, {"channel": "web_push", "subscription": subscription})

    assert_invalid(answer, "/subscription/endpoint")


def test_what_is_not_set_up_is_not_offered(api: Api) -> None:
    with changed_settings(ses_from=None, vapid_subject=None, vapid_private_key=None):
        for body in (BROWSER, DEVICE, {"channel": "email", "address": "me@example.com"}):
            assert_invalid(api.post(PATH, body), "/channel")


def test_a_user_has_so_many_destinations_of_a_channel(user: SignedIn, api: Api) -> None:
    for _ in range(DESTINATIONS_MAX):
        a_destination(user.user_id, Channel.EMAIL, _an_address())

    refused = _post(api, _an_address())
    again = _post(api, items(api, PATH)[0]["address"])
    browser = api.post(PATH, BROWSER)

    assert str(DESTINATIONS_MAX) in assert_invalid(refused, "/channel")["errors"][0]["detail"]
    assert again.status_code == 200
    assert browser.status_code == 201


def test_no_more_are_added_at_once_than_there_may_be(user: SignedIn) -> None:
    endpoints = [f"https://push.example.net/{n}" for n in range(DESTINATIONS_MAX + 6)]

    def add(endpoint: str) -> int:
        subscription = {**A_SUBSCRIPTION, "endpoint": endpoint}
        body = {"channel": "web_push", "subscription": subscription}
        return Api(user).post(PATH, body).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(add, endpoints))

    assert sorted(statuses) == [201] * DESTINATIONS_MAX + [422] * 6


@pytest.mark.parametrize("is_told_before", [False, True])
def test_a_browser_is_of_the_user_who_has_signed_in_there_last(
    user: SignedIn, other: SignedIn, *, is_told_before: bool
) -> None:
    if is_told_before:
        Api(other).post(PATH, BROWSER)
    theirs = _stored(content(Api(user).post(PATH, BROWSER))["id"])
    with transaction(A_CAUSE) as tx:
        outbound_store.enqueue(
            tx, user.user_id, ["web_push"], seq=1, event_id=uuid4(), now=clock.now()
        )

    answer = Api(other).post(PATH, BROWSER)

    assert answer.status_code == 201
    assert items(Api(user), PATH) == []
    assert messages_to(theirs) == []
    assert items(Api(other), PATH) == [content(answer)]


def test_a_browser_that_many_sign_in_at_once_is_of_one_of_them() -> None:
    askers = [Api(a_user()) for _ in range(6)]

    with ThreadPoolExecutor(6) as pool:
        sent = [pool.submit(asker.post, PATH, BROWSER) for asker in askers for _ in range(3)]
    statuses = {each.result().status_code for each in sent}

    assert statuses <= {200, 201}
    assert sum(len(items(asker, PATH)) for asker in askers) == 1


def test_who_has_a_browser_no_more_is_sent_nothing_that_is_held(
    user: SignedIn, other: SignedIn
) -> None:
    theirs = _stored(content(Api(user).post(PATH, BROWSER))["id"])
    holder = uuid4()
    with transaction(A_CAUSE) as tx:
        outbound_store.enqueue(
            tx, user.user_id, ["web_push"], seq=1, event_id=uuid4(), now=clock.now()
        )
        held = destination_store.hold(
            tx, Channel.WEB_PUSH, holder, now=clock.now(), limit=100, takes_all=True
        )
    assert theirs in held

    Api(other).post(PATH, BROWSER)

    with transaction(A_CAUSE) as tx:
        assert not destination_store.renew(tx, theirs, holder)


# Devices


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> Generator[Any]:
    """Have an application of Amazon SNS, in moto; return the client."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made up")
    with (
        mock_aws(),
        changed_settings(sns_platform_application_arn=APPLICATION),
        sns.client.renewed(),
    ):
        sns.client().create_platform_application(Name="taskflow", Platform="GCM", Attributes={})
        yield sns.client()


def test_a_device_is_told_at_once_and_keeps_its_name(
    amazon: object, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    del amazon
    caplog.set_level("INFO")

    first, again = (api.post(PATH, DEVICE) for _ in range(2))

    assert (first.status_code, again.status_code) == (201, 200)
    assert content(first) == content(again)
    assert (content(first)["address"], content(first)["state"]) == ("GCM", "active")
    assert items(api, PATH) == [content(first)]
    name = _stored(content(first)["id"]).address
    assert name.startswith("arn:aws:sns:eu-central-1:")
    for secret in (name, DEVICE["device_token"]):
        assert secret not in first.text + caplog.text


def test_a_device_that_was_gone_is_told_again_when_it_comes_again(amazon: Any, api: Api) -> None:  # noqa: ANN401 - boto3's
    stored = _stored(content(api.post(PATH, DEVICE))["id"])
    off = {"Enabled": "false"}
    amazon.set_endpoint_attributes(EndpointArn=stored.address, Attributes=off)
    with transaction(A_CAUSE) as tx:
        destination_store.save(tx, stored.disabled("the device takes nothing any more"))

    again = api.post(PATH, DEVICE)

    assert (again.status_code, content(again)["state"]) == (200, "active")
    shown = amazon.get_endpoint_attributes(EndpointArn=stored.address)
    assert shown["Attributes"]["Enabled"].lower() == "true"


def test_a_device_is_of_the_user_who_has_signed_in_there_last(
    amazon: object, user: SignedIn, other: SignedIn
) -> None:
    del amazon
    Api(user).post(PATH, DEVICE)

    assert Api(other).post(PATH, DEVICE).status_code == 201

    assert items(Api(user), PATH) == []
    assert len(items(Api(other), PATH)) == 1


@pytest.mark.parametrize(
    ("code", "status"), [("InvalidParameter", 422), ("Throttling", 503), ("InternalError", 503)]
)
def test_a_device_that_amazon_does_not_register_is_not_added(
    amazon: Any,  # noqa: ANN401 - boto3's
    api: Api,
    code: str,
    status: int,
) -> None:
    stubbed: Any = Stubber(amazon)
    with stubbed:
        stubbed.add_client_error("create_platform_endpoint", code, "said of a-token-of-a-device")
        answer = api.post(PATH, DEVICE)

    if status == 422:
        assert_invalid(answer, "/device_token")
    else:
        assert_refused(answer, 503, "unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
    assert DEVICE["device_token"] not in answer.text
    assert items(api, PATH) == []


def test_devices_are_registered_so_often_a_day(
    amazon: object, api: Api, set_clock: Callable[[datetime], None]
) -> None:
    del amazon
    set_clock(clock.now())
    statuses = [api.post(PATH, DEVICE).status_code for _ in range(REGISTRATIONS_MAX)]

    refused = api.post(PATH, DEVICE)

    assert statuses == [201] + [200] * (REGISTRATIONS_MAX - 1)
    assert_refused(refused, 429, "too-many-registrations")
    assert refused.headers["Retry-After"] == str(24 * 3600)


# How often strangers are asked


def test_a_mail_that_waits_is_not_asked_for_twice_and_one_that_went_is(api: Api) -> None:
    destination = _added(api)

    _post(api, destination.address)
    assert _questions(destination) == ["pending"]
    _mails_went_out(destination)
    _post(api, destination.address)

    assert _questions(destination) == ["sent", "pending"]


def test_a_stranger_is_asked_three_times_a_day_whoever_asks(
    set_clock: Callable[[datetime], None],
) -> None:
    now = clock.now()
    set_clock(now)
    address = _an_address()
    local, _, domain = address.partition("@")
    for number in range(CONFIRMATIONS_OF_ADDRESS_MAX):
        _added(Api(a_user()), f"{local}+{number}@{domain}")

    set_clock(now + timedelta(minutes=1))
    asker = Api(a_user())
    refused = _post(asker, address)

    assert_refused(refused, 429, "too-many-confirmations")
    assert refused.headers["Retry-After"] == str(24 * 3600 - 60)
    assert items(asker, PATH) == []
    set_clock(now + timedelta(days=1))
    assert _post(Api(a_user()), address).status_code == 201


def test_a_stranger_is_asked_ten_times_in_thirty_days_whoever_asks(
    set_clock: Callable[[datetime], None],
) -> None:
    now, address = clock.now(), _an_address()
    for number in range(CONFIRMATIONS_OF_ADDRESS_LONG_MAX):
        set_clock(now + timedelta(days=number))
        _added(Api(a_user()), address)

    set_clock(now + timedelta(days=20))
    refused = _post(Api(a_user()), address)

    assert_refused(refused, 429, "too-many-confirmations")
    assert refused.headers["Retry-After"] == str(10 * 24 * 3600)
    set_clock(now + timedelta(days=30))
    assert _post(Api(a_user()), address).status_code == 201


def test_who_wants_to_be_asked_no_more_is_asked_by_nobody(user: SignedIn, other: SignedIn) -> None:
    destination = _added(Api(user), "o.hara+lists@example.com")

    answers = [_press(_refusal(destination)) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert destination.address not in answers[0].text
    [shown] = items(Api(user), PATH)
    assert (shown["state"], shown["disabled_because"]) == ("disabled", REFUSED)
    assert _questions(destination) == ["cancelled"]
    for asker in (Api(user), Api(other)):
        for address in ("o.hara+lists@example.com", "O.Hara@example.com"):
            refused = assert_invalid(_post(asker, address), "/address")
            assert refused["errors"][0]["detail"] == REFUSED
    assert len(items(Api(user), PATH)) == 1
    assert _questions(destination) == ["cancelled"]
    assert _post(Api(user), _an_address()).status_code == 201


@pytest.mark.parametrize("how", ["removed", "confirmed"])
def test_what_became_of_a_destination_meanwhile_saves_nobody_from_a_refusal(
    api: Api, how: str
) -> None:
    destination = _added(api)
    if how == "removed":
        api.delete(f"{PATH}/{destination.id}")
    else:
        _press(_confirmation(destination))

    assert _press(_refusal(destination)).status_code == 200

    assert [each["state"] for each in items(api, PATH)] == ["disabled"] * (how == "confirmed")
    assert_invalid(_post(api, destination.address), "/address")


def test_who_refuses_to_be_asked_keeps_what_they_have_confirmed(
    user: SignedIn, other: SignedIn
) -> None:
    address = _an_address()
    mine, theirs = _added(Api(user), address), _added(Api(other), address)
    _press(_confirmation(mine))

    _press(_refusal(theirs))

    assert destination_now(mine).state is State.ACTIVE
    assert _post(Api(user), address).status_code == 200


def test_a_refusal_is_taken_back_as_the_docs_say(api: Api) -> None:
    destination = _added(api)
    _press(_refusal(destination))
    [statement] = re.findall(r"```sql\n(.*)\n```", (ROOT / "docs/mail.md").read_text())
    assert "me@example.com" in statement

    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text(statement.replace("me@example.com", destination.address)))

    assert content(_post(api, destination.address))["state"] == "unconfirmed"


def test_of_who_refuses_no_address_is_kept(api: Api) -> None:
    destination = _added(api)
    _press(_refusal(destination))
    api.delete(f"{PATH}/{destination.id}")

    with transaction(A_CAUSE) as tx:
        kept = tx.connection.execute(
            text("SELECT mailbox_hash FROM refusals WHERE mailbox_hash = :hash"),
            {"hash": destination.mailbox_hash},
        ).scalar_one()

    assert destination.address.encode() not in kept
    assert len(kept) == 16


def test_a_user_asks_five_strangers_a_day_also_by_removing_them(api: Api) -> None:
    for _ in range(CONFIRMATIONS_OF_USER_MAX):
        destination = _added(api)
        assert api.delete(f"{PATH}/{destination.id}").status_code == 204

    refused = _post(api, _an_address())

    assert_refused(refused, 429, "too-many-confirmations")
    assert api.post(PATH, BROWSER).status_code == 201
    assert _post(Api(a_user()), _an_address()).status_code == 201


def test_of_many_who_ask_a_stranger_at_once_three_do(database: object) -> None:
    del database
    address = _an_address()
    askers = [Api(a_user()) for _ in range(8)]

    with ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(_post, asker, address) for asker in askers]
    statuses = [each.result().status_code for each in sent]

    assert sorted(statuses) == [201] * CONFIRMATIONS_OF_ADDRESS_MAX + [429] * 5


def test_quotas_that_are_over_are_forgotten() -> None:
    with transaction(A_CAUSE) as tx:
        quota_store.use(tx, {("a test",): 1}, window=timedelta(minutes=1), now=NOW)
    with transaction(A_CAUSE) as tx:
        assert quota_store.forget_over(tx, now=NOW + timedelta(seconds=59)) == 0
        assert quota_store.forget_over(tx, now=NOW + timedelta(minutes=1)) == 1


# To be told no more


def test_what_is_removed_is_gone_with_what_waits_for_it(user: SignedIn, api: Api) -> None:
    destination = a_destination(user.user_id)
    with transaction(A_CAUSE) as tx:
        outbound_store.enqueue(
            tx, user.user_id, ["email"], seq=1, event_id=uuid4(), now=clock.now()
        )

    assert api.delete(f"{PATH}/{destination.id}").status_code == 204

    assert items(api, PATH) == []
    assert messages_to(destination) == []
    assert_refused(api.delete(f"{PATH}/{destination.id}"), 404, "destination-not-found")


def test_another_user_s_destination_can_be_neither_seen_nor_removed(
    api: Api, other: SignedIn
) -> None:
    theirs = a_destination(other.user_id)

    assert items(api, PATH) == []
    assert_refused(api.delete(f"{PATH}/{theirs.id}"), 404, "destination-not-found")
    assert_refused(api.delete(f"/api/{other.user_id}/destinations/{theirs.id}"), 403)
    assert destination_now(theirs) == theirs


def test_a_webhook_is_no_destination_of_these(user: SignedIn, api: Api) -> None:
    webhook = a_destination(user.user_id, Channel.WEBHOOK, "https://example.com/hook", seq=0)

    assert items(api, PATH) == []
    assert_refused(api.delete(f"{PATH}/{webhook.id}"), 404, "destination-not-found")


def test_no_event_tells_of_addresses(user: SignedIn, api: Api) -> None:
    destination = _added(api)
    _press(_confirmation(destination))
    _press(_unsubscription(destination))

    assert len(log_of(user.user_id)) == 1


# The links in mails


class _Reader(HTMLParser):
    """Collects the tags of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.mark.parametrize("path_of", [_confirmation, _unsubscription, _refusal])
def test_to_look_at_a_link_changes_nothing(api: Api, path_of: Callable[[Destination], str]) -> None:
    destination = _added(api)
    path = path_of(destination)

    for method in ("GET", "HEAD", "OPTIONS"):
        assert Api().request(method, path).status_code in {200, 204}

    assert destination_now(destination) == destination
    assert _questions(destination) == ["pending"]


@pytest.mark.parametrize("path_of", [_confirmation, _unsubscription, _refusal])
def test_a_page_loads_and_runs_nothing_and_can_be_read_by_all(
    api: Api, path_of: Callable[[Destination], str]
) -> None:
    page = Api().get(path_of(_added(api)), headers=A_BROWSER)

    assert page.content_type == "text/html; charset=utf-8"
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    policy = page.headers["Content-Security-Policy"].split("; ")
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    tags = _Reader(page.text).tags
    names = [name for name, _ in tags]
    assert ("html", {"lang": "en"}) in tags
    assert names.count("main") == names.count("h1") == names.count("title") == 1
    assert ("form", {"method": "post"}) in tags
    assert ("button", {"type": "submit"}) in tags
    assert not {"script", "img", "link", "iframe", "a"} & set(names)
    assert not any(key.startswith("on") or key == "style" for _, its in tags for key in its)
    assert "color-scheme: light dark" in page.text
    assert "prefers-color-scheme: dark" in page.text


def test_who_reads_the_mails_of_an_address_confirms_it(api: Api) -> None:
    destination = _added(api)

    first, second = (_press(_confirmation(destination)) for _ in range(2))

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.text == second.text
    assert destination.address not in first.text
    assert [each["state"] for each in items(api, PATH)] == ["active"]
    assert _post(api, destination.address).status_code == 200
    assert destination_now(destination).state is State.ACTIVE


@pytest.mark.parametrize(
    "body",
    [
        {"data": ONE_CLICK, "headers": FORM},
        {"data": {"List-Unsubscribe": "One-Click"}, "content_type": "multipart/form-data"},
        {},
    ],
    ids=["urlencoded", "multipart", "none"],
)
def test_a_mailer_unsubscribes_with_one_click(
    user: SignedIn, api: Api, body: dict[str, Any]
) -> None:
    destination = a_destination(user.user_id, Channel.EMAIL, _an_address())
    with transaction(A_CAUSE) as tx:
        outbound_store.enqueue(
            tx, user.user_id, ["email"], seq=1, event_id=uuid4(), now=clock.now()
        )

    answer = Api().post(_unsubscription(destination), **body)

    assert answer.status_code == 200
    [shown] = items(api, PATH)
    assert (shown["state"], shown["disabled_because"]) == ("disabled", UNSUBSCRIBED)
    assert [(each.state, each.reason) for each in messages_to(destination)] == [
        ("cancelled", UNSUBSCRIBED)
    ]
    assert due_at(destination) is None


def test_to_unsubscribe_twice_or_from_what_is_gone_is_no_error(user: SignedIn, api: Api) -> None:
    destination = a_destination(user.user_id, Channel.EMAIL, _an_address())

    answers = [_press(_unsubscription(destination)) for _ in range(2)]
    api.delete(f"{PATH}/{destination.id}")
    answers.append(_press(_unsubscription(destination)))

    assert [answer.status_code for answer in answers] == [200] * 3


def test_what_was_disabled_for_another_reason_keeps_it(user: SignedIn, api: Api) -> None:
    destination = a_destination(user.user_id, Channel.EMAIL, _an_address())
    with transaction(A_CAUSE) as tx:
        destination_store.save(tx, destination.disabled("no such mailbox"))

    _press(_unsubscription(destination))

    assert items(api, PATH)[0]["disabled_because"] == "no such mailbox"


def test_who_has_unsubscribed_is_asked_anew(user: SignedIn, api: Api) -> None:
    destination = a_destination(user.user_id, Channel.EMAIL, _an_address())
    old = _confirmation(destination)
    _press(_unsubscription(destination))

    assert_refused(_press(old), 404, "link-is-invalid")
    assert destination_now(destination).state is State.DISABLED
    again = _post(api, destination.address)

    assert again.status_code == 200
    assert (content(again)["state"], content(again)["disabled_because"]) == ("unconfirmed", None)
    assert _questions(destination) == ["pending"]
    assert_refused(_press(old), 404, "link-is-invalid")
    assert destination_now(destination).state is State.UNCONFIRMED
    _press(_confirmation(destination_now(destination)))
    assert destination_now(destination).state is State.ACTIVE


def test_an_address_that_is_added_once_more_before_it_is_confirmed_is_so_by_either_mail(
    api: Api,
) -> None:
    destination = _added(api)
    first = _confirmation(destination)
    _mails_went_out(destination)
    _post(api, destination.address)

    assert _press(first).status_code == 200
    assert _press(_confirmation(destination_now(destination))).status_code == 200


def test_a_link_from_before_an_address_was_removed_confirms_it_no_more(api: Api) -> None:
    before = _added(api)
    api.delete(f"{PATH}/{before.id}")
    after = _added(api, before.address)

    assert_refused(_press(_confirmation(before)), 404, "link-is-invalid")
    assert destination_now(after).state is State.UNCONFIRMED


def test_a_browser_that_was_disabled_is_told_again_when_it_comes_again(api: Api) -> None:
    stored = _stored(content(api.post(PATH, BROWSER))["id"])
    with transaction(A_CAUSE) as tx:
        destination_store.save(tx, stored.disabled("the browser is subscribed no more"))

    again = api.post(PATH, BROWSER)

    assert (again.status_code, content(again)["state"]) == (200, "active")
    assert destination_now(stored) == replace(stored, revision=1, generation=1)


def test_a_link_confirms_for_three_days(api: Api, set_clock: Callable[[datetime], None]) -> None:
    destination = _added(api)
    path = _confirmation(destination, NOW)

    set_clock(NOW + links.CONFIRMATION_LIFETIME)
    assert_refused(_press(path), 404, "link-is-invalid")
    assert destination_now(destination).state is State.UNCONFIRMED
    set_clock(NOW + links.CONFIRMATION_LIFETIME - timedelta(seconds=1))
    assert _press(path).status_code == 200


def _wrong_paths(destination: Destination) -> Sequence[str]:
    confirm = links.to_confirm(destination.id, 0, now=clock.now())
    unsubscribe = links.to_unsubscribe(destination.id)
    with changed_settings(link_secret="another secret, of another installation"):
        foreign = links.to_confirm(destination.id, 0, now=clock.now())
    expiry = confirm.split("-")[2].split(".")[0]
    return [
        f"/email/confirm/{unsubscribe}",
        f"/email/unsubscribe/{confirm}",
        f"/email/refuse/{unsubscribe}",
        f"/email/refuse/{confirm}",
        f"/email/confirm/{foreign}",
        f"/email/confirm/{destination.id}",
        f"/email/confirm/{destination.id.hex}-0-{expiry}",
        f"/email/confirm/{confirm.replace(expiry, str(int(expiry) + 1))}",
        f"/email/confirm/{confirm.replace('-0-', '-1-')}",
        f"/email/confirm/{uuid4().hex}{confirm[32:]}",
        f"/email/confirm/{confirm[:-1]}",
        f"/email/confirm/{confirm}=",
        f"/email/confirm/{confirm}%20",
        f"/email/confirm/{confirm.upper()}",
        "/email/confirm/x.y",
        "/email/confirm/%F0%9F%A6%89",
        "/email/unsubscribe/.",
        f"/email/unsubscribe/{'x' * 5000}",
    ]


def test_a_link_that_is_not_ours_or_for_something_else_does_nothing(api: Api) -> None:
    destination = _added(api)

    answers = [
        answer for path in _wrong_paths(destination) for answer in (Api().get(path), _press(path))
    ]

    refusals = [without_request(assert_refused(answer, 404)) for answer in answers]
    assert all(refused == refusals[0] for refused in refusals)
    assert destination_now(destination) == destination


def test_the_link_of_a_destination_that_was_removed_confirms_nothing(api: Api) -> None:
    destination = _added(api)
    api.delete(f"{PATH}/{destination.id}")

    assert_refused(_press(_confirmation(destination)), 404, "link-is-invalid")


def test_a_person_is_told_on_a_page_that_a_link_is_no_good_and_a_program_as_ever(
    api: Api,
) -> None:
    path = _wrong_paths(_added(api))[0]

    # Not by the client that holds each answer against its endpoint: it reads problems alone.
    page = Client(_app_of("show-email-link")).get(path, headers=A_BROWSER)

    assert page.status_code == 404
    assert page.content_type == "text/html; charset=utf-8"
    assert LinkIsInvalid.detail in page.text
    assert "form" not in [name for name, _ in _Reader(page.text).tags]
    assert page.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert_refused(Api().get(path, headers={"Accept": "*/*"}), 404, "link-is-invalid")


def test_who_guesses_links_is_slowed_down_and_who_has_one_is_not(api: Api) -> None:
    destination = _added(api)
    wrong, right = _wrong_paths(destination)[:2], _confirmation(destination)

    with changed_settings(rate_limit_auth_per_min=2):
        guesses = [Api().get(path).status_code for path in wrong]
        third = Api().get(right)
        elsewhere = Api().get(right, environ_overrides={"REMOTE_ADDR": "192.0.2.9"})
    with changed_settings(rate_limit_auth_per_min=2):
        owner = [Api().get(right).status_code for _ in range(5)]

    assert guesses == [404, 404]
    assert_refused(third, 429, "too-many-requests")
    assert elsewhere.status_code == 200
    assert owner == [200] * 5


def test_no_log_holds_a_link_or_an_address(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    destination = _added(api)
    paths = [_confirmation(destination), _unsubscription(destination), _refusal(destination)]

    for path in paths:
        Api().get(path)
        _press(path)

    logged = caplog.text + repr([record.__dict__ for record in caplog.records])
    for secret in (destination.address, *(path.rpartition("/")[2] for path in paths)):
        assert secret not in logged


def _app_of(name: str) -> "WSGIApplication":
    [function] = [each for each in all_functions() if each.name == name]
    return function.app
