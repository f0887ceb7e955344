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
class Reply:
    """What a function answers a delivery with, over HTTP."""

    status: int
    text: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an event was given up: by whom, as the transport names it, and its last answer.

    `status` is None where there was no answer.
    """

    destination: str
    status: int | None
    text: str


class Binding(Protocol):
    """What a transport's module does for consumers, cron functions and the dead letter sink."""

    def attributes_in(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the CloudEvents attributes of a delivery; their names are in lower case."""
        ...

    def reply(self, outcome: Outcome, text: str = "") -> Reply:
        """Return the answer that means this outcome to the transport."""
        ...

    def failure_in(self, attributes: Mapping[str, str]) -> Failure:
        """Return why an event that comes to the dead letter sink was given up."""
        ...
