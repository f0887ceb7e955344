"""What a provider may do, by each channel: what its user gets then, and what the rows say (N3-N6).

    .venv/bin/python -m tests.support.outbound.what_providers_do

writes it into `docs/notifications.md`, as `make docs` does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.support.outbound.local_providers import PROVIDERS, Provider
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "notifications.md"
BEGIN, END = "<!-- `make docs` writes from here -->", "<!-- to here. -->"

SMTP, SES, SNS, WEB_PUSH, WEBHOOKS = PROVIDERS

Behaviour = Literal[
    "accepts",
    "hangs",
    "is away",
    "has it, and hangs",
    "fails",
    "throttles",
    "refuses the address",
    "refuses the message",
    "accepts, and we are killed",
]


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a provider does, once; then it takes everything.

    `says` is as the local providers have it. The message is `sent`, `failed`, `pending` after a
    failure, `unsure` where nobody knows whether it was taken, or `held` by who was killed; the
    address `active`, `failing` or `disabled`. Where all `wait`, nothing is sent to anybody by this
    channel for a while. `got` says how often its user gets the message in the end, each time under
    the same name.
    """

    does: Behaviour
    says: str
    message: Literal["sent", "failed", "pending", "unsure", "held"]
    reason: str | None
    address: Literal["active", "failing", "disabled"]
    got: int
    all_wait: bool = False
    asks_for_s: float | None = None


def _taken(says: str = "") -> Row:
    return Row(does="accepts", says=says, message="sent", reason=None, address="active", got=1)


def _of_it(
    does: Behaviour, says: str, reason: str, *, got: int = 1, asks_for_s: float | None = None
) -> Row:
    """Return a row of what passes, of this address alone."""
    return Row(
        does=does,
        says=says,
        message="pending",
        reason=reason,
        address="failing",
        got=got,
        asks_for_s=asks_for_s,
    )


def _unsure(does: Behaviour, reason: str, *, got: int) -> Row:
    """Return a row of what may have been taken."""
    return Row(does=does, says="", message="unsure", reason=reason, address="failing", got=got)


def _of_all(does: Behaviour, says: str, reason: str, *, got: int = 1) -> Row:
    """Return a row of what passes, and is the same for all of the channel."""
    return Row(
        does=does,
        says=says,
        message="pending",
        reason=reason,
        address="active",
        got=got,
        all_wait=True,
    )


def _refused(does: Behaviour, says: str, reason: str) -> Row:
    """Return a row of what this message is refused for."""
    return Row(does=does, says=says, message="failed", reason=reason, address="active", got=0)


def _gone(does: Behaviour, says: str, reason: str) -> Row:
    """Return a row of what all messages to this address are refused for."""
    return Row(does=does, says=says, message="failed", reason=reason, address="disabled", got=0)


def _killed(says: str = "") -> Row:
    does: Behaviour = "accepts, and we are killed"
    return Row(does=does, says=says, message="held", reason=None, address="active", got=2)


