"""Passwords: argon2id hashes, and a check that takes as long for an unknown account."""

import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from taskflow.process import concurrency, resource

HASHES_AT_ONCE = 4
"""Each takes 19 MiB for some 20 ms: more at once would only crowd out the function's memory."""

# The parameters are OWASP's for argon2id (19 MiB, 2 passes, 1 lane).
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


@resource()
def _slots() -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(HASHES_AT_ONCE)


def hash_password(password: str) -> str:
    """Return the argon2id hash of a password, with its salt and parameters."""
    with _slots():
        return concurrency().offload(lambda: _hasher.hash(password))


def is_right(password_hash: str | None, password: str) -> bool:
    """Say whether the password is the one hashed; None, for no account, costs the same time."""
    with _slots():
        matches = concurrency().offload(lambda: _verify(password_hash or _dummy_hash(), password))
    return matches and password_hash is not None


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _dummy_hash() -> str:
    return _hasher.hash("nobody has this password")
