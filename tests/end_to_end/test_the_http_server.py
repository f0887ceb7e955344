"""HTTP below the functions: requests that the server refuses are answered with a problem (A2)."""

import contextlib
import json
import re
import socket
from collections.abc import Mapping
from http.client import HTTPResponse

import pytest

from tests.support.polling import eventually
from tests.support.processes.system import System

WAIT_S = 10
HOST = "Host: localhost\r\n"
MANY_HEADERS = "X: x\r\n" * 200
IN_CHUNKS = (
    f"POST /api/auth/login HTTP/1.1\r\n{HOST}Content-Type: application/json\r\n"
    "Transfer-Encoding: chunked\r\n\r\n"
)


def _exchange(system: System, sent: str | bytes) -> tuple[int, Mapping[str, str], bytes, bool]:
    """Send bytes; return the answer's status, headers and body, and whether it was the last."""
    with socket.create_connection(("127.0.0.1", system.port), timeout=WAIT_S) as raw:
        raw.sendall(sent if isinstance(sent, bytes) else sent.encode("latin-1"))
        answer = HTTPResponse(raw, method="HEAD" if sent[:4] in ("HEAD", b"HEAD") else "GET")
        answer.begin()
        headers, body = dict(answer.getheaders()), answer.read()
        raw.sendall(f"GET /health/liveness HTTP/1.1\r\n{HOST}\r\n".encode())
        return answer.status, headers, body, _is_closed(raw)


def _is_closed(raw: socket.socket) -> bool:
    try:
        return raw.recv(1) == b""
    except ConnectionError:
        return True


