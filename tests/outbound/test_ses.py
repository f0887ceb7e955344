"""Mail through Amazon SES: in moto, and through answers that moto never gives."""

import json
from collections.abc import Callable, Generator
from email import message_from_string
from email.message import EmailMessage
from email.policy import SMTP
from socket import socket
from typing import Any

import pytest
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ses.models import SESBackend, ses_backends

from taskflow.outbound import amazon, ses
from taskflow.outbound.outcomes import Accepted, Deferred, Outcome, Rejected
from tests.support.data.notices import a_mail
from tests.support.network.endpoint import Endpoint, a_server, an_endpoint, until_gone
from tests.support.network.ports import a_free_port
from tests.support.settings import changed_settings

REGION = "eu-central-1"
SENDER = "TaskFlow <tasks@app.example>"
OF_THE_SYSTEM = (
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_SESSION_TOKEN",
)


@pytest.fixture(autouse=True)
def _through_ses(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Have mail sent through Amazon SES, with credentials, and nothing of this system's own."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a-key-of-tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-of-tests")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    for name in OF_THE_SYSTEM:
        monkeypatch.delenv(name, raising=False)
    with (
        changed_settings(smtp_host=None, smtp_from=None, ses_from=SENDER, aws_region=REGION),
        ses.client.renewed(),
    ):
        yield


@pytest.fixture
def moto() -> Generator[SESBackend]:
    """Run moto in this process, where the sender is verified."""
    with mock_aws():
        backend = ses_backends[DEFAULT_ACCOUNT_ID][REGION]
        backend.verify_email_identity("tasks@app.example")
        yield backend


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Generator[Endpoint]:
    """Run a server in Amazon's place."""
    with an_endpoint() as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{endpoint.host}:{endpoint.port}")
        yield endpoint


def _refusing(endpoint: Endpoint, status: int, code: str, message: str) -> None:
    endpoint.status = status
    endpoint.headers = {"x-amzn-ErrorType": code, "Content-Type": "application/json"}
    endpoint.body = json.dumps({"message": message}).encode()


def test_a_mail_reaches_ses_as_it_was_written(moto: SESBackend) -> None:
    message = a_mail("o'neil@bücher.example", title="Milch für Jürgen")

    outcome = ses.send(message)

    [sent] = moto.sent_messages
    assert outcome == Accepted(sent.id)
    read = message_from_string(sent.raw_data, _class=EmailMessage, policy=SMTP)
    for name in set(message.keys()) - {"Content-Type"}:
        assert read[name] == message[name]
    assert read["To"] == "o'neil@xn--bcher-kva.example"
    assert [part.get_content_type() for part in read.walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]


def test_a_sender_that_ses_does_not_know_is_refused(moto: SESBackend) -> None:
    with changed_settings(ses_from="eve@app.example"):
        outcome = ses.send(a_mail())

    # In moto's words, which name the address.
    assert outcome == Rejected("Amazon SES refused the mail: MessageRejected")
    assert moto.sent_messages == []


def test_the_region_and_the_recipient_are_said_to_ses(stub: Endpoint) -> None:
    stub.body = b'{"MessageId": "of-the-stub"}'

    outcome = ses.send(a_mail())

    assert outcome == Accepted("of-the-stub")
    [request] = stub.requests
    assert request.path == "/v2/email/outbound-emails"
    assert f"/{REGION}/ses/aws4_request" in request.headers["authorization"]
    asked: dict[str, Any] = json.loads(request.body)
    assert asked["Destination"] == {"ToAddresses": ["ada@example.com"]}
    assert asked.keys() == {"Destination", "Content"}


NOT_VERIFIED = (
    "Email address is not verified. The following identities failed the check in region"
    " EU-CENTRAL-1: "
)


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (429, "TooManyRequestsException", "takes no more now"),
        (400, "ThrottlingException", "takes no more now"),
        (400, "LimitExceededException", "takes no more now"),
        (400, "AccountSuspendedException", "takes no mail"),
        (400, "SendingPausedException", "takes no mail"),
        (400, "MailFromDomainNotVerifiedException", "takes no mail"),
        (404, "NotFoundException", "takes no mail"),
        (403, "AccessDeniedException", "takes no mail"),
        (403, "UnrecognizedClientException", "takes no mail"),
        (403, "ExpiredTokenException", "takes no mail"),
        (500, "InternalFailure", "takes no mail"),
        (503, "ServiceUnavailable", "takes no mail"),
    ],
)
def test_what_ses_says_of_an_account_or_of_itself_holds_all_mail(
    stub: Endpoint, status: int, code: str, words: str
) -> None:
    _refusing(stub, status, code, "No, ada@example.com")

    outcome = ses.send(a_mail())

    assert outcome == Deferred(f"Amazon SES {words}: {code}", of_all=True)
    # Whoever keeps the mail tries again, and nobody else.
    assert len(stub.requests) == 1


