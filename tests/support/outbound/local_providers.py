"""A provider of each channel on this machine, which says what a test has it say."""

import json
import re
from base64 import b64decode
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from email import message_from_bytes
from typing import Any, Protocol
from urllib.parse import parse_qs

from taskflow.domain.destinations import Channel, Destination
from taskflow.domain.notices import TOLD_OF
from taskflow.outbound import webhooks
from tests.support.data.builders import log_of
from tests.support.data.destinations import a_destination
from tests.support.network.browser import Browser
from tests.support.network.endpoint import LOOPBACK, Endpoint, Request, an_endpoint
from tests.support.network.mail_servers import MailServer, a_mail_server

REGION = "eu-central-1"
APPLICATION = f"arn:aws:sns:{REGION}:123456789012:app/GCM/taskflow"
MAIL = {
    "public_url": "https://tasks.example",
    "link_secret": "a secret for tests, and for nothing else at all",
}
SENDER = "TaskFlow <reminders@tasks.example>"

Names = Sequence[str]
"""Of the messages that a provider has taken, one for each time."""


class Asked(Protocol):
    """What a provider was asked, and what it has taken."""

    @property
    def times(self) -> int:
        """How often it was asked to take a message."""
        ...

    @property
    def names(self) -> Names:
        """The name of each message that it has taken, as often as it has taken it."""
        ...


class Provider(Protocol):
    """A channel, and who takes its messages at a port of this machine."""

    title: str
    channel: Channel

    def settings(self, port: int) -> dict[str, Any]:
        """Return the settings by which messages go there."""
        ...

    def destination(self, user_id: str, port: int) -> Destination:
        """Give a user a destination there, to which one message is sent of each reminder."""
        ...

    @contextmanager
    def serving(
        self, port: int, says: str = "", meanwhile: Callable[[], object] | None = None
    ) -> Generator[Asked]:
        """Run it, saying this, and that it has taken the message where it is to say nothing."""
        ...


class _Mails:
    def __init__(self, server: MailServer) -> None:
        self._server = server

    @property
    def times(self) -> int:
        return self._server.commands.count("MAIL")

    @property
    def names(self) -> Names:
        return [_message_id(envelope.content) for envelope in self._server.mails]


class Smtp:
    """A mail server; `RCPT: 450 4.2.0` is its reply to a command, without a reply it hangs up."""

    title = "Email by SMTP"
    channel = Channel.EMAIL

    def settings(self, port: int) -> dict[str, Any]:
        """Return the settings by which messages go there."""
        return {
            "smtp_host": "127.0.0.1",
            "smtp_port": port,
            "smtp_security": "none",
            "smtp_from": SENDER,
            **MAIL,
        }

    def destination(self, user_id: str, port: int) -> Destination:
        """Give a user a mailbox."""
        del port
        return a_destination(user_id, self.channel, "me@example.com")

    @contextmanager
    def serving(
        self, port: int, says: str = "", meanwhile: Callable[[], object] | None = None
    ) -> Generator[Asked]:
        """Run it."""
        with a_mail_server(port=port) as server:
            if says:
                command, _, reply = says.partition(":")
                server.replies[command] = f"{reply.strip()} no" if reply else None
            server.meanwhile = meanwhile
            yield _Mails(server)


class _Requests:
    def __init__(self, endpoint: Endpoint, name_of: Callable[[Request], str]) -> None:
        self._endpoint = endpoint
        self._name_of = name_of

    @property
    def times(self) -> int:
        return len(self._endpoint.requests)

    @property
    def names(self) -> Names:
        if self._endpoint.status // 100 != 2:
            return []
        return [self._name_of(request) for request in self._endpoint.requests]


class _OfUsers:
    """A server that a user names; it says `429 Retry-After: 1800`."""

    channel: Channel

    def settings(self, port: int) -> dict[str, Any]:
        """Return the settings by which messages go there."""
        del port
        return {
            "outbound_allowed_networks": LOOPBACK,
            "vapid_private_key": "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw",
            "vapid_subject": "mailto:ops@app.example",
        }

    @contextmanager
    def serving(
        self, port: int, says: str = "", meanwhile: Callable[[], object] | None = None
    ) -> Generator[Asked]:
        """Run it."""
        status, _, header = says.partition(" ")
        name, _, value = header.partition(": ")
        with an_endpoint(int(status or 200), port=port) as endpoint:
            endpoint.headers = {name: value} if header else {}
            endpoint.meanwhile = meanwhile
            yield _Requests(endpoint, self._name_of)

    def _name_of(self, request: Request) -> str:
        raise NotImplementedError


