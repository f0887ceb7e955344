"""Live sync through real sockets: authentication, messages, resuming and limits (L1 to L3)."""

import base64
import contextlib
import itertools
import json
import re
import secrets
import socket
import sys
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import jwt
import pytest
import requests
from sqlalchemy import Integer, Text, bindparam, text
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection

from taskflow import clock
from taskflow.domain.resume import MISSED_MAX
from taskflow.push.connection import QUEUE_MAX_BYTES, CloseCode
from taskflow.push.frame import TOKEN_WITHIN_S
from taskflow.push.websocket import MESSAGE_MAX_BYTES, SUBPROTOCOL
from taskflow.storage import events, transaction
from tests.support.data.accounts import A_CAUSE, SignedIn
from tests.support.data.builders import log_of
from tests.support.database.connection import database_of
from tests.support.network.remote_api import RemoteApi, a_new_user, signed_in
from tests.support.network.sockets import (
    ResumingClient,
    close_code,
    following,
    opened,
    receive,
    receive_up_to,
    seqs,
)
from tests.support.polling import eventually
from tests.support.processes.system import System

WAIT_S = 20
COPIED = (
    "user_id, event_id, event_type, aggregate_id, version, schema_version, timestamp,"
    " correlation_id, traceparent, actor, origin, data, hash"
)
# A frame's first byte: the last of a message (0x80) and what it is; see RFC 6455, 5.2.
TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A


@pytest.fixture
def user(system: System) -> SignedIn:
    return a_new_user(system)


@pytest.fixture
def other(system: System) -> SignedIn:
    return a_new_user(system)


@pytest.fixture(autouse=True)
def _no_error_is_logged(system: System) -> Generator[None]:
    before = len(_errors(system.log))
    yield
    assert _errors(system.log)[before:] == []


def _errors(log: Path) -> list[str]:
    return [
        line
        for line in log.read_text().splitlines()
        if re.search(r"error|Traceback|exception|critical", line, re.IGNORECASE)
    ]


def _auth(user: SignedIn) -> str:
    return json.dumps({"type": "auth", "token": user.token})


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _token(system: System, user: SignedIn, **claims: object) -> str:
    """Write a token with the system's own secret, good for a minute."""
    now = clock.now()
    payload = {"sub": user.user_id, "iat": now, "exp": now + timedelta(minutes=1), **claims}
    return jwt.encode(payload, (system.data_dir / "jwt-secret").read_text(), algorithm="HS256")


def _ticket(system: System, user: SignedIn) -> str:
    with RemoteApi(system, user) as remote:
        answer = remote.request("POST", "ws-ticket")
    assert answer.status_code == 201
    assert answer.json()["expires_in"] > 0
    return answer.json()["ticket"]


def _expect_live(system: System, user: SignedIn, listening: ClientConnection) -> None:
    assert receive(listening)["type"] == "task.sync"
    with RemoteApi(system, user) as remote:
        task = remote.create()
    assert receive(listening)["data"] == task


# Where the token comes from: L1


def test_the_token_may_come_in_the_subprotocol_and_is_not_echoed(
    system: System, user: SignedIn
) -> None:
    with opened(system, subprotocols=[SUBPROTOCOL, f"bearer.{user.token}"]) as listening:
        assert listening.response is not None
        headers = str(listening.response.headers)

        assert listening.subprotocol == SUBPROTOCOL
        assert user.token not in headers
        _expect_live(system, user, listening)


def test_the_token_may_come_in_the_authorization_header(system: System, user: SignedIn) -> None:
    with opened(system, headers=user.headers) as listening:
        _expect_live(system, user, listening)


def test_the_token_may_come_in_the_first_message(system: System, user: SignedIn) -> None:
    with opened(system) as listening:
        listening.send(_auth(user))

        _expect_live(system, user, listening)


def test_a_ticket_opens_one_socket(system: System, user: SignedIn) -> None:
    ticket = _ticket(system, user)

    with opened(system, ticket=ticket) as listening:
        _expect_live(system, user, listening)
    with opened(system, ticket=ticket) as again:
        assert close_code(again) == CloseCode.BAD_TOKEN


def test_a_client_that_guesses_tickets_is_told_when_to_come_back(own_system: System) -> None:
    own_system.settings["RATE_LIMIT_AUTH_PER_MIN"] = "5"
    own_system.start()
    user = a_new_user(own_system)
    right = _ticket(own_system, user)
    for _ in range(5):
        with opened(own_system, ticket="a guess") as listening:
            assert close_code(listening) == CloseCode.BAD_TOKEN

    with pytest.raises(InvalidStatus) as refused, opened(own_system, ticket=right):
        pass

    assert refused.value.response.status_code == 429
    assert int(refused.value.response.headers["Retry-After"]) >= 1
    # Who has a token, or logs in, is not held up by it.
    with opened(own_system, headers=user.headers) as listening:
        _expect_live(own_system, user, listening)
    assert signed_in(own_system, "login", user.email).user_id == user.user_id


