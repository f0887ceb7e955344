"""Providers that fail, hang and hang up at random, and remember what they took, and from whom."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import psutil
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from taskflow import clock
from tests.support.network.ports import a_free_port

Mood = Literal["accepts", "fails", "hangs", "hangs up"]
MOODS: Sequence[Mood] = ("accepts", "fails", "hangs", "hangs up")
WEIGHTS = (88, 4, 4, 4)
IS_AWAY = 0.02
"""How often a mail server says to a client that it closes."""

HANGS_S = (0.2, 3.0)
"""How long it says nothing, until it hangs up."""


@dataclass(frozen=True)
class Taken:
    """What a provider has taken: by which channel, its name and its receiver, when, and from whom.

    `pid` is None where who sent it had ended by then.
    """

    channel: str
    name: str
    receiver: str
    at_s: float
    pid: int | None


@dataclass
class Register:
    """What all providers have taken; they do anything while they are `moody`."""

    rng: random.Random
    senders: Callable[[], Sequence[int]]
    """The processes that send at present."""
    is_moody: bool = True
    taken: list[Taken] = field(default_factory=list[Taken])
    moods: Counter[str] = field(default_factory=Counter[str])

    def mood(self, channel: str) -> Mood:
        """Return what a provider does next."""
        mood = self.rng.choices(MOODS, WEIGHTS)[0] if self.is_moody else "accepts"
        self.moods[f"{channel} {mood}"] += 1
        return mood

    def is_away(self, channel: str) -> bool:
        """Say whether a provider takes nothing from anybody at present."""
        is_away = self.is_moody and self.rng.random() < IS_AWAY
        self.moods[f"{channel} is away"] += is_away
        return is_away

    def hangs_s(self) -> float:
        """Return for how long to say nothing."""
        return self.rng.uniform(*HANGS_S)

    def take(self, channel: str, name: str, receiver: str, *, port: int) -> None:
        """Remember what came from a port, whose connection is open."""
        pid = next((pid for pid in self.senders() if _has_port(pid, port)), None)
        self.taken.append(Taken(channel, name, receiver, clock.monotonic_s(), pid))


def _has_port(pid: int, port: int) -> bool:
    with suppress(psutil.Error):
        connections = psutil.Process(pid).net_connections("tcp4")
        return any(each.laddr and each.laddr.port == port for each in connections)
    return False


class _Mails:
    """The handler of a mail server."""

    def __init__(self, register: Register) -> None:
        self._register = register

    async def handle_MAIL(  # noqa: N802 - as aiosmtpd calls it
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a sender, or close."""
        del server, session, options
        if self._register.is_away("email"):
            return "421 4.3.2 closing"
        envelope.mail_from = address
        return "250 2.1.0 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        """Take a mail, or not."""
        transport: Any = server.transport
        match self._register.mood("email"):
            case "fails":
                return "451 4.3.0 not now"
            case "hangs":
                await asyncio.sleep(self._register.hangs_s())
                transport.abort()
            case "hangs up":
                transport.abort()
            case "accepts":
                assert isinstance(envelope.content, bytes)
                name = str(message_from_bytes(envelope.content)["Message-ID"])
                peer: Any = session.peer
                self._register.take("email", name, envelope.rcpt_tos[0], port=peer[1])
        return "250 2.0.0 Ok"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    register: Register

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: who asked may have been killed."""


class _Requests(BaseHTTPRequestHandler):
    """The handler of a push service and of webhooks: by path."""

    def do_POST(self) -> None:
        """Take a message, or not."""
        assert isinstance(self.server, _Server)
        register = self.server.register
        self.rfile.read(int(self.headers["Content-Length"]))
        channel = self.path.split("/")[1]
        mood = register.mood(channel)
        if mood == "hangs":
            threading.Event().wait(register.hangs_s())
        if mood in {"hangs", "hangs up"}:
            return
        if mood == "accepts":
            name = self.headers["webhook-id"] or self.headers["topic"]
            register.take(channel, name, self.path, port=self.client_address[1])
        self.send_response(200 if mood == "accepts" else 500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' own
        """Say nothing."""


@dataclass(frozen=True)
class Ports:
    """Where mail is sent through, and where browsers' push services and webhooks are."""

    mail: int
    http: int


@contextmanager
def moody_providers(register: Register) -> Generator[Ports]:
    """Run a mail server, and a server of `/web_push/…` and `/webhook/…`."""
    with ExitStack() as stack:
        mail = Controller(_Mails(register), hostname="127.0.0.1", port=a_free_port())
        mail.start()
        stack.callback(mail.stop)
        server = _Server(("127.0.0.1", 0), _Requests)
        server.register = register
        stack.callback(server.server_close)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        stack.callback(thread.join)
        stack.callback(server.shutdown)
        yield Ports(mail=mail.port, http=server.server_port)
