"""Destinations: where a user has messages sent to who is not looking at TaskFlow."""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self, get_args
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from taskflow.domain import representations
from taskflow.domain.accounts import Email
from taskflow.domain.identifiers import IdText, new_id
from taskflow.domain.text import JsonObject
from taskflow.domain.times import TimeText, rfc3339


class Channel(StrEnum):
    """The way a message takes to who is not looking at TaskFlow."""

    EMAIL = "email"
    PUSH = "push"
    WEB_PUSH = "web_push"
    WEBHOOK = "webhook"


class State(StrEnum):
    """Whether messages are sent to a destination."""

    UNCONFIRMED = "unconfirmed"
    ACTIVE = "active"
    DISABLED = "disabled"


FIRST_RETRY_S, RETRY_MAX_S = 30.0, 3600.0
"""The longest pause after the first failure, and after any; each time the double. A message has its
own pauses, and so has a destination: of those that wait for it, it is not asked one by one."""

RETRY_AFTER_MAX_S = 24 * 3600.0
"""How long a provider may ask to be left alone."""

GIVES_UP_AFTER = {
    Channel.EMAIL: timedelta(hours=24),
    Channel.PUSH: timedelta(hours=24),
    Channel.WEB_PUSH: timedelta(hours=24),
    Channel.WEBHOOK: timedelta(hours=72),
}
"""How long after its first failure a message is given up, where others get through."""

UNSURE_MAX = 4
"""How often a message is sent whose provider never says whether it has taken it."""

UNSURE_PAUSE_S = 600.0
"""How long it is left alone then, at least: a mail server may take so long to say so (RFC 5321,
4.5.3.2.6)."""

EXPIRES_AFTER = timedelta(days=7)
"""How old a message gets, where its provider was away: later than so it tells nothing of use."""

FAILING_DAYS_MAX = 5
"""On how many days, each 24 hours after the one before, a destination fails until nothing is sent
there any more."""

DESTINATIONS_MAX = 10
"""Of each channel, for a user."""

CONFIRMATIONS_OF_USER_MAX = 5
CONFIRMATIONS_OF_ADDRESS_MAX = 3
"""How many mails that ask to confirm an address are sent, for a user and to an address, in
CONFIRMATIONS_WINDOW: whoever gets them has not asked for any."""

CONFIRMATIONS_WINDOW = timedelta(days=1)

CONFIRMATIONS_OF_ADDRESS_LONG_MAX, CONFIRMATIONS_LONG_WINDOW = 10, timedelta(days=30)
"""And to an address in a longer time: who asks each day asks somebody who does not want it."""

REGISTRATIONS_MAX = 50
"""How often a user has devices registered in REGISTRATIONS_WINDOW; an app may do so whenever it
starts."""

REGISTRATIONS_WINDOW = timedelta(days=1)

DEVICE_TOKEN_MAX_CHARS = 4096
"""More than Apple and Google give."""

UNSUBSCRIBED = "you unsubscribed"
"""Why an address is disabled whose owner has followed the link in a mail."""

REFUSED = "the owner of the address wants to be asked no more"
"""Why an address is disabled, or not taken, whose owner has said so."""

ENDED_BY_USER = frozenset({UNSUBSCRIBED, REFUSED})
"""Why destinations that tell are disabled where their reader wanted it so: nothing has failed."""

_MAILBOX_HASH_BYTES = 16

_A_DAY = timedelta(days=1)


def _printable(address: str) -> str:
    if not address.isprintable():
        raise PydanticCustomError("email", "must be an email address")
    return address


MailAddress = Annotated[Email, AfterValidator(_printable)]
"""An address that mail is sent to: of its characters none moves or hides the others."""

TELLS = frozenset(Channel(name) for name in get_args(representations.Channel))
"""The channels by which a user is told of reminders and messages, each if they want it so."""

