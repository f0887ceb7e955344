"""Guessing passwords: the guesser is slowed down, the owner logs in (S1, S5)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import count
from uuid import uuid4

import pytest
from werkzeug.test import TestResponse

from taskflow import clock
from taskflow.storage import account_store, attempt_store, transaction
from tests.support.data.accounts import A_CAUSE
from tests.support.functions.client import Api, content
from tests.support.functions.problems import assert_refused, without_request
from tests.support.settings import changed_settings

pytestmark = pytest.mark.usefixtures("database")

PASSWORD = "correct horse battery staple"
_addresses = (f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in count(1))


def _address() -> str:
    """Return an address that no other test has."""
    return next(_addresses)


def _post(path: str, email: str, password: str, address: str, **headers: str) -> TestResponse:
    return Api().post(
        path,
        {"email": email, "password": password},
        headers=headers,
        environ_overrides={"REMOTE_ADDR": address},
    )


def _log_in(email: str, password: str, address: str, **headers: str) -> TestResponse:
    return _post("/api/auth/login", email, password, address, **headers)


def _registered(address: str) -> str:
    email = f"{uuid4()}@example.com"
    answer = _post("/api/auth/register", email, PASSWORD, address)
    assert answer.status_code == 201, answer.text
    return email


def _statuses(email: str, password: str, address: str, times: int) -> list[int]:
    return [_log_in(email, password, address).status_code for _ in range(times)]


def _guess(email: str, *places: str) -> None:
    """Guess once from each address, without the cost of the hashes."""
    now = clock.now()
    with transaction(A_CAUSE) as tx:
        account, _ = account_store.find(tx, email) or (None, None)
        whose = account.id if account else email
        for place in places:
            attempt_store.record_failure(tx, attempt_store.begin(tx, whose, place, now=now))


def _guess_from_everywhere(email: str) -> None:
    _guess(email, *[_address() for _ in range(10)] * 10)


def test_a_guesser_locks_out_itself_and_not_the_owner(
    set_clock: Callable[[datetime], None],
) -> None:
    set_clock(clock.now())
    email, theirs = _registered(_address()), _address()

    guesses = _statuses(email, "a guess", theirs, 12)
    right = _log_in(email, PASSWORD, theirs)

    assert guesses == [401] * 10 + [429] * 2
    assert_refused(right, 429, "too-many-attempts")
    assert right.headers["Retry-After"] == "900"
    assert _log_in(email, PASSWORD, _address()).status_code == 200, "from a new place"


def test_guessers_in_many_networks_do_not_lock_out_the_known_networks_of_the_owner() -> None:
    home, office = _address(), _address()
    email = _registered(home)
    assert _log_in(email, PASSWORD, office).status_code == 200

    _guess_from_everywhere(email)

    assert _log_in(email, "a guess", _address()).status_code == 429
    assert_refused(_log_in(email, PASSWORD, _address()), 429, "too-many-attempts")
    for place in (home, office):
        assert _statuses(email, "mistyped", place, 9) == [401] * 9
        assert _log_in(email, PASSWORD, place).status_code == 200


def test_the_known_network_of_the_owner_is_limited_too() -> None:
    home = _address()
    email = _registered(home)

    assert _statuses(email, "a guess", home, 11) == [401] * 10 + [429]
    assert _log_in(email, PASSWORD, home).status_code == 429
    assert _log_in(email, PASSWORD, _address()).status_code == 200


def test_the_account_opens_again_when_the_window_is_over(
    set_clock: Callable[[datetime], None],
) -> None:
    now = clock.now()
    set_clock(now)
    email = _registered(_address())
    _guess_from_everywhere(email)

    set_clock(now + timedelta(minutes=14, seconds=1))
    early = _log_in(email, PASSWORD, _address())
    set_clock(now + timedelta(minutes=15))

    assert early.headers["Retry-After"] == "59"
    assert _log_in(email, PASSWORD, _address()).status_code == 200


@pytest.mark.parametrize("is_known", [True, False], ids=["a known place", "a new place"])
def test_simultaneous_right_passwords_all_log_in(*, is_known: bool) -> None:
    home = _address()
    email, place = _registered(home), home if is_known else _address()
    _statuses(email, "mistyped", place, 8)

    with ThreadPoolExecutor(20) as pool:
        sent = [pool.submit(_log_in, email, PASSWORD, place) for _ in range(20)]

    assert [answer.result().status_code for answer in sent] == [200] * 20


def test_a_network_that_tries_one_password_on_many_accounts_is_slowed_down() -> None:
    theirs, home = _address(), _address()
    mine, email = _registered(theirs), _registered(home)

    for _ in range(98):
        _guess(f"{uuid4()}@example.com", theirs)

    spread = [_log_in(f"{uuid4()}@example.com", "123456", theirs) for _ in range(3)]
    own = _log_in(mine, PASSWORD, theirs)
    after = _log_in(email, "123456", theirs)

    assert [answer.status_code for answer in spread] == [401] * 2 + [429]
    assert own.status_code == 200, "a place that the account knows"
    assert after.status_code == 429, "which forgives nothing"
    assert _log_in(email, PASSWORD, home).status_code == 200


def test_an_unknown_email_is_limited_as_an_account_is() -> None:
    known, unknown = _registered(_address()), f"{uuid4()}@example.com"
    refused: list[list[tuple[object, ...]]] = []

    for email in (known, unknown):
        theirs = _address()
        answers = [_log_in(email, "a guess", theirs) for _ in range(11)]
        _guess(email, *[_address() for _ in range(9)] * 10)
        answers.append(_log_in(email, "a guess", _address()))
        refused.append(
            [
                (answer.status_code, without_request(content(answer)), answer.headers.keys())
                for answer in answers
            ]
        )

    assert [row[:2] for row in refused[0]] == [row[:2] for row in refused[1]]
    assert [row[0] for row in refused[0]] == [401] * 10 + [429] * 2


def test_an_ipv6_site_is_one_network() -> None:
    email = _registered(_address())
    site = f"2001:db8:{uuid4().hex[:4]}:1"

    guesses = [_log_in(email, "a guess", f"{site}::{n:x}").status_code for n in range(1, 12)]

    assert guesses == [401] * 10 + [429]
    assert _log_in(email, PASSWORD, f"{site[:-1]}2::1").status_code == 200


def test_a_forged_address_makes_no_new_network() -> None:
    email, theirs = _registered(_address()), _address()

    guesses = [
        _log_in(email, "a guess", theirs, **{"X-Forwarded-For": _address()}).status_code
        for _ in range(11)
    ]
    with changed_settings(trusted_proxies=1):
        proxy, client = _address(), _address()
        through_a_proxy = [
            _log_in(email, "a guess", proxy, **{"X-Forwarded-For": f"{_address()}, {client}"})
            for _ in range(11)
        ]
        of_the_owner = _log_in(email, PASSWORD, proxy, **{"X-Forwarded-For": _address()})

    assert guesses == [401] * 10 + [429]
    assert [answer.status_code for answer in through_a_proxy] == [401] * 10 + [429]
    assert of_the_owner.status_code == 200


def test_attempts_that_a_crash_left_undecided_end_with_their_window(
    set_clock: Callable[[datetime], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskflow.serving.attempts.WAIT_S", 0)
    now, home = clock.now(), _address()
    set_clock(now)
    email = _registered(home)
    user_id = content(_log_in(email, PASSWORD, home))["user"]["id"]
    for _ in range(10):
        with transaction(A_CAUSE) as tx:
            attempt_store.begin(tx, user_id, home, now=now)

    waited = _log_in(email, PASSWORD, home)
    set_clock(now + timedelta(minutes=15))

    assert_refused(waited, 429, "too-many-attempts")
    assert waited.headers["Retry-After"] == "1"
    assert _log_in(email, PASSWORD, home).status_code == 200