def test_a_token_in_the_query_string_is_refused(system: System, user: SignedIn) -> None:
    with opened(system, token=user.token, access_token=user.token) as listening:
        listening.send("{}")

        assert close_code(listening) == CloseCode.BAD_TOKEN


def test_all_paths_lead_to_the_socket(system: System, user: SignedIn) -> None:
    for path in ("", f"/{user.user_id}", f"/user/{user.user_id}/tasks"):
        with opened(system, path, headers=user.headers) as listening:
            _expect_live(system, user, listening)


# Who is refused: L1 too


@pytest.mark.parametrize("path", ["/{other}", "/user/{other}/tasks", "/nobody"])
def test_a_socket_on_the_path_of_another_user_is_closed_with_4403(
    system: System, user: SignedIn, other: SignedIn, path: str
) -> None:
    with opened(system, path.format(other=other.user_id), headers=user.headers) as listening:
        assert close_code(listening) == CloseCode.NOT_YOUR_ACCOUNT


def test_a_socket_whose_token_may_not_read_is_closed_with_4403(
    system: System, user: SignedIn
) -> None:
    token = _token(system, user, permissions=["tasks:write"])

    with opened(system, headers=_bearer(token)) as listening:
        assert close_code(listening) == CloseCode.NOT_YOUR_ACCOUNT


def test_a_socket_on_ones_own_path_with_the_ticket_of_another_is_closed_with_4403(
    system: System, user: SignedIn, other: SignedIn
) -> None:
    with opened(system, f"/{user.user_id}", ticket=_ticket(system, other)) as listening:
        assert close_code(listening) == CloseCode.NOT_YOUR_ACCOUNT


def test_a_socket_with_a_bad_token_is_closed_with_4401(system: System, user: SignedIn) -> None:
    expired = _token(system, user, exp=clock.now() - timedelta(minutes=1))
    nobodys = _token(system, user, sub="nobody at all")
    unsigned = jwt.encode({"sub": user.user_id}, "", algorithm="none")

    for token in (expired, nobodys, unsigned, user.token[:-4] + "AAAA", "x"):
        with opened(system, headers=_bearer(token)) as listening:
            assert close_code(listening) == CloseCode.BAD_TOKEN
        with opened(system, subprotocols=[SUBPROTOCOL, f"bearer.{token}"]) as listening:
            assert close_code(listening) == CloseCode.BAD_TOKEN
        with opened(system) as listening:
            listening.send(json.dumps({"type": "auth", "token": token}))
            assert close_code(listening) == CloseCode.BAD_TOKEN
    with opened(system, ticket="unknown") as listening:
        assert close_code(listening) == CloseCode.BAD_TOKEN


@pytest.mark.parametrize(
    "first",
    [
        "",
        "{}",
        "null",
        "[]",
        "12",
        "not JSON",
        '{"type": "auth"}',
        '{"type": "auth", "token": null}',
        '{"type": "auth", "token": ""}',
        '{"type": "auth", "token": {"a": 1}}',
        '{"type": ["auth"], "token": "x"}',
        "[" * 30_000,
        b"\xff\xfe\x00",
        "\U0001f418",
    ],
)
def test_a_socket_whose_first_message_is_no_token_is_closed_with_4401(
    system: System, first: str | bytes
) -> None:
    with opened(system) as listening:
        listening.send(first)

        assert close_code(listening) == CloseCode.BAD_TOKEN


def test_a_socket_without_a_token_in_time_is_closed_with_4408(system: System) -> None:
    with opened(system) as listening:
        began_s = time.monotonic()

        assert close_code(listening, within_s=TOKEN_WITHIN_S + WAIT_S) == CloseCode.NO_TOKEN

        assert time.monotonic() - began_s > TOKEN_WITHIN_S - 1


@pytest.mark.parametrize(
    "since", ["", "-1", "1.5", "x", "+1", "٣", " 1", "1 ", "0x1", "1e3", "1" * 20, "1" * 2000, "\0"]
)
def test_a_socket_with_a_bad_since_is_closed_with_4400(
    system: System, user: SignedIn, since: str
) -> None:
    with opened(system, headers=user.headers, since=since) as listening:
        assert close_code(listening) == CloseCode.BAD_SINCE


def test_a_since_or_a_ticket_given_twice_is_refused(system: System, user: SignedIn) -> None:
    with opened(system, headers=user.headers, since=[0, 1]) as listening:
        assert close_code(listening) == CloseCode.BAD_SINCE
    with opened(system, ticket=[_ticket(system, user), "x"]) as listening:
        assert close_code(listening) == CloseCode.BAD_TOKEN


