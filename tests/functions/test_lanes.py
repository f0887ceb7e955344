"""What users get by each channel: of real servers, and of Amazon's in moto (N4, N7)."""

import json
from collections.abc import Generator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

import pytest
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ses.models import ses_backends
from moto.sns.models import sns_backends
from standardwebhooks import Webhook

from taskflow import clock
from taskflow.domain.destinations import Channel, Destination, State
from taskflow.eventing import CronRun
from taskflow.eventing.lanes import DIGEST_FROM, lanes
from taskflow.eventing.outbound import MISTAKEN, ROUND_S, Delivery
from taskflow.outbound import amazon, http, ses, smtp, sns, web_push, webhooks
from taskflow.storage import destination_store, outbound_store, transaction
from taskflow.storage.destination_store import HELD_FOR
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.data.builders import log_of
from tests.support.data.destinations import a_destination, messages_to, states_of
from tests.support.delivery.subscribers import assert_taken, deliver
from tests.support.functions.client import Api
from tests.support.functions.tasks import created, happened_to
from tests.support.network.browser import Browser
from tests.support.network.endpoint import LOOPBACK, an_endpoint
from tests.support.network.mail_servers import MailServer, a_mail_server
from tests.support.settings import changed_settings

pytestmark = pytest.mark.usefixtures("own_messages")

LINK_SECRET = "a secret for tests, and for nothing else at all"
PUBLIC_URL = "https://tasks.example"
REGION = "eu-central-1"
APPLICATION = f"arn:aws:sns:{REGION}:{DEFAULT_ACCOUNT_ID}:app/GCM/taskflow"
VAPID_KEY = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
MAIL = {"public_url": PUBLIC_URL, "link_secret": LINK_SECRET}


@pytest.fixture
def user(own_messages: None) -> SignedIn:
    """Open the account of somebody in Berlin who wants to be told by all channels."""
    del own_messages
    somebody = a_user()
    wanted = {
        "timezone": "Europe/Berlin",
        "notification_channels": ["email", "push", "web_push"],
    }
    assert Api(somebody).put("/api/{user_id}/settings", wanted).status_code == 200
    return somebody


@pytest.fixture
def mail_server() -> Generator[MailServer]:
    """Run a mail server, through which mail is sent."""
    with (
        a_mail_server() as server,
        changed_settings(
            smtp_host=server.host,
            smtp_port=server.port,
            smtp_security="none",
            smtp_from="TaskFlow <reminders@tasks.example>",
            **MAIL,
        ),
    ):
        yield server


def _reminded(user: SignedIn, title: str = "Water the plants") -> dict[str, Any]:
    """Have a reminder of a task come, and the consumer told of it; return the task."""
    api = Api(user)
    task = created(api, title=title, due_date="2126-05-01T09:00:00Z")
    api.post(f"/api/tasks/{task['id']}/reminders", {"remind_at": "2026-01-01T00:00:00Z"})
    event = happened_to(user.user_id, "reminder.triggered")[-1]
    assert_taken(deliver("send-notification", event))
    return task


def _send() -> None:
    for _ in range(3):
        Delivery(CronRun(0), A_CAUSE, lanes()).send_all()


def _mails(server: MailServer) -> list[EmailMessage]:
    found: list[EmailMessage] = []
    for envelope in server.mails:
        assert isinstance(envelope.content, bytes)
        message = message_from_bytes(envelope.content, policy=SMTP)
        assert isinstance(message, EmailMessage)
        found.append(message)
    return found


def _text(message: EmailMessage) -> str:
    part = message.get_body(["plain"])
    assert part is not None
    return part.get_content()


def _confirmed_at(user: SignedIn) -> Destination:
    return a_destination(user.user_id, address="me@example.com")


