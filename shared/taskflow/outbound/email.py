"""Mail, through whoever sends it by the settings: an SMTP server, or Amazon SES."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from email.message import EmailMessage

from taskflow import config
from taskflow.outbound import ses, smtp
from taskflow.outbound.outcomes import Deferred, Outcome

Send = Callable[[EmailMessage], Outcome]


def is_configured() -> bool:
    """Say whether there is somebody to send mail through."""
    return config.settings().mail_from is not None


@contextmanager
def sending() -> Generator[Send]:
    """Yield what hands over a mail and returns what came of it, for the mails of one thread.

    They share a connection, which the block closes.
    """
    settings = config.settings()
    if settings.ses_from is not None:
        yield ses.send
    elif settings.smtp_host is not None:
        with smtp.Connection() as connection:
            yield connection.send
    else:
        yield _to_nobody


def _to_nobody(message: EmailMessage) -> Outcome:
    del message
    return Deferred("no mail server is set: SMTP_HOST, or SES_FROM", of_all=True)
