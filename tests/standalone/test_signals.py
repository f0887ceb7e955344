"""The datagrams by which processes tell each other of commits."""

import json
import os
import socket
from collections.abc import Generator, Mapping
from pathlib import Path

import pytest

from taskflow.standalone.signals import USERS_PER_DATAGRAM, Signals
from tests.support.polling import eventually

SOON_S = 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def peer(folder: Path) -> Generator[socket.socket]:
    """Listen as another process would."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(folder / "1"))
        listening.settimeout(SOON_S)
        yield listening


def heard_by(peer: socket.socket) -> dict[str, int]:
    return json.loads(peer.recv(65_536))


def test_other_processes_are_told_of_a_commit(folder: Path, peer: socket.socket) -> None:
    signals = Signals(folder, lambda _: None)

    signals.tell({"somebody": 7, "Zażółć 🐘": 1})

    assert heard_by(peer) == {"somebody": 7, "Zażółć 🐘": 1}


def test_commits_told_by_other_processes_are_heard(folder: Path, peer: socket.socket) -> None:
    heard: list[Mapping[str, int]] = []
    Signals(folder, heard.append)

    peer.sendto(b'{"somebody": 7}', str(folder / str(os.getpid())))

    eventually(lambda: _assert_equal(heard, [{"somebody": 7}]), within_s=SOON_S)


def test_the_longest_user_ids_fit_into_a_datagram(folder: Path, peer: socket.socket) -> None:
    many = {"🐘" * 250 + f"{number:05}": 2**62 for number in range(USERS_PER_DATAGRAM)}

    Signals(folder, lambda _: None).tell(many)

    heard: dict[str, int] = {}
    while len(heard) < len(many):
        heard |= heard_by(peer)
    assert heard == many


def test_an_older_seq_does_not_replace_a_newer_one(folder: Path, peer: socket.socket) -> None:
    signals = Signals(folder, lambda _: None)

    signals.tell({"somebody": 7})
    signals.tell({"somebody": 6})
    signals.tell({"another": 1})

    heard: dict[str, int] = {}
    while "another" not in heard:
        heard |= {user: max(seq, heard.get(user, 0)) for user, seq in heard_by(peer).items()}
    assert heard["somebody"] == 7


def test_hints_of_many_users_come_in_several_datagrams(folder: Path, peer: socket.socket) -> None:
    many = {f"user {number}": number for number in range(2 * USERS_PER_DATAGRAM + 1)}

    Signals(folder, lambda _: None).tell(many)

    heard: dict[str, int] = {}
    while len(heard) < len(many):
        some = heard_by(peer)
        assert len(some) <= USERS_PER_DATAGRAM
        heard |= some
    assert heard == many


def test_a_killed_process_is_forgotten_and_the_others_are_told(
    folder: Path, peer: socket.socket
) -> None:
    _leave_behind(folder / "0")

    Signals(folder, lambda _: None).tell({"somebody": 7})

    assert heard_by(peer) == {"somebody": 7}
    eventually(lambda: _assert_equal((folder / "0").exists(), expected=False), within_s=SOON_S)


def test_a_process_that_does_not_listen_holds_up_no_other_for_long(
    folder: Path, peer: socket.socket
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(folder / "0"))
        signals = Signals(folder, lambda _: None)

        told: dict[str, int] = {}
        for seq in range(1, 31):
            signals.tell({"somebody": seq})
            while told.get("somebody", 0) < seq:
                told |= heard_by(peer)

    assert told == {"somebody": 30}


def test_a_process_may_have_the_number_of_a_killed_process(
    folder: Path, peer: socket.socket
) -> None:
    _leave_behind(folder / str(os.getpid()))

    Signals(folder, lambda _: None).tell({"somebody": 7})

    assert heard_by(peer) == {"somebody": 7}


def _leave_behind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(path))


def _assert_equal(found: object, expected: object) -> None:
    assert found == expected
