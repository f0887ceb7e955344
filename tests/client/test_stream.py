"""The client: its stream misses and repeats no message through cuts, outages and restarts (L8)."""

import random
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from uuid import uuid4

import pytest

from taskflow.client import LogInFailed, Message, Session, Stream, Sync
from taskflow.client.stream import FIRST_RETRY_S, RETRY_MAX_S, StreamRefused
from tests.support.network.proxy import (
    Proxy,
    a_proxy_to,
    hang_up,
    no_sockets,
    nothing,
    unavailable,
)
from tests.support.polling import eventually
from tests.support.processes.system import System

SOON_S = 40
PASSWORD = "a long password"
TOKEN_LIFETIME_S = 2
"""So short that every stream of these tests that lasts a while outlives its token."""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Generator[System]:
    running = System(
        tmp_path_factory.mktemp("system") / "data",
        ACCESS_TOKEN_LIFETIME_S=str(TOKEN_LIFETIME_S),
    )
    running.start()
    yield running
    running.stop()


@pytest.fixture
def proxy(system: System) -> Generator[Proxy]:
    with a_proxy_to(system.port) as opened:
        yield opened


@pytest.fixture
def email() -> str:
    return f"{uuid4()}@example.com"


@pytest.fixture
def writer(system: System, email: str) -> Session:
    """Open an account; this session is never disturbed."""
    session = Session(system.url)
    session.register(email, PASSWORD)
    return session


@pytest.fixture
def reader(proxy: Proxy, email: str, writer: Session) -> Session:
    """Sign in to the same account through the proxy."""
    del writer
    session = Session(proxy.url)
    session.log_in(email, PASSWORD)
    return session


class Following:
    """A stream that is followed in a thread."""

    def __init__(self, stream: Stream) -> None:
        self.messages: list[Message] = []
        self.syncs: list[Sync] = []
        self.ended: BaseException | None = None
        self.stream = stream
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    @property
    def seqs(self) -> list[int]:
        """The `seq` of each message, as they came."""
        return [message.seq for message in self.messages]

    def wait_for(self, seq: int) -> None:
        """Wait until it has come as far as this."""

        def check() -> None:
            assert self.ended is None
            assert self.seqs
            assert self.seqs[-1] >= seq

        eventually(check, within_s=SOON_S)

    def wait_for_syncs(self, count: int) -> None:
        """Wait until it was connected so many times."""

        def check() -> None:
            assert len(self.syncs) >= count

        eventually(check, within_s=SOON_S)

    def join(self, within_s: float = SOON_S) -> None:
        """Wait for its end."""
        self._thread.join(within_s)
        assert not self._thread.is_alive()

    def assert_ended(self, *proxies: Proxy) -> None:
        """Check that it has ended; what it does on these ways is cut."""
        for proxy in proxies:
            proxy.cut()
        assert not self._thread.is_alive()

    def _follow(self) -> None:
        try:
            for item in self.stream:
                if isinstance(item, Message):
                    self.messages.append(item)
                else:
                    self.syncs.append(item)
        except StreamRefused as error:
            self.ended = error


@contextmanager
def following(
    session: Session, *proxies: Proxy, since: int | None = 0, poll: bool = False
) -> Generator[Following]:
    followed = Following(Stream(session, since=since, poll=poll))
    try:
        yield followed
    finally:
        followed.stream.close()
        # A long-poll that is under way would end by itself, in 25 s.
        eventually(lambda: followed.assert_ended(*proxies), within_s=SOON_S)


def create(session: Session, count: int = 1) -> None:
    for number in range(count):
        answer = session.request("POST", "/api/tasks", json={"title": f"task {number}"})
        assert answer.status_code == 201, answer.text


both_ways = pytest.mark.parametrize("poll", [False, True], ids=["by socket", "by long-poll"])


# Nothing missed, nothing twice


@both_ways
def test_messages_come_as_events_happen(
    proxy: Proxy, writer: Session, reader: Session, *, poll: bool
) -> None:
    with following(reader, proxy, poll=poll) as followed:
        followed.wait_for(1)
        create(writer, 3)
        followed.wait_for(4)

    assert followed.seqs == [1, 2, 3, 4]
    assert [message.type for message in followed.messages] == ["user.registered"] + [
        "task.created"
    ] * 3
    assert [message.data.get("title") for message in followed.messages[1:]] == [
        *("task 0", "task 1", "task 2")
    ]
    assert followed.syncs[0] == Sync(1, resync=False)


