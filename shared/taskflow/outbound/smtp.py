"""Mail through an SMTP server (RFC 5321), over one connection for all mails of a round."""

import re
import socket
import ssl
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from email.message import EmailMessage
from smtplib import (
    SMTP,
    SMTP_SSL,
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPResponseException,
    SMTPServerDisconnected,
)
from types import TracebackType
from typing import Any, Literal, Self

from taskflow import config
from taskflow.outbound import mail
from taskflow.outbound.outcomes import Accepted, Deferred, Outcome, Rejected

TIMEOUT_S = 10.0
"""For a connection, and for each reply but the last."""

TAKEN_WITHIN_S = 60.0
"""For the reply to a whole mail, which a server may look at for long: who does not wait for it
sends it again (RFC 5321, 4.5.3.2.6, which has ten minutes)."""

MAIL_WITHIN_S = 90.0
"""For all of it, from the connection on, however the server spreads its replies."""

PORTS = {"none": 25, "starttls": 587, "tls": 465}

_OF_ALL = frozenset({421, 454, 530, 534, 535, 538})
"""The server closes, or wants a log-in (RFC 4954, 4 and 6): it is the same for every mail."""

_MAY_BE_OF_ALL = frozenset({421, 454})
"""It closes, or takes nothing for now: by what it knows of a recipient, perhaps."""

_NO_MAILBOX = frozenset({550, 551, 553})

_STATUS = re.compile(rb"[245]\.\d{1,3}\.\d{1,3}(?!\S)")
"""An enhanced status code (RFC 3463)."""

_QUEUED = re.compile(rb"\bqueued as ([\w.-]{1,64})")

Stage = Literal["the sender", "the recipient", "the mail"]


class _NotOffered(SMTPException):
    """The server lacks what the settings ask for; the message is a sentence."""


Known = Callable[[SMTP], None]
"""Is told of a server before it is connected to."""


class _Server(SMTP):
    """A server that is known before it has greeted."""

    def __init__(self, known: Known, *where: Any, **how: Any) -> None:  # noqa: ANN401 - as SMTP's
        known(self)
        super().__init__(*where, **how)


class _TlsServer(SMTP_SSL):
    """The same, with TLS from the beginning."""

    def __init__(self, known: Known, *where: Any, **how: Any) -> None:  # noqa: ANN401 - as SMTP's
        known(self)
        super().__init__(*where, **how)


class Connection:
    """A connection to the server of the settings: made for the first mail, closed by the block.

    A server that has closed it meanwhile is connected to again. For one thread.
    """

    def __init__(
        self,
        *,
        timeout_s: float = TIMEOUT_S,
        taken_within_s: float = TAKEN_WITHIN_S,
        mail_within_s: float = MAIL_WITHIN_S,
    ) -> None:
        """Connect to nobody yet."""
        self._timeout_s = timeout_s
        self._taken_within_s = taken_within_s
        self._mail_within_s = mail_within_s
        self._server: SMTP | None = None
        # The one that was asked last, from before it has greeted.
        self._asked: SMTP | None = None
        self._is_late = False

    def __enter__(self) -> Self:
        """Begin a round."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take leave of the server."""
        if self._server is not None:
            with self._watched(), suppress(SMTPException, OSError):
                self._server.quit()
        self._drop()

    def send(self, message: EmailMessage) -> Outcome:
        """Hand a mail to the server, and return what it says."""
        with self._watched():
            return self._sent(message)

    @contextmanager
    def _watched(self) -> Generator[None]:
        """Hang up if the block takes longer than all of a mail may."""
        self._is_late = False
        watch = threading.Timer(self._mail_within_s, self._hang_up)
        watch.daemon = True
        watch.start()
        try:
            yield
        finally:
            watch.cancel()

    def _hang_up(self) -> None:
        """End what the thread of the mail waits for."""
        self._is_late = True
        connected = None if self._asked is None else self._asked.sock
        if connected is not None:
            with suppress(OSError):
                # Beneath TLS, which is not for two threads at once.
                socket.socket.shutdown(connected, socket.SHUT_RDWR)

    def _sent(self, message: EmailMessage) -> Outcome:
        try:
            server = self._ready()
        except (SMTPException, OSError, UnicodeError) as error:
            # Of a name that can't be one of the DNS, Python says UnicodeError.
            return self._failed(error)
        try:
            return self._handed_over(server, message)
        except (SMTPException, OSError) as error:
            return self._failed(error)

    def _failed(self, error: Exception) -> Deferred:
        self._drop()
        return Deferred(_why(TimeoutError() if self._is_late else error), of_all=True)

    def _ready(self) -> SMTP:
        if self._server is not None:
            with suppress(SMTPException, OSError):
                # Also ends what was begun for a mail that was refused.
                if self._server.rset()[0] == 250:  # noqa: PLR2004 - Ok
                    return self._server
            self._drop()
        self._server = self._connected()
        return self._server

    def _connected(self) -> SMTP:
        settings = config.settings()
        security = settings.smtp_security or "starttls"
        host, port = settings.smtp_host or "", settings.smtp_port or PORTS[security]
        context = ssl.create_default_context()
        # By default the system is asked for its name, which may ask the network.
        name = _sender().rpartition("@")[2]
        if security == "tls":
            server = _TlsServer(
                self._ask, host, port, name, timeout=self._timeout_s, context=context
            )
        else:
            server = _Server(self._ask, host, port, name, timeout=self._timeout_s)
        try:
            self._check_time()
            server.ehlo_or_helo_if_needed()
            if security == "starttls":
                # Who is on the way may have taken it out of the answer: no mail then.
                _require(server, "starttls", "STARTTLS")
                server.starttls(context=context)
                server.ehlo_or_helo_if_needed()
            if settings.smtp_username is not None:
                _require(server, "auth", "log-in")
                server.login(settings.smtp_username, settings.smtp_password or "")
        except BaseException:
            server.close()
            raise
        return server

    def _check_time(self) -> None:
        """Raise TimeoutError if there was nobody yet to hang up on when the time was over."""
        if self._is_late:
            raise TimeoutError

    def _ask(self, server: SMTP) -> None:
        self._asked = server

    def _handed_over(self, server: SMTP, message: EmailMessage) -> Outcome:
        refused = self._addressed(server, message)
        return self._taken(server, message) if refused is None else refused

    def _addressed(self, server: SMTP, message: EmailMessage) -> Rejected | Deferred | None:
        """Say from whom a mail is, and to whom; return what is said against it, if anything is."""
        is_international = mail.is_international(message)
        if is_international and not server.has_extn("smtputf8"):
            return Rejected("the mail server takes no address with letters beyond ASCII")
        code, reply = server.mail(_sender(), ["SMTPUTF8"] if is_international else [])
        if not _is_yes(code):
            # That a sender is refused who is not for others can only be for this recipient.
            return self._refused("the mail" if is_international else "the sender", code, reply)
        try:
            code, reply = server.rcpt(mail.recipient(message))
        except (SMTPException, OSError) as error:
            # It may have asked the recipient's own server, which then took its time.
            return replace(self._failed(error), of_all=False, may_be_of_all=True)
        return None if _is_yes(code) else self._refused("the recipient", code, reply)

    def _taken(self, server: SMTP, message: EmailMessage) -> Outcome:
        self._wait_for_replies(server, self._taken_within_s)
        try:
            code, reply = server.data(mail.raw(message))
        except SMTPDataError as refusal:
            code, reply = refusal.smtp_code, _bytes(refusal.smtp_error)
        except (SMTPServerDisconnected, OSError):
            # Perhaps for what is in this mail; whether it was taken nobody knows.
            self._drop()
            return Deferred(
                "the mail server did not say whether it took the mail",
                may_be_of_all=True,
                may_have_been_taken=True,
            )
        if not _is_yes(code):
            return self._refused("the mail", code, reply)
        self._wait_for_replies(server, self._timeout_s)
        queued = _QUEUED.search(reply)
        return Accepted(None if queued is None else queued[1].decode("ascii"))

    def _refused(self, stage: Stage, code: int, reply: bytes) -> Rejected | Deferred:
        outcome = _refusal(stage, code, reply)
        if isinstance(outcome, Deferred) and (outcome.of_all or outcome.may_be_of_all):
            self._drop()
        elif self._server is not None:
            self._wait_for_replies(self._server, self._timeout_s)
        return outcome

    def _drop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()

    @staticmethod
    def _wait_for_replies(server: SMTP, timeout_s: float) -> None:
        if server.sock is not None:
            server.sock.settimeout(timeout_s)


