"""Mails as they are written: reminders and messages of an operator, and the one that confirms."""

import re
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import idna
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from taskflow import config
from taskflow.domain.notices import Notice
from taskflow.process import resource

SUBJECT_MAX_CHARS = 100
"""Of what a user wrote in it: mailers show some sixty."""

LATE_FROM = timedelta(minutes=5)
"""From here on a reminder says how late it comes, and that its task was due: before, nobody would
notice."""

_UNTITLED = "Untitled task"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_INVISIBLE = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]")
"""What turns the direction of a text (UAX 9, 2), and what only older protocols had a use for."""

_JOINERS = {"\u200d", "\ufe0e", "\ufe0f", "\u20e3"}

_DIGESTS = UUID("b3a1f5de-6f0b-5d5e-9f0a-5a3a1f0c7f3d")
"""The namespace of the names of digests (RFC 9562, 5.5)."""


class _Policy(EmailPolicy):
    """SMTP's, with two headers written as they must be.

    EmailPolicy would decode an encoded word (RFC 2047) that is a part of a title, and encode
    addresses that do not fit a line.
    """

    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:  # noqa: ANN401 - as typeshed has it
        """Return a header as it is kept."""
        match name:
            case "Subject":
                is_plain = value.isascii() and "=?" not in value
                charset = "us-ascii" if is_plain else "utf-8"
                return name, Header(value, charset, header_name=name).encode()
            case "List-Unsubscribe":
                return name, value
            case _:
                return super().header_store_parse(name, value)


