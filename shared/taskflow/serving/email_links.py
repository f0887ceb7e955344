"""The links in mails, as who follows them is answered: by the token in the path, and no log-in."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar
from uuid import UUID

from taskflow import clock, config
from taskflow.domain.errors import LinkIsInvalid
from taskflow.outbound import links
from taskflow.serving.frame import address_limit, limited
from taskflow.serving.tracing import Network

T = TypeVar("T")

CONFIRMATION_PATH, REFUSAL_PATH = "/email/confirm/", "/email/refuse/"


def confirmed_by(token: str, network: Network) -> tuple[UUID, int]:
    """Return the destination that a token confirms, and its generation.

    Raises LinkIsInvalid, Problem 429.
    """
    return _read(partial(links.confirmed, token, now=clock.now()), network)


def unsubscribed_by(token: str, network: Network) -> UUID:
    """Return the destination that a token unsubscribes. Raises LinkIsInvalid, Problem 429."""
    return _read(partial(links.unsubscribed, token), network)


def refused_by(token: str, network: Network) -> tuple[UUID, bytes]:
    """Return the destination that a token refuses, and the hash of its mailbox.

    Raises LinkIsInvalid, Problem 429.
    """
    return _read(partial(links.refused, token), network)


def _read(read: Callable[[], T], network: Network) -> T:
    # Beside what the network may log in: neither uses the other's up.
    guesser = f"mail {network}"
    limited(address_limit(), guesser, count=False)
    found = _found(read)
    if found is None:
        address_limit().wait_s(guesser)
        raise LinkIsInvalid
    return found


def _found(read: Callable[[], T]) -> T | None:
    if config.settings().link_secret is None:
        # No link was ever made.
        return None
    try:
        return read()
    except links.InvalidLink:
        return None
