"""How an attempt to log in begins, at once or when others like it have been decided, and ends."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from taskflow import clock
from taskflow.domain.accounts import opaque
from taskflow.domain.errors import AccountNotFound, InvalidCredentials, TooManyAttempts
from taskflow.domain.events import Cause
from taskflow.serving import passwords
from taskflow.serving.tracing import Network
from taskflow.storage import Transaction, account_store, attempt_store, run
from taskflow.storage.attempt_store import Attempt, AttemptsUndecided

WAIT_S = 5
"""Of ten attempts four are hashed at once, for some 20 ms; a crash may leave some undecided."""

LOOK_EVERY_S = 0.05

T = TypeVar("T")


def begin(work: Callable[[Transaction], T], cause: Cause) -> T:
    """Run a transaction that begins an attempt, again while it raises AttemptsUndecided.

    So of many right passwords at the same instant none is refused. Raises TooManyAttempts.
    """
    give_up_at_s = clock.monotonic_s() + WAIT_S
    while True:
        try:
            return run(work, cause)
        except AttemptsUndecided:
            if clock.monotonic_s() >= give_up_at_s:
                raise TooManyAttempts(retry_after_s=1) from None
        time.sleep(random.uniform(0, 2 * LOOK_EVERY_S))  # noqa: S311 - jitter, no secret


def succeed(work: Callable[[Transaction], T], attempt: Attempt, user_id: str, cause: Cause) -> T:
    """Run the transaction that a right password leads to, in which the account stays.

    Raises AccountNotFound where it was deleted meanwhile, and what `work` raises where the password
    was changed: then the attempt has failed.
    """

    def held(tx: Transaction) -> T:
        account_store.hold(tx, user_id)
        return work(tx)

    try:
        return run(held, cause)
    except (AccountNotFound, InvalidCredentials):
        run(lambda tx: attempt_store.record_failure(tx, attempt), cause)
        raise


def check_password(user_id: str, password: str, network: Network, cause: Cause) -> str | None:
    """Check the password of who has signed in once more, as `log-in` does; return its hash.

    Raises InvalidCredentials, TooManyAttempts, and AccountNotFound where another request has
    deleted the account meanwhile.
    """
    now = clock.now()

    def begin_attempt(tx: Transaction) -> tuple[str | None, Attempt]:
        password_hash = account_store.password_hash_of(tx, user_id)
        return password_hash, attempt_store.begin(tx, user_id, network, now=now)

    password_hash, attempt = begin(begin_attempt, cause)
    # It may have been hashed as it was typed.
    is_right = any(
        passwords.is_right(password_hash, spelled)
        for spelled in dict.fromkeys((opaque(password), password))
    )
    if not is_right:
        run(lambda tx: attempt_store.record_failure(tx, attempt), cause)
        raise InvalidCredentials

    def record(tx: Transaction) -> None:
        attempt_store.record_success(tx, attempt, user_id, network, now=now)

    succeed(record, attempt, user_id, cause)
    return password_hash
