"""POST /api/auth/register: open an account and sign its owner in."""

from flask import Request

from taskflow import clock
from taskflow.domain import accounts
from taskflow.domain.accounts import Registration
from taskflow.domain.errors import EmailIsTaken
from taskflow.domain.events import Cause
from taskflow.domain.sessions import Session
from taskflow.serving import Network, SignedUp, browser, http_function, passwords, tokens
from taskflow.storage import (
    Transaction,
    account_store,
    attempt_store,
    events,
    run,
    session_store,
)


@http_function("POST /api/auth/register", public=True, raises=[EmailIsTaken])
def register_user(
    request: Request, registration: Registration, network: Network, cause: Cause
) -> SignedUp:
    # Hashing takes longer than everything else here: not while a connection is held.
    password_hash = passwords.hash_password(registration.password)
    now = clock.now()
    account, registered = accounts.register(registration, now=now)
    refresh_token = tokens.new_secret()

    def open_account(tx: Transaction) -> Session:
        account_store.add(tx, account, password_hash=password_hash)
        attempt_store.remember_place(tx, account.id, network, now=now)
        events.open_stream(tx, account.id)
        events.append(tx, [registered])
        return session_store.open_session(
            tx, account.id, refresh_token, client=browser.client_of(request), now=now
        )

    session = run(open_account, cause.by(account.id))
    return SignedUp(account, refresh_token, session_id=session.id, now=now)