def test_a_token_that_expires_closes_its_socket_with_4401(system: System, user: SignedIn) -> None:
    # Here it has a second left; a request would have the leeway besides.
    token = _token(system, user, exp=int(clock.now().timestamp()) + 2)

    with opened(system, headers=_bearer(token)) as listening:
        assert receive(listening)["type"] == "task.sync"
        began_s = time.monotonic()

        assert close_code(listening) == CloseCode.BAD_TOKEN

        assert time.monotonic() - began_s < 4


def test_a_newer_token_keeps_the_socket_open_beyond_the_end_of_the_older(
    system: System, user: SignedIn
) -> None:
    soon = int(clock.now().timestamp()) + 2
    with opened(system, headers=_bearer(_token(system, user, exp=soon))) as listening:
        receive(listening)
        listening.send(_auth(user))

        with pytest.raises(TimeoutError):
            listening.recv(timeout=3.5)

        with RemoteApi(system, user) as remote:
            task = remote.create()
        assert receive(listening)["data"] == task


def test_a_newer_token_of_another_user_closes_the_socket(
    system: System, user: SignedIn, other: SignedIn
) -> None:
    with following(system, user) as listening:
        listening.send(_auth(other))

        assert close_code(listening) == CloseCode.BAD_TOKEN


# What clients receive: L2


def test_messages_have_their_documented_shape(system: System, user: SignedIn) -> None:
    with RemoteApi(system, user) as remote, opened(system, headers=user.headers) as listening:
        sync = receive(listening)
        answer = remote.request("POST", "tasks", {"title": "Zażółć 🐘"})
        task = answer.json()
        created = receive(listening)
        remote.change(task["id"], title="Buy bread")
        updated = receive(listening)

    members = {"type", "data", "timestamp", "correlation_id", "seq", "event_id"}
    assert set(sync) == set(created) == set(updated) == members
    assert sync["type"] == "task.sync"
    assert sync["data"] == {"since": None, "resync": False}
    assert (sync["seq"], created["seq"], updated["seq"]) == (1, 2, 3)
    assert created["type"] == "task.created"
    assert created["data"] == task
    assert created["correlation_id"] == answer.headers["X-Correlation-ID"]
    assert updated["type"] == "task.updated"
    assert updated["data"]["changes"] == {"title": {"old": "Zażółć 🐘", "new": "Buy bread"}}
    assert all(message["timestamp"].endswith("Z") for message in (sync, created, updated))


def test_the_socket_and_the_long_poll_give_the_same_messages(
    system: System, user: SignedIn
) -> None:
    with RemoteApi(system, user) as remote:
        for _ in range(3):
            remote.create()
        polled = remote.request("GET", "events?since=0").json()
    with following(system, user, since=0) as listening:
        pushed = receive_up_to(listening, 4)

    assert pushed == polled["items"]
    assert (polled["seq"], polled["resync"]) == (4, False)


def test_an_update_of_several_kinds_is_heard_as_several_messages_in_order(
    system: System, user: SignedIn
) -> None:
    with RemoteApi(system, user) as remote, following(system, user) as listening:
        task = remote.create()
        remote.change(
            task["id"], title="Other", due_date="2030-01-01T00:00:00Z", status="completed"
        )
        found = receive_up_to(listening, 5)

    assert [message["type"] for message in found] == [
        "task.created",
        "task.updated",
        "task.due_date_changed",
        "task.completed",
    ]


# All of it, once and in order: L3 and L5


def test_a_change_reaches_all_sockets_of_its_user_in_order_and_once(
    system: System, user: SignedIn
) -> None:
    with (
        RemoteApi(system, user) as remote,
        following(system, user) as one,
        following(system, user) as two,
        following(system, user) as three,
    ):
        for number in range(20):
            remote.create(f"task {number}")
        found = [receive_up_to(listening, 21) for listening in (one, two, three)]

    assert seqs(found[0]) == list(range(2, 22))
    assert found[0] == found[1] == found[2]


def test_a_socket_of_another_user_hears_no_message(
    system: System, user: SignedIn, other: SignedIn
) -> None:
    with (
        RemoteApi(system, user) as remote,
        following(system, user) as mine,
        following(system, other) as theirs,
        following(system, other, since=0) as theirs_from_the_start,
    ):
        for _ in range(10):
            remote.create()
        receive_up_to(mine, 11)

        first = receive(theirs_from_the_start)
        assert (first["seq"], first["data"]["id"]) == (1, other.user_id)
        for listening in (theirs, theirs_from_the_start):
            with pytest.raises(TimeoutError):
                listening.recv(timeout=1.5)


