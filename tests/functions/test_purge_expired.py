"""Purging: expired rows are deleted, also those of users who never come back (A5, S1)."""

import hashlib
from collections.abc import Callable, Generator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select, text

from taskflow import clock
from taskflow.domain.accounts import REFRESH_TOKEN_LIFETIME
from taskflow.eventing import CronRun
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
from taskflow.storage.transactions import engine
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.database.plans import counted_reads
from tests.support.database.temporary import a_database
from tests.support.delivery.subscribers import assert_taken, tick

LIVE_SESSIONS = (
    """
    INSERT INTO sessions (id, user_id, created_at)
    SELECT CAST(md5(n::text) AS uuid), :user, :now FROM generate_series(1, 20000) AS n
    """,
    """
    INSERT INTO refresh_tokens (token_hash, session_id, expires_at)
    SELECT sha256(CAST(n::text AS bytea)), CAST(md5(n::text) AS uuid),
        CAST(:now AS timestamptz) + n * interval '1 minute'
    FROM generate_series(1, 20000) AS n
    """,
)


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


def test_every_kind_has_its_turn_while_another_has_much_left(
    user: SignedIn, set_clock: Callable[[datetime], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "DELETE_BATCH_MAX", 2)
    now = clock.now()
    with transaction(A_CAUSE) as tx:
        for number in range(5):
            idempotency_store.claim(tx, user.user_id, f"key {number}", b"print", now=now)
            session_store.open_session(tx, user.user_id, tokens.new_secret(), now=now)
    before = _rows_left_by(user)
    set_clock(now + timedelta(days=31))
    turns = iter([False, True])

    def after_two(cron_run: CronRun) -> bool:
        del cron_run
        return next(turns)

    monkeypatch.setattr(CronRun, "is_over", after_two)

    assert_taken(tick("purge-expired"))

    after = _rows_left_by(user)
    for kind in ("idempotency_keys", "refresh_tokens", "sessions"):
        assert after[kind] == before[kind] - 4, kind


def test_a_kind_that_fails_keeps_no_other_from_being_purged(
    user: SignedIn, set_clock: Callable[[datetime], None]
) -> None:
    now = clock.now()
    with transaction(A_CAUSE) as tx:
        idempotency_store.claim(tx, user.user_id, "a key", b"print", now=now)
        tx.connection.execute(text("ALTER TABLE dead_letters RENAME TO letters"))
    set_clock(now + timedelta(days=31))

    answer = tick("purge-expired")

    assert answer.status_code == 503
    assert not any(_rows_left_by(user).values())


def test_the_sessions_that_live_are_not_read_to_forget_others(user: SignedIn) -> None:
    other = a_user()
    before, now = _rows_left_by(other), clock.now()
    with transaction(A_CAUSE) as tx:
        for statement in LIVE_SESSIONS:
            tx.connection.execute(text(statement), {"user": user.user_id, "now": now})
        for _ in range(3):
            old = now - REFRESH_TOKEN_LIFETIME
            session_store.open_session(tx, other.user_id, tokens.new_secret(), now=old)
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text("ANALYZE sessions, refresh_tokens"))

    with counted_reads(engine()) as reads, transaction(A_CAUSE) as tx:
        assert session_store.forget_tokens(tx, now=now) == 3

    assert _rows_left_by(other) == before
    assert reads.rows < 50
    assert not [scan for scan in reads.scans if scan.startswith("Seq Scan")]


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
