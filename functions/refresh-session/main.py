"""POST /api/auth/refresh: trade a refresh token for new tokens."""

from flask import Request

from taskflow import clock
from taskflow.domain.accounts import Account, RefreshRequest
from taskflow.domain.errors import AccountNotFound, InvalidRefreshToken
from taskflow.domain.events import Cause
from taskflow.domain.sessions import Session
from taskflow.serving import SignedIn, browser, http_function, tokens
from taskflow.storage import Transaction, account_store, run, session_store


@http_function("POST /api/auth/refresh", public=True, raises=[InvalidRefreshToken, AccountNotFound])
def refresh_session(request: Request, body: RefreshRequest, cause: Cause) -> SignedIn:
    refresh_token = browser.refresh_token_of(request, body)
    if refresh_token is None:
        raise InvalidRefreshToken
    now = clock.now()
    successor = tokens.new_secret()
    client = browser.client_of(request)

    def rotate(tx: Transaction) -> tuple[Session | None, Account | None]:
        # The revocation of a session whose token was used again must commit, and so must not raise.
        session = session_store.rotate(tx, refresh_token, successor, client=client, now=now)
        return session, None if session is None else account_store.get(tx, session.user_id)

    session, account = run(rotate, cause)
    if session is None or account is None:
        raise InvalidRefreshToken
    return SignedIn(account, successor, session_id=session.id, now=now)
