"""How an event is delivered to a consumer: KafkaSource's contract, and one attempt at it."""

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

RETRIES = 8
"""With the delays below, about a minute until an event is given up to the dead letters."""

BACKOFF_DELAY = timedelta(milliseconds=200)
TIMEOUT = timedelta(seconds=10)
TICK_TIMEOUT = timedelta(minutes=2)
"""Of a cron function, whose run may outlast its minute."""

_RETRIED = frozenset({404, 408, 409, 429})


class Outcome(Enum):
    """What an answer means to a source."""

    DONE = "done"
    AGAIN = "again"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a subscriber answered; status None is no answer at all, within TIMEOUT."""

    status: int | None
    text: str

    @property
    def outcome(self) -> Outcome:
        """Read the answer as KafkaSource does: below 300 done, 5xx and a few others again."""
        if self.status is None or self.status >= 500 or self.status in _RETRIED:  # noqa: PLR2004 - server errors
            return Outcome.AGAIN
        return Outcome.DONE if self.status < 300 else Outcome.NEVER  # noqa: PLR2004 - successes

    @property
    def reason(self) -> int | str:
        """The status, or why there is none: what may be logged; the text may quote the event."""
        return self.text if self.status is None else self.status


def backoff(attempt: int) -> timedelta:
    """Return how long to wait after the attempt of this number, from 1: exponential."""
    return BACKOFF_DELAY * 2 ** (attempt - 1)