@both_ways
def test_a_stream_without_since_begins_now(
    proxy: Proxy, writer: Session, reader: Session, *, poll: bool
) -> None:
    create(writer, 2)
    with following(reader, proxy, since=None, poll=poll) as followed:
        followed.wait_for_syncs(1)
        create(writer)
        followed.wait_for(4)

    assert followed.seqs == [4]
    assert followed.syncs[0] == Sync(3, resync=False)


@both_ways
def test_connections_cut_at_any_moment_lose_and_double_no_message(
    proxy: Proxy, writer: Session, reader: Session, *, poll: bool
) -> None:
    rng = random.Random(20261123)
    with following(reader, proxy, poll=poll) as followed:
        writing = threading.Thread(target=create, args=(writer, 60))
        writing.start()
        while writing.is_alive():
            proxy.cut()
            writing.join(rng.uniform(0, 0.15))
        followed.wait_for(61)

    assert followed.seqs == list(range(1, 62))


@both_ways
def test_messages_of_an_outage_come_after_the_outage(
    proxy: Proxy, writer: Session, reader: Session, *, poll: bool
) -> None:
    with following(reader, proxy, poll=poll) as followed:
        followed.wait_for(1)
        proxy.intercept = hang_up
        proxy.cut()
        create(writer, 5)
        tried = len(proxy.accepted_s)
        eventually(lambda: _assert_more_connections(proxy, tried), within_s=SOON_S)
        proxy.intercept = nothing
        followed.wait_for(6)

    assert followed.seqs == list(range(1, 7))


def _assert_more_connections(proxy: Proxy, tried: int) -> None:
    assert len(proxy.accepted_s) > tried


def test_a_stream_connects_again_within_five_seconds_of_a_cut(
    proxy: Proxy, writer: Session, reader: Session
) -> None:
    with following(reader) as followed:
        followed.wait_for(1)
        before = len(followed.syncs)
        cut_s = time.monotonic()
        proxy.cut()
        followed.wait_for_syncs(before + 1)
        back_s = time.monotonic() - cut_s

    assert back_s < 5
    del writer


def test_a_stream_outlives_its_tokens(writer: Session, reader: Session) -> None:
    with following(reader) as followed:
        first = reader.token()
        followed.wait_for_syncs(3)
        create(writer, 2)
        followed.wait_for(3)

    assert reader.token() != first
    assert followed.seqs == [1, 2, 3]


@both_ways
def test_a_client_with_a_since_beyond_the_newest_reads_the_lists_and_goes_on(
    proxy: Proxy, writer: Session, reader: Session, *, poll: bool
) -> None:
    with following(reader, proxy, since=1_000_000, poll=poll) as followed:
        followed.wait_for_syncs(1)
        create(writer)
        followed.wait_for(2)

    assert followed.syncs[0] == Sync(1, resync=True)
    assert followed.seqs == [2]


def test_a_stream_goes_on_by_long_poll_where_sockets_are_forbidden(
    proxy: Proxy, writer: Session, reader: Session
) -> None:
    proxy.intercept = no_sockets

    with following(reader, proxy) as followed:
        followed.wait_for(1)
        create(writer, 2)
        followed.wait_for(3)

    assert followed.seqs == [1, 2, 3]


@both_ways
def test_an_outage_in_which_tokens_expire_is_no_refusal(
    proxy: Proxy, writer: Session, reader: Session, *, poll: bool
) -> None:
    with following(reader, proxy, poll=poll) as followed:
        followed.wait_for(1)
        proxy.intercept = unavailable
        reader.expire()
        proxy.cut()
        tried = len(proxy.accepted_s)
        eventually(lambda: _assert_more_connections(proxy, tried), within_s=SOON_S)
        create(writer)
        proxy.intercept = nothing
        followed.wait_for(2)

    assert followed.seqs == [1, 2]


# How it tries again


def test_retries_begin_at_half_a_second_and_grow_with_random_pauses(
    system: System, email: str, writer: Session
) -> None:
    del writer
    with ExitStack() as stack:
        proxies = [stack.enter_context(a_proxy_to(system.port)) for _ in range(8)]
        for proxy in proxies:
            session = Session(proxy.url)
            session.log_in(email, PASSWORD)
            # Only its attempts at the stream are looked at: its token lasts.
            proxy.intercept = hang_up
            proxy.accepted_s.clear()
            stack.enter_context(following(session))
        for proxy in proxies:
            eventually(lambda proxy=proxy: _assert_more_connections(proxy, 2), within_s=SOON_S)
        waits_s = [_waits(proxy.accepted_s) for proxy in proxies]

    for waits in waits_s:
        for number, wait_s in enumerate(waits[:2]):
            longest_s = min(RETRY_MAX_S, FIRST_RETRY_S * 2**number)
            # The upper end leaves room for a machine that is busy.
            assert longest_s / 2 <= wait_s <= longest_s + 3
    firsts = [waits[0] for waits in waits_s]
    assert max(firsts) - min(firsts) > 0.01


