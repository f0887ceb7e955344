"""Links in mails that need no log-in: signed, and good for what they were made for alone."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

from itsdangerous import BadSignature, Signer

from taskflow import config

CONFIRMATION_LIFETIME = timedelta(days=3)

_CONFIRMATION_PARTS = 3

Purpose = Literal["confirm-email", "unsubscribe-email", "refuse-email"]


class InvalidLink(Exception):
    """A link is not one of ours, was made for something else, or is too old."""


def to_confirm(destination_id: UUID, generation: int, *, now: datetime) -> str:
    """Return the token by which the owner of an address confirms it, for CONFIRMATION_LIFETIME.

    It says nothing of the address: that of a destination must never change. One that was added anew
    after its end has another generation.
    """
    expires_at = int((now + CONFIRMATION_LIFETIME).timestamp())
    return _signed("confirm-email", f"{destination_id.hex}-{generation}-{expires_at}")


def confirmed(token: str, *, now: datetime) -> tuple[UUID, int]:
    """Return the destination that a token confirms, and its generation. Raises InvalidLink."""
    parts = _read("confirm-email", token).split("-")
    if len(parts) != _CONFIRMATION_PARTS:
        # As they were made before there were generations.
        raise InvalidLink
    destination_id, generation, expires_at = parts
    if now >= datetime.fromtimestamp(int(expires_at), UTC):
        raise InvalidLink
    return UUID(destination_id), int(generation)


def to_unsubscribe(destination_id: UUID) -> str:
    """Return the token by which a destination is sent no more; it never expires."""
    return _signed("unsubscribe-email", destination_id.hex)


def unsubscribed(token: str) -> UUID:
    """Return the destination that a token unsubscribes. Raises InvalidLink."""
    return UUID(_read("unsubscribe-email", token))


def to_refuse(destination_id: UUID, mailbox_hash: bytes) -> str:
    """Return the token by which the owner of a mailbox is asked no more; it never expires.

    It names the mailbox too, for the destination may be gone by then.
    """
    return _signed("refuse-email", f"{destination_id.hex}-{mailbox_hash.hex()}")


def refused(token: str) -> tuple[UUID, bytes]:
    """Return the destination that a token refuses, and its mailbox's hash. Raises InvalidLink."""
    destination_id, _, mailbox_hash = _read("refuse-email", token).partition("-")
    return UUID(destination_id), bytes.fromhex(mailbox_hash)


def _signed(purpose: Purpose, content: str) -> str:
    return _signer(purpose).sign(content).decode("ascii")


def _read(purpose: Purpose, token: str) -> str:
    if not token.isascii():
        raise InvalidLink
    try:
        content = _signer(purpose).unsign(token).decode("ascii")
    except BadSignature:
        raise InvalidLink from None
    # A signature is read with other characters in between.
    if _signed(purpose, content) != token:
        raise InvalidLink
    return content


def _signer(purpose: Purpose) -> Signer:
    secret = config.settings().link_secret
    if secret is None:
        message = "LINK_SECRET: is needed to sign the links in mails"
        raise config.InvalidSetting(message)
    # Each purpose has a key of its own, derived from the secret.
    return Signer(
        secret,
        salt=f"taskflow.{purpose}",
        key_derivation="hmac",
        digest_method=hashlib.sha256,
    )
