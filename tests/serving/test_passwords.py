"""Passwords: argon2id, and the same work for an unknown account (S1)."""

import threading
import time
from collections.abc import Callable

import pytest

from taskflow.serving import passwords
from taskflow.serving.passwords import HASHES_AT_ONCE
from tests.support.functions.offloading import offloading_by


def _cpu_s(work: Callable[[], object]) -> float:
    started_s = time.thread_time()
    work()
    return time.thread_time() - started_s


def test_a_password_is_hashed_by_argon2id_with_owasps_parameters() -> None:
    hashed = passwords.hash_password("a long password")

    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert "a long password" not in hashed
    assert passwords.hash_password("a long password") != hashed, "each with its own salt"


def test_the_right_password_is_told_from_all_others() -> None:
    hashed = passwords.hash_password("pässwörd 🦉")

    assert passwords.is_right(hashed, "pässwörd 🦉")
    for wrong in ("", "pässwörd", "pässwörd 🦉 ", "PÄSSWÖRD 🦉", "x" * 256):
        assert not passwords.is_right(hashed, wrong)


def test_a_password_of_an_unknown_account_is_never_right() -> None:
    for password in ("", "nobody has this password", "x"):
        assert not passwords.is_right(None, password)


def test_a_malformed_hash_matches_no_password() -> None:
    for broken in ("", "plain", "$argon2id$", "$2b$12$abcdefghijklmnopqrstuv"):
        assert not passwords.is_right(broken, "plain")


def test_an_unknown_account_costs_as_much_as_a_wrong_password() -> None:
    hashed = passwords.hash_password("a long password")
    passwords.is_right(None, "x")  # the first makes nobody's hash

    known_s = min(_cpu_s(lambda: passwords.is_right(hashed, "wrong")) for _ in range(3))
    unknown_s = min(_cpu_s(lambda: passwords.is_right(None, "wrong")) for _ in range(3))

    assert known_s / 3 < unknown_s < known_s * 3


def test_no_more_passwords_are_hashed_at_once_than_memory_allows() -> None:
    hashed = passwords.hash_password("a long password")
    running, most, lock, full = 0, 0, threading.Lock(), threading.Event()

    def counted(work: Callable[[], object]) -> object:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == HASHES_AT_ONCE:
                full.set()
        # Holds its place until all places are taken.
        full.wait(10)
        try:
            return work()
        finally:
            with lock:
                running -= 1

    threads = [
        threading.Thread(target=passwords.is_right, args=(hashed, "wrong"))
        for _ in range(3 * HASHES_AT_ONCE)
    ]
    with offloading_by(counted):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert most == HASHES_AT_ONCE


def test_a_failed_hash_frees_its_place() -> None:
    def failing(_work: Callable[[], object]) -> object:
        raise RuntimeError

    with offloading_by(failing):
        for _ in range(2 * HASHES_AT_ONCE):
            with pytest.raises(RuntimeError):
                passwords.hash_password("a long password")

    assert passwords.hash_password("a long password")