_POLICY = _Policy(linesep="\r\n", cte_type="7bit", refold_source="none")
_INTERNATIONAL = _Policy(linesep="\r\n", cte_type="7bit", refold_source="none", utf8=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who reads a mail: an address, a zone (IANA), and the link by which no more are sent.

    With a link of https, a mailer may follow it by itself (RFC 8058).
    """

    address: str
    zone: str
    unsubscribe_url: str


@dataclass(frozen=True, slots=True)
class _Item:
    """A notice as it is shown."""

    title: str
    lines: Sequence[str]
    facts: Sequence[str]
    url: str | None


def of_notices(notices: Sequence[Notice], reader: Reader, *, now: datetime) -> EmailMessage:
    """Write the mail that tells of a notice, or of several at once.

    Its Message-ID is the same for the same notices, so that a mailer shows one that comes twice as
    one; Amazon SES gives mails others.
    """
    items = [_item(notice, reader.zone, now=now) for notice in notices]
    if len(notices) == 1:
        [notice], [item] = notices, items
        name = notice.id
        heading = item.title
        subject = f"Reminder: {cut(item.title)}"
        if notice.title is None:
            subject = f"Message: {cut(' '.join(item.lines))}"
    else:
        name = uuid5(_DIGESTS, " ".join(sorted(str(notice.id) for notice in notices)))
        heading = _counted(notices)
        subject = f"{heading}: {cut(', '.join(item.title for item in items))}"
    message = _written(
        "notices",
        {
            "heading": heading,
            "items": items,
            "unsubscribe_url": reader.unsubscribe_url,
        },
        subject=subject,
        address=reader.address,
        name=name,
        now=now,
    )
    message["List-Unsubscribe"] = f"<{reader.unsubscribe_url}>"
    if reader.unsubscribe_url.startswith("https://"):
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return message


def to_confirm(
    address: str, url: str, refuse_url: str, *, name: UUID, now: datetime
) -> EmailMessage:
    """Write the mail that asks whoever reads an address whether reminders may be sent there.

    By the second link they are asked no more. Nothing in it is of who asked for it, so that nobody
    can have us write to strangers. Its Message-ID is made of the `name`.
    """
    return _written(
        "confirmation",
        {"heading": "Confirm this address", "url": url, "refuse_url": refuse_url},
        subject="Confirm this address for reminders from TaskFlow",
        address=address,
        name=name,
        now=now,
    )


def is_international(message: EmailMessage) -> bool:
    """Say whether the mail can only be handed to a server that knows SMTPUTF8 (RFC 6531)."""
    return not recipient(message).isascii()


def raw(message: EmailMessage) -> bytes:
    """Return a mail as it is sent, in ASCII unless its address is not."""
    return message.as_bytes(policy=_INTERNATIONAL if is_international(message) else _POLICY)


def recipient(message: EmailMessage) -> str:
    """Return the address that a mail is for."""
    return message["To"].addresses[0].addr_spec


def cut(text: str) -> str:
    """Return a text of one line in SUBJECT_MAX_CHARS: cut between words, if that leaves half."""
    if len(text) <= SUBJECT_MAX_CHARS:
        return text
    end = SUBJECT_MAX_CHARS - 1
    space = text.rfind(" ", SUBJECT_MAX_CHARS // 2, end + 1)
    if space >= 0:
        return f"{text[:space]}…"
    at = end
    while at > SUBJECT_MAX_CHARS // 2 and _is_inside(text, at):
        at -= 1
    return f"{text[: at if at > SUBJECT_MAX_CHARS // 2 else end]}…"


def _is_inside(text: str, at: int) -> bool:
    """Say whether a cut would part what is shown as one character (of UAX 29, what is common)."""
    before, after = text[at - 1], text[at]
    if after in _JOINERS or before == "\u200d" or unicodedata.category(after).startswith("M"):
        return True
    if "\U0001f3fb" <= after <= "\U0001f3ff" or "\U000e0020" <= after <= "\U000e007f":
        return True
    flags = re.search("[\U0001f1e6-\U0001f1ff]*$", text[:at])
    is_flag = "\U0001f1e6" <= after <= "\U0001f1ff"
    return is_flag and flags is not None and len(flags[0]) % 2 == 1


def in_words(at: datetime, zone: str) -> str:
    """Return a time of a zone: `Mon, 30 Nov 2026, 18:30 (Europe/Berlin, CET, UTC+01:00)`."""
    try:
        local = at.astimezone(ZoneInfo(zone))
    except OverflowError:
        # On the last day that there is, or the first.
        local, zone = at.astimezone(UTC), "UTC"
    day = f"{local:%a}, {local.day} {local:%b} {local.year}, {local:%H:%M}"
    if zone == "UTC":
        return f"{day} (UTC)"
    # Where nobody has an abbreviation, the database has the offset in its place.
    abbreviation = local.tzname() or ""
    names = [zone, *([abbreviation] if abbreviation.isalpha() else []), f"UTC{local:%z}"]
    names[-1] = f"{names[-1][:6]}:{names[-1][6:8]}"
    return f"{day} ({', '.join(names)})"


def how_long(span: timedelta) -> str:
    """Return a time span in its largest unit: `2 hours`."""
    for unit, length in (("day", timedelta(days=1)), ("hour", timedelta(hours=1))):
        if span >= length:
            return _of(span // length, unit)
    return _of(span // timedelta(minutes=1), "minute")


def _of(number: int, unit: str) -> str:
    return f"{number:,} {unit}{'' if number == 1 else 's'}"


def _counted(notices: Sequence[Notice]) -> str:
    reminders = sum(notice.title is not None for notice in notices)
    messages = len(notices) - reminders
    counts = [_of(n, unit) for n, unit in ((reminders, "reminder"), (messages, "message")) if n]
    return " and ".join(counts)


def _item(notice: Notice, zone: str, *, now: datetime) -> _Item:
    facts: list[str] = []
    if notice.due_date is not None:
        verb = "Was due" if now - notice.due_date >= LATE_FROM else "Due"
        facts.append(f"{verb}: {in_words(notice.due_date, zone)}")
    if notice.remind_at is not None and now - notice.remind_at >= LATE_FROM:
        late = how_long(now - notice.remind_at)
        facts.append(f"Meant for: {in_words(notice.remind_at, zone)}, {late} ago")
    title = "A message from the operator"
    if notice.title is not None:
        title = _plain(notice.title) or _UNTITLED
    url = None
    if notice.task_id is not None:
        url = f"{config.settings().public_url}/tasks/{notice.task_id}"
    lines = [_plain(line) for line in (notice.message or "").strip().splitlines()]
    return _Item(title=title, lines=lines, facts=facts, url=url)


def _plain(line: str) -> str:
    """Return one line that shows what it says, in the order in which it says it."""
    return " ".join(_CONTROL.sub(" ", _INVISIBLE.sub("", line)).split())


def _written(
    template: str, content: dict[str, Any], *, subject: str, address: str, name: UUID, now: datetime
) -> EmailMessage:
    sender = config.settings().mail_from
    if sender is None:
        message = "SMTP_HOST: is needed to send mail, or SES_FROM"
        raise config.InvalidSetting(message)
    sender_name, sender_address = sender
    message = EmailMessage(policy=_POLICY)
    message["From"] = Address(sender_name, addr_spec=sender_address)
    message["To"] = _address(address)
    message["Subject"] = subject
    message["Date"] = now
    message["Message-ID"] = f"<{name}@{sender_address.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_templates().get_template(f"{template}.txt").render(content))
    html = _templates().get_template(f"{template}.html").render(content)
    message.add_alternative(html, subtype="html")
    return message


def _address(text: str) -> Address:
    """Return an address with its domain as the DNS has it."""
    local, _, domain = text.rpartition("@")
    # Of what is no name of the DNS, whoever is to deliver it says so.
    with suppress(idna.IDNAError):
        domain = idna.encode(domain, uts46=True).decode("ascii")
    return Address(username=local, domain=domain)


@resource(is_shared_by_forks=True)
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("taskflow.outbound"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
