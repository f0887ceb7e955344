"""Identifiers that sort by the time they were made."""

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


def new_id(now: datetime) -> UUID:
    """Make a UUIDv7 of the time `now`.

    The 12 bits after the version hold the fraction of the millisecond (RFC 9562, 6.2, method 3),
    so that identifiers made by one process in one millisecond still sort by time.
    """
    ms, us = divmod((now - EPOCH) // MICROSECOND, 1000)
    fraction = us * 4096 // 1000
    value = (ms << 80) | (0x7 << 76) | (fraction << 64) | (0b10 << 62)
    return UUID(int=value | secrets.randbits(_RANDOM_BITS))