def test_a_socket_that_is_cut_and_resumes_misses_no_message(system: System, user: SignedIn) -> None:
    found: list[int] = []
    with RemoteApi(system, user) as remote:
        for round_ in range(4):
            with following(system, user, since=found[-1] if found else 0) as listening:
                for _ in range(3):
                    remote.create()
                # Cut in the middle of what is coming, without a word.
                found += seqs(receive_up_to(listening, 2 + round_ * 5))
                listening.socket.shutdown(socket.SHUT_RDWR)
            for _ in range(2):
                remote.create()
        with following(system, user, since=found[-1]) as listening:
            found += seqs(receive_up_to(listening, 21))

    assert found == list(range(1, 22))


def test_events_committed_while_a_socket_resumes_are_neither_missed_nor_doubled(
    system: System, user: SignedIn
) -> None:
    """Sockets go over from reading the log to live messages under load, again and again."""
    with RemoteApi(system, user) as remote, ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: [remote.create() for _ in range(150)])
        runs: list[list[int]] = []
        for since in itertools.chain([0], itertools.repeat(None)):
            resumed = since if since is not None else runs[-1][-1]
            with following(system, user, since=resumed) as listening:
                runs.append(seqs(receive_up_to(listening, min(resumed + 7, 151))))
            if runs[-1][-1] == 151:
                break
        writing.result(WAIT_S)

    assert list(itertools.chain.from_iterable(runs)) == list(range(1, 152))


def test_changes_of_twenty_writers_are_heard_in_one_order_by_all_sockets(
    system: System, user: SignedIn
) -> None:
    def write(writer: int) -> None:
        with RemoteApi(system, user) as remote:
            for number in range(10):
                task = remote.create(f"task {writer}-{number}")
                remote.request("PATCH", f"tasks/{task['id']}/complete")

    with (
        following(system, user, since=0) as one,
        following(system, user) as two,
        opened(system, ticket=_ticket(system, user), since=0) as three,
        ThreadPoolExecutor(20) as pool,
    ):
        list(pool.map(write, range(20)))
        receive(three)
        found = [receive_up_to(listening, 401, within_s=WAIT_S) for listening in (one, two, three)]

    assert seqs(found[0]) == seqs(found[2]) == list(range(1, 402))
    assert seqs(found[1]) == list(range(2, 402))
    assert found[0] == found[2]
    assert found[0][1:] == found[1]
    with database_of(system):
        log = log_of(user.user_id)
        with transaction(A_CAUSE) as tx:
            assert events.broken_link(tx, user.user_id) is None
    assert [json.loads(event.message_json()) for event in log] == found[0]


def _append_many(user: SignedIn, count: int, *, padding: str = "") -> None:
    """Append to a running system's log without its knowing, as another replica would.

    The chain is not carried on: it is a quick way to a long log, of which nothing else is asked.
    """
    with transaction(A_CAUSE) as tx:
        for statement in (
            (
                f"INSERT INTO events (seq, {COPIED})"  # noqa: S608 - ours
                " SELECT newest.seq + number, head.user_id, gen_random_uuid(), 'task.created',"
                " gen_random_uuid()::text, 1, 1, now(), 'a-test', '', '', '',"
                " json_build_object('padding', CAST(:padding AS text)), head.hash"
                " FROM events head, streams newest, generate_series(1, :count) number"
                " WHERE head.user_id = :user_id AND head.seq = 1 AND newest.user_id = :user_id"
            ),
            "UPDATE streams SET seq = seq + :count + 0 * length(:padding) WHERE user_id = :user_id",
        ):
            tx.connection.execute(
                text(statement).bindparams(
                    bindparam("padding", type_=Text), bindparam("count", type_=Integer)
                ),
                {"user_id": user.user_id, "count": count, "padding": padding},
            )


def test_five_thousand_events_missed_by_a_socket_are_all_heard_in_order(
    system: System, user: SignedIn
) -> None:
    with database_of(system):
        _append_many(user, 5000)

    with following(system, user, since=1) as listening:
        found = receive_up_to(listening, 5001, within_s=WAIT_S)
        with RemoteApi(system, user) as remote:
            remote.create()
        live = receive(listening)

    assert seqs(found) == list(range(2, 5002))
    assert live["seq"] == 5002


def test_an_event_without_a_commit_notification_is_heard(system: System, user: SignedIn) -> None:
    with following(system, user) as listening, database_of(system):
        _append_many(user, 3)

        assert seqs(receive_up_to(listening, 4)) == [2, 3, 4]


