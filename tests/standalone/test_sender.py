"""The sender: one exchange with a subscriber, over connections that are kept and that break."""

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from taskflow import clock
from taskflow.eventing.bindings import Outcome
from taskflow.eventing.bindings.knative import Answer, backoff
from taskflow.standalone.sender import ANSWER_MAX_BYTES, KEEP_ALIVE_S, Sender
from tests.support.delivery.scripted_subscriber import (
    NO_CONTENT,
    Delivered,
    HangUp,
    ScriptedSubscriber,
    listening,
)

ATTRIBUTES = {
    "id": "1",
    "subject": 'Zażółć 100%41 "🐘"\r\nce-id: 2',
    "userid": "é",
    "datacontenttype": "text/plain",
}
SOON_S = 10
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_attributes_arrive_in_latin_1_and_the_body_as_it_was_sent(
    served: Path, subscriber: ScriptedSubscriber
) -> None:
    body = bytes(range(256))

    answer = Sender(served)("a-consumer", ATTRIBUTES, body)

    [delivered] = subscriber.received("a-consumer")
    in_latin_1 = {**ATTRIBUTES, "subject": 'Za?ó?? 100%41 "??"??ce-id: 2'}
    assert (delivered.attributes, delivered.body) == (in_latin_1, body)
    assert answer == Answer(204, "")


def test_the_answer_is_returned_whatever_it_is(
    served: Path, subscriber: ScriptedSubscriber
) -> None:
    subscriber.script = lambda _: (400, "Zażółć 🐘")

    answer = Sender(served)("a-consumer", ATTRIBUTES, b"")

    assert answer == Answer(400, "Zażółć 🐘")


def test_the_beginning_of_a_long_answer_is_read_and_the_next_exchange_works(
    served: Path, subscriber: ScriptedSubscriber
) -> None:
    subscriber.script = lambda delivered: (500, "x" * 1_000_000) if delivered.body else NO_CONTENT
    post = Sender(served)

    answers = [post("a-consumer", ATTRIBUTES, body) for body in (b"1", b"", b"1", b"")]

    assert [answer.status for answer in answers] == [500, 204, 500, 204]
    assert len(answers[0].text) == ANSWER_MAX_BYTES


def test_a_request_without_a_listener_gets_no_answer(socket_path: Path) -> None:
    answer = Sender(socket_path)("a-consumer", ATTRIBUTES, b"")

    assert answer.status is None
    assert answer.outcome is Outcome.AGAIN
    assert answer.text


def test_a_server_that_hangs_is_given_up(
    served: Path, subscriber: ScriptedSubscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskflow.standalone.sender.TIMEOUT", timedelta(seconds=0.2))
    released = threading.Event()

    def script(delivered: Delivered) -> tuple[int, str]:
        if delivered.body == b"hang":
            released.wait(SOON_S)
        return NO_CONTENT

    subscriber.script = script
    post = Sender(served)

    answers = [post("a-consumer", ATTRIBUTES, body) for body in (b"", b"hang", b"")]
    released.set()

    # The late answer to the second is not taken for that to the third.
    assert [answer.status for answer in answers] == [204, None, 204]
    assert len(subscriber.received("a-consumer")) == 3


def test_a_kept_connection_is_replaced_when_the_server_was_restarted(
    subscriber: ScriptedSubscriber, socket_path: Path
) -> None:
    post = Sender(socket_path)
    statuses: list[int | None] = []

    for _ in range(3):
        with listening(subscriber, socket_path):
            statuses += [post("a-consumer", ATTRIBUTES, b"").status for _ in range(3)]

    assert statuses == [204] * 9
    assert len(subscriber.received("a-consumer")) == 9


def test_a_server_that_hangs_up_twice_gives_no_answer(
    served: Path, subscriber: ScriptedSubscriber
) -> None:
    post = Sender(served)
    post("a-consumer", ATTRIBUTES, b"")
    subscriber.script = _hang_up

    answer = post("a-consumer", ATTRIBUTES, b"")

    assert answer.status is None
    assert len(subscriber.received("a-consumer")) == 3, "a kept connection may have been idle"


def _hang_up(_: Delivered) -> tuple[int, str]:
    raise HangUp


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", Answer(204, "")),
        (b"HTTP/1.1 400\r\ncontent-length: 3\r\n\r\nbad", Answer(400, "bad")),
        (b"HTTP/1.1 200 OK\r\nContent-Length:0\r\n\r\n", Answer(200, "")),
        (b"HTTP/1.0 500 So\r\n\r\nuntil the end", Answer(500, "until the end")),
        (b"HTTP/1.1 500 So\r\n\r\n" + b"x" * 100_000, Answer(500, "x" * ANSWER_MAX_BYTES)),
        (
            CHUNKED + b"4\r\nin p\r\n6;of=what\r\narts, \r\n1\r\n2\r\n0\r\nA-Trailer: 1\r\n\r\n",
            Answer(200, "in parts, 2"),
        ),
        (
            CHUNKED + b"4000\r\n%s\r\n" % (b"x" * 0x4000) * 5,
            Answer(200, "x" * ANSWER_MAX_BYTES),
        ),
    ],
    ids=lambda said: repr(said)[:80],
)
def test_an_answer_is_read_in_each_framing(socket_path: Path, said: bytes, answer: Answer) -> None:
    with _saying(said, socket_path):
        post = Sender(socket_path)

        assert [post("a-consumer", ATTRIBUTES, b"") for _ in range(3)] == [answer] * 3


