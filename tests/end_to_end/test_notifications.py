"""Being told when one is not looking, through the whole system, by the commands of its document."""

import json
import re
from collections.abc import Generator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest
import requests
from standardwebhooks import Webhook

from tests.support.data.accounts import SignedIn
from tests.support.network.endpoint import Endpoint, an_endpoint
from tests.support.network.mail_servers import MailServer, a_mail_server
from tests.support.network.readme_session import commands_of, printed_by
from tests.support.network.remote_api import a_new_user
from tests.support.paths import ROOT
from tests.support.polling import eventually
from tests.support.processes.system import System

DOCUMENT = ROOT / "docs" / "notifications.md"
NAMED = "https://hooks.example.com/taskflow"


@pytest.fixture(scope="module")
def mail_server() -> Generator[MailServer]:
    """Run a mail server."""
    with a_mail_server() as server:
        yield server


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory, mail_server: MailServer) -> Generator[System]:
    """Run a system that sends through the mail server, and to addresses of this machine."""
    system = System(
        tmp_path_factory.mktemp("telling") / "data",
        SMTP_HOST=mail_server.host,
        SMTP_PORT=str(mail_server.port),
        SMTP_SECURITY="none",
        SMTP_FROM="TaskFlow <tasks@app.example>",
        OUTBOUND_ALLOWED_NETWORKS="127.0.0.0/8",
    )
    system.start()
    yield system
    assert system.stop() == 0


@pytest.fixture
def endpoint() -> Generator[Endpoint]:
    with an_endpoint() as running:
        yield running


def _pasted(system: System, user: SignedIn, title: str, folder: Path, **changed: str) -> list[Any]:
    """Run the commands of a section; return the answers."""
    script = f"API={system.url}/api\nTOKEN={user.token}\n{commands_of(DOCUMENT, title)}"
    for name, value in changed.items():
        assert name in script
        script = script.replace(name, value)
    return [json.loads(line) for line in printed_by(script, folder).splitlines() if line]


def _asked(system: System, user: SignedIn, method: str, path: str, body: Any = None) -> Any:  # noqa: ANN401 - what JSON may hold
    answer = requests.request(
        method, f"{system.url}/api/{path}", json=body, headers=user.headers, timeout=20
    )
    assert answer.ok, answer.text
    return answer.json()


def _mails_to(server: MailServer, address: str) -> list[EmailMessage]:
    found: list[EmailMessage] = []
    for envelope in server.mails:
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=SMTP)
        assert isinstance(mail, EmailMessage)
        if address in envelope.rcpt_tos:
            found.append(mail)
    return found


def _link(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body(["plain"])
    assert part is not None
    [link] = re.findall(rf"http://\S+/email/{kind}/\S+", part.get_content())
    return link


def test_an_address_is_confirmed_reminded_and_unsubscribed_by_its_mails(
    telling: System, mail_server: MailServer, tmp_path: Path
) -> None:
    user = a_new_user(telling)
    address = "reader@example.com"
    always = {'"quiet_hours": {"start": "22:00", "end": "07:30"}': '"quiet_hours": null'}
    added, settings = _pasted(
        telling, user, "Email", tmp_path, **{"me@example.com": address, **always}
    )
    assert (added["state"], settings["notification_channels"]) == ("unconfirmed", ["email"])

    def is_asked() -> None:
        assert len(_mails_to(mail_server, address)) == 1

    eventually(is_asked, within_s=60)
    [asking] = _mails_to(mail_server, address)
    assert requests.post(_link(asking, "confirm"), timeout=20).ok

    task = _asked(telling, user, "POST", "tasks", {"title": "Water the plants"})
    reminder = {"remind_at": "2026-01-01T00:00:00Z"}
    _asked(telling, user, "POST", f"tasks/{task['id']}/reminders", reminder)

    def is_reminded() -> None:
        assert len(_mails_to(mail_server, address)) == 2

    eventually(is_reminded, within_s=60)
    told = _mails_to(mail_server, address)[1]
    assert told["Subject"] == "Reminder: Water the plants"
    link = _link(told, "unsubscribe")
    assert f"<{link}>" == told["List-Unsubscribe"]
    assert requests.post(link, data={"List-Unsubscribe": "One-Click"}, timeout=20).ok
    [left] = _asked(telling, user, "GET", "destinations")["items"]
    assert left["state"] == "disabled"


def test_a_webhook_is_sent_what_was_asked_for_signed(
    telling: System, endpoint: Endpoint, tmp_path: Path
) -> None:
    user = a_new_user(telling)
    [webhook] = _pasted(telling, user, "Webhooks", tmp_path, **{NAMED: endpoint.url})
    task = _asked(telling, user, "POST", "tasks", {"title": "Buy milk"})
    _asked(telling, user, "POST", f"tasks/{task['id']}/complete")

    def is_sent() -> None:
        assert len(endpoint.requests) == 1

    eventually(is_sent, within_s=60)
    [request] = endpoint.requests
    event = Webhook(webhook["secret"]).verify(request.body, dict(request.headers))
    assert event["type"] == "task.completed"
    assert event["data"]["id"] == task["id"]
    [sent] = _asked(telling, user, "GET", f"webhooks/{webhook['id']}/messages")["items"]
    assert sent["state"] in {"pending", "sent"}
    assert webhook["url"] == endpoint.url
