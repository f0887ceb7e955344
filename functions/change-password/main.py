"""POST /api/{user_id}/password: change one's password, which signs all other devices out."""

from taskflow import clock
from taskflow.domain.accounts import PasswordChange
from taskflow.domain.errors import AccountNotFound, InvalidCredentials, TooManyAttempts
from taskflow.domain.events import Cause
from taskflow.serving import Caller, Network, NoContent, attempts, http_function, passwords
from taskflow.storage import Transaction, account_store, run, session_store


@http_function(
    "POST /api/{user_id}/password",
    permission="tasks:write",
    raises=[AccountNotFound, InvalidCredentials, TooManyAttempts],
    scale="seldom",
)
def change_password(
    caller: Caller, change: PasswordChange, network: Network, cause: Cause
) -> NoContent:
    until_now = attempts.check_password(caller.user_id, change.password, network, cause)
    # Hashing takes longer than everything else here: not while a connection is held.
    password_hash = passwords.hash_password(change.new_password)

    def change_it(tx: Transaction) -> None:
        # A log-in with the old one that is under way ends first, or finds the new one.
        account_store.lock(tx, caller.user_id)
        if account_store.password_hash_of(tx, caller.user_id) != until_now:
            # Another request has changed it while this one was checked.
            raise InvalidCredentials
        account_store.set_password(tx, caller.user_id, password_hash)
        session_store.end_all(tx, caller.user_id, but=caller.session_id, now=clock.now())

    run(change_it, cause)
    return NoContent()
