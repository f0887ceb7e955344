"""POST /api/auth/login: sign in with email and password."""

from flask import Request

from taskflow import clock
from taskflow.domain.accounts import Account, Credentials, canonical_email, opaque
from taskflow.domain.errors import AccountNotFound, InvalidCredentials, TooManyAttempts
from taskflow.domain.events import Cause
from taskflow.domain.sessions import Session
from taskflow.serving import (
    Network,
    SignedIn,
    attempts,
    browser,
    http_function,
    passwords,
    tokens,
)
from taskflow.storage import (
    Transaction,
    account_store,
    attempt_store,
    run,
    session_store,
)
from taskflow.storage.attempt_store import Attempt


@http_function("POST /api/auth/login", public=True, raises=[InvalidCredentials, TooManyAttempts])
def log_in(request: Request, credentials: Credentials, network: Network, cause: Cause) -> SignedIn:
    now = clock.now()
    email, password = canonical_email(credentials.email), opaque(credentials.password)

    def begin(tx: Transaction) -> tuple[Account | None, str | None, Attempt]:
        account, password_hash = account_store.find(tx, credentials.email) or (None, None)
        account_key = email if account is None else account.id
        return account, password_hash, attempt_store.begin(tx, account_key, network, now=now)

    account, password_hash, attempt = attempts.begin(begin, cause)
    is_right = passwords.is_right(password_hash, password)
    new_hash = None
    if not is_right and password != credentials.password:
        # It may have been hashed as it was typed; for an unknown account that takes as long.
        is_right = passwords.is_right(password_hash, credentials.password)
        new_hash = passwords.hash_password(password) if is_right else None
    if not is_right or account is None:
        run(lambda tx: attempt_store.record_failure(tx, attempt), cause)
        raise InvalidCredentials
    of_account, refresh_token = account, tokens.new_secret()

    def sign_in(tx: Transaction) -> Session:
        attempt_store.record_success(tx, attempt, of_account.id, network, now=now)
        if account_store.password_hash_of(tx, of_account.id) != password_hash:
            # It was changed while this one was checked.
            raise InvalidCredentials
        if new_hash is not None:
            account_store.set_password(tx, of_account.id, new_hash)
        return session_store.open_session(
            tx, of_account.id, refresh_token, client=browser.client_of(request), now=now
        )

    try:
        session = attempts.succeed(sign_in, attempt, of_account.id, cause)
    except AccountNotFound:
        raise InvalidCredentials from None
    return SignedIn(account, refresh_token, session_id=session.id, now=now)
