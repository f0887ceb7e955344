"""What the domain refuses; the docstring of an error is what its sender is told."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One invalid field: `pointer` is a JSON Pointer (RFC 6901) into what was sent."""

    pointer: str
    detail: str


class DomainError(Exception):
    """The request can't be carried out."""

    detail: ClassVar[str]

    def __init_subclass__(cls) -> None:
        """Take the error's own docstring as its message."""
        cls.detail = " ".join((cls.__doc__ or "").split())

    def __init__(self, detail: str | None = None) -> None:
        """Say `detail` in place of the docstring, where there is more to say."""
        super().__init__(detail or self.detail)


class InvalidContent(DomainError):
    """Some of what was sent is not valid; `errors` names each field."""

    def __init__(self, *errors: FieldError) -> None:
        """Name every invalid field."""
        super().__init__()
        self.errors = errors


class TaskNotFound(DomainError):
    """There is no such task."""


class TaskIsClosed(DomainError):
    """The task is completed, cancelled or deleted: there is nothing to be reminded of."""


class NoRecurrence(DomainError):
    """The task does not recur."""


class ReminderNotFound(DomainError):
    """There is no such reminder."""


class NotificationNotFound(DomainError):
    """There is no such notification."""


class FeedNotFound(DomainError):
    """There is no calendar at this address, or no more."""


class DestinationNotFound(DomainError):
    """There is no such destination of this user."""


class SessionNotFound(DomainError):
    """There is no such session of this user, or it has ended."""


class OutboundMessageNotFound(DomainError):
    """There is no such message to this destination."""


class LinkIsInvalid(DomainError):
    """The link is not one of a mail of ours, or too old; add the address again for a new one."""


class NoWebPush(DomainError):
    """Nothing is pushed to browsers here."""


class WebhookExists(DomainError):
    """There is a webhook to this address already."""


class WebhookIsDisabled(DomainError):
    """The webhook is switched off; switch it on first."""


class DeadLetterNotFound(DomainError):
    """There is no such dead letter."""


class DeadLetterIsSettled(DomainError):
    """The dead letter was sent again, delivered or discarded already."""


class NotAnEventOfOurs(DomainError):
    """What was delivered is no event of the log, and so can't be sent again."""


class ReplayNotFound(DomainError):
    """There is no such replay."""


class ReplayIsOver(DomainError):
    """The replay is done or was cancelled already."""


class TooManyReplays(DomainError):
    """There are many replays that are not done; wait for them, or cancel some."""


class NoKafka(DomainError):
    """There is no Kafka here, and so no topic to replay to."""


class VersionIsStale(DomainError):
    """This has changed since the version named in If-Match, or has none; read it again."""


class VersionIsExcluded(DomainError):
    """This stands at a version that If-None-Match excludes."""


class AccountNotFound(DomainError):
    """The account of this token does not exist."""


class AccountIsNotEmpty(DomainError):
    """The account has tasks already, and takes no other account's."""


class EmailIsTaken(DomainError):
    """There is already an account with this email."""


class InvalidCredentials(DomainError):
    """The email or the password is wrong."""


class InvalidRefreshToken(DomainError):
    """The refresh token is unknown, expired, or its session has ended; log in again."""


class TooManyAttempts(DomainError):
    """There were too many failed log-ins; try again later."""

    def __init__(self, retry_after_s: int) -> None:
        """Say after how many whole seconds the next attempt is checked."""
        super().__init__()
        self.retry_after_s = retry_after_s


class TooManyRegistrations(DomainError):
    """So many devices were registered that no more are today."""

    def __init__(self, retry_after_s: int) -> None:
        """Say after how many whole seconds another is registered."""
        super().__init__()
        self.retry_after_s = retry_after_s


class TooManyConfirmations(DomainError):
    """So many mails have asked to confirm an address that no more are sent today."""

    def __init__(self, retry_after_s: int) -> None:
        """Say after how many whole seconds another is sent."""
        super().__init__()
        self.retry_after_s = retry_after_s
