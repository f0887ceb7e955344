"""Mail through Amazon SES (API v2)."""

from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

from taskflow import config
from taskflow.outbound import amazon, mail
from taskflow.outbound.outcomes import Accepted, Deferred, Outcome, Rejected
from taskflow.process import resource

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_NAME = "Amazon SES"

_OF_THE_MAIL = frozenset({"BadRequestException", "MessageRejected", "ValidationException"})
"""What SES says of one mail; all else is of our account there, or of SES."""

_NOT_VERIFIED = "is not verified"
"""SES says MessageRejected of an address that is not verified there, too: of the sender's, or of
any as long as the account is in its sandbox."""


def send(message: EmailMessage) -> Outcome:
    """Hand a mail to Amazon SES, and return what it says."""
    if mail.is_international(message):
        return Rejected(f"{_NAME} takes no address with letters beyond ASCII")
    to, raw = mail.recipient(message), mail.raw(message)
    match amazon.asked(_NAME, lambda: _sent(to, raw)):
        case str(message_id):
            return Accepted(message_id)
        case Deferred() as deferred:
            return deferred
        case refusal:
            return _refusal(refusal)


def _sent(to: str, raw: bytes) -> object:
    answer: Any = client().send_email(
        Destination={"ToAddresses": [to]}, Content={"Raw": {"Data": raw}}
    )
    return answer.get("MessageId")


def _refusal(refusal: "ClientError") -> Rejected | Deferred:
    code, message = amazon.said(refusal)
    if code in amazon.THROTTLED:
        return Deferred(f"{_NAME} takes no more now: {code}", of_all=True)
    if code not in _OF_THE_MAIL:
        return Deferred(f"{_NAME} takes no mail: {code}", of_all=True)
    if _NOT_VERIFIED in message:
        sender = config.settings().mail_from
        is_ours = sender is not None and sender[1] in message
        whose = "the sender" if is_ours else "the recipient"
        return Deferred(f"{_NAME} has not verified {whose}", of_all=is_ours)
    return Rejected(f"{_NAME} refused the mail: {code}")


@resource(close=amazon.close)
def client() -> Any:  # noqa: ANN401 - as boto3 has it
    """Return this process's client of Amazon SES."""
    return amazon.client("sesv2", region=config.settings().aws_region)