@pytest.mark.parametrize("code", ["MessageRejected", "BadRequestException"])
def test_what_ses_says_of_a_mail_rejects_that_one(stub: Endpoint, code: str) -> None:
    _refusing(stub, 400, code, "No, ada@example.com")

    assert ses.send(a_mail()) == Rejected(f"Amazon SES refused the mail: {code}")


@pytest.mark.parametrize(
    ("address", "outcome"),
    [
        ("tasks@app.example", Deferred("Amazon SES has not verified the sender", of_all=True)),
        ("ada@example.com", Deferred("Amazon SES has not verified the recipient")),
    ],
)
def test_a_mail_of_an_account_in_its_sandbox_is_kept(
    stub: Endpoint, address: str, outcome: Outcome
) -> None:
    _refusing(stub, 400, "MessageRejected", NOT_VERIFIED + address)

    assert ses.send(a_mail()) == outcome


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Bad gateway</html>",
        b"{",
        b"{}",
        b"null",
        b"[]",
        b"[" * 100_000,
        b'"MessageId"',
        b'{"MessageId": {"is": "another"}}',
        b'{"__type": 5}',
        b'{"__type": ["a"]}',
        b"\xff",
    ],
    ids=lambda body: ascii(body[:20]),
)
@pytest.mark.parametrize("status", [200, 301, 400, 502])
def test_an_answer_that_is_not_of_ses_holds_all_mail(
    stub: Endpoint, status: int, body: bytes
) -> None:
    stub.status, stub.body = status, body

    outcome = ses.send(a_mail())

    assert isinstance(outcome, Deferred)
    assert outcome.of_all
    assert "html" not in outcome.reason


def test_without_credentials_all_mail_is_held(
    stub: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    assert ses.send(a_mail()) == Deferred("there are no credentials for Amazon SES", of_all=True)
    assert stub.requests == []


def test_without_a_region_all_mail_is_held_until_there_is_one(moto: SESBackend) -> None:
    with changed_settings(aws_region=None):
        outcome = ses.send(a_mail())

    assert outcome == Deferred("no region is set for Amazon SES: AWS_REGION", of_all=True)
    assert isinstance(ses.send(a_mail()), Accepted)
    assert len(moto.sent_messages) == 1


def test_an_endpoint_that_is_no_address_holds_all_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "no address")

    assert ses.send(a_mail()) == Deferred("Amazon SES can't be understood: ValueError", of_all=True)


def test_a_service_that_is_not_there_holds_all_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{a_free_port()}")

    assert ses.send(a_mail()) == Deferred(
        "Amazon SES can't be reached: EndpointConnectionError", of_all=True
    )


def _closing(connected: socket) -> None:
    connected.recv(1)


@pytest.mark.parametrize(
    ("serve", "why"), [(until_gone, "ReadTimeoutError"), (_closing, "ConnectionClosedError")]
)
def test_a_service_that_hangs_or_closes_may_have_taken_a_mail(
    serve: Callable[[socket], None], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(amazon, "READ_TIMEOUT_S", 0.3)

    with a_server(serve) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        outcome = ses.send(a_mail())

    assert outcome == Deferred(
        f"Amazon SES did not say whether it took it: {why}",
        may_be_of_all=True,
        may_have_been_taken=True,
    )


def test_an_address_with_letters_beyond_ascii_is_rejected(stub: Endpoint) -> None:
    outcome = ses.send(a_mail("jürgen@example.com"))

    assert outcome == Rejected("Amazon SES takes no address with letters beyond ASCII")
    assert stub.requests == []
