"""How a function reads deliveries and answers them: one module for each transport."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Outcome(Enum):
    """What becomes of a delivery."""

    DONE = "done"
    AGAIN = "again"
    """Not now: deliver it again, a little later."""
    NEVER = "never"
    """It will not work, however often it is tried: to the dead letters."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a request delivers: the CloudEvents attributes, by lower-case name, and the data."""

    attributes: dict[str, str]
    data: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What a function answers a delivery with, over HTTP; without a text there is no body."""

    status: int
    text: str
    headers: Mapping[str, str]
    content_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an event was given up: the function that it was for, and the last answer.

    `function` is empty where the transport names none, `status` None where there was no answer.
    """

    function: str
    status: int | None
    text: str


class Binding(Protocol):
    """What a transport's module does for consumers, cron functions and the dead letter sink."""

    def read(self, headers: Mapping[str, str], body: bytes) -> Delivered:
        """Read a delivery, in binary or structured mode. Raises MalformedEvent."""
        ...

    def reply(self, outcome: Outcome, text: str = "") -> Reply:
        """Return the answer that means this outcome to the transport."""
        ...

    def refusal(self, status: int, text: str, headers: Mapping[str, str]) -> Reply:
        """Return the answer to a request that is no delivery, for a reason of HTTP's.

        `status` is HTTP's own: 405 for another method than POST, 413 for a body that is too large.
        """
        ...

    def is_wrapped(self, attributes: Mapping[str, str]) -> bool:
        """Say whether an event stands for what was none, so that its id names a place alone.

        Another may be at that place once the transport has lost its data.
        """
        ...

    def is_passing(self, status: int | None) -> bool:
        """Say whether an event that was given up after this answer may be taken later."""
        ...

    def failure_in(self, attributes: Mapping[str, str]) -> Failure:
        """Return why an event that comes to the dead letter sink was given up."""
        ...