def _sender() -> str:
    sender = config.settings().mail_from
    return "" if sender is None else sender[1]


def _is_yes(code: int) -> bool:
    return code // 100 == 2  # noqa: PLR2004 - RFC 5321, 4.2.1


def _refusal(stage: Stage, code: int, reply: bytes) -> Rejected | Deferred:
    reason = f"the mail server refused {stage}: {_said(code, reply)}"
    is_final = code // 100 == 5  # noqa: PLR2004 - RFC 5321, 4.2.1
    is_known = is_final or code // 100 == 4  # noqa: PLR2004 - as above
    if stage == "the recipient" and (code in _MAY_BE_OF_ALL or not is_known):
        return Deferred(reason, may_be_of_all=True)
    if stage == "the sender" or code in _OF_ALL or not is_known:
        return Deferred(reason, of_all=True)
    if not is_final:
        return Deferred(reason)
    return Rejected(reason, is_gone=stage == "the recipient" and _is_gone(code, reply))


def _is_gone(code: int, reply: bytes) -> bool:
    """Say whether a refused recipient has no mailbox: a 550 may also be of who may write to it."""
    status = _STATUS.match(reply)
    return code in _NO_MAILBOX if status is None else status[0].startswith(b"5.1.")


def _said(code: int, reply: bytes) -> str:
    """Return the codes of a reply, whose text may repeat an address."""
    status = _STATUS.match(reply)
    return str(code) if status is None else f"{code} {status[0].decode('ascii')}"


def _why(error: Exception) -> str:
    # A timeout while smtplib reads is the context of what it raises.
    cause = error.__context__ if isinstance(error, SMTPServerDisconnected) else None
    cause = cause or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        # What comes after a comma names the server.
        why = cause.verify_message.partition(",")[0]
        return f"the certificate of the mail server is not valid: {why}"
    if isinstance(cause, SMTPResponseException):
        what = "the log-in" if isinstance(cause, SMTPAuthenticationError) else "the connection"
        said = _said(cause.smtp_code, _bytes(cause.smtp_error))
        return f"the mail server refused {what}: {said}"
    if isinstance(cause, _NotOffered):
        return str(cause)
    return next(sentence for kind, sentence in _REASONS if isinstance(cause, kind))


_REASONS = (
    (TimeoutError, "the mail server did not answer in time"),
    (ssl.SSLError, "the mail server and TaskFlow have no TLS in common"),
    (SMTPServerDisconnected, "the mail server closed the connection"),
    (SMTPException, "the mail server offers no log-in that TaskFlow knows"),
    (Exception, "the mail server can't be reached"),
)


def _require(server: SMTP, extension: str, name: str) -> None:
    if not server.has_extn(extension):
        raise _NotOffered(f"the mail server offers no {name}")


def _bytes(reply: bytes | str) -> bytes:
    return reply.encode() if isinstance(reply, str) else reply