def _waits(times_s: Sequence[float]) -> list[float]:
    return [later_s - sooner_s for sooner_s, later_s in pairwise(times_s)]


# Its end


@both_ways
def test_a_signed_out_client_is_told_that_its_stream_is_refused(
    proxy: Proxy, writer: Session, reader: Session, *, poll: bool
) -> None:
    del writer
    with following(reader, proxy, poll=poll) as followed:
        followed.wait_for(1)
        reader.log_out()
        reader.expire()
        proxy.cut()

        followed.join()

    assert isinstance(followed.ended, StreamRefused)


def test_a_stream_that_is_closed_ends(writer: Session, reader: Session) -> None:
    del writer
    for _ in range(3):
        with following(reader) as followed:
            followed.wait_for(1)
            followed.stream.close()
            followed.join(10)


def test_a_stream_that_is_closed_while_it_connects_ends(writer: Session, reader: Session) -> None:
    del writer
    rng = random.Random(20261123)
    for _ in range(10):
        followed = Following(Stream(reader, since=0))
        threading.Event().wait(rng.uniform(0, 0.05))
        followed.stream.close()

        followed.join(15)


# Sessions


def test_a_refusal_tells_the_reason_of_the_server(
    system: System, email: str, writer: Session
) -> None:
    del writer
    session = Session(system.url)

    with pytest.raises(LogInFailed, match="email or the password"):
        session.log_in(email, "another password")
    with pytest.raises(LogInFailed, match="already an account"):
        session.register(email, PASSWORD)


def test_many_threads_share_a_session_through_its_refreshes(writer: Session) -> None:
    statuses: list[int] = []

    def ask() -> None:
        until_s = time.monotonic() + TOKEN_LIFETIME_S + 1
        while time.monotonic() < until_s:
            statuses.append(writer.request("GET", "/api/settings").status_code)
            threading.Event().wait(0.05)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(statuses) > 10
    assert set(statuses) == {200}


def test_a_token_that_the_server_refuses_is_replaced(writer: Session) -> None:
    writer._access_token = "revoked"  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - what only a clock could do

    answer = writer.request("GET", "/api/settings")

    assert answer.status_code == 200


# The command


def watch(system: System, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "taskflow.client", "watch", "--url", system.url, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("way", [[], ["--poll"]], ids=["by socket", "by long-poll"])
def test_the_command_shows_a_line_for_each_event_and_ends_after_the_given_number(
    system: System, email: str, writer: Session, way: list[str]
) -> None:
    create(writer)
    options = ["--password", PASSWORD, "--since", "0", "--count", "3", *way]

    with watch(system, email, *options) as command:
        assert command.stdout is not None
        connected = command.stdout.readline()
        create(writer)
        output = command.stdout.read()
        command.wait(SOON_S)

    lines = [line.split() for line in output.splitlines() if "connected" not in line]
    assert connected.split() == ["2", "connected"]
    assert [(line[0], line[2]) for line in lines] == [
        ("1", "user.registered"),
        ("2", "task.created"),
        ("3", "task.created"),
    ]
    assert command.returncode == 0


def test_the_command_says_why_it_cannot_log_in(system: System, email: str, writer: Session) -> None:
    del writer
    with watch(system, email, "--password", "another password") as command:
        output, _ = command.communicate(timeout=SOON_S)

    assert (command.returncode, output) == (1, "The email or the password is wrong.\n")


def test_a_stream_with_waiting_messages_closes_at_once(writer: Session, system: System) -> None:
    for number in range(40):
        writer.request("POST", "/api/tasks", json={"title": f"waiting {number}"})
    stream = iter(Stream(writer, since=0))
    assert isinstance(next(stream), Sync)
    assert isinstance(next(stream), Message)
    began_s = time.monotonic()

    assert isinstance(stream, Generator)
    stream.close()

    # Ten seconds is what a close that waits for its answer takes.
    assert time.monotonic() - began_s < 5
    del system