def test_a_reminder_is_mailed_in_the_zone_of_its_user_with_links(
    user: SignedIn, mail_server: MailServer
) -> None:
    destination = _confirmed_at(user)
    task = _reminded(user)

    _send()

    [mail] = _mails(mail_server)
    assert states_of(destination) == ["sent"]
    assert mail["To"] == "me@example.com"
    assert mail["Subject"] == "Reminder: Water the plants"
    assert f"{PUBLIC_URL}/tasks/{task['id']}" in _text(mail)
    assert "11:00 (Europe/Berlin, CEST, UTC+02:00)" in _text(mail)
    assert mail["List-Unsubscribe"].startswith(f"<{PUBLIC_URL}/email/unsubscribe/")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_many_reminders_at_once_are_one_mail(user: SignedIn, mail_server: MailServer) -> None:
    destination = _confirmed_at(user)
    titles = [f"Number {number}" for number in range(DIGEST_FROM)]
    for title in titles:
        _reminded(user, title)

    _send()

    [mail] = _mails(mail_server)
    assert all(title in _text(mail) for title in titles)
    assert states_of(destination) == ["sent"] * DIGEST_FROM


def test_a_mail_of_many_that_is_deferred_is_one_mail_again(
    user: SignedIn, mail_server: MailServer
) -> None:
    destination = _confirmed_at(user)
    for number in range(DIGEST_FROM):
        _reminded(user, f"Number {number}")
    mail_server.replies["RCPT"] = "450 4.2.0 try again later"

    _send()

    assert states_of(destination) == ["pending"] * DIGEST_FROM
    assert len({message.due_at for message in messages_to(destination)}) == 1


def test_a_mail_of_many_that_is_refused_is_a_mail_for_each(
    user: SignedIn, mail_server: MailServer
) -> None:
    destination = _confirmed_at(user)
    for number in range(DIGEST_FROM):
        _reminded(user, f"Number {number}")
    mail_server.refuses = lambda content: b"Number 0" in content and b"554 5.7.1 It is spam"

    _send()

    assert states_of(destination) == ["failed", *["sent"] * (DIGEST_FROM - 1)]
    assert ["Number 0" in _text(mail) for mail in _mails(mail_server)] == [False] * (
        DIGEST_FROM - 1
    )


def test_a_browser_whose_keys_are_none_is_tried_again_later(
    user: SignedIn, caplog: pytest.LogCaptureFixture
) -> None:
    with changed_settings(vapid_private_key=VAPID_KEY, vapid_subject="mailto:ops@app.example"):
        destination = a_destination(
            user.user_id, Channel.WEB_PUSH, "https://push.example/secret", endpoint=7
        )
        _reminded(user)
        _send()

    [message] = messages_to(destination)
    assert (message.state, message.failures, message.reason) == ("pending", 1, MISTAKEN)
    assert "secret" not in caplog.text


def test_how_a_provider_does_outlasts_a_run(user: SignedIn, mail_server: MailServer) -> None:
    _confirmed_at(user)
    _reminded(user)
    mail_server.replies["MAIL"] = "421 4.7.0 too many"
    _send()

    [pause] = {lane.pause for lane in lanes() if lane.channel is Channel.EMAIL}
    assert pause.is_on()
    assert mail_server.commands.count("MAIL") == 1


def test_a_hold_outlasts_the_longest_sending() -> None:
    longest_s = max(
        smtp.MAIL_WITHIN_S,
        http.TIMEOUT_S + http.CONNECT_TIMEOUT_S + http.REST_TIMEOUT_S,
        amazon.CONNECT_TIMEOUT_S + amazon.READ_TIMEOUT_S,
    )
    assert ROUND_S + longest_s < HELD_FOR.total_seconds()


def test_who_wants_no_digest_is_sent_each_reminder(user: SignedIn, mail_server: MailServer) -> None:
    destination = _confirmed_at(user)
    Api(user).put("/api/{user_id}/settings", {"email_digest": False})
    for number in range(DIGEST_FROM):
        _reminded(user, f"Number {number}")

    _send()

    assert len(_mails(mail_server)) == DIGEST_FROM
    assert states_of(destination) == ["sent"] * DIGEST_FROM


