"""POST /api/auth/login: sign in with email and password."""

from flask import Response

from taskflow import clock
from taskflow.domain.accounts import Credentials
from taskflow.domain.errors import CredentialsAreWrong
from taskflow.domain.events import Cause
from taskflow.serving import http_function, passwords, signed_in, tokens
from taskflow.storage import account_store, session_store, transaction


@http_function("POST /api/auth/login", public=True)
def log_in(credentials: Credentials, cause: Cause) -> Response:
    now = clock.now()
    with transaction(cause) as tx:
        session_store.count_attempt(tx, credentials.email, now=now)
        found = account_store.find(tx, credentials.email)
    account, password_hash = found or (None, None)
    if not passwords.is_right(password_hash, credentials.password) or account is None:
        raise CredentialsAreWrong
    refresh_token = tokens.new_secret()
    with transaction(cause) as tx:
        session_store.forgive_attempts(tx, credentials.email, now=now)
        session = session_store.open_session(tx, account.id, refresh_token, now=now)
    return signed_in(account, refresh_token, session_id=session.id, now=now)