def test_a_connection_is_kept_for_a_while_and_then_made_anew(
    served: Path, subscriber: ScriptedSubscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [1000.0]
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s[0])
    made: list[socket.socket] = []
    connect = socket.socket.connect

    def counting(self: socket.socket, address: str) -> None:
        made.append(self)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", counting)
    post = Sender(served)
    counts: list[int] = []

    for passed_s in (0, KEEP_ALIVE_S / 2, KEEP_ALIVE_S, 0):
        now_s[0] += passed_s
        assert post("a-consumer", ATTRIBUTES, b"").status == 204
        counts.append(len(made))

    assert counts == [1, 1, 2, 2]
    assert len(subscriber.received("a-consumer")) == 4


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ncut",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\n" + b"A: 1\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        CHUNKED + b"5\r\ncut",
        CHUNKED + b"3\r\ncut\r\n",
        CHUNKED + b"-1\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        CHUNKED + b"zz\r\n",
        b"\xff" * 70_000,
    ],
    ids=lambda said: repr(said[:80]),
)
def test_a_malformed_answer_has_no_status(socket_path: Path, said: bytes) -> None:
    with _saying(said, socket_path):
        answer = Sender(socket_path)("a-consumer", ATTRIBUTES, b"")

    assert answer.status is None
    assert answer.outcome is Outcome.AGAIN


@contextmanager
def _saying(said: bytes, path: Path) -> Generator[None]:
    """Listen, send bytes to each client, and hang up."""

    def listen() -> None:
        with suppress(OSError):
            while True:
                peer, _ = listener.accept()
                with peer, suppress(OSError):
                    peer.recv(65_536)
                    peer.sendall(said)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=listen)
        thread.start()
        yield
        # A thread that waits in accept() is not woken by close().
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (None, Outcome.AGAIN),
        *((status, Outcome.DONE) for status in (200, 202, 204, 299)),
        *((status, Outcome.AGAIN) for status in (404, 408, 409, 429, 500, 503, 599)),
        *((status, Outcome.NEVER) for status in (300, 302, 400, 401, 403, 405, 410, 422, 499)),
    ],
)
def test_a_status_has_the_outcome_that_it_has_for_a_knative_source(
    status: int | None, outcome: Outcome
) -> None:
    assert Answer(status, "").outcome is outcome


def test_the_pauses_between_retries_double() -> None:
    assert [backoff(attempt) / timedelta(milliseconds=1) for attempt in range(1, 9)] == [
        *(200, 400, 800, 1600, 3200, 6400, 12_800, 25_600)
    ]
