"""POST /api/auth/logout: end the session of a refresh token."""

from flask import Request, Response

from taskflow import clock
from taskflow.domain.accounts import RefreshRequest
from taskflow.serving import browser, http_function, signed_out
from taskflow.storage import Transaction, session_store


@http_function("POST /api/auth/logout", public=True)
def log_out(request: Request, body: RefreshRequest, tx: Transaction) -> Response:
    refresh_token = browser.refresh_token_of(request, body)
    if refresh_token is not None:
        session_store.close_session(tx, refresh_token, now=clock.now())
    return signed_out()