def test_a_client_with_a_since_too_old_or_beyond_the_newest_reads_the_lists(
    system: System, user: SignedIn
) -> None:
    def first_of(since: int | None) -> tuple[object, object, object]:
        with opened(system, headers=user.headers, since=since) as listening:
            sync = receive(listening)
        return sync["seq"], sync["data"]["since"], sync["data"]["resync"]

    with database_of(system):
        _append_many(user, MISSED_MAX)
    newest = MISSED_MAX + 1

    assert first_of(None) == (newest, None, False)
    assert first_of(newest) == (newest, newest, False)
    assert first_of(1) == (newest, 1, False)
    assert first_of(0) == (newest, 0, True)
    assert first_of(newest + 1) == (newest, newest + 1, True)
    assert first_of((1 << 63) - 1) == (newest, (1 << 63) - 1, True)
    with following(system, user, since=0) as listening, RemoteApi(system, user) as remote:
        task = remote.create()
        after_resync = receive(listening)
    assert (after_resync["seq"], after_resync["data"]) == (newest + 1, task)
    with following(system, user, since=2) as listening:
        assert seqs(receive_up_to(listening, newest + 1, within_s=WAIT_S)) == list(
            range(3, newest + 2)
        )


# What clients should not do


@contextmanager
def _raw(
    system: System, user: SignedIn, *, path: str = "/ws", receive_buffer_bytes: int = 0
) -> Generator[socket.socket]:
    """Open a socket by hand, with frames of one's own; nothing is read but the handshake."""
    with socket.socket() as raw:
        if receive_buffer_bytes:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        raw.settimeout(WAIT_S)
        raw.connect(("127.0.0.1", system.port))
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: taskflow",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            f"Authorization: Bearer {user.token}",
        ]
        raw.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            received = raw.recv(1)
            assert received, answer
            answer += received
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        yield raw


