"""POST /api/auth/logout: end one's session, and its refresh tokens with it."""

from flask import Request

from taskflow import clock
from taskflow.domain.accounts import RefreshRequest
from taskflow.serving import Caller, SignedOut, browser, http_function
from taskflow.storage import Transaction, session_store


@http_function("POST /api/auth/logout")
def log_out(request: Request, caller: Caller, body: RefreshRequest, tx: Transaction) -> SignedOut:
    session_store.close_session(
        tx,
        caller.user_id,
        refresh_token=browser.refresh_token_of(request, body),
        session_id=caller.session_id,
        now=clock.now(),
    )
    return SignedOut()
