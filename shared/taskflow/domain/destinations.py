"""Destinations: where a user has messages sent to who is not looking at TaskFlow."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self, get_args
from uuid import UUID

from taskflow.domain import representations
from taskflow.domain.text import JsonObject


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
"""The longest pause after the first failure of a message, and after any; each time the double."""

RETRY_AFTER_MAX_S = 24 * 3600.0
"""How long a provider may ask to be left alone."""

GIVES_UP_AFTER = {
    Channel.EMAIL: timedelta(hours=24),
    Channel.PUSH: timedelta(hours=24),
    Channel.WEB_PUSH: timedelta(hours=24),
    Channel.WEBHOOK: timedelta(hours=72),
}
"""How long after its first failure a message is given up, where others get through."""

EXPIRES_AFTER = timedelta(days=7)
"""How old a message gets, where its provider was away: later than so it tells nothing of use."""

DISABLED_AFTER = timedelta(days=5)
"""How long a destination may fail until nothing is sent there any more."""


TELLS = frozenset(Channel(name) for name in get_args(representations.Channel))
"""The channels by which a user is told of reminders and messages, each if they want it so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A destination as it stands.

    `address` is the mailbox, the URL or the provider's own name; `details` is what the channel
    needs beside. It has been `failing_since`, without a message that got through.
    """

    id: UUID
    user_id: str
    channel: Channel
    address: str
    details: JsonObject
    state: State
    created_at: datetime
    failing_since: datetime | None = None
    disabled_because: str | None = None

    def accepted(self) -> Self:
        """Return it as one that has taken a message."""
        return replace(self, failing_since=None)

    def failed(self, reason: str, *, is_gone: bool, now: datetime) -> Self:
        """Return it as one that has not taken a message, disabled where that is for good."""
        since = self.failing_since or now
        if is_gone or now - since >= DISABLED_AFTER:
            return replace(self, failing_since=since, state=State.DISABLED, disabled_because=reason)
        return replace(self, failing_since=since)


def retry_pause_s(attempts: int, jitter: float, retry_after_s: float | None = None) -> float:
    """Return how many seconds to leave a message alone that has failed so often, at least once.

    `jitter` is a random number from 0 to 1: between the half and the whole of the pause. What the
    provider asks for is heeded.
    """
    whole = min(RETRY_MAX_S, FIRST_RETRY_S * 2.0 ** min(attempts - 1, 30))
    pause = whole * (1 + jitter) / 2
    return max(pause, min(retry_after_s or 0.0, RETRY_AFTER_MAX_S))
