"""The poster: one exchange with a subscriber, over connections that are kept and that break."""

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from taskflow.eventing.delivery import Answer, Outcome, backoff
from taskflow.standalone.post import ANSWER_MAX_BYTES, Poster
from tests.support.subscriber import NO_CONTENT, Delivered, HangUp, Scripted, listening

ATTRIBUTES = {"id": "1", "subject": 'Zażółć 100% "🐘"\r\nce-id: 2', "userid": " a b "}
SOON_S = 10


def test_attributes_and_body_arrive_as_they_were_sent(served: Path, subscriber: Scripted) -> None:
    body = bytes(range(256))

    answer = Poster(served)("a-consumer", ATTRIBUTES, body)

    [delivered] = subscriber.received("a-consumer")
    assert (delivered.attributes, delivered.body) == (ATTRIBUTES, body)
    assert answer == Answer(204, "")


def test_the_answer_is_returned_whatever_it_is(served: Path, subscriber: Scripted) -> None:
    subscriber.script = lambda _: (400, "Zażółć 🐘")

    answer = Poster(served)("a-consumer", ATTRIBUTES, b"")

    assert answer == Answer(400, "Zażółć 🐘")


def test_of_a_long_answer_the_beginning_is_read_and_the_next_exchange_is_sound(
    served: Path, subscriber: Scripted
) -> None:
    subscriber.script = lambda delivered: (500, "x" * 1_000_000) if delivered.body else NO_CONTENT
    post = Poster(served)

    answers = [post("a-consumer", ATTRIBUTES, body) for body in (b"1", b"", b"1", b"")]

    assert [answer.status for answer in answers] == [500, 204, 500, 204]
    assert len(answers[0].text) == ANSWER_MAX_BYTES


def test_where_nobody_listens_there_is_no_answer(socket_path: Path) -> None:
    answer = Poster(socket_path)("a-consumer", ATTRIBUTES, b"")

    assert answer.status is None
    assert answer.outcome is Outcome.AGAIN
    assert answer.text


def test_who_hangs_is_not_waited_for(
    served: Path, subscriber: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskflow.standalone.post.TIMEOUT", timedelta(seconds=0.2))
    released = threading.Event()

    def script(delivered: Delivered) -> tuple[int, str]:
        if delivered.body == b"hang":
            released.wait(SOON_S)
        return NO_CONTENT

    subscriber.script = script
    post = Poster(served)

    answers = [post("a-consumer", ATTRIBUTES, body) for body in (b"", b"hang", b"")]
    released.set()

    # The late answer to the second is not taken for that to the third.
    assert [answer.status for answer in answers] == [204, None, 204]
    assert len(subscriber.received("a-consumer")) == 3


def test_a_connection_is_kept_and_replaced_when_the_server_was_restarted(
    subscriber: Scripted, socket_path: Path
) -> None:
    post = Poster(socket_path)
    statuses: list[int | None] = []

    for _ in range(3):
        with listening(subscriber, socket_path):
            statuses += [post("a-consumer", ATTRIBUTES, b"").status for _ in range(3)]

    assert statuses == [204] * 9
    assert len(subscriber.received("a-consumer")) == 9


def test_a_server_that_hangs_up_twice_gives_no_answer(served: Path, subscriber: Scripted) -> None:
    post = Poster(served)
    post("a-consumer", ATTRIBUTES, b"")
    subscriber.script = _hang_up

    answer = post("a-consumer", ATTRIBUTES, b"")

    assert answer.status is None
    assert len(subscriber.received("a-consumer")) == 3, "a kept connection may have been idle"


def _hang_up(_: Delivered) -> tuple[int, str]:
    raise HangUp


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\xff" * 70_000,
    ],
    ids=lambda said: repr(said[:30]),
)
def test_what_is_no_answer_is_none(socket_path: Path, said: bytes) -> None:
    with _saying(said, socket_path):
        answer = Poster(socket_path)("a-consumer", ATTRIBUTES, b"")

    assert answer.status is None
    assert answer.outcome is Outcome.AGAIN


@contextmanager
def _saying(said: bytes, path: Path) -> Generator[None]:
    """Listen, say something to whoever comes, and hang up."""

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
def test_an_answer_means_what_it_means_to_a_knative_source(
    status: int | None, outcome: Outcome
) -> None:
    assert Answer(status, "").outcome is outcome


def test_waits_double() -> None:
    assert [backoff(attempt) / timedelta(milliseconds=1) for attempt in range(1, 9)] == [
        *(200, 400, 800, 1600, 3200, 6400, 12_800, 25_600)
    ]