class WebPush(_OfUsers):
    """The push service of a browser."""

    title = "Web Push"
    channel = Channel.WEB_PUSH

    def destination(self, user_id: str, port: int) -> Destination:
        """Give a user a browser."""
        subscription = Browser().subscription(f"http://127.0.0.1:{port}/push")
        return a_destination(user_id, self.channel, subscription["endpoint"], **subscription)

    def _name_of(self, request: Request) -> str:
        return request.headers["topic"]


class Webhooks(_OfUsers):
    """The endpoint of a webhook."""

    title = "Webhooks"
    channel = Channel.WEBHOOK

    def destination(self, user_id: str, port: int) -> Destination:
        """Give a user a webhook for what is told of reminders."""
        return a_destination(
            user_id,
            self.channel,
            f"http://127.0.0.1:{port}/hook",
            seq=len(log_of(user_id)),
            secrets=[{"secret": webhooks.new_secret(), "until": None}],
            event_types=[TOLD_OF[0].value],
        )

    def _name_of(self, request: Request) -> str:
        return request.headers["webhook-id"]


class Ses:
    """Amazon SES; it says `400 MessageRejected`."""

    title = "Email by Amazon SES"
    channel = Channel.EMAIL

    def settings(self, port: int) -> dict[str, Any]:
        """Return the settings by which messages go there."""
        del port
        return {"ses_from": SENDER, "aws_region": REGION, **MAIL}

    def destination(self, user_id: str, port: int) -> Destination:
        """Give a user a mailbox."""
        del port
        return a_destination(user_id, self.channel, "me@example.com")

    @contextmanager
    def serving(
        self, port: int, says: str = "", meanwhile: Callable[[], object] | None = None
    ) -> Generator[Asked]:
        """Run it."""
        status, _, code = says.partition(" ")
        with an_endpoint(int(status or 200), port=port) as endpoint:
            endpoint.headers = {"Content-Type": "application/json", "x-amzn-ErrorType": code}
            endpoint.body = b'{"MessageId": "its name", "message": "no"}'
            endpoint.meanwhile = meanwhile
            yield _Requests(endpoint, self._name_of)

    @staticmethod
    def _name_of(request: Request) -> str:
        return _message_id(b64decode(json.loads(request.body)["Content"]["Raw"]["Data"]))


class Sns:
    """Amazon SNS; it says `400 EndpointDisabled`."""

    title = "Push by Amazon SNS"
    channel = Channel.PUSH

    def settings(self, port: int) -> dict[str, Any]:
        """Return the settings by which messages go there."""
        del port
        return {"sns_platform_application_arn": APPLICATION}

    def destination(self, user_id: str, port: int) -> Destination:
        """Give a user a device."""
        del port
        arn = APPLICATION.replace(":app/", ":endpoint/") + "/a-device"
        return a_destination(user_id, self.channel, arn)

    @contextmanager
    def serving(
        self, port: int, says: str = "", meanwhile: Callable[[], object] | None = None
    ) -> Generator[Asked]:
        """Run it."""
        status, _, code = says.partition(" ")
        with an_endpoint(int(status or 200), port=port) as endpoint:
            endpoint.headers = {"Content-Type": "text/xml"}
            taken = "<PublishResult><MessageId>its name</MessageId></PublishResult>"
            refused = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
            root, content = ("ErrorResponse", refused) if code else ("PublishResponse", taken)
            xml = f'<{root} xmlns="http://sns.amazonaws.com/doc/2010-03-31/">{content}</{root}>'
            endpoint.body = xml.encode()
            endpoint.meanwhile = meanwhile
            yield _Requests(endpoint, self._name_of)

    @staticmethod
    def _name_of(request: Request) -> str:
        [message] = parse_qs(request.body.decode())["Message"]
        return json.loads(json.loads(message)["APNS"])["notice_id"]


PROVIDERS: Sequence[Provider] = (Smtp(), Ses(), Sns(), WebPush(), Webhooks())


def _message_id(content: bytes | str | None) -> str:
    assert isinstance(content, bytes)
    found = message_from_bytes(content)["Message-ID"]
    assert re.fullmatch(r"<\S+@tasks\.example>", found)
    return found
