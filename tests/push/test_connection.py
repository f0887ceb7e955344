"""A connection: what it sends and drops, when it closes, how it bears slow readers (L6, L7)."""

import math
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from simple_websocket import ConnectionClosed
from websockets import WebSocketException

from taskflow.domain.events import Event
from taskflow.domain.text import compact_json
from taskflow.push import connection as module
from taskflow.push import websocket
from taskflow.push.connection import (
    QUEUE_MAX_BYTES,
    QUEUE_MAX_MESSAGES,
    CloseCode,
    Connection,
    Renewed,
)
from taskflow.push.websocket import text_frame, whole_sends
from tests.support.data.builders import A_TIME
from tests.support.network.sockets import close_code
from tests.support.network.websocket_pair import WebSocketPair, a_websocket_pair
from tests.support.polling import eventually

AN_HOUR = timedelta(hours=1)
WAIT_S = 10
A_LONG_TEXT = "x" * 1_000_000
SetClock = Callable[[datetime], None]


@pytest.fixture
def pair(set_clock: SetClock) -> Generator[WebSocketPair]:
    set_clock(A_TIME)
    with a_websocket_pair() as made:
        yield made


@pytest.fixture
def narrow_pair(set_clock: SetClock) -> Generator[WebSocketPair]:
    """Connect a client that takes in next to nothing."""
    set_clock(A_TIME)
    with a_websocket_pair(buffer_bytes=4096) as made:
        yield made


def _nobody(_token: str) -> Renewed | CloseCode:
    return CloseCode.BAD_TOKEN


def _a_connection(
    pair: WebSocketPair,
    renew: Callable[[str], Renewed | CloseCode] = _nobody,
    *,
    lifetime_s: float = math.inf,
) -> Connection:
    return Connection(pair.server, A_TIME + AN_HOUR, renew, lifetime_s=lifetime_s)


def _pumping(connection: Connection) -> threading.Thread:
    thread = threading.Thread(target=connection.pump)
    thread.start()
    return thread


def test_offered_messages_are_sent_in_order_and_those_sent_before_are_dropped(
    pair: WebSocketPair,
) -> None:
    connection = _a_connection(pair)
    connection.position = 3
    pumping = _pumping(connection)

    for seq in (2, 3, 4, 4, 5, 1, 6):
        connection.offer(seq, text_frame(f"event {seq}"))
    received = [pair.client.recv(timeout=WAIT_S) for _ in range(3)]
    connection.close_soon(CloseCode.SERVICE_RESTART)

    assert received == ["event 4", "event 5", "event 6"]
    assert close_code(pair.client) == CloseCode.SERVICE_RESTART
    pumping.join(WAIT_S)
    assert not pumping.is_alive()


def test_messages_offered_by_several_threads_are_not_lost(pair: WebSocketPair) -> None:
    connection = _a_connection(pair)
    pumping = _pumping(connection)
    lock = threading.Lock()
    offered = 0

    def offer() -> None:
        nonlocal offered
        for _ in range(100):
            with lock:
                offered += 1
                connection.offer(offered, text_frame(str(offered)))

    threads = [threading.Thread(target=offer) for _ in range(4)]
    for thread in threads:
        thread.start()
    received = [pair.client.recv(timeout=WAIT_S) for _ in range(400)]
    connection.close_soon(CloseCode.SERVICE_RESTART)
    pumping.join(WAIT_S)

    assert received == [str(number) for number in range(1, 401)]


