"""Webhooks: a user's own events, sent to an address of theirs and signed (Standard Webhooks 1.0).

What verifies them is whichever library of that specification the receiver takes.
"""

import base64
import secrets as randomness
from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

from taskflow.outbound.http import Answer, NoAnswer, post
from taskflow.outbound.outcomes import Accepted, Deferred, Outcome, Rejected
from taskflow.outbound.urls import WrongUrl

_SECRET_PREFIX = "whsec_"  # noqa: S105 - how secrets are told from other texts
_SECRET_BYTES = 32
"""As long as the hash; the specification takes from 24 to 64."""

_OK, _MULTIPLE_CHOICES, _GONE = 200, 300, 410


def new_secret() -> str:
    """Return a secret that its owner verifies webhooks with."""
    return _SECRET_PREFIX + base64.b64encode(randomness.token_bytes(_SECRET_BYTES)).decode("ascii")


def send(
    url: str, secrets: Sequence[str], message_id: str, body: bytes, *, now: datetime
) -> Outcome:
    """Send JSON as a webhook, signed with each of the secrets; while one is replaced there are two.

    The id is the same however often it is sent, and has no full stop.
    """
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(
            _signature(secret, message_id, body, now) for secret in secrets
        ),
    }
    try:
        return _outcome(post(url, headers=headers, body=body))
    except WrongUrl as wrong:
        return Rejected(f"the address {wrong}")
    except NoAnswer as none:
        return Deferred(str(none))


def _signature(secret: str, message_id: str, body: bytes, now: datetime) -> str:
    # The library takes a time of any zone for one of UTC.
    return Webhook(secret).sign(message_id, now.astimezone(UTC), body.decode())


def _outcome(answer: Answer) -> Outcome:
    if _OK <= answer.status < _MULTIPLE_CHOICES:
        return Accepted()
    if answer.status == _GONE:
        return Rejected("the endpoint answered 410, it is gone", is_gone=True)
    # The specification has all others tried again: an endpoint's mistakes are mended.
    return Deferred(f"the endpoint answered {answer.status}", answer.retry_after_s)
