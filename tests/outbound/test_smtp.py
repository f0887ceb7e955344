"""Mail through a real SMTP server, and through servers that fail in each way that they may."""

import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest

from taskflow.outbound.outcomes import Accepted, Deferred, Outcome, Rejected
from taskflow.outbound.smtp import Connection
from tests.support.data.notices import a_mail
from tests.support.network import certificates
from tests.support.network.mail_servers import MailServer, a_mail_server, a_scripted_server
from tests.support.network.ports import a_free_port
from tests.support.settings import changed_settings

PASSWORD = "a secret password"
SOON_S = 0.3
"""In place of ten seconds, or of a minute, for a server that says nothing."""


class Tls:
    """A server's certificate, which is trusted in a block."""

    def __init__(self, folder: Path) -> None:
        self.certificate, key = folder / "certificate.pem", folder / "key.pem"
        certificates.write(self.certificate, key)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(key)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trusted(tls: Tls, monkeypatch: pytest.MonkeyPatch) -> Tls:
    """Have the system trust the certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.certificate))
    return tls


@pytest.fixture
def plain() -> Generator[MailServer]:
    """Run a server without TLS, and use it."""
    with a_mail_server() as server, _using(server, smtp_security="none"):
        yield server


@contextmanager
def _using(server: Any, **settings: Any) -> Generator[None]:  # noqa: ANN401 - of either kind
    host = getattr(server, "host", "127.0.0.1")
    with changed_settings(smtp_host=host, smtp_port=server.port, **settings):
        yield


def _send(message: EmailMessage | None = None, **patience: float) -> Outcome:
    with Connection(**patience) as connection:
        return connection.send(message or a_mail())


SILENT = Deferred(
    "the mail server did not say whether it took the mail",
    may_be_of_all=True,
    may_have_been_taken=True,
)


def _of_all_perhaps(reason: str) -> Deferred:
    return Deferred(f"the mail server {reason}", may_be_of_all=True)


def _deferred(reason: str) -> Deferred:
    return Deferred(f"the mail server {reason}", of_all=True)


def test_a_mail_reaches_its_recipient_as_it_was_written(plain: MailServer) -> None:
    message = a_mail("o'neil@bücher.example", title="Milch für Jürgen", message="\n.\n.hidden")

    outcome = _send(message)

    assert outcome == Accepted("1A")
    [envelope] = plain.mails
    assert envelope.mail_from == "tasks@app.example"
    assert envelope.rcpt_tos == ["o'neil@xn--bcher-kva.example"]
    assert isinstance(envelope.content, bytes)
    read = message_from_bytes(envelope.content, _class=EmailMessage, policy=SMTP)
    assert read["Subject"] == "Reminder: Milch für Jürgen"
    assert read["To"] == "o'neil@xn--bcher-kva.example"
    for kind in ("plain", "html"):
        there, sent = read.get_body((kind,)), message.get_body((kind,))
        assert there is not None
        assert sent is not None
        assert there.get_content().splitlines() == sent.get_content().splitlines()
    # Not what the system is called, which it may ask the network for.
    assert plain.names == {"app.example"}


def test_the_mails_of_a_round_go_over_one_connection(plain: MailServer) -> None:
    with Connection() as connection:
        outcomes = [connection.send(a_mail(title=f"Task {n}")) for n in range(3)]

    assert outcomes == [Accepted("1A"), Accepted("2A"), Accepted("3A")]
    assert len(plain.peers) == 1
    assert plain.commands[-1] == "QUIT"


@pytest.mark.usefixtures("plain")
def test_a_round_without_a_mail_connects_to_nobody() -> None:
    with changed_settings(smtp_port=a_free_port()), Connection():
        pass


@pytest.mark.parametrize("reply", [None, "421 4.4.2 Idle for too long", "250 OK"])
def test_a_server_that_closes_between_two_mails_is_connected_to_again(
    plain: MailServer, reply: str | None
) -> None:
    with Connection() as connection:
        first = connection.send(a_mail())
        plain.replies["RSET"] = reply
        second = connection.send(a_mail())

    assert (first, second) == (Accepted("1A"), Accepted("2A"))
    assert len(plain.peers) == (1 if reply == "250 OK" else 2)


def test_a_server_that_comes_back_is_connected_to_again() -> None:
    with (
        changed_settings(smtp_host="127.0.0.1", smtp_port=a_free_port()),
        Connection() as connection,
    ):
        away = connection.send(a_mail())
        with a_mail_server() as server, _using(server, smtp_security="none"):
            there = connection.send(a_mail())

    assert away == _deferred("can't be reached")
    assert there == Accepted("1A")


# TLS


@pytest.mark.parametrize("security", ["starttls", None])
def test_a_mail_is_sent_after_starttls_and_a_log_in(trusted: Tls, security: str | None) -> None:
    settings = {"smtp_security": security, "smtp_username": "me", "smtp_password": PASSWORD}
    with (
        a_mail_server(starttls=trusted.context, password=PASSWORD) as server,
        _using(server, **settings),
    ):
        outcome = _send()

    assert outcome == Accepted("1A")
    assert server.log_ins == [(b"me", PASSWORD.encode())]


def test_a_mail_is_sent_with_tls_from_the_start(trusted: Tls) -> None:
    with a_mail_server(implicit_tls=trusted.context) as server, _using(server, smtp_security="tls"):
        assert _send() == Accepted("1A")


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_nobody_vouches_for_is_told_nothing(tls: Tls, security: str) -> None:
    option: dict[str, Any] = {
        "starttls" if security == "starttls" else "implicit_tls": tls.context,
    }
    with (
        a_mail_server(**option) as server,
        _using(server, smtp_security=security, smtp_username="me", smtp_password=PASSWORD),
    ):
        outcome = _send()

    why = "self-signed certificate"
    assert outcome == Deferred(
        f"the certificate of the mail server is not valid: {why}", of_all=True
    )
    assert (server.commands, server.log_ins) == ([], [])


def test_a_certificate_of_another_server_is_told_nothing(trusted: Tls) -> None:
    with (
        a_mail_server(host="127.0.0.2", starttls=trusted.context) as server,
        _using(server, smtp_security="starttls"),
    ):
        outcome = _send()

    assert isinstance(outcome, Deferred)
    assert "not valid: IP address mismatch" in outcome.reason
    assert "127.0.0.2" not in outcome.reason
    assert server.commands == []


@pytest.mark.parametrize("extensions", ["250 AUTH PLAIN", "250-8BITMIME\r\n250 AUTH PLAIN LOGIN"])
def test_without_starttls_neither_a_log_in_nor_a_mail_is_sent(extensions: str) -> None:
    # As a server seems to whose offer somebody on the way has taken out.
    with (
        a_scripted_server({"ehlo": f"250-mail.example\r\n{extensions}"}) as server,
        _using(server, smtp_security="starttls", smtp_username="me", smtp_password=PASSWORD),
    ):
        outcome = _send()

    assert outcome == _deferred("offers no STARTTLS")
    assert server.lines == ["ehlo app.example"]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("454 4.7.0 TLS is not available", "refused the connection: 454 4.7.0"),
        ("220 Go on", "and TaskFlow have no TLS in common"),
    ],
)
def test_a_server_that_does_not_keep_to_its_offer_of_starttls_is_sent_nothing(
    reply: str, reason: str
) -> None:
    replies = {"ehlo": "250-mail.example\r\n250 STARTTLS", "starttls": reply}
    with (
        # What comes instead of TLS is no answer to it.
        a_scripted_server(replies) as server,
        _using(server, smtp_security="starttls", smtp_username="me", smtp_password=PASSWORD),
    ):
        outcome = _send()

    assert outcome == _deferred(reason)
    assert server.lines[:2] == ["ehlo app.example", "STARTTLS"]
    assert not any("AUTH" in line or "mail FROM" in line for line in server.lines)


def test_a_server_that_speaks_no_tls_at_all_is_sent_nothing(plain: MailServer) -> None:
    with changed_settings(smtp_security="tls"):
        outcome = _send()

    assert outcome == _deferred("and TaskFlow have no TLS in common")
    assert plain.commands == []


# Log-in


def test_a_refused_log_in_holds_all_mail(trusted: Tls) -> None:
    with (
        a_mail_server(starttls=trusted.context, password=PASSWORD) as server,
        _using(server, smtp_security="starttls", smtp_username="me", smtp_password="wrong"),
    ):
        outcome = _send()

    assert outcome == _deferred("refused the log-in: 535 5.7.8")


def test_a_server_that_wants_a_log_in_which_there_is_none_of_holds_all_mail(trusted: Tls) -> None:
    with (
        a_mail_server(starttls=trusted.context, password=PASSWORD) as server,
        _using(server, smtp_security="starttls"),
    ):
        outcome = _send()

    assert outcome == _deferred("refused the sender: 530 5.7.0")


@pytest.mark.parametrize(
    ("extension", "reason"),
    [("8BITMIME", "offers no log-in"), ("AUTH GSSAPI", "offers no log-in that TaskFlow knows")],
)
def test_a_server_without_a_log_in_of_ours_holds_all_mail(extension: str, reason: str) -> None:
    with (
        a_scripted_server({"ehlo": f"250-mail.example\r\n250 {extension}"}) as server,
        _using(server, smtp_security="none", smtp_username="me", smtp_password=PASSWORD),
    ):
        assert _send() == _deferred(reason)


# What a server says


@pytest.mark.parametrize(
    ("command", "reply", "outcome"),
    [
        ("MAIL", "451 4.3.0 Try later", _deferred("refused the sender: 451 4.3.0")),
        ("MAIL", "452 4.3.1 Disk is full", _deferred("refused the sender: 452 4.3.1")),
        ("MAIL", "550 5.7.1 Not you", _deferred("refused the sender: 550 5.7.1")),
        ("MAIL", "421 Too many", _deferred("refused the sender: 421")),
        ("RCPT", "421 4.7.0 Too many", _of_all_perhaps("refused the recipient: 421 4.7.0")),
        ("RCPT", "454 4.7.0 Log in again", _of_all_perhaps("refused the recipient: 454 4.7.0")),
        ("RCPT", "999 Hello", _of_all_perhaps("refused the recipient: 999")),
        ("RCPT", "530 5.7.0 Log in first", _deferred("refused the recipient: 530 5.7.0")),
        ("RCPT", "251 User is elsewhere", Accepted("1A")),
        ("DATA", "421 4.3.2 Going down", _deferred("refused the mail: 421 4.3.2")),
        ("DATA", "250 OK", Accepted(None)),
        ("DATA", "250 Ok: queued as ../../\x1b[31m", Accepted("..")),
    ],
)
def test_what_a_server_says_of_all_mail(
    plain: MailServer, command: str, reply: str, outcome: Outcome
) -> None:
    plain.replies[command] = reply

    assert _send() == outcome


@pytest.mark.parametrize(
    ("reply", "is_gone"),
    [
        ("550 5.1.1 <ada@example.com>: no such user", True),
        ("550 5.1.2 No such domain", True),
        ("553 5.1.3 Not an address", True),
        ("550 No such user", True),
        ("551 User not local", True),
        ("550 5.7.1 <ada@example.com>: not for you", False),
        ("550 5.2.1 Mailbox is disabled", False),
        ("552 5.2.2 Mailbox is full", False),
        ("552 Mailbox is full", False),
        ("554 5.7.1 <ada@example.com>: Relay access denied", False),
        ("550 5.1.1x", True),
        ("504 5.5.2 Not understood", False),
    ],
)
def test_a_refused_recipient_is_gone_where_there_is_no_such_mailbox(
    plain: MailServer,
    reply: str,
    is_gone: bool,  # noqa: FBT001 - a case
) -> None:
    plain.replies["RCPT"] = reply

    outcome = _send()

    assert isinstance(outcome, Rejected)
    assert outcome.is_gone == is_gone
    assert outcome.reason.startswith(f"the mail server refused the recipient: {reply[:3]}")
    # It is stored and shown.
    assert "ada" not in outcome.reason


@pytest.mark.parametrize("reply", ["450 4.2.0 Greylisted", "451 Later", "452 4.2.2 Mailbox full"])
def test_a_recipient_that_is_put_off_holds_no_other_mail(plain: MailServer, reply: str) -> None:
    plain.replies["RCPT"] = reply

    outcome = _send()

    assert isinstance(outcome, Deferred)
    assert not outcome.of_all


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("552 5.3.4 Too big", Rejected),
        ("554 5.7.1 Spam", Rejected),
        ("550 5.1.1 After all no such user", Rejected),
        ("451 4.3.0 Could not be written", Deferred),
        ("452 4.3.1 Disk is full", Deferred),
    ],
)
def test_a_refused_mail_says_nothing_of_the_address_or_of_other_mail(
    plain: MailServer, reply: str, kind: type[Rejected | Deferred]
) -> None:
    plain.replies["DATA"] = reply

    outcome = _send()

    assert outcome == kind(f"the mail server refused the mail: {reply[:9]}")


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
def test_after_a_refusal_the_next_mail_goes_over_the_same_connection(
    plain: MailServer, command: str
) -> None:
    with Connection() as connection:
        plain.replies[command] = "550 5.1.1 No"
        first = connection.send(a_mail())
        plain.replies.clear()
        second = connection.send(a_mail("bob@example.com"))

    assert isinstance(first, Rejected)
    assert second == Accepted("1A")
    assert len(plain.peers) == 1
    assert plain.mails[0].rcpt_tos == ["bob@example.com"]


@pytest.mark.parametrize(
    ("greeting", "reason"),
    [
        ("554 5.7.1 Not from there", "refused the connection: 554 5.7.1"),
        ("421 Too many connections", "refused the connection: 421"),
        ("HTTP/1.1 400 Bad Request", "refused the connection: -1"),
        (f"220 {'x' * 9000}", "refused the connection: 500"),
    ],
)
def test_a_server_that_refuses_its_client_holds_all_mail(greeting: str, reason: str) -> None:
    with (
        a_scripted_server({"greeting": greeting}) as server,
        _using(server, smtp_security="none"),
    ):
        assert _send() == _deferred(reason)


@pytest.mark.parametrize("command", ["greeting", "ehlo", "mail", "rcpt"])
def test_a_server_that_hangs_holds_all_mail_but_over_a_recipient(command: str) -> None:
    # It may ask the recipient's own server, and wait for that.
    expected = _of_all_perhaps if command == "rcpt" else _deferred
    with a_scripted_server({command: ""}) as server, _using(server, smtp_security="none"):
        assert _send(timeout_s=SOON_S) == expected("did not answer in time")

    # Nor is it waited for again to take leave.
    assert "quit" not in server.lines


def test_a_server_that_hangs_before_its_tls_holds_all_mail() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = {"smtp_host": "127.0.0.1", "smtp_port": silent.getsockname()[1]}
        with changed_settings(**settings, smtp_security="tls"):
            assert _send(timeout_s=SOON_S) == _deferred("did not answer in time")


@pytest.mark.parametrize("command", ["greeting", "ehlo", "rcpt", "."])
def test_a_server_is_hung_up_on_when_the_time_for_a_mail_is_over(command: str) -> None:
    # Each of its replies is in time.
    with a_scripted_server({command: ""}) as server, _using(server, smtp_security="none"):
        outcome = _send(timeout_s=60, taken_within_s=60, mail_within_s=SOON_S)

    late = "did not answer in time"
    expected = {".": SILENT, "rcpt": _of_all_perhaps(late)}
    assert outcome == expected.get(command, _deferred(late))


def test_a_server_with_tls_is_hung_up_on_when_the_time_for_a_mail_is_over(trusted: Tls) -> None:
    with a_mail_server(implicit_tls=trusted.context) as server, _using(server, smtp_security="tls"):
        server.waits_s = 60
        outcome = _send(timeout_s=60, taken_within_s=60, mail_within_s=0.5)

    assert outcome == _deferred("did not answer in time")


@pytest.mark.parametrize("command", ["data", "."])
def test_a_server_that_hangs_over_a_mail_holds_that_one_alone(command: str) -> None:
    with a_scripted_server({command: ""}) as server, _using(server, smtp_security="none"):
        outcome = _send(taken_within_s=SOON_S)

    assert outcome == SILENT


@pytest.mark.parametrize("command", ["MAIL", "RCPT"])
def test_a_server_that_closes_during_a_mail_holds_all_mail_but_over_a_recipient(
    plain: MailServer, command: str
) -> None:
    plain.replies[command] = None

    expected = _of_all_perhaps if command == "RCPT" else _deferred
    assert _send() == expected("closed the connection")


def test_a_server_that_closes_after_it_had_a_mail_may_have_taken_it(plain: MailServer) -> None:
    plain.replies["DATA"] = None

    assert _send() == SILENT


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid", "a..b"])
def test_a_server_that_is_not_there_holds_all_mail(host: str) -> None:
    with changed_settings(smtp_host=host, smtp_port=a_free_port(), smtp_security="none"):
        assert _send() == _deferred("can't be reached")


def test_a_server_that_takes_no_connection_holds_all_mail() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)  # noqa: FBT003 - the standard library's
            each.connect_ex(full.getsockname())
        with changed_settings(smtp_host="127.0.0.1", smtp_port=full.getsockname()[1]):
            outcome = _send(timeout_s=SOON_S)
        for each in waiting:
            each.close()

    assert outcome == _deferred("did not answer in time")


# Addresses with letters beyond ASCII (RFC 6531)


def test_an_address_with_letters_beyond_ascii_is_sent_to_as_it_is() -> None:
    with (
        a_mail_server(is_international=True) as server,
        _using(server, smtp_security="none"),
    ):
        outcome = _send(a_mail("jürgen@bücher.example"))

    assert outcome == Accepted("1A")
    [envelope] = server.mails
    assert envelope.rcpt_tos == ["jürgen@xn--bcher-kva.example"]
    assert envelope.smtp_utf8
    assert isinstance(envelope.content, bytes)
    assert "To: jürgen@xn--bcher-kva.example\r\n".encode() in envelope.content


def test_a_server_that_takes_ascii_alone_rejects_that_address_and_no_other(
    plain: MailServer,
) -> None:
    with Connection() as connection:
        first = connection.send(a_mail("jürgen@example.com"))
        second = connection.send(a_mail())

    assert first == Rejected("the mail server takes no address with letters beyond ASCII")
    assert second == Accepted("1A")
    assert plain.mails[0].rcpt_tos == ["ada@example.com"]