OF_ONE_USER = frozenset({Channel.PUSH, Channel.WEB_PUSH})
"""The channels in which an address is a device's, or a browser's, and so of the user who has signed
in there last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A destination as it stands.

    `address` is the mailbox, the URL or the provider's own name; `details` is what the channel
    needs beside. It has been `failing_since`, without a message that got through: on
    `failing_days`, of which the last began at `failing_day`, and `failures` times. Nothing is
    tried until `rests_until`. It `is_quick` if the last message got through, and in good time;
    None before the first. A higher `revision` is sent to otherwise: what was to be sent by one
    before begins anew. A higher `generation` was added anew after its end: it is to be confirmed
    anew.
    """

    id: UUID
    user_id: str
    channel: Channel
    address: str
    details: JsonObject
    state: State
    created_at: datetime
    failing_since: datetime | None = None
    failing_days: int = 0
    failing_day: datetime | None = None
    failures: int = 0
    rests_until: datetime | None = None
    is_quick: bool | None = None
    disabled_because: str | None = None
    revision: int = 0
    generation: int = 0

    @classmethod
    def new(
        cls, user_id: str, channel: Channel, address: str, details: JsonObject, *, now: datetime
    ) -> Self:
        """Return a new one; only an address of email is to be confirmed by its owner."""
        return cls(
            id=new_id(now),
            user_id=user_id,
            channel=channel,
            address=address,
            details=details,
            state=State.UNCONFIRMED if channel is Channel.EMAIL else State.ACTIVE,
            created_at=now,
        )

    @property
    def mailbox(self) -> str:
        """The address without what many providers let its owner add, `me+lists@example.com`."""
        local, _, domain = self.address.rpartition("@")
        return f"{local.partition('+')[0]}@{domain}"

    @property
    def mailbox_hash(self) -> bytes:
        """What the mailbox is known by where nobody is to read it."""
        return hashlib.sha256(f"mailbox {self.mailbox}".encode()).digest()[:_MAILBOX_HASH_BYTES]

    def added_again(self, wanted: Self) -> Self:
        """Return it as its user has added it once more, with what `wanted` needs.

        One that was disabled begins anew.
        """
        again = replace(self, details=wanted.details, revision=self.revision + 1)
        if self.state is State.DISABLED:
            return replace(
                again.forgiven(),
                state=wanted.state,
                disabled_because=None,
                generation=self.generation + 1,
            )
        return again

    def confirmed(self) -> Self:
        """Return it as one that its owner has confirmed."""
        return replace(self.forgiven(), state=State.ACTIVE)

    def disabled(self, reason: str) -> Self:
        """Return it as one to which nothing is sent; where that is so, it stays as it is."""
        if self.state is State.DISABLED:
            return self
        return replace(self, state=State.DISABLED, disabled_because=reason, rests_until=None)

    def forgiven(self) -> Self:
        """Return it as one that has not failed."""
        return replace(
            self,
            failing_since=None,
            failing_days=0,
            failing_day=None,
            failures=0,
            rests_until=None,
        )

    def accepted(self, *, is_quick: bool) -> Self:
        """Return it as one that has taken a message, in good time or not."""
        return replace(self.forgiven(), is_quick=is_quick)

    def failed(
        self, reason: str, *, jitter: float, retry_after_s: float | None, now: datetime
    ) -> Self:
        """Return it as one that has not taken a message, and rests; disabled after days of that.

        `jitter` and `retry_after_s` are as for `retry_pause_s`.
        """
        is_new_day = self.failing_day is None or now - self.failing_day >= _A_DAY
        after = replace(
            self.rested(jitter=jitter, retry_after_s=retry_after_s, now=now),
            failing_since=self.failing_since or now,
            failing_days=self.failing_days + is_new_day,
            failing_day=now if is_new_day else self.failing_day,
        )
        return after.disabled(reason) if after.failing_days >= FAILING_DAYS_MAX else after

    def rested(self, *, jitter: float, retry_after_s: float | None, now: datetime) -> Self:
        """Return it as one that rests, of which it is not known whether it has failed."""
        failures = self.failures + 1
        pause = timedelta(seconds=retry_pause_s(failures, jitter, retry_after_s))
        return replace(self, failures=failures, rests_until=now + pause, is_quick=False)

    def gone(self, reason: str, *, now: datetime) -> Self:
        """Return it as one that takes nothing any more: disabled."""
        return replace(self, failing_since=self.failing_since or now).disabled(reason)


def retry_pause_s(failures: int, jitter: float, retry_after_s: float | None = None) -> float:
    """Return how many seconds to leave alone what has failed so often in a row, at least once.

    `jitter` is a random number from 0 to 1: between the half and the whole of the pause. What the
    provider asks for is heeded.
    """
    whole = min(RETRY_MAX_S, FIRST_RETRY_S * 2.0 ** min(failures - 1, 30))
    pause = whole * (1 + jitter) / 2
    return max(pause, min(retry_after_s or 0.0, RETRY_AFTER_MAX_S))


class DestinationRepresentation(TypedDict):
    """Where a user is told of reminders and messages, beside the inbox."""

    __pydantic_config__ = representations.example(
        {
            "id": "019ad3f0-8c00-7000-8000-000000000001",
            "channel": "email",
            "address": "somebody@example.com",
            "state": "unconfirmed",
            "created_at": "2026-11-30T09:00:00.000000Z",
            "failing_since": None,
            "disabled_because": None,
        }
    )  # pyright: ignore[reportGeneralTypeIssues] - as pydantic reads it

    id: Annotated[IdText, Field(description="The destination's id.")]
    channel: Annotated[representations.Channel, Field(description="The way that messages take.")]
    address: Annotated[
        str,
        Field(
            description="The mailbox; of a browser the host of its push service, of a device the"
            " service, such as `APNS`."
        ),
    ]
    state: Annotated[
        Literal["unconfirmed", "active", "disabled"],
        Field(
            description="`unconfirmed` until its owner has followed the link in a mail,"
            " `disabled` where nothing is sent any more."
        ),
    ]
    created_at: Annotated[TimeText, Field(description="When it was added.")]
    failing_since: Annotated[
        TimeText | None,
        Field(description="Since when no message has got through; null where the last one has."),
    ]
    disabled_because: Annotated[str | None, Field(description="Why it is disabled, if it is.")]


def represent(destination: Destination) -> DestinationRepresentation:
    """Return a destination that tells of reminders, without what others could send to it with."""
    since = destination.failing_since
    return {
        "id": str(destination.id),
        "channel": destination.channel.value,  # pyright: ignore[reportReturnType] - one that tells
        "address": _shown_address(destination),
        "state": destination.state.value,
        "created_at": rfc3339(destination.created_at),
        "failing_since": None if since is None else rfc3339(since),
        "disabled_because": destination.disabled_because,
    }


def _shown_address(destination: Destination) -> str:
    match destination.channel:
        case Channel.WEB_PUSH:
            return urlsplit(destination.address).hostname or ""
        case Channel.PUSH:
            # An ARN: `…:endpoint/APNS/application/id`.
            return destination.address.partition("/")[2].partition("/")[0]
        case _:
            return destination.address
