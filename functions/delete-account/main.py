"""DELETE /api/{user_id}/account: delete one's account for good, with all that was one's own."""

from logging import getLogger

from taskflow import clock
from taskflow.domain import accounts
from taskflow.domain.accounts import AccountDeletion
from taskflow.domain.errors import AccountNotFound, InvalidCredentials, TooManyAttempts
from taskflow.domain.events import Cause
from taskflow.serving import (
    Caller,
    Network,
    SignedOut,
    attempts,
    ended_sessions,
    http_function,
)
from taskflow.storage import (
    DatabaseUnavailable,
    LockTimeout,
    Transaction,
    account_store,
    erasure_store,
    run,
)

ERASES_FOR_S = 5.0
"""How long the request goes on erasing. Of most accounts nothing is left then; of a larger one
`purge-expired` erases the rest."""


@http_function(
    "DELETE /api/{user_id}/account",
    permission="tasks:write",
    raises=[AccountNotFound, InvalidCredentials, TooManyAttempts],
    scale="seldom",
)
def delete_account(
    caller: Caller, deletion: AccountDeletion, network: Network, cause: Cause
) -> SignedOut:
    is_from_outside = caller.identity is not None
    if not (is_from_outside and run(lambda tx: _has_no_password(tx, caller.user_id), cause)):
        attempts.check_password(caller.user_id, deletion.password or "", network, cause)

    def begin(tx: Transaction) -> None:
        now = clock.now()
        account = account_store.lock(tx, caller.user_id)
        # Of who they are, the event that stays says no more than their id.
        unsigned = Transaction(tx.connection, cause.from_nowhere(), tx.appended)
        erasure_store.begin(unsigned, accounts.delete(account, now=now), now=now)

    run(begin, cause)
    ended_sessions.ended_sessions().look_again()
    _erase(caller.user_id, cause)
    return SignedOut()


def _has_no_password(tx: Transaction, user_id: str) -> bool:
    """Say whether an outside issuer alone knows the user, whose token then has to do."""
    return account_store.password_hash_of(tx, user_id) is None


def _erase(user_id: str, cause: Cause) -> None:
    over_at_s = clock.monotonic_s() + ERASES_FOR_S
    try:
        while clock.monotonic_s() < over_at_s and run(
            lambda tx: erasure_store.erase_some(tx, user_id, now=clock.now()), cause
        ):
            pass
    except (DatabaseUnavailable, LockTimeout):
        # The account is deleted; what is left goes later.
        getLogger(__name__).warning("an erasure is left to purge-expired")
