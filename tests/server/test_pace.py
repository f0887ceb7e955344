"""Slow clients are served; those that read no answer or send no body are given up."""

# gevent has no types.
# pyright: reportUnknownVariableType=false

from collections.abc import Generator

import gevent
import pytest
from gevent import socket

from taskflow import clock
from taskflow.server import pace
from taskflow.server.pace import PIECE_BYTES, Answering, Arriving

PIECES = 50

STALLED_S = 0.2
"""In place of 30 s."""

A_LARGE_ANSWER = b"x" * (100 * PIECE_BYTES)
"""More than a connection holds on its way."""

ServerAndClient = tuple["socket.socket", "socket.socket"]


@pytest.fixture
def server_and_client(monkeypatch: pytest.MonkeyPatch) -> Generator[ServerAndClient]:
    """Connect a server and a client."""
    monkeypatch.setattr(pace, "STALLED_S", STALLED_S)
    with socket.socket() as listener, socket.socket() as client:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE_BYTES)
        client.connect(listener.getsockname())
        server, _ = listener.accept()
        with server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIECE_BYTES)
            yield server, client


def _read_to_the_end(connection: "socket.socket | Arriving") -> None:
    while connection.recv(PIECE_BYTES):
        pass


def test_an_unread_answer_is_given_up_and_forgotten(server_and_client: ServerAndClient) -> None:
    server, client = server_and_client

    with pytest.raises(ConnectionResetError):
        Answering(server).sendall(A_LARGE_ANSWER)
    server.close()

    # The kernel does not go on to offer it.
    with pytest.raises(ConnectionResetError):
        _read_to_the_end(client)


def test_an_answer_that_is_read_slowly_is_sent_however_long_it_takes(
    server_and_client: ServerAndClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A machine that others use too may stand still for longer than the other tests wait.
    monkeypatch.setattr(pace, "STALLED_S", 10 * STALLED_S)
    server, client = server_and_client
    started_s = clock.monotonic_s()
    sending = gevent.spawn(Answering(server).sendall, A_LARGE_ANSWER)

    read = 0
    while read < len(A_LARGE_ANSWER):
        read += len(client.recv(4 * PIECE_BYTES))
        gevent.sleep(STALLED_S / 5)

    sending.get()
    assert read == len(A_LARGE_ANSWER)
    assert clock.monotonic_s() - started_s > pace.STALLED_S


def test_a_body_that_does_not_come_is_given_up(server_and_client: ServerAndClient) -> None:
    server, _ = server_and_client

    with pytest.raises(TimeoutError):
        Arriving(server).recv(100)


def test_a_body_that_comes_byte_by_byte_is_given_up(server_and_client: ServerAndClient) -> None:
    server, client = server_and_client
    arriving = Arriving(server)

    def trickle() -> None:
        while True:
            client.sendall(b"x")
            gevent.sleep(STALLED_S / 20)

    trickling = gevent.spawn(trickle)
    with pytest.raises(TimeoutError):
        _read_to_the_end(arriving)
    trickling.kill()


def test_a_body_that_comes_slowly_is_read_however_long_it_takes(
    server_and_client: ServerAndClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    now_s = clock.monotonic_s()
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s)
    server, client = server_and_client
    arriving = Arriving(server)

    received = 0
    for _ in range(PIECES):
        now_s += pace.STALLED_S / 2
        client.sendall(b"x" * PIECE_BYTES)
        due = received + PIECE_BYTES
        while received < due:
            received += len(arriving.recv(PIECE_BYTES))

    assert received == PIECES * PIECE_BYTES
