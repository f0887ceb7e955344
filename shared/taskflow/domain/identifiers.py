"""Identifiers that sort by the time they were made."""

import hashlib
import secrets
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from taskflow.domain.times import EPOCH, MICROSECOND

_RANDOM_BITS = 62

IdText = Annotated[
    str,
    Field(
        pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        json_schema_extra={"format": "uuid"},
    ),
]
"""An identifier as JSON has it."""


def id_for(user_id: str, there: UUID) -> UUID:
    """Return the id that an imported object has in an account, for the one that it had elsewhere.

    A UUIDv7 of the same time, if it was one; the same whenever it is imported again, and for nobody
    to choose: 74 bits of it are of a hash over the user too.
    """
    digest = hashlib.sha256(f"{user_id}\n{there}".encode()).digest()
    time_bits = there.int >> 80 << 80
    hashed = int.from_bytes(digest[:10], "big") & ~(0xF << 76) & ~(0b11 << 62)
    return UUID(int=time_bits | hashed | (0x7 << 76) | (0b10 << 62))


def new_id(now: datetime) -> UUID:
    """Make a UUIDv7 of the time `now`.

    The 12 bits after the version hold the fraction of the millisecond (RFC 9562, 6.2, method 3),
    so that identifiers made by one process in one millisecond still sort by time.
    """
    ms, us = divmod((now - EPOCH) // MICROSECOND, 1000)
    fraction = us * 4096 // 1000
    value = (ms << 80) | (0x7 << 76) | (fraction << 64) | (0b10 << 62)
    return UUID(int=value | secrets.randbits(_RANDOM_BITS))
