"""Idempotency keys: one claim, a repeat that waits, an end after 24 hours (A5)."""

from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import text

from taskflow.storage import Transaction, idempotency_store, run, transaction
from taskflow.storage.idempotency_store import KEPT, KeyIsHeld, StoredAnswer
from tests.support.data.accounts import A_CAUSE, SignedIn
from tests.support.data.builders import A_TIME
from tests.support.polling import eventually

KEY = "a key"
ANSWER = StoredAnswer(
    b"print", 201, {"ETag": '"1"', "Location": "/api/ü"}, b'{"title":"\xc3\xa9\x00"}'
)
WAIT_S = 10


def _claim(
    user: SignedIn, key: str = KEY, *, after: timedelta = timedelta()
) -> StoredAnswer | None:
    return run(lambda tx: _claim_in(tx, user, key, after=after), A_CAUSE)


def _claim_in(
    tx: Transaction, user: SignedIn, key: str = KEY, *, after: timedelta = timedelta()
) -> StoredAnswer | None:
    found = idempotency_store.claim(tx, user.user_id, key, b"print", now=A_TIME + after)
    if found is None:
        idempotency_store.settle(tx, user.user_id, key, ANSWER)
    return found


def _claim_and_fail(tx: Transaction, user: SignedIn) -> None:
    _claim_in(tx, user)
    raise LookupError


def _assert_waits(done: Future[StoredAnswer | None]) -> None:
    with transaction(A_CAUSE) as tx:
        waiting = tx.connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))
        assert waiting.scalar_one() == 1 or done.done()


def test_the_first_request_takes_the_key_and_a_repeat_is_given_its_answer(user: SignedIn) -> None:
    first = _claim(user)

    repeats = [_claim(user) for _ in range(2)]

    assert first is None
    assert repeats == [ANSWER, ANSWER]


def test_two_users_may_use_the_same_key(user: SignedIn, other: SignedIn) -> None:
    _claim(user)

    assert _claim(other) is None
    assert _claim(user, "another key") is None


def test_a_claim_that_was_rolled_back_never_was(user: SignedIn) -> None:
    with pytest.raises(LookupError):
        run(partial(_claim_and_fail, user=user), A_CAUSE)

    assert _claim(user) is None


def test_a_repeat_during_the_first_request_waits_and_is_given_its_answer(
    user: SignedIn,
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with transaction(A_CAUSE) as first:
            _claim_in(first, user)
            repeat = pool.submit(_claim, user)
            eventually(lambda: _assert_waits(repeat))
            assert not repeat.done()

        assert repeat.result(WAIT_S) == ANSWER


def test_a_repeat_takes_the_key_when_the_first_request_fails(user: SignedIn) -> None:
    with ThreadPoolExecutor(1) as pool:
        with transaction(A_CAUSE) as first:
            _claim_in(first, user)
            repeat = pool.submit(_claim, user)
            eventually(lambda: _assert_waits(repeat))
            first.connection.rollback()

        assert repeat.result(WAIT_S) is None


def test_one_of_many_simultaneous_requests_takes_the_key(user: SignedIn) -> None:
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(_claim, [user] * 10))

    assert found.count(None) == 1
    assert found.count(ANSWER) == 9


def test_a_repeat_is_told_when_the_first_request_runs_too_long(user: SignedIn) -> None:
    with transaction(A_CAUSE) as first:
        _claim_in(first, user)

        with transaction(A_CAUSE) as repeat:
            repeat.connection.execute(text("SET LOCAL lock_timeout = 50"))
            with pytest.raises(KeyIsHeld):
                _claim_in(repeat, user)
            repeat.connection.rollback()

    assert _claim(user) == ANSWER


def test_a_key_is_kept_for_24_hours_and_not_longer(user: SignedIn) -> None:
    _claim(user)

    just_before = _claim(user, after=KEPT - timedelta(microseconds=1))
    then = _claim(user, after=KEPT)
    after_that = _claim(user, after=KEPT)

    assert (just_before, then, after_that) == (ANSWER, None, ANSWER)


def test_old_keys_are_deleted_when_a_new_key_is_used(user: SignedIn, other: SignedIn) -> None:
    for number in range(3):
        _claim(user, f"old {number}")
    _claim(other, "theirs")

    _claim(user, "new", after=KEPT)

    with transaction(A_CAUSE) as tx:
        keys = tx.connection.execute(
            text("SELECT key FROM idempotency_keys WHERE user_id IN (:a, :b) ORDER BY key"),
            {"a": user.user_id, "b": other.user_id},
        )
        assert list(keys.scalars()) == ["new", "theirs"]


def test_requests_that_delete_old_keys_at_once_do_not_deadlock(user: SignedIn) -> None:
    for number in range(20):
        _claim(user, f"old {number}")

    new = [f"new {number}" for number in range(20)]
    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(partial(_claim, user, after=KEPT), new))

    assert found == [None] * 20
