"""Attempts to log in: counted by account and network, undecided ones too, and only hashes kept."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, select, text

from taskflow.domain.accounts import (
    LOGIN_ATTEMPTS_ACCOUNT_MAX,
    LOGIN_ATTEMPTS_MAX,
    LOGIN_ATTEMPTS_NETWORK_MAX,
    LOGIN_ATTEMPTS_WINDOW,
    LOGIN_PLACE_LIFETIME,
    LOGIN_PLACES_MAX,
)
from taskflow.domain.errors import TooManyAttempts
from taskflow.storage import attempt_store, run, transaction
from taskflow.storage.attempt_store import Attempt, AttemptsUndecided
from taskflow.storage.tables import LOGIN_ATTEMPTS, LOGIN_PLACES
from tests.support.data.accounts import A_CAUSE, SignedIn
from tests.support.data.builders import A_TIME

pytestmark = pytest.mark.usefixtures("database")

NOT_AT_ALL = timedelta()
A_SECOND = timedelta(seconds=1)


def _unique_key() -> str:
    """Return an email, or a network, that no other test has."""
    return f"{uuid4()}@example.com"


def _begin(account: str, network: str, after: timedelta = NOT_AT_ALL) -> Attempt:
    return run(lambda tx: attempt_store.begin(tx, account, network, now=A_TIME + after), A_CAUSE)


def _fail(account: str, network: str, times: int = 1) -> None:
    for _ in range(times):
        attempt = _begin(account, network)
        run(lambda tx, of=attempt: attempt_store.record_failure(tx, of), A_CAUSE)


def _succeed(user: SignedIn, network: str, after: timedelta = NOT_AT_ALL) -> None:
    attempt, now = _begin(user.user_id, network, after), A_TIME + after
    run(
        lambda tx: attempt_store.record_success(tx, attempt, user.user_id, network, now=now),
        A_CAUSE,
    )


def _refused(account: str, network: str, after: timedelta = NOT_AT_ALL) -> int:
    with pytest.raises(TooManyAttempts) as refused:
        _begin(account, network, after)
    return refused.value.retry_after_s


def _at_once(work: Callable[[int], object], times: int) -> list[type[Exception] | None]:
    """Call `one` many times at once; return what each call raised."""

    def one(number: int) -> type[Exception] | None:
        try:
            work(number)
        except (TooManyAttempts, AttemptsUndecided) as error:
            return type(error)
        return None

    with ThreadPoolExecutor(10) as pool:
        return list(pool.map(one, range(times)))


def test_log_ins_are_tried_up_to_the_limit_of_failures_and_again_after_the_window() -> None:
    email, network = _unique_key(), _unique_key()
    _fail(email, network, LOGIN_ATTEMPTS_MAX)

    wait_s = _refused(email, network, timedelta(minutes=5))
    last_s = _refused(email, network, LOGIN_ATTEMPTS_WINDOW - A_SECOND / 2)
    _begin(email, network, LOGIN_ATTEMPTS_WINDOW)

    assert (wait_s, last_s) == (600, 1)


def test_no_more_simultaneous_attempts_are_tried_than_may_fail() -> None:
    email, network = _unique_key(), _unique_key()

    raised = _at_once(lambda _: _begin(email, network), 3 * LOGIN_ATTEMPTS_MAX)

    assert raised.count(None) == LOGIN_ATTEMPTS_MAX
    assert raised.count(AttemptsUndecided) == 2 * LOGIN_ATTEMPTS_MAX


def test_a_waiting_attempt_is_tried_once_another_has_succeeded(user: SignedIn) -> None:
    network = _unique_key()
    _fail(user.user_id, network, LOGIN_ATTEMPTS_MAX - 1)
    owners = _begin(user.user_id, network)
    with pytest.raises(AttemptsUndecided):
        _begin(user.user_id, network)

    run(
        lambda tx: attempt_store.record_success(tx, owners, user.user_id, network, now=A_TIME),
        A_CAUSE,
    )

    _fail(user.user_id, network, LOGIN_ATTEMPTS_MAX)
    assert _refused(user.user_id, network) == LOGIN_ATTEMPTS_WINDOW.seconds


def test_one_network_leaves_an_account_open_to_all_others() -> None:
    email, theirs = _unique_key(), _unique_key()
    _fail(email, theirs, LOGIN_ATTEMPTS_MAX)

    for _ in range(LOGIN_ATTEMPTS_ACCOUNT_MAX):
        _refused(email, theirs)

    _begin(email, _unique_key())


def test_many_networks_lock_an_account_for_networks_it_does_not_know(user: SignedIn) -> None:
    home = _unique_key()
    _succeed(user, home)
    for _ in range(LOGIN_ATTEMPTS_ACCOUNT_MAX // LOGIN_ATTEMPTS_MAX):
        _fail(user.user_id, _unique_key(), LOGIN_ATTEMPTS_MAX)

    assert _refused(user.user_id, _unique_key()) == LOGIN_ATTEMPTS_WINDOW.seconds
    _succeed(user, home)
    assert _refused(user.user_id, _unique_key()) == LOGIN_ATTEMPTS_WINDOW.seconds, (
        "not forgiven by that"
    )


def test_a_failure_from_a_known_network_counts_for_that_network_alone(user: SignedIn) -> None:
    home, elsewhere = _unique_key(), _unique_key()
    _succeed(user, home)
    _fail(user.user_id, home, LOGIN_ATTEMPTS_MAX)
    _refused(user.user_id, home)

    for _ in range(LOGIN_ATTEMPTS_ACCOUNT_MAX // LOGIN_ATTEMPTS_MAX):
        _fail(user.user_id, _unique_key(), LOGIN_ATTEMPTS_MAX)
    _fail(_unique_key(), elsewhere, LOGIN_ATTEMPTS_MAX)
    _fail(_unique_key(), home, LOGIN_ATTEMPTS_MAX)


def test_a_network_has_one_limit_of_failures_for_all_accounts(user: SignedIn) -> None:
    network = _unique_key()
    _succeed(user, network)
    for _ in range(LOGIN_ATTEMPTS_NETWORK_MAX):
        _fail(_unique_key(), network)

    assert _refused(_unique_key(), network) == LOGIN_ATTEMPTS_WINDOW.seconds
    _succeed(user, network)
    assert _refused(_unique_key(), network) == LOGIN_ATTEMPTS_WINDOW.seconds, "not forgiven by that"


def test_a_network_that_tries_random_emails_fills_a_bounded_number_of_rows() -> None:
    network = _unique_key()
    before = _count(LOGIN_ATTEMPTS.name)

    _at_once(lambda _: _fail(_unique_key(), network), 3 * LOGIN_ATTEMPTS_NETWORK_MAX)

    # For each email two, and one for the network.
    assert _count(LOGIN_ATTEMPTS.name) - before == 2 * LOGIN_ATTEMPTS_NETWORK_MAX + 1


def test_simultaneous_attempts_on_the_same_accounts_and_networks_do_not_deadlock() -> None:
    emails, networks = [_unique_key() for _ in range(3)], [_unique_key() for _ in range(3)]

    raised = _at_once(lambda n: _fail(emails[n % 3], networks[n // 3 % 3]), 90)

    # Each of nine pairs was tried ten times; some attempts were undecided meanwhile.
    assert set(raised) <= {None, AttemptsUndecided}


def test_a_network_is_known_for_a_time_after_the_last_right_password(user: SignedIn) -> None:
    home = _unique_key()
    _succeed(user, home)
    for number in range(LOGIN_ATTEMPTS_ACCOUNT_MAX // LOGIN_ATTEMPTS_MAX):
        network = f"{home} {number}"
        for _ in range(LOGIN_ATTEMPTS_MAX):
            attempt = _begin(user.user_id, network, LOGIN_PLACE_LIFETIME - A_SECOND)
            run(lambda tx, of=attempt: attempt_store.record_failure(tx, of), A_CAUSE)

    _begin(user.user_id, home, LOGIN_PLACE_LIFETIME - A_SECOND)
    _refused(user.user_id, home, LOGIN_PLACE_LIFETIME)


def test_an_account_knows_its_latest_networks(user: SignedIn) -> None:
    networks = [_unique_key() for _ in range(LOGIN_PLACES_MAX + 2)]
    for number, network in enumerate([*networks[:-1], networks[0], networks[-1]]):
        _succeed(user, network, number * A_SECOND)

    with transaction(A_CAUSE) as tx:
        query = select(LOGIN_PLACES.c.last_right_at).where(LOGIN_PLACES.c.user_id == user.user_id)
        known = sorted(tx.connection.execute(query).scalars())

    # The first was renewed; of the others the oldest two have gone.
    assert known == [A_TIME + number * A_SECOND for number in range(3, LOGIN_PLACES_MAX + 3)]


def test_a_network_that_one_account_knows_is_unknown_to_another(
    user: SignedIn, other: SignedIn
) -> None:
    home = _unique_key()
    _succeed(user, home)
    for _ in range(LOGIN_ATTEMPTS_ACCOUNT_MAX // LOGIN_ATTEMPTS_MAX):
        _fail(other.user_id, _unique_key(), LOGIN_ATTEMPTS_MAX)

    _refused(other.user_id, home)


def test_a_clock_set_back_does_not_lengthen_the_wait() -> None:
    email, network = _unique_key(), _unique_key()
    _fail(email, network, LOGIN_ATTEMPTS_MAX)

    assert _refused(email, network, -timedelta(days=1)) == LOGIN_ATTEMPTS_WINDOW.seconds


@pytest.mark.parametrize("table", ["login_attempts", "login_places"])
def test_accounts_and_networks_are_stored_as_hashes_alone(user: SignedIn, table: str) -> None:
    email, network = _unique_key(), _unique_key()
    _fail(email, network)
    _succeed(user, network)

    with transaction(A_CAUSE) as tx:
        rows = tx.connection.execute(text(f"SELECT * FROM {table}")).all()  # noqa: S608 - of the list above

    stored = repr([tuple(row) for row in rows])
    assert stored != "[]"
    assert email not in stored
    assert network not in stored


def _count(table: str) -> int:
    with transaction(A_CAUSE) as tx:
        return tx.connection.execute(select(func.count()).select_from(text(table))).scalar_one()
