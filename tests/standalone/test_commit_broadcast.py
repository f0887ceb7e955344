"""The datagrams by which processes notify each other of commits."""

import json
import os
import socket
from collections.abc import Generator, Mapping
from pathlib import Path

import pytest

from taskflow.standalone.commit_broadcast import USERS_PER_DATAGRAM, CommitBroadcast
from tests.support.polling import eventually

SOON_S = 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def peer(folder: Path) -> Generator[socket.socket]:
    """Listen as another process does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(folder / "1"))
        listening.settimeout(SOON_S)
        yield listening


def recv(peer: socket.socket) -> dict[str, int]:
    return json.loads(peer.recv(65_536))


def test_other_processes_are_notified_of_a_commit(folder: Path, peer: socket.socket) -> None:
    broadcast = CommitBroadcast(folder, lambda _: None)

    broadcast.notify({"somebody": 7, "Zażółć 🐘": 1})

    assert recv(peer) == {"somebody": 7, "Zażółć 🐘": 1}


def test_notifications_by_other_processes_are_received(folder: Path, peer: socket.socket) -> None:
    received: list[Mapping[str, int]] = []
    CommitBroadcast(folder, received.append)

    peer.sendto(b'{"somebody": 7}', str(folder / str(os.getpid())))

    eventually(lambda: _assert_equal(received, [{"somebody": 7}]), within_s=SOON_S)


def test_a_process_that_only_notifies_has_no_socket_to_be_notified_at(
    folder: Path, peer: socket.socket
) -> None:
    CommitBroadcast(folder).notify({"somebody": 7})

    assert recv(peer) == {"somebody": 7}
    assert [found.name for found in folder.iterdir()] == ["1"]


def test_the_longest_user_ids_fit_into_a_datagram(folder: Path, peer: socket.socket) -> None:
    many = {"🐘" * 250 + f"{number:05}": 2**62 for number in range(USERS_PER_DATAGRAM)}

    CommitBroadcast(folder, lambda _: None).notify(many)

    received: dict[str, int] = {}
    while len(received) < len(many):
        received |= recv(peer)
    assert received == many


def test_an_older_seq_does_not_replace_a_newer_one(folder: Path, peer: socket.socket) -> None:
    broadcast = CommitBroadcast(folder, lambda _: None)

    broadcast.notify({"somebody": 7})
    broadcast.notify({"somebody": 6})
    broadcast.notify({"another": 1})

    received: dict[str, int] = {}
    while "another" not in received:
        received |= {user: max(seq, received.get(user, 0)) for user, seq in recv(peer).items()}
    assert received["somebody"] == 7


def test_notifications_of_many_users_come_in_several_datagrams(
    folder: Path, peer: socket.socket
) -> None:
    many = {f"user {number}": number for number in range(2 * USERS_PER_DATAGRAM + 1)}

    CommitBroadcast(folder, lambda _: None).notify(many)

    received: dict[str, int] = {}
    while len(received) < len(many):
        some = recv(peer)
        assert len(some) <= USERS_PER_DATAGRAM
        received |= some
    assert received == many


def test_a_killed_process_is_forgotten_and_the_others_are_notified(
    folder: Path, peer: socket.socket
) -> None:
    _leave_behind(folder / "0")

    CommitBroadcast(folder, lambda _: None).notify({"somebody": 7})

    assert recv(peer) == {"somebody": 7}
    eventually(lambda: _assert_equal((folder / "0").exists(), expected=False), within_s=SOON_S)


def test_a_process_that_does_not_listen_holds_up_no_other_for_long(
    folder: Path, peer: socket.socket
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as busy:
        busy.bind(str(folder / "0"))
        broadcast = CommitBroadcast(folder, lambda _: None)

        received: dict[str, int] = {}
        for seq in range(1, 31):
            broadcast.notify({"somebody": seq})
            while received.get("somebody", 0) < seq:
                received |= recv(peer)

    assert received == {"somebody": 30}


def test_a_process_may_have_the_number_of_a_killed_process(
    folder: Path, peer: socket.socket
) -> None:
    _leave_behind(folder / str(os.getpid()))

    CommitBroadcast(folder, lambda _: None).notify({"somebody": 7})

    assert recv(peer) == {"somebody": 7}


def _leave_behind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(path))


def _assert_equal(found: object, expected: object) -> None:
    assert found == expected