@pytest.mark.parametrize(
    ("count", "length"),
    [(QUEUE_MAX_MESSAGES + 1, 10), (5, QUEUE_MAX_BYTES // 4)],
    ids=["too many", "too much"],
)
def test_too_many_waiting_messages_close_the_socket_with_4429(
    pair: WebSocketPair, count: int, length: int
) -> None:
    connection = _a_connection(pair)

    for seq in range(1, count):
        connection.offer(seq, b"x" * length)
    was_open = connection.check()
    connection.offer(count, b"x" * length)
    is_open = connection.check()

    assert (was_open, is_open) == (True, False)
    assert close_code(pair.client) == CloseCode.TOO_SLOW


def test_a_closing_socket_takes_no_more_messages(pair: WebSocketPair) -> None:
    connection = _a_connection(pair)

    connection.close_soon(CloseCode.TOO_SLOW)
    connection.close_soon(CloseCode.SERVICE_RESTART)
    connection.offer(1, text_frame("late"))
    connection.pump()

    assert close_code(pair.client) == CloseCode.TOO_SLOW


def test_a_token_that_expires_closes_the_socket(pair: WebSocketPair, set_clock: SetClock) -> None:
    connection = _a_connection(pair)
    before = connection.check()

    set_clock(A_TIME + AN_HOUR)

    assert (before, connection.check()) == (True, False)
    assert close_code(pair.client) == CloseCode.BAD_TOKEN


def test_a_newer_token_prolongs_a_connection_and_a_bad_token_ends_it(
    pair: WebSocketPair, set_clock: SetClock
) -> None:
    tokens = {"newer": Renewed(A_TIME + 2 * AN_HOUR, session_id=None)}
    connection = _a_connection(pair, lambda token: tokens.get(token, CloseCode.BAD_TOKEN))
    pair.client.send('{"type": "auth", "token": "newer"}')
    eventually(lambda: _has_come(pair))
    connection.check()

    set_clock(A_TIME + AN_HOUR)
    still_open = connection.check()
    pair.client.send('{"type": "auth", "token": "bad"}')
    eventually(lambda: _has_come(pair))

    assert (still_open, connection.check()) == (True, False)
    assert close_code(pair.client) == CloseCode.BAD_TOKEN


def _has_come(pair: WebSocketPair) -> None:
    assert pair.server.input_buffer


def test_a_socket_is_closed_between_four_fifths_and_the_end_of_its_lifetime(
    pair: WebSocketPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskflow.clock.monotonic_s", lambda: 0.0)
    connection = _a_connection(pair, lifetime_s=100)

    monkeypatch.setattr("taskflow.clock.monotonic_s", lambda: 79.0)
    young = connection.check()
    monkeypatch.setattr("taskflow.clock.monotonic_s", lambda: 100.0)
    old = connection.check()

    assert (young, old) == (True, False)
    assert close_code(pair.client) == CloseCode.SERVICE_RESTART


def test_a_socket_that_is_sent_away_closes_within_the_given_time(pair: WebSocketPair) -> None:
    connection = _a_connection(pair)
    pumping = _pumping(connection)

    connection.rotate_within(0.2)

    assert close_code(pair.client) == CloseCode.SERVICE_RESTART
    pumping.join(WAIT_S)
    assert not pumping.is_alive()


def test_a_client_that_leaves_ends_the_handler(pair: WebSocketPair) -> None:
    pumping = _pumping(_a_connection(pair))

    pair.client.close()

    pumping.join(WAIT_S)
    assert not pumping.is_alive()


def test_a_reader_too_slow_for_a_close_frame_is_cut_off(
    narrow_pair: WebSocketPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ABORT_AFTER_S", 0.1)
    connection = _a_connection(narrow_pair)
    pumping = _to_the_end(connection.pump)
    # The client's own thread takes one or two before anybody reads them.
    for seq in (1, 2, 3, 4):
        connection.offer(seq, text_frame(A_LONG_TEXT))
    eventually(lambda: _is_blocked(narrow_pair))
    connection.abort_if_stuck()
    for seq in range(5, QUEUE_MAX_BYTES // len(A_LONG_TEXT) + 7):
        connection.offer(seq, text_frame(A_LONG_TEXT))

    eventually(lambda: _is_cut_off(connection, pumping))


def test_a_reader_that_stops_while_it_catches_up_is_cut_off(
    narrow_pair: WebSocketPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "UNREAD_MAX_S", 0.2)
    connection = _a_connection(narrow_pair)
    catching_up = _to_the_end(lambda: connection.send([_an_event(1, A_LONG_TEXT)]))

    eventually(lambda: _is_cut_off(connection, catching_up))


def test_missed_messages_are_framed_only_as_they_are_sent(
    narrow_pair: WebSocketPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def counted(text: str) -> bytes:
        made.append(text)
        return text_frame(text)

    monkeypatch.setattr(module, "text_frame", counted)
    connection = _a_connection(narrow_pair)
    missed = [_an_event(seq, "x" * module.SENT_AT_ONCE_BYTES) for seq in range(1, 101)]
    catching_up = _to_the_end(lambda: connection.send(missed))

    eventually(lambda: _is_blocked(narrow_pair))

    assert len(made) < 10
    whole_sends(narrow_pair.server).abort()
    catching_up.join(WAIT_S)


def test_a_reader_that_is_slow_but_reads_is_not_cut_off(
    narrow_pair: WebSocketPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "UNREAD_MAX_S", 5)
    connection = _a_connection(narrow_pair)
    missed = [_an_event(seq, "x" * 5_000) for seq in range(1, 21)]
    catching_up = _to_the_end(lambda: connection.send(missed))

    for event in missed:
        assert narrow_pair.client.recv(timeout=WAIT_S) == event.message_json()
        connection.abort_if_stuck()

    catching_up.join(WAIT_S)
    assert connection.check()


def test_a_client_that_sends_into_an_unread_socket_is_cut_off(pair: WebSocketPair) -> None:
    flood = "x" * 60_000

    with pytest.raises(WebSocketException):
        list(map(pair.client.send, [flood] * 1000))

    assert sum(map(len, pair.server.input_buffer)) < 2 * websocket.INPUT_BUFFER_MAX_BYTES


def _an_event(seq: int, text: str) -> Event:
    return Event(
        event_id=UUID(int=seq),
        event_type="task.created",
        user_id="somebody",
        aggregate_id="a task",
        seq=seq,
        version=1,
        schema_version=1,
        timestamp=A_TIME,
        correlation_id="a-test",
        traceparent="",
        actor="somebody",
        origin="pytest",
        data_json=compact_json({"text": text}),
    )


def _to_the_end(work: Callable[[], None]) -> threading.Thread:
    """Do the work of a handler, which ends when its socket is cut off."""

    def handle() -> None:
        with suppress(OSError, ConnectionClosed):
            work()

    thread = threading.Thread(target=handle)
    thread.start()
    return thread


def _is_blocked(pair: WebSocketPair) -> None:
    assert whole_sends(pair.server).sending_since_s is not None


def _is_cut_off(connection: Connection, handler: threading.Thread) -> None:
    connection.abort_if_stuck()
    assert not handler.is_alive()