EXPECTED: Mapping[Provider, Sequence[Row]] = {
    SMTP: [
        _taken(),
        _of_all("hangs", "", "the mail server did not answer in time"),
        _of_all("is away", "", "the mail server can't be reached"),
        _unsure("has it, and hangs", "the mail server did not say whether it took the mail", got=2),
        _of_it("fails", "RCPT: 451 4.3.0", "the mail server refused the recipient: 451 4.3.0"),
        _of_it("fails", "DATA: 451 4.3.0", "the mail server refused the mail: 451 4.3.0"),
        _of_it("throttles", "RCPT: 450 4.2.0", "the mail server refused the recipient: 450 4.2.0"),
        _of_all("throttles", "MAIL: 450 4.7.0", "the mail server refused the sender: 450 4.7.0"),
        _of_it("throttles", "RCPT: 421 4.7.0", "the mail server refused the recipient: 421 4.7.0"),
        _gone(
            "refuses the address",
            "RCPT: 550 5.1.1",
            "the mail server refused the recipient: 550 5.1.1",
        ),
        _refused(
            "refuses the message",
            "RCPT: 550 5.7.1",
            "the mail server refused the recipient: 550 5.7.1",
        ),
        _refused(
            "refuses the message", "DATA: 554 5.6.0", "the mail server refused the mail: 554 5.6.0"
        ),
        _killed(),
    ],
    SES: [
        _taken(),
        _unsure("hangs", "Amazon SES did not say whether it took it: ReadTimeoutError", got=1),
        _of_all("is away", "", "Amazon SES can't be reached: EndpointConnectionError"),
        _unsure(
            "has it, and hangs",
            "Amazon SES did not say whether it took it: ReadTimeoutError",
            got=2,
        ),
        _of_all("fails", "500 InternalFailure", "Amazon SES takes no mail: InternalFailure"),
        _of_all(
            "throttles",
            "429 TooManyRequestsException",
            "Amazon SES takes no more now: TooManyRequestsException",
        ),
        _of_all("throttles", "400 Throttling", "Amazon SES takes no more now: Throttling"),
        _refused(
            "refuses the address",
            "400 MessageRejected",
            "Amazon SES refused the mail: MessageRejected",
        ),
        _refused(
            "refuses the message",
            "400 BadRequestException",
            "Amazon SES refused the mail: BadRequestException",
        ),
        _killed(),
    ],
    SNS: [
        _taken(),
        _unsure("hangs", "Amazon SNS did not say whether it took it: ReadTimeoutError", got=1),
        _of_all("is away", "", "Amazon SNS can't be reached: EndpointConnectionError"),
        _unsure(
            "has it, and hangs",
            "Amazon SNS did not say whether it took it: ReadTimeoutError",
            got=2,
        ),
        _of_all("fails", "500 InternalError", "Amazon SNS takes nothing: InternalError"),
        _of_all("throttles", "429 Throttled", "Amazon SNS takes no more now: Throttled"),
        _gone("refuses the address", "400 EndpointDisabled", "the device is registered no more"),
        _gone("refuses the address", "404 NotFound", "the device is registered no more"),
        _refused(
            "refuses the message", "400 InvalidParameter", "Amazon SNS refused it: InvalidParameter"
        ),
        _killed(),
    ],
    WEB_PUSH: [
        _taken("201"),
        _of_it("hangs", "", "there was no answer in time"),
        _of_it("is away", "", "no connection could be made"),
        _of_it("has it, and hangs", "201", "there was no answer in time", got=2),
        _of_it("fails", "500", "the push service answered 500"),
        _of_it(
            "throttles", "429 Retry-After: 1800", "the push service answered 429", asks_for_s=1800
        ),
        _gone("refuses the address", "410", "the browser is subscribed no more"),
        _gone("refuses the address", "404", "the browser is subscribed no more"),
        _refused("refuses the message", "413", "the push service takes no message of that size"),
        _killed("201"),
    ],
    WEBHOOKS: [
        _taken("204"),
        _of_it("hangs", "", "there was no answer in time"),
        _of_it("is away", "", "no connection could be made"),
        _of_it("has it, and hangs", "200", "there was no answer in time", got=2),
        _of_it("fails", "500", "the endpoint answered 500"),
        _of_it("throttles", "429 Retry-After: 1800", "the endpoint answered 429", asks_for_s=1800),
        _gone("refuses the address", "410", "the endpoint answered 410, it is gone"),
        _of_it("refuses the message", "413", "the endpoint answered 413"),
        _killed("200"),
    ],
}

_HEAD = ("the provider", "the message", "because", "the address", "the channel", "its user gets it")
_MESSAGES = {
    "sent": "is sent",
    "failed": "has failed",
    "pending": "is tried again",
    "unsure": "is sent again after ten minutes, four times at most",
    "held": "is sent again after two minutes",
}
_ADDRESSES = {"active": "", "failing": "is failing", "disabled": "is disabled"}
_GOT = ("never", "once", "twice")


def with_table(page: str) -> str:
    """Return a page with the tables in it, one for each channel."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    parts = [
        "\n".join(
            [f"### {by.title}", "", _cells(_HEAD), "|---" * len(_HEAD) + "|", *map(_line, rows)]
        )
        for by, rows in EXPECTED.items()
    ]
    return "\n\n".join([before + BEGIN, *parts, END + after])


def _line(row: Row) -> str:
    return _cells(
        (
            f"{row.does}: `{row.says}`" if row.says else row.does,
            _MESSAGES[row.message],
            row.reason or "",
            _ADDRESSES[row.address],
            "waits" if row.all_wait else "",
            _GOT[row.got],
        )
    )


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
