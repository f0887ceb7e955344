"""Notices, and mails of them."""

from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any
from uuid import UUID

from taskflow.domain.notices import Notice
from taskflow.outbound import mail
from taskflow.outbound.mail import Reader

ID = UUID("019ad3f0-8c00-7000-8000-0000000000aa")
TASK_ID = UUID("019ad3f0-8c00-7000-8000-0000000000bb")
NOW = datetime(2026, 11, 30, 17, 30, tzinfo=UTC)
READER = Reader(
    address="ada@example.com",
    zone="Europe/Berlin",
    unsubscribe_url="https://app.example/email/unsubscribe/a-token",
)


def a_notice(**changes: Any) -> Notice:  # noqa: ANN401 - what a notice has
    """Make a notice of a reminder, of now."""
    given: dict[str, Any] = {
        "id": ID,
        "title": "Buy milk",
        "message": None,
        "task_id": TASK_ID,
        "remind_at": NOW,
        "due_date": None,
        "created_at": NOW,
    }
    return Notice(**{**given, **changes})


def an_operators_notice(message: str, **changes: Any) -> Notice:  # noqa: ANN401 - as above
    """Make a notice by an operator."""
    return a_notice(title=None, message=message, task_id=None, remind_at=None, **changes)


def a_mail(address: str = READER.address, **changes: Any) -> EmailMessage:  # noqa: ANN401 - as above
    """Write the mail of a notice."""
    reader = Reader(address=address, zone="UTC", unsubscribe_url=READER.unsubscribe_url)
    return mail.of_notices([a_notice(**changes)], reader, now=NOW)
