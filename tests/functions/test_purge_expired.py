"""Purging: expired rows are deleted, also those of users who never come back (A5, S1)."""

import hashlib
from collections.abc import Callable, Generator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from taskflow import clock
from taskflow.serving import tokens
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import attempt_store, bulk, idempotency_store, session_store, transaction
from taskflow.storage.session_store import Ticket
from taskflow.storage.tables import (
    IDEMPOTENCY_KEYS,
    LOGIN_ATTEMPTS,
    LOGIN_PLACES,
    REFRESH_TOKENS,
    SESSIONS,
    SOCKET_TICKETS,
)
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.database.temporary import a_database
from tests.support.delivery.subscribers import tick


@pytest.fixture
def user(database: EmbeddedPostgres) -> Generator[SignedIn]:
    """Return a user in a database of their own: rows of other users take a part of each run."""
    with a_database(database):
        yield a_user()


def test_the_expired_rows_of_users_who_never_come_back_are_deleted_in_parts(
    user: SignedIn, set_clock: Callable[[datetime], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "DELETE_BATCH_MAX", 2)
    now = clock.now()
    with transaction(A_CAUSE) as tx:
        for number in range(5):
            idempotency_store.claim(tx, user.user_id, f"key {number}", b"print", now=now)
        session_store.open_session(tx, user.user_id, tokens.new_secret(), now=now)
        ticket = Ticket(user.user_id, now)
        session_store.add_ticket(tx, tokens.new_secret(), ticket, expires_at=now, now=now)
        attempt_store.begin(tx, user.user_id, "192.0.2.1", now=now)
        attempt_store.remember_place(tx, user.user_id, "192.0.2.1", now=now - timedelta(days=59))
    before = _rows_left_by(user)

    set_clock(now + timedelta(hours=23))
    tick("purge-expired")
    after_hours = _rows_left_by(user)
    set_clock(now + timedelta(days=31))
    keys_left: list[int] = []
    for _ in range(3):
        tick("purge-expired")
        keys_left.append(_rows_left_by(user)["idempotency_keys"])

    assert before["idempotency_keys"] == after_hours["idempotency_keys"] == 5
    assert after_hours["sessions"] == before["sessions"] > 0
    assert after_hours["login_places"] == before["login_places"] == 1
    # A run of these tests takes one part of each kind.
    assert keys_left == [3, 1, 0]
    assert not any(_rows_left_by(user).values())


def _rows_left_by(user: SignedIn) -> dict[str, int]:
    counted = hashlib.sha256(f"account\n{user.user_id}".encode()).digest()
    of_sessions = select(SESSIONS.c.id).where(SESSIONS.c.user_id == user.user_id)
    with transaction(A_CAUSE) as tx:
        left = {
            IDEMPOTENCY_KEYS: IDEMPOTENCY_KEYS.c.user_id == user.user_id,
            SESSIONS: SESSIONS.c.user_id == user.user_id,
            REFRESH_TOKENS: REFRESH_TOKENS.c.session_id.in_(of_sessions),
            SOCKET_TICKETS: SOCKET_TICKETS.c.user_id == user.user_id,
            LOGIN_ATTEMPTS: LOGIN_ATTEMPTS.c.key_hash == counted,
            LOGIN_PLACES: LOGIN_PLACES.c.user_id == user.user_id,
        }
        return {
            table.name: tx.connection.execute(
                select(func.count()).select_from(table).where(condition)
            ).scalar_one()
            for table, condition in left.items()
        }
