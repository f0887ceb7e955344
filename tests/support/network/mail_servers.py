"""Mail servers: a real one (aiosmtpd), and one that says what a test has it say."""

import asyncio
import socketserver
import ssl
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.network.ports import a_free_port

NAME = "mail.example"


@dataclass
class MailServer:
    """A mail server, what it was given, and how a test has it answer.

    `replies` has what is said to a command (MAIL, RCPT, RSET, DATA) in place of the usual; None
    closes the connection without a word. Once it has a mail, it does what is to be done
    `meanwhile`, before it says so.
    """

    host: str
    port: int
    password: str | None
    mails: list[Envelope] = field(default_factory=list[Envelope])
    commands: list[str] = field(default_factory=list[str])
    """What it was asked by all clients: MAIL, RCPT, RSET, DATA and QUIT."""
    peers: set[str] = field(default_factory=set[str])
    names: set[str] = field(default_factory=set[str])
    """What clients call themselves."""
    log_ins: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    replies: dict[str, str | None] = field(default_factory=dict[str, "str | None"])
    meanwhile: Callable[[], object] | None = None
    waits_s: float = 0.0
    """How long it thinks about a sender."""
    refuses: Callable[[bytes], bytes | Literal[False]] = lambda _content: False
    """Returns what is said in place of taking a mail of this content, if that is refused."""

    async def handle_EHLO(  # noqa: N802 - as aiosmtpd calls it
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, replies: list[str]
    ) -> list[str]:
        """Take a client's name."""
        del server, envelope
        self.peers.add(str(session.peer))
        self.names.add(hostname)
        session.host_name = hostname
        return replies

    async def handle_MAIL(  # noqa: N802 - as above
        self, server: SMTP, _: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a sender."""
        await asyncio.sleep(self.waits_s)
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self._reply("MAIL", server, "250 OK")

    async def handle_RCPT(  # noqa: N802 - as above
        self, server: SMTP, _: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient."""
        del options
        envelope.rcpt_tos.append(address)
        return self._reply("RCPT", server, "250 OK")

    async def handle_RSET(self, server: SMTP, _: Session, __: Envelope) -> str:  # noqa: N802 - as above
        """Forget what was begun."""
        return self._reply("RSET", server, "250 OK")

    async def handle_QUIT(self, server: SMTP, _: Session, __: Envelope) -> str:  # noqa: N802 - as above
        """Take leave of a client."""
        return self._reply("QUIT", server, "221 Bye")

    async def handle_DATA(self, server: SMTP, _: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        """Take a mail."""
        assert isinstance(envelope.content, bytes)
        refusal = self.refuses(envelope.content)
        usual = refusal.decode() if refusal else f"250 2.0.0 Ok: queued as {len(self.mails) + 1}A"
        reply = self._reply("DATA", server, usual)
        if reply.startswith("250"):
            self.mails.append(envelope)
            if self.meanwhile is not None:
                self.meanwhile()
        return reply

    def log_in(self, *arguments: Any) -> AuthResult:  # noqa: ANN401 - as aiosmtpd calls it
        """Say whether a client has the password."""
        given: LoginPassword = arguments[-1]
        self.log_ins.append((given.login, given.password))
        return AuthResult(success=given.password == (self.password or "").encode(), handled=False)

    def _reply(self, command: str, server: SMTP, usual: str) -> str:
        self.commands.append(command)
        reply = self.replies.get(command, usual)
        if reply is None:
            transport: Any = server.transport
            transport.abort()
            return usual
        return reply


@contextmanager
def a_mail_server(
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    starttls: ssl.SSLContext | None = None,
    implicit_tls: ssl.SSLContext | None = None,
    password: str | None = None,
    is_international: bool = False,
) -> Generator[MailServer]:
    """Run a mail server; with a password, for those alone who log in, which takes STARTTLS."""
    server = MailServer(host, port or a_free_port(), password)
    controller = Controller(
        server,
        hostname=host,
        port=server.port,
        server_hostname=NAME,
        ssl_context=implicit_tls,
        tls_context=starttls,
        require_starttls=starttls is not None,
        auth_required=password is not None,
        authenticator=server.log_in,
        enable_SMTPUTF8=is_international,
    )
    controller.start()
    try:
        yield server
    finally:
        controller.stop()


@dataclass
class ScriptedServer:
    """A server that says what it is told to: `""` to say nothing, and wait.

    `replies` has what it answers to a command, to the end of a mail (`.`), and to a client that
    has come (`greeting`); to all else it says `250 OK`.
    """

    port: int
    replies: Mapping[str, str]
    lines: list[str] = field(default_factory=list[str])
    """What it was told by all clients."""

    def answer(self, command: str) -> bytes:
        """Return what it says."""
        usual = {"greeting": f"220 {NAME}", "data": "354 Go on", "quit": "221 Bye"}
        reply = self.replies.get(command, usual.get(command, "250 OK"))
        return f"{reply}\r\n".encode() if reply else b""


@contextmanager
def a_scripted_server(replies: Mapping[str, str]) -> Generator[ScriptedServer]:
    """Run a server that says what it is told to, in plain text."""
    script = ScriptedServer(a_free_port(), replies)

    class Client(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with suppress(ConnectionError):
                self.wfile.write(script.answer("greeting"))
                command, is_mail = "", False
                while raw := self.rfile.readline():
                    line = raw.decode("latin-1").rstrip("\r\n")
                    script.lines.append(line)
                    if not is_mail or line == ".":
                        command = line.partition(" ")[0].lower()
                        self.wfile.write(script.answer(command))
                        is_mail = command == "data" and "data" not in script.replies
                    if command == "quit":
                        break

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True

    with Server(("127.0.0.1", script.port), Client) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield script
        server.shutdown()
        thread.join()
