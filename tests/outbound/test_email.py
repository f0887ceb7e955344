"""Mail, through whoever the settings name."""

import json

import pytest

from taskflow.outbound import email, ses
from taskflow.outbound.outcomes import Accepted, Deferred
from tests.support.data.notices import a_mail
from tests.support.network.endpoint import an_endpoint
from tests.support.network.mail_servers import a_mail_server
from tests.support.settings import changed_settings


def test_the_mails_of_a_round_go_through_the_server_of_the_settings() -> None:
    with (
        a_mail_server() as server,
        changed_settings(smtp_host=server.host, smtp_port=server.port, smtp_security="none"),
        email.sending() as send,
    ):
        outcomes = [send(a_mail(title=title)) for title in ("one", "two")]
        assert email.is_configured()

    assert outcomes == [Accepted("1A"), Accepted("2A")]
    assert len(server.peers) == 1


def test_mail_goes_through_amazon_where_the_settings_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a-key-of-tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-of-tests")
    with (
        an_endpoint() as endpoint,
        changed_settings(
            smtp_host=None, smtp_from=None, ses_from="a@app.example", aws_region="eu-central-1"
        ),
        ses.client.renewed(),
        email.sending() as send,
    ):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{endpoint.host}:{endpoint.port}")
        endpoint.body = json.dumps({"MessageId": "of-amazon"}).encode()
        assert email.is_configured()
        outcome = send(a_mail())

    assert outcome == Accepted("of-amazon")


def test_mail_waits_where_the_settings_name_nobody_any_more() -> None:
    written = a_mail()
    with changed_settings(smtp_host=None, smtp_from=None), email.sending() as send:
        assert not email.is_configured()
        assert send(written) == Deferred(
            "no mail server is set: SMTP_HOST, or SES_FROM", of_all=True
        )