def test_who_reads_an_address_is_asked_before_anything_else_is_mailed(
    user: SignedIn, mail_server: MailServer
) -> None:
    asked = a_destination(user.user_id, address="asked@example.com", state=State.UNCONFIRMED)
    with transaction(A_CAUSE) as tx:
        destination_store.lock(tx, asked.id)
        outbound_store.enqueue_confirmation(tx, asked.id, user.user_id, now=clock.now())
    _reminded(user)

    _send()

    [mail] = _mails(mail_server)
    assert mail["To"] == "asked@example.com"
    assert f"{PUBLIC_URL}/email/confirm/" in _text(mail)
    assert "Water the plants" not in mail.as_string()


def test_a_reminder_is_mailed_through_amazon(
    user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    _credentials(monkeypatch)
    sender = "reminders@tasks.example"
    with (
        mock_aws(),
        changed_settings(ses_from=sender, aws_region=REGION, **MAIL),
        ses.client.renewed(),
    ):
        ses.client().create_email_identity(EmailIdentity=sender)
        destination = _confirmed_at(user)
        _reminded(user)

        _send()

        [sent] = ses_backends[DEFAULT_ACCOUNT_ID][REGION].sent_messages
    assert states_of(destination) == ["sent"]
    assert "Water the plants" in sent.raw_data


def test_a_reminder_is_pushed_to_a_device_through_amazon(
    user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    _credentials(monkeypatch)
    with (
        mock_aws(),
        changed_settings(sns_platform_application_arn=APPLICATION),
        sns.client.renewed(),
    ):
        sns.client().create_platform_application(Name="taskflow", Platform="GCM", Attributes={})
        arn = sns.register("a token of Firebase")
        assert isinstance(arn, str)
        destination = a_destination(user.user_id, Channel.PUSH, arn)
        _reminded(user)

        _send()

        sent = sns_backends[DEFAULT_ACCOUNT_ID][REGION].platform_endpoints[arn].messages
    assert states_of(destination) == ["sent"]
    assert "Water the plants" in str(sent)


def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made up")


def test_a_reminder_is_pushed_to_a_browser(user: SignedIn) -> None:
    browser = Browser()
    with (
        an_endpoint(201) as service,
        changed_settings(
            outbound_allowed_networks=LOOPBACK,
            vapid_private_key=VAPID_KEY,
            vapid_subject="mailto:ops@app.example",
        ),
    ):
        subscription = web_push.PushSubscription.model_validate(browser.subscription(service.url))
        destination = a_destination(
            user.user_id,
            Channel.WEB_PUSH,
            subscription.endpoint,
            **browser.subscription(service.url),
        )
        task = _reminded(user)

        _send()

    assert states_of(destination) == ["sent"]
    [request] = service.requests
    assert browser.read(request)["task_id"] == task["id"]


def test_webhooks_are_verified_by_the_library_of_their_specification(user: SignedIn) -> None:
    old, new = webhooks.new_secret(), webhooks.new_secret()
    with (
        an_endpoint(200) as endpoint,
        changed_settings(outbound_allowed_networks=LOOPBACK),
    ):
        destination = a_destination(
            user.user_id,
            Channel.WEBHOOK,
            endpoint.url,
            seq=len(log_of(user.user_id)),
            secrets=[
                {"secret": new, "until": None},
                {"secret": old, "until": "2126-01-01T00:00:00Z"},
            ],
        )
        created(Api(user))

        _send()

    assert states_of(destination) == ["sent"]
    [request] = endpoint.requests
    [event] = happened_to(user.user_id, "task.created")
    for secret in (old, new):
        Webhook(secret).verify(request.body, dict(request.headers))
    assert json.loads(request.body) == json.loads(event.message_json())
    assert request.headers["webhook-id"] == str(event.event_id)


def test_a_webhook_of_a_private_address_is_given_nothing(user: SignedIn) -> None:
    with an_endpoint(200) as endpoint:
        destination = a_destination(
            user.user_id,
            Channel.WEBHOOK,
            endpoint.url,
            seq=len(log_of(user.user_id)),
            secrets=[{"secret": webhooks.new_secret(), "until": None}],
        )
        created(Api(user))

        _send()

    assert endpoint.requests == []
    assert states_of(destination) == ["failed"]


def test_only_what_is_configured_has_a_lane() -> None:
    assert [lane.channel for lane in lanes()] == [Channel.WEBHOOK]
