"""Accounts for tests, opened through the domain and the stores, without the price of a password."""

from dataclasses import dataclass
from uuid import uuid4

from taskflow import clock
from taskflow.domain import accounts
from taskflow.domain.accounts import Registration, Role
from taskflow.domain.events import Cause
from taskflow.serving import tokens
from taskflow.storage import account_store, erasure_store, events, transaction

A_CAUSE = Cause(
    correlation_id="a-test",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    actor="a-test",
    origin="127.0.0.1 pytest",
)


@dataclass(frozen=True)
class SignedIn:
    """An account and a token for it."""

    user_id: str
    email: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """The header that says who asks."""
        return {"Authorization": f"Bearer {self.token}"}


def a_user(*, timezone: str = "UTC", roles: tuple[Role, ...] = (Role.USER,)) -> SignedIn:
    """Open a new account; its stream holds one event, `user.registered`."""
    email = f"{uuid4()}@example.com"
    registration = Registration(email=email, password="a long password", timezone=timezone)
    now = clock.now()
    account, registered = accounts.register(registration, now=now)
    with transaction(A_CAUSE) as tx:
        account_store.add(tx, account, password_hash="no password opens this")
        events.open_stream(tx, account.id)
        events.append(tx, [registered])
        if roles != (Role.USER,):
            account_store.grant(tx, email, roles)
            account = account_store.get(tx, account.id)
    return SignedIn(account.id, email, tokens.issue(account, now=now))


def an_administrator() -> SignedIn:
    """Open an account with the role `admin`."""
    return a_user(roles=(Role.USER, Role.ADMIN))


def delete_account(user: SignedIn) -> None:
    """Delete an account; what was its user's is left to be erased."""
    now = clock.now()
    with transaction(A_CAUSE) as tx:
        account = account_store.lock(tx, user.user_id)
        erasure_store.begin(tx, accounts.delete(account, now=now), now=now)
