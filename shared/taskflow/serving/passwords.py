"""Passwords: argon2id hashes, and a check that takes as long for an unknown account."""

import threading
from collections.abc import Callable
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

HASHES_AT_ONCE = 4
"""Each takes 19 MiB for some 20 ms: more at once would only crowd out the function's memory."""

Runner = Callable[[Callable[[], object]], object]

# The parameters are OWASP's for argon2id (19 MiB, 2 passes, 1 lane).
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_slots = threading.BoundedSemaphore(HASHES_AT_ONCE)
_run: Runner = lambda work: work()  # noqa: E731 - replaced as a whole by run_aside


def run_aside(runner: Runner) -> None:
    """Hash through `runner`, which takes the work off a thread that others need."""
    global _run  # noqa: PLW0603 - set once, when a server starts
    _run = runner


def hash_password(password: str) -> str:
    """Return the argon2id hash of a password, with its salt and parameters."""
    with _slots:
        return str(_run(lambda: _hasher.hash(password)))


def is_right(password_hash: str | None, password: str) -> bool:
    """Say whether the password is the one hashed; None, for no account, costs the same time."""
    with _slots:
        matches = bool(_run(lambda: _verify(password_hash or _nobodys_hash(), password)))
    return matches and password_hash is not None


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys_hash() -> str:
    return _hasher.hash("nobody has this password")