REFUSED = {
    "no request line": ("nonsense\r\n\r\n", 400, "malformed-request"),
    "a bare line feed": ("GET / HTTP/1.1\nHost: x\n\n", 400, "malformed-request"),
    "a method in lower case": (f"get / HTTP/1.1\r\n{HOST}\r\n", 400, "malformed-request"),
    "a version that is none": (f"GET / HTTP/one\r\n{HOST}\r\n", 400, "malformed-request"),
    "another version": (f"GET / HTTP/2.0\r\n{HOST}\r\n", 505, "other-version"),
    "an older version": ("GET / HTTP/0.9\r\n\r\n", 505, "other-version"),
    "a long request line": (f"GET /{'x' * 9000} HTTP/1.1\r\n{HOST}\r\n", 414, "uri-too-long"),
    "a large header": (
        f"GET / HTTP/1.1\r\n{HOST}X: {'x' * 9000}\r\n\r\n",
        431,
        "headers-too-large",
    ),
    "many headers": (
        f"GET / HTTP/1.1\r\n{HOST}{MANY_HEADERS}\r\n",
        431,
        "headers-too-large",
    ),
    "a coding that nobody decodes": (
        f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
        "unknown-coding",
    ),
    "headers that are large together": (
        f"GET / HTTP/1.1\r\n{HOST}" + f"X: {'x' * 8000}\r\n" * 6 + "\r\n",
        431,
        "headers-too-large",
    ),
    "a header without a name": (f"GET / HTTP/1.1\r\n{HOST}: x\r\n\r\n", 400, "malformed-request"),
    "a folded header": (f"GET / HTTP/1.1\r\n{HOST}X: x\r\n x\r\n\r\n", 400, "malformed-request"),
    "two lengths": (
        f"POST / HTTP/1.1\r\n{HOST}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}",
        400,
        "malformed-request",
    ),
    "a length and chunks": (
        f"POST / HTTP/1.1\r\n{HOST}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{{}}",
        400,
        "malformed-request",
    ),
    "a length that is none": (
        f"POST / HTTP/1.1\r\n{HOST}Content-Length: -1\r\n\r\n",
        400,
        "malformed-request",
    ),
    "an unknown coding": (
        f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: br\r\n\r\n",
        501,
        "unknown-coding",
    ),
    "an unknown expectation": (
        f"POST / HTTP/1.1\r\n{HOST}Expect: the best\r\n\r\n",
        417,
        "unknown-expectation",
    ),
    "no host": ("GET /health HTTP/1.1\r\n\r\n", 400, "no-host"),
    "two hosts": (f"GET /health HTTP/1.1\r\n{HOST}Host: other\r\n\r\n", 400, "malformed-request"),
    "a host that is none": ("GET /health HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "bad-host"),
    "a host with a path": ("GET /health HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "bad-host"),
    "no size of a chunk": (IN_CHUNKS + "zz\r\n{}\r\n0\r\n\r\n", 400, "malformed-chunks"),
    "a negative chunk": (IN_CHUNKS + "-2\r\n{}\r\n0\r\n\r\n", 400, "malformed-chunks"),
    "a chunk that is longer": (IN_CHUNKS + "2\r\n{}}\r\n0\r\n\r\n", 400, "malformed-chunks"),
    "an extension that is none": (IN_CHUNKS + "2;=\r\n{}\r\n0\r\n\r\n", 400, "malformed-chunks"),
    "a trailer that is none": (IN_CHUNKS + "2\r\n{}\r\n0\r\nx\r\n\r\n", 400, "malformed-chunks"),
    "a size without end": (IN_CHUNKS + "0" * 10_000, 400, "malformed-chunks"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_that_is_not_http_is_refused_with_a_problem(system: System, name: str) -> None:
    sent, status, slug = REFUSED[name]

    answered, headers, body, is_closed = _exchange(system, sent)

    problem = json.loads(body)
    assert (answered, problem["type"]) == (status, f"urn:taskflow:problem:{slug}")
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert problem["status"] == status
    assert problem["correlation_id"] == headers["X-Correlation-ID"]
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", headers["traceparent"])
    assert is_closed
    # It is no warning that a stranger sends what is none, and no defect.
    assert '"level"' not in system.log.read_text()
    assert "Traceback" not in system.log.read_text()


def test_a_refused_head_request_is_answered_without_a_body(system: System) -> None:
    status, headers, body, is_closed = _exchange(system, "HEAD /health HTTP/1.1\r\n\r\n")

    assert (status, body, is_closed) == (400, b"", True)
    assert headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "sent",
    {
        "HTTP/1.0": "GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "an empty host": "GET /health HTTP/1.1\r\nHost:\r\n\r\n",
        "a host with a port": "GET /health HTTP/1.1\r\nHost: example.com:80\r\n\r\n",
        "an address": "GET /health HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
        "a whole URI": f"GET http://example.com/health HTTP/1.1\r\n{HOST}\r\n",
        "a script name": f"GET /health HTTP/1.1\r\n{HOST}SCRIPT_NAME: /x\r\n\r\n",
        "its other spelling": f"GET /health HTTP/1.1\r\n{HOST}SCRIPT-NAME: /x\r\n\r\n",
        "a path of a header": f"GET /health HTTP/1.1\r\n{HOST}PATH_INFO: /x\r\n\r\n",
        "a script name that fits": f"GET /health HTTP/1.1\r\n{HOST}SCRIPT_NAME: /hea\r\n\r\n",
    }.items(),
    ids=lambda pair: pair[0],
)
def test_a_valid_http_request_is_served(system: System, sent: tuple[str, str]) -> None:
    status, _, body, is_closed = _exchange(system, sent[1])

    assert (status, json.loads(body)["status"], is_closed) == (200, "ok", False)


@pytest.mark.parametrize("path", ["/api/auth/login", "/api/tasks", "/nowhere", "/health"])
def test_an_unread_small_body_leaves_the_connection_open(system: System, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\n{HOST}Content-Type: text/plain\r\nContent-Length: 1000\r\n\r\n"

    _, _, _, is_closed = _exchange(system, head + "x" * 1000)

    assert not is_closed


@pytest.mark.parametrize("path", ["/api/auth/login", "/api/tasks", "/nowhere", "/health"])
@pytest.mark.parametrize("framing", ["Content-Length: 4000000", "Transfer-Encoding: chunked"])
def test_a_request_with_a_large_body_is_answered_without_reading_the_body(
    system: System, path: str, framing: str
) -> None:
    head = f"POST {path} HTTP/1.1\r\n{HOST}Content-Type: application/json\r\n{framing}\r\n\r\n"
    chunk = "3d0900\r\n" if "chunked" in framing else ""

    status, _, _, is_closed = _exchange(system, head + chunk + "x" * 4_000_000)

    assert status in {200, 401, 404, 413}
    assert is_closed


def test_a_connection_with_many_pipelined_requests_keeps_no_other_waiting(
    system: System,
) -> None:
    # As many answers as a connection holds unread.
    many = 300
    ask = f"GET /nowhere HTTP/1.1\r\n{HOST}\r\n".encode()

    def check() -> None:
        greedy = socket.create_connection(("127.0.0.1", system.port), timeout=WAIT_S)
        modest = [
            socket.create_connection(
                ("127.0.0.1", system.port), timeout=WAIT_S, source_address=("127.0.0.2", 0)
            )
            for _ in range(8)
        ]
        with contextlib.ExitStack() as opened:
            for each in (greedy, *modest):
                opened.enter_context(each)
            greedy.sendall(ask * many)
            for each in modest:
                each.sendall(ask)
            for each in modest:
                each.recv(65_536)
            answers = greedy.recv(1 << 24, socket.MSG_DONTWAIT).count(b"HTTP/1.1 404")
        assert answers < many

    # On a busy machine they may come when the greedy one's have all been answered.
    eventually(check)


def test_a_body_in_chunks_of_a_byte_is_given_up_however_small_it_is(system: System) -> None:
    sent = IN_CHUNKS.encode() + b"1;" + b"a" * 500 + b"\r\n \r\n"
    chunk = b"1;" + b"a" * 500 + b"\r\n \r\n"
    with socket.create_connection(("127.0.0.1", system.port), timeout=WAIT_S) as raw:
        raw.sendall(sent)
        with contextlib.suppress(ConnectionError):
            # 8,000 bytes in 4 MB.
            for _ in range(80):
                raw.sendall(chunk * 100)
        answer = HTTPResponse(raw)
        answer.begin()

        assert answer.status == 400
        assert json.loads(answer.read())["type"].endswith(":malformed-chunks")
        assert _is_closed(raw)
