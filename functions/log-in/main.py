"""POST /api/auth/login: sign in with email and password."""

from flask import Response

from taskflow import clock
from taskflow.domain.accounts import Credentials, canonical_email, opaque
from taskflow.domain.errors import CredentialsAreWrong
from taskflow.domain.events import Cause
from taskflow.serving import http_function, passwords, signed_in, tokens
from taskflow.storage import account_store, session_store, transaction


@http_function("POST /api/auth/login", public=True)
def log_in(credentials: Credentials, cause: Cause) -> Response:
    now = clock.now()
    email, password = canonical_email(credentials.email), opaque(credentials.password)
    with transaction(cause) as tx:
        session_store.count_attempt(tx, email, now=now)
        found = account_store.find(tx, credentials.email)
    account, password_hash = found or (None, None)
    is_right = passwords.is_right(password_hash, password)
    new_hash = None
    if not is_right and password != credentials.password:
        # It may have been hashed as it was typed; for an unknown account that takes as long.
        is_right = passwords.is_right(password_hash, credentials.password)
        new_hash = passwords.hash_password(password) if is_right else None
    if not is_right or account is None:
        raise CredentialsAreWrong
    refresh_token = tokens.new_secret()
    with transaction(cause) as tx:
        session_store.forgive_attempts(tx, email, now=now)
        if new_hash is not None:
            account_store.set_password(tx, account.id, new_hash)
        session = session_store.open_session(tx, account.id, refresh_token, now=now)
    return signed_in(account, refresh_token, session_id=session.id, now=now)
