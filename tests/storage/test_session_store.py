"""Sessions: rotation and theft, tickets used once, only hashes kept (S1, L1)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from taskflow.domain.accounts import (
    REFRESH_TOKEN_GRACE,
    REFRESH_TOKEN_LIFETIME,
    TICKET_LIFETIME,
)
from taskflow.serving import tokens
from taskflow.storage import run, session_store, transaction
from taskflow.storage.session_store import Ticket
from tests.support.data.accounts import A_CAUSE, SignedIn
from tests.support.data.builders import A_TIME

A_MOMENT = timedelta(seconds=1)


def _open(user: SignedIn, *, after: timedelta = timedelta()) -> str:
    token, now = tokens.new_secret(), A_TIME + after
    run(lambda tx: session_store.open_session(tx, user.user_id, token, now=now), A_CAUSE)
    return token


def _rotate(token: str, *, after: timedelta = timedelta()) -> tuple[str | None, str]:
    successor = tokens.new_secret()
    now = A_TIME + after
    session = run(lambda tx: session_store.rotate(tx, token, successor, now=now), A_CAUSE)
    return None if session is None else session.user_id, successor


def _close(user: SignedIn, *, token: str | None = None, session_id: UUID | None = None) -> None:
    with transaction(A_CAUSE) as tx:
        session_store.close_session(
            tx,
            user.user_id,
            refresh_token=token,
            session_id=None if session_id is None else str(session_id),
            now=A_TIME,
        )


def _secrets_in(rows: Iterator[Any]) -> str:
    return repr([tuple(row) for row in rows])


def test_a_refresh_token_is_traded_for_its_successor(user: SignedIn) -> None:
    first = _open(user)

    whose, second = _rotate(first)
    whose_again, _ = _rotate(second)

    assert whose == whose_again == user.user_id


def test_an_unknown_or_expired_refresh_token_is_refused(user: SignedIn) -> None:
    token = _open(user)

    assert _rotate("never given out")[0] is None
    assert _rotate(token, after=REFRESH_TOKEN_LIFETIME)[0] is None
    assert _rotate(token, after=REFRESH_TOKEN_LIFETIME - A_MOMENT)[0] == user.user_id


def test_a_used_refresh_token_is_accepted_for_a_moment_and_all_successors_are_good(
    user: SignedIn,
) -> None:
    first = _open(user)
    _, second = _rotate(first)

    whose, third = _rotate(first, after=REFRESH_TOKEN_GRACE)

    assert whose == user.user_id
    assert [_rotate(token)[0] for token in (second, third)] == [user.user_id] * 2


def test_a_refresh_token_used_again_later_ends_its_whole_family_and_no_other(
    user: SignedIn,
) -> None:
    elsewhere = _open(user)
    first = _open(user)
    _, second = _rotate(first)

    whose, third = _rotate(first, after=REFRESH_TOKEN_GRACE + A_MOMENT)

    assert whose is None
    assert [_rotate(token)[0] for token in (first, second, third)] == [None] * 3
    assert _rotate(elsewhere)[0] == user.user_id


def test_a_refresh_token_used_twice_at_once_serves_both_requests(user: SignedIn) -> None:
    token = _open(user)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(_rotate, [token] * 8))

    assert [whose for whose, _ in results] == [user.user_id] * 8
    assert [_rotate(successor)[0] for _, successor in results] == [user.user_id] * 8


def test_a_closed_session_is_over_for_all_its_tokens(user: SignedIn) -> None:
    first = _open(user)
    _, second = _rotate(first)
    elsewhere = _open(user)

    _close(user, token=second)
    _close(user, token="unknown")
    _close(user)

    assert [_rotate(token)[0] for token in (first, second)] == [None, None]
    assert _rotate(elsewhere)[0] == user.user_id


def test_a_session_is_closed_by_its_id_only_for_its_own_user(
    user: SignedIn, other: SignedIn
) -> None:
    token = tokens.new_secret()
    session = run(
        lambda tx: session_store.open_session(tx, user.user_id, token, now=A_TIME), A_CAUSE
    )

    _close(other, session_id=session.id)
    _close(other, token=token)
    still_open = _rotate(token)[0]
    _close(user, session_id=session.id)

    assert still_open == user.user_id
    assert _rotate(token)[0] is None


def test_a_new_session_deletes_the_expired_sessions_of_its_user(
    user: SignedIn, other: SignedIn
) -> None:
    _open(user)
    _open(other)
    later = A_TIME + REFRESH_TOKEN_LIFETIME
    token = tokens.new_secret()

    run(lambda tx: session_store.open_session(tx, user.user_id, token, now=later), A_CAUSE)

    with transaction(A_CAUSE) as tx:
        kept = tx.connection.execute(
            text("SELECT user_id FROM sessions WHERE user_id IN (:a, :b)"),
            {"a": user.user_id, "b": other.user_id},
        )
        assert sorted(kept.scalars()) == sorted([user.user_id, other.user_id])
    assert _rotate(token, after=REFRESH_TOKEN_LIFETIME)[0] == user.user_id


def test_a_session_too_many_ends_the_one_used_least_lately_first_those_never_gone_on_with(
    user: SignedIn, other: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_store, "SESSIONS_MAX", 3)
    elsewhere = _open(other)
    _, phone = _rotate(_open(user), after=A_MOMENT)
    _, laptop = _rotate(_open(user), after=2 * A_MOMENT)
    scripts = [_open(user, after=(3 + n) * A_MOMENT) for n in range(3)]

    gone_on_with = [_rotate(token, after=9 * A_MOMENT)[0] for token in (phone, laptop, *scripts)]

    assert gone_on_with == [user.user_id, user.user_id, None, None, user.user_id]
    for n in (10, 11):
        _, token = _rotate(_open(user, after=n * A_MOMENT), after=(n + 1) * A_MOMENT)
    with transaction(A_CAUSE) as tx:
        left = session_store.list_of(tx, user.user_id, after=None, limit=9, now=A_TIME)
    assert len(left) == 3
    assert _rotate(token, after=13 * A_MOMENT)[0] == user.user_id
    assert _rotate(elsewhere)[0] == other.user_id


def test_a_ticket_is_good_once_and_until_it_expires(user: SignedIn) -> None:
    of = Ticket(user.user_id, A_TIME + timedelta(minutes=15))
    expires_at = A_TIME + timedelta(seconds=30)
    for ticket in ("used", "late"):
        run(
            lambda tx, ticket=ticket: session_store.add_ticket(
                tx, ticket, of, expires_at=expires_at, now=A_TIME
            ),
            A_CAUSE,
        )

    taken = [
        run(lambda tx: session_store.take_ticket(tx, "used", now=A_TIME), A_CAUSE) for _ in range(2)
    ]
    late = run(lambda tx: session_store.take_ticket(tx, "late", now=expires_at), A_CAUSE)
    unknown = run(lambda tx: session_store.take_ticket(tx, "unknown", now=A_TIME), A_CAUSE)

    assert taken == [of, None]
    assert (late, unknown) == (None, None)


def test_a_ticket_used_by_many_at_once_is_good_for_one(user: SignedIn) -> None:
    of = Ticket(user.user_id, A_TIME)
    ticket = tokens.new_secret()
    expires_at = A_TIME + A_MOMENT
    run(
        lambda tx: session_store.add_ticket(tx, ticket, of, expires_at=expires_at, now=A_TIME),
        A_CAUSE,
    )

    def take(_: int) -> Ticket | None:
        return run(lambda tx: session_store.take_ticket(tx, ticket, now=A_TIME), A_CAUSE)

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(take, range(8)))

    assert taken.count(of) == 1
    assert taken.count(None) == 7


@pytest.mark.parametrize("table", ["refresh_tokens", "socket_tickets"])
def test_no_secret_is_stored_in_the_database(user: SignedIn, table: str) -> None:
    refresh_token = _open(user)
    ticket = tokens.new_secret()
    of = Ticket(user.user_id, A_TIME)
    with transaction(A_CAUSE) as tx:
        session_store.add_ticket(tx, ticket, of, expires_at=A_TIME + A_MOMENT, now=A_TIME)

    with transaction(A_CAUSE) as tx:
        stored = _secrets_in(iter(tx.connection.execute(text(f"SELECT * FROM {table}"))))  # noqa: S608 - of the list above

    assert stored != "[]"
    assert all(secret not in stored for secret in (refresh_token, ticket))


A_DAY = timedelta(days=1)


def test_a_used_token_ends_its_session_after_the_clock_was_set_back(user: SignedIn) -> None:
    first = _open(user)
    _, second = _rotate(first)

    stolen, _ = _rotate(first, after=-A_DAY)
    successor, _ = _rotate(second, after=-A_DAY)

    assert (stolen, successor) == (None, None)


def test_a_ticket_is_not_good_for_longer_after_the_clock_was_set_back(user: SignedIn) -> None:
    with transaction(A_CAUSE) as tx:
        session_store.add_ticket(
            tx, "t", Ticket(user.user_id, A_TIME), expires_at=A_TIME + TICKET_LIFETIME, now=A_TIME
        )

    assert run(lambda tx: session_store.take_ticket(tx, "t", now=A_TIME - A_DAY), A_CAUSE) is None
