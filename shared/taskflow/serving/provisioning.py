"""An account for somebody whom an outside issuer knows, made on first use."""

from taskflow import clock, config
from taskflow.domain import accounts
from taskflow.domain.accounts import Identity
from taskflow.domain.errors import AccountNotFound
from taskflow.domain.events import Cause
from taskflow.process import resource
from taskflow.serving.tokens import InvalidToken
from taskflow.storage import Transaction, account_store, events, run

KNOWN_MAX = 10_000
"""How many users a process remembers to have an account, of about a kilobyte each."""


@resource()
def _known() -> dict[tuple[str, str], float]:
    """Return by issuer and subject when this process saw that a user has an account, in s.

    It is seen again after the lifetime of a token of ours: for so long, an account that was deleted
    meanwhile is refused as an ended session is, and a token of the issuer may live longer.
    """
    return {}


def provide_account(identity: Identity, cause: Cause) -> None:
    """Make sure that there is an account of this identity, of which the cause's actor is the id.

    It is made on first use; two requests at once make one. Raises InvalidToken where the account of
    this id is another issuer's, or was erased; DatabaseUnavailable, LockTimeout.
    """
    key = (identity.issuer, identity.subject)
    now_s = clock.monotonic_s()
    seen_s = _known().get(key)
    if seen_s is not None and now_s < seen_s + config.settings().access_token_lifetime_s:
        return
    if not run(lambda tx: _has_account(tx, identity), cause):
        raise InvalidToken("The account with the id of this token is another issuer's.")
    if len(_known()) >= KNOWN_MAX:
        # Looked up again: one query for each user who still comes.
        _known().clear()
    _known()[key] = now_s


def _has_account(tx: Transaction, identity: Identity) -> bool:
    is_theirs = account_store.is_of_issuer(tx, identity.subject, identity.issuer)
    if is_theirs is None:
        account = accounts.provision(identity, now=clock.now())
        stored = account_store.add_outside(tx, account, issuer=identity.issuer)
        if stored is None:
            # Made at the same moment, by another request.
            return bool(account_store.is_of_issuer(tx, identity.subject, identity.issuer))
        if _has_stream(tx, identity.subject):
            raise InvalidToken("The account of this token was erased.")
        events.open_stream(tx, stored.id)
        events.append(tx, [accounts.registered(stored)])
    return is_theirs is not False


def _has_stream(tx: Transaction, user_id: str) -> bool:
    """Say whether there are events of this user, which stay when an account goes."""
    try:
        events.newest_seq(tx, user_id)
    except AccountNotFound:
        return False
    return True