def _frame(first: int, payload: bytes, *, masked: bool = True, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    mask_bit = 0x80 if masked else 0
    if size < 126:
        header = bytes([first, mask_bit | size])
    elif size < 1 << 16:
        header = bytes([first, mask_bit | 126]) + size.to_bytes(2, "big")
    else:
        header = bytes([first, mask_bit | 127]) + size.to_bytes(8, "big")
    # A mask of zeros leaves the payload as it is.
    return header + (bytes(4) if masked else b"") + payload


def _read_to_the_end(raw: socket.socket) -> bytes:
    """Read until the server hangs up."""
    found = bytearray()
    try:
        while received := raw.recv(1 << 16):
            found += received
    except ConnectionResetError:
        pass
    return bytes(found)


def _hear_first(raw: socket.socket) -> None:
    """Read the first message, after which all is live; it is longer than 125 bytes."""
    length = int.from_bytes(raw.recv(4, socket.MSG_WAITALL)[2:], "big")
    message = json.loads(raw.recv(length, socket.MSG_WAITALL))
    assert message["type"] == "task.sync"


def _frames(found: bytes) -> list[tuple[int, bytes]]:
    """Take apart what a server sent; a frame that was cut off at the end is left out."""
    frames: list[tuple[int, bytes]] = []
    while len(found) >= 2:
        size, begin = found[1], 2
        if size == 126:
            size, begin = int.from_bytes(found[2:4], "big"), 4
        elif size == 127:
            size, begin = int.from_bytes(found[2:10], "big"), 10
        if len(found) < begin + size:
            break
        frames.append((found[0], found[begin : begin + size]))
        found = found[begin + size :]
    return frames


def test_meaningless_messages_of_a_client_change_nothing(system: System, user: SignedIn) -> None:
    with following(system, user) as listening:
        for junk in ("", "{}", "null", "x" * 60_000, b"\x00\xff", '{"type": "task.created"}'):
            listening.send(junk)
        listening.ping()
        listening.pong()
        listening.send(["in ", "several ", "frames"])

        with RemoteApi(system, user) as remote:
            task = remote.create()
        assert receive(listening)["data"] == task


@pytest.mark.parametrize(
    "junk",
    {
        "noise": b"\x00\xff" * 5000,
        "plain HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "an unmasked frame": _frame(TEXT, b"{}", masked=False),
        "a reserved opcode": _frame(0x83, b"{}"),
        "reserved bits": _frame(0xF1, b"{}"),
        "text that is not UTF-8": _frame(TEXT, b"\xc3\x28"),
        "a character cut in two": _frame(0x01, b"\xf0\x9f") + _frame(0x80, b"\x28"),
        "a continuation of nothing": _frame(0x80, b"{}"),
        "a message inside another": _frame(0x01, b"{}") + _frame(TEXT, b"{}"),
        "a ping in two": _frame(0x09, b"{}"),
        "too long a ping": _frame(PING, b"x" * 126),
        "a length without end": _frame(TEXT, b"x", length=(1 << 63) - 1),
        "an impossible length": _frame(TEXT, b"x", length=1 << 63),
        "a close with half a code": _frame(CLOSE, b"\x03"),
        "a close with no such code": _frame(CLOSE, b"\x00\x01"),
        "a close whose reason is not UTF-8": _frame(CLOSE, b"\x03\xe8\xff"),
        "a close": _frame(CLOSE, b"\x03\xe8"),
        "an empty close and more": _frame(CLOSE, b"") + _frame(TEXT, b"{}") * 100,
        "too long a message": _frame(TEXT, b"x" * (MESSAGE_MAX_BYTES + 1)),
        "too long a message in parts": _frame(0x01, b"x" * 60_000) + _frame(0x80, b"x" * 60_000),
    }.items(),
    ids=lambda pair: pair[0],
)
def test_a_broken_client_harms_no_other_client(
    system: System, user: SignedIn, junk: tuple[str, bytes]
) -> None:
    with following(system, user) as healthy:
        with _raw(system, user) as raw:
            raw.sendall(junk[1])
            # The server may have hung up already.
            with contextlib.suppress(OSError):
                raw.shutdown(socket.SHUT_WR)
            _read_to_the_end(raw)

        with RemoteApi(system, user) as remote:
            task = remote.create()
        assert receive(healthy)["data"] == task


def test_a_socket_that_sends_too_long_a_message_is_closed_with_1009(
    system: System, user: SignedIn
) -> None:
    with following(system, user) as listening:
        listening.send("x" * (MESSAGE_MAX_BYTES + 1))

        assert close_code(listening) == 1009


def _memory_bytes(system: System) -> int:
    """Return the memory of the processes that serve the API."""
    return sum(
        found.memory_info().rss
        for found in system.processes()
        if "taskflow.standalone.web" in (command := found.cmdline()) and "api" in command
    )


def test_a_client_that_never_reads_costs_bounded_memory_and_misses_no_message(
    system: System, user: SignedIn
) -> None:
    first, newest = 301, 1601
    heard_so_far = [1]

    def fill(listening: ClientConnection, up_to: int) -> None:
        """Append events of 20 KB, no faster than another socket receives them."""
        with database_of(system):
            while (at := heard_so_far[-1]) < up_to:
                _append_many(user, 100, padding="x" * 20_000)
                heard_so_far.extend(seqs(receive_up_to(listening, at + 100, within_s=WAIT_S)))

    with following(system, user) as quick:
        # What Python takes for its busiest moment it does not give back, so that comes first.
        fill(quick, first)
        with _raw(system, user, receive_buffer_bytes=4096) as raw:
            _hear_first(raw)
            before = _memory_bytes(system)
            # Another 26 MB, which is more than any buffer on the way.
            fill(quick, newest)
            growth = _memory_bytes(system) - before
            sys.stdout.write(f"\nA reader that never reads: {growth / 1e6:.1f} MB more\n")

            frames = _frames(_read_to_the_end(raw))
    messages = [json.loads(payload) for kind, payload in frames if kind == TEXT]
    closing = [payload for kind, payload in frames if kind == CLOSE]
    got = seqs(messages)
    with following(system, user, since=got[-1] if got else first) as listening:
        rest = receive_up_to(listening, newest, within_s=WAIT_S)

    assert [code[:2] for code in closing] in ([], [CloseCode.TOO_SLOW.value.to_bytes(2, "big")])
    assert len(got) < newest - first, "nothing was held back: this test tests nothing"
    assert got + seqs(rest) == list(range(first + 1, newest + 1))
    # The queue, and a copy of it on its way out.
    assert growth < 3 * QUEUE_MAX_BYTES


def test_a_slow_client_that_reads_again_is_closed_with_4429(system: System, user: SignedIn) -> None:
    with following(system, user) as quick, _raw(system, user, receive_buffer_bytes=4096) as raw:
        _hear_first(raw)
        with database_of(system):
            for batch in range(8):
                _append_many(user, 100, padding="x" * 20_000)
                receive_up_to(quick, 101 + 100 * batch, within_s=WAIT_S)
        # It reads as soon as too much waits for it; a while later it would be cut.
        frames = _frames(_read_to_the_end(raw))

    codes = [int.from_bytes(payload[:2], "big") for kind, payload in frames if kind == CLOSE]
    assert codes == [CloseCode.TOO_SLOW]


def test_a_client_that_floods_the_server_costs_bounded_memory(
    system: System, user: SignedIn
) -> None:
    with RemoteApi(system, user) as remote, following(system, user) as healthy:
        with _raw(system, user) as raw:
            before = _memory_bytes(system)
            with ThreadPoolExecutor(1) as pool:
                flood = _frame(TEXT, b"x" * 60_000) * 10
                flooding = pool.submit(lambda: [raw.sendall(flood) for _ in range(50)])
                tasks_made = 0
                while not flooding.done() and tasks_made < 100:
                    remote.create()
                    tasks_made += 1
                flooding.result(WAIT_S)
            growth = _memory_bytes(system) - before

        assert tasks_made > 3, "nobody else was served"
        receive_up_to(healthy, tasks_made + 1, within_s=WAIT_S)
    # It sends 30 MB.
    assert growth < 20_000_000


def test_a_client_that_floods_and_does_not_read_is_cut_off(system: System, user: SignedIn) -> None:
    with database_of(system):
        _append_many(user, 500, padding="x" * 20_000)

    with _raw(system, user, path="/ws?since=0", receive_buffer_bytes=4096) as raw:
        flood = _frame(TEXT, b"x" * 60_000) * 1000
        with pytest.raises(ConnectionError):
            raw.sendall(flood)


def test_pings_are_answered_while_messages_are_sent(system: System, user: SignedIn) -> None:
    with RemoteApi(system, user) as remote, following(system, user) as listening:
        for _ in range(20):
            remote.create()
            assert listening.ping().wait(WAIT_S)

        assert seqs(receive_up_to(listening, 21)) == list(range(2, 22))


@pytest.mark.parametrize("path", ["/ws", "/ws/somebody", "/ws/user/somebody/tasks"])
def test_a_plain_http_request_is_told_to_upgrade(system: System, path: str) -> None:
    answer = requests.get(f"{system.url}{path}", timeout=WAIT_S)

    assert answer.status_code == 426
    assert answer.headers["Upgrade"] == "websocket"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == 426


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.parametrize(
    "changes",
    [
        {"Sec-WebSocket-Key": None},
        {"Sec-WebSocket-Key": ""},
        {"Sec-WebSocket-Key": "x"},
        {"Sec-WebSocket-Key": "not base64 at all!!!!!!!"},
        {"Sec-WebSocket-Key": "c2hvcnQ="},
        {"Sec-WebSocket-Version": None},
        {"Sec-WebSocket-Version": "12"},
        {"Sec-WebSocket-Version": "x"},
        {"Upgrade": None},
        {"Upgrade": "h2c"},
        {"Upgrade": "websocket, h2c"},
        {"Connection": None},
        {"Connection": "keep-alive"},
        {"Sec-WebSocket-Key": None, "Sec-WebSocket-Version": None},
        {"Sec-WebSocket-Protocol": ", ,"},
        {"Sec-WebSocket-Protocol": "ä".encode().decode("latin-1")},
        {f"X-Large-{number}": "x" * 8000 for number in range(5)},
        {"Cookie": "\x01"},
        {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits=99"},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_a_bad_upgrade_is_answered_as_an_error_of_the_client(
    system: System, user: SignedIn, changes: dict[str, str | None]
) -> None:
    headers = {**UPGRADE, **changes, **user.headers}

    answer = requests.get(
        f"{system.url}/ws",
        headers={name: value for name, value in headers.items() if value is not None},
        timeout=WAIT_S,
        stream=True,
    )

    assert answer.status_code == 101 or 400 <= answer.status_code < 500, answer.status_code
    answer.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_an_upgrade_by_another_method_is_refused(
    system: System, user: SignedIn, method: str
) -> None:
    answer = requests.request(
        method, f"{system.url}/ws", headers={**UPGRADE, **user.headers}, timeout=WAIT_S
    )

    assert answer.status_code in {204, 405, 426}, answer.status_code
    assert answer.headers["X-Correlation-ID"]


def test_an_upgrade_on_another_path_is_ignored(system: System, user: SignedIn) -> None:
    headers = {**UPGRADE, **user.headers}

    listed = requests.get(f"{system.url}/api/tasks", headers=headers, timeout=WAIT_S)
    nowhere = requests.get(f"{system.url}/wss", headers=headers, timeout=WAIT_S)

    # RFC 9110, 7.8: a server may ignore it.
    assert (listed.status_code, nowhere.status_code) == (200, 404)


def test_clients_that_vanish_in_the_handshake_leave_no_connection_behind(
    system: System, user: SignedIn
) -> None:
    def open_files() -> int:
        return sum(found.num_fds() for found in system.processes() if "python" in found.name())

    before = open_files()
    for number in range(40):
        with (
            _raw(system, user)
            if number % 2
            else socket.create_connection(("127.0.0.1", system.port)) as raw
        ):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def check() -> None:
        assert open_files() <= before + 10

    eventually(check)


def test_a_client_of_the_tests_resumes_by_itself(system: System, user: SignedIn) -> None:
    with ResumingClient(system, user) as client, RemoteApi(system, user) as remote:
        for _ in range(5):
            remote.create()
        client.wait_for(6, within_s=WAIT_S)

    assert seqs(client.messages) == list(range(1, 7))


# Sessions that end


def test_logging_out_closes_the_sockets_of_its_session_and_no_others(system: System) -> None:
    url = f"{system.url}/api/auth"
    account = {"email": f"{secrets.token_hex(8)}@example.com", "password": "a long password"}
    here = requests.post(f"{url}/register", json=account, timeout=WAIT_S).json()
    there = requests.post(f"{url}/login", json=account, timeout=WAIT_S).json()
    bearer = {"Authorization": f"Bearer {here['access_token']}"}
    still = {"Authorization": f"Bearer {there['access_token']}"}
    ticket = requests.post(f"{system.url}/api/ws-ticket", headers=bearer, timeout=WAIT_S).json()
    with (
        opened(system, headers=bearer) as one,
        opened(system, ticket=ticket["ticket"]) as by_ticket,
        opened(system, headers=still) as other,
    ):
        assert [receive(each)["type"] for each in (one, by_ticket, other)] == ["task.sync"] * 3

        body = {"refresh_token": here["refresh_token"]}
        requests.post(f"{url}/logout", json=body, headers=bearer, timeout=WAIT_S)

        assert close_code(one) == close_code(by_ticket) == CloseCode.BAD_TOKEN

        def refused() -> None:
            answer = requests.get(f"{system.url}/api/tasks", headers=bearer, timeout=WAIT_S)
            assert answer.status_code == 401

        eventually(refused)
        other.ping().wait(WAIT_S)
        tasks_url = f"{system.url}/api/tasks"
        requests.post(tasks_url, json={"title": "on"}, headers=still, timeout=WAIT_S)
        assert receive(other)["type"] == "task.created"


@pytest.mark.parametrize("ended_by", ["its id", "ending all others", "a changed password"])
def test_a_session_that_is_ended_from_another_loses_its_sockets_and_the_other_goes_on(
    system: System, ended_by: str
) -> None:
    api = f"{system.url}/api"
    account = {"email": f"{secrets.token_hex(8)}@example.com", "password": "a long password"}
    here = requests.post(f"{api}/auth/register", json=account, timeout=WAIT_S).json()
    there = requests.post(f"{api}/auth/login", json=account, timeout=WAIT_S).json()
    bearer = {"Authorization": f"Bearer {here['access_token']}"}
    lost = {"Authorization": f"Bearer {there['access_token']}"}
    listed = requests.get(f"{api}/sessions", headers=bearer, timeout=WAIT_S).json()["items"]
    [lost_id] = [each["id"] for each in listed if not each["current"]]
    changed = {"password": account["password"], "new_password": "another long password"}
    method, path, body = {
        "its id": ("DELETE", f"sessions/{lost_id}", None),
        "ending all others": ("DELETE", "sessions", None),
        "a changed password": ("POST", "password", changed),
    }[ended_by]
    with opened(system, headers=bearer) as own, opened(system, headers=lost) as other:
        assert [receive(each)["type"] for each in (own, other)] == ["task.sync"] * 2

        done = requests.request(method, f"{api}/{path}", json=body, headers=bearer, timeout=WAIT_S)

        assert done.status_code == 204, done.text
        assert close_code(other) == CloseCode.BAD_TOKEN
        requests.post(f"{api}/tasks", json={"title": "on"}, headers=bearer, timeout=WAIT_S)
        assert receive(own)["type"] == "task.created"


def test_deleting_an_account_closes_all_sockets_of_its_user_and_no_others(
    system: System, user: SignedIn
) -> None:
    url = f"{system.url}/api"
    account = {"email": f"{secrets.token_hex(8)}@example.com", "password": "a long password"}
    here = requests.post(f"{url}/auth/register", json=account, timeout=WAIT_S).json()
    there = requests.post(f"{url}/auth/login", json=account, timeout=WAIT_S).json()
    bearers = [{"Authorization": f"Bearer {each['access_token']}"} for each in (here, there)]
    with (
        opened(system, headers=bearers[0]) as one,
        opened(system, headers=bearers[1]) as elsewhere,
        opened(system, headers=user.headers) as other,
    ):
        assert [receive(each)["type"] for each in (one, elsewhere, other)] == ["task.sync"] * 3

        deleted = requests.delete(
            f"{url}/account",
            json={"password": account["password"]},
            headers=bearers[0],
            timeout=WAIT_S,
        )

        assert deleted.status_code == 204
        assert {close_code(each) for each in (one, elsewhere)} == {CloseCode.BAD_TOKEN}
        other.ping().wait(WAIT_S)


def test_a_newer_token_that_may_not_read_tasks_closes_the_socket(
    system: System, user: SignedIn
) -> None:
    key = (system.data_dir / "jwt-secret").read_text()
    claims = jwt.decode(user.token, options={"verify_signature": False})
    weaker = jwt.encode({**claims, "permissions": ["tasks:write"]}, key, algorithm="HS256")
    with opened(system, headers=user.headers) as connection:
        receive(connection)

        connection.send(json.dumps({"type": "auth", "token": weaker}))

        assert close_code(connection) == CloseCode.NOT_YOUR_ACCOUNT
