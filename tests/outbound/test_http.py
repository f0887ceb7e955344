"""The client for addresses that users name: it ends in time, and reaches nothing private."""

import socket
import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskflow.outbound import http
from taskflow.outbound.http import ANSWER_MAX_BYTES, RETRY_AFTER_MAX_S, Answer, NoAnswer, post
from taskflow.outbound.urls import NOT_PUBLIC, WrongUrl
from tests.support.network import certificates
from tests.support.network.endpoint import (
    LOOPBACK,
    a_server,
    an_endpoint,
    heard,
    networks,
    until_gone,
)
from tests.support.network.names import an_answer
from tests.support.network.ports import a_free_port
from tests.support.settings import changed_settings

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

Resolve = Callable[..., list[Any]]
Names = Callable[..., list[str]]


@pytest.fixture(autouse=True)
def _nearby() -> Generator[None]:
    with changed_settings(outbound_allowed_networks=LOOPBACK), http.tls.renewed():
        yield


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """Return a function that has every name lead to these addresses, one answer after another.

    It returns the names that are looked up.
    """

    def lead_to(*answers: Sequence[str]) -> list[str]:
        asked: list[str] = []

        def resolve(host: str, port: int, *_: object, **__: object) -> list[Any]:
            found = answers[min(len(asked), len(answers) - 1)]
            asked.append(host)
            return an_answer(*found)(host, port)

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        return asked

    return lead_to


def _post(url: str, body: bytes = b"{}") -> Answer:
    return post(url, headers={"Content-Type": "application/json"}, body=body)


def _answered(answer: bytes) -> Answer:
    def serve(connected: socket.socket) -> None:
        heard(connected)
        connected.sendall(answer)

    with a_server(serve) as url:
        return _post(url)


def test_a_post_arrives_as_it_was_sent() -> None:
    body = "ü".encode() * 200_000
    with an_endpoint(202) as endpoint:
        answer = _post(f"{endpoint.url}/ä?q=1", body)

    [request] = endpoint.requests
    assert answer == Answer(202, None)
    assert request.path == "/hook/%C3%A4?q=1"
    assert request.body == body
    assert request.headers == {
        "host": f"127.0.0.1:{endpoint.port}",
        "accept-encoding": "identity",
        "content-length": str(len(body)),
        "content-type": "application/json",
        "user-agent": "TaskFlow",
        "connection": "close",
    }


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with an_endpoint() as other, an_endpoint(status) as endpoint:
        for leads_to in ("http://169.254.169.254/latest/meta-data/", other.url):
            endpoint.headers = {"Location": leads_to}

            assert _post(endpoint.url).status == status

    assert other.requests == []


def test_a_proxy_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with an_endpoint() as proxy, an_endpoint() as endpoint:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")

        _post(endpoint.url)

    assert (len(proxy.requests), len(endpoint.requests)) == (0, 1)


@pytest.mark.parametrize(
    "leads_to",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["10.0.0.1", "192.168.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::a9fe:a9fe"],
        ["fe80::1%lo"],
        ["fd00:ec2::254"],
    ],
    ids=str,
)
def test_a_name_that_leads_to_what_is_not_public_is_not_asked(
    leads_to: list[str], names: Names
) -> None:
    with an_endpoint() as endpoint, changed_settings(outbound_allowed_networks=()):
        names(leads_to)

        with pytest.raises(NoAnswer, match=f"the name of the host {NOT_PUBLIC}"):
            _post(f"http://public.example:{endpoint.port}/")

    assert endpoint.requests == []


def test_a_name_is_looked_up_once_so_that_it_cannot_lead_elsewhere_afterwards(
    names: Names,
) -> None:
    with (
        an_endpoint(host="127.0.0.2") as public,
        changed_settings(outbound_allowed_networks=networks("127.0.0.2/32")),
    ):
        asked = names(["127.0.0.2"], ["127.0.0.1"])
        url = f"http://rebinding.example:{public.port}/"

        assert _post(url).status == 200
        assert asked == ["rebinding.example"]
        # The next request asks anew, and finds where the name leads now.
        with pytest.raises(NoAnswer, match=NOT_PUBLIC):
            _post(url)

    assert [request.headers["host"] for request in public.requests] == [url[7:-1]]


def test_of_several_addresses_those_that_are_not_public_are_left_out(names: Names) -> None:
    with (
        an_endpoint(host="127.0.0.1") as private,
        changed_settings(outbound_allowed_networks=networks("127.0.0.2/32")),
    ):
        names(["127.0.0.1", "127.0.0.2"])

        with pytest.raises(NoAnswer, match="no connection could be made"):
            _post(f"http://mixed.example:{private.port}/")

    assert private.requests == []


def test_the_next_address_is_tried_where_one_takes_no_connection(names: Names) -> None:
    with an_endpoint(host="127.0.0.3") as endpoint:
        names(["127.0.0.1", "127.0.0.2", "127.0.0.3"])

        assert _post(f"http://several.example:{endpoint.port}/").status == 200


def test_a_name_in_unicode_is_looked_up_in_ascii(names: Names) -> None:
    with an_endpoint() as endpoint:
        asked = names(["127.0.0.1"])

        _post(f"http://bücher.example:{endpoint.port}/")

    assert asked == ["xn--bcher-kva.example"]
    assert endpoint.requests[0].headers["host"] == f"xn--bcher-kva.example:{endpoint.port}"


def test_a_name_that_is_not_known_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    with pytest.raises(NoAnswer, match="the name of the host is not known"):
        _post("https://no.example/")


def test_a_name_server_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    goes_on = threading.Event()

    def resolve(*_: object, **__: object) -> list[Any]:
        goes_on.wait(timeout=60)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(http, "CONNECT_TIMEOUT_S", 0.1)

    with pytest.raises(NoAnswer, match="was not found in time"):
        _post("https://slow.example/")

    goes_on.set()


def test_an_endpoint_that_is_away_is_told() -> None:
    with pytest.raises(NoAnswer, match="no connection could be made"):
        _post(f"http://127.0.0.1:{a_free_port()}/")


def _hang(connected: socket.socket) -> None:
    until_gone(connected)


def _drip_headers(connected: socket.socket) -> None:
    heard(connected)
    connected.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    _drip(connected, b"x")


def _drip_informational(connected: socket.socket) -> None:
    heard(connected)
    _drip(connected, b"HTTP/1.1 100 Continue\r\n\r\n")


def _drip(connected: socket.socket, drop: bytes) -> None:
    given_up = threading.Event()
    while not given_up.wait(0.01):
        connected.sendall(drop)


@pytest.mark.parametrize("serve", [_hang, _drip_headers, _drip_informational])
def test_whatever_an_endpoint_does_it_is_given_up_in_time(
    serve: Callable[[socket.socket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "TIMEOUT_S", 0.3)
    with a_server(serve) as url, pytest.raises(NoAnswer, match="there was no answer in time"):
        _post(url)


def test_an_endpoint_that_takes_a_request_bit_by_bit_is_given_up_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "TIMEOUT_S", 0.3)
    taken: list[int] = []

    def serve(connected: socket.socket) -> None:
        given_up = threading.Event()
        while some := connected.recv(262_144):
            taken.append(len(some))
            given_up.wait(0.01)

    body = b"x" * 50_000_000
    with a_server(serve) as url, pytest.raises(NoAnswer, match="there was no answer in time"):
        _post(url, body)

    assert 0 < sum(taken) < len(body)


def test_a_handshake_that_hangs_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TIMEOUT_S", 0.3)
    with a_server(_hang) as url, pytest.raises(NoAnswer, match="there was no answer in time"):
        _post(url.replace("http:", "https:"))


def test_the_status_counts_however_the_rest_of_the_answer_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "REST_TIMEOUT_S", 0.1)

    def serve(connected: socket.socket) -> None:
        heard(connected)
        connected.sendall(b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\nZ\r\n")
        connected.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    def drip(connected: socket.socket) -> None:
        heard(connected)
        connected.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        _drip(connected, b"x")

    for each, status in ((serve, 204), (drip, 200)):
        with a_server(each) as url:
            assert _post(url).status == status


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n"], ids=str)
def test_of_a_huge_answer_no_more_is_read_than_a_bound(head: bytes) -> None:
    sent: list[int] = []

    def serve(connected: socket.socket) -> None:
        heard(connected)
        # What the system keeps for a reader who does not read.
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        connected.sendall(head)
        try:
            while sum(sent) < 1000 * ANSWER_MAX_BYTES:
                sent.append(connected.send(b"x: " + b"y" * 4000 + b"\r\n"))
        except OSError:
            sent.append(-1)

    with a_server(serve) as url:
        assert _post(url).status == 200

    assert sent[-1] == -1
    assert sum(sent) < 200 * ANSWER_MAX_BYTES


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n\r\n",
        b"HTTP",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail.example ESMTP\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 99999 Huge\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"x" * 2 * ANSWER_MAX_BYTES,
    ],
    ids=lambda answer: ascii(answer[:20]),
)
def test_what_is_no_answer_of_http_is_told(answer: bytes) -> None:
    with pytest.raises(NoAnswer):
        _answered(answer)


@given(st.one_of(st.binary(), st.binary().map(lambda rest: b"HTTP/1.1 200 OK\r\n" + rest)))
@settings(max_examples=60)
def test_any_bytes_are_an_answer_or_none(answer: bytes) -> None:
    try:
        status = _answered(answer).status
    except NoAnswer:
        return
    assert 100 <= status <= 999


def test_an_endpoint_that_closes_the_connection_is_told() -> None:
    def serve(connected: socket.socket) -> None:
        connected.recv(1)

    with a_server(serve) as url, pytest.raises(NoAnswer):
        _post(url, b"x" * 10_000_000)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("86400", RETRY_AFTER_MAX_S),
        ("9" * 5000, RETRY_AFTER_MAX_S),
        ("Fri, 31 Dec 9999 23:59:59 GMT", RETRY_AFTER_MAX_S),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2015 07:28:00", 0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
    ],
    ids=lambda case: str(case)[:40],
)
def test_how_long_an_endpoint_asks_to_be_left_alone(header: str, seconds: float | None) -> None:
    answer = f"HTTP/1.1 503 Busy\r\nRetry-After: {header}\r\nContent-Length: 0\r\n\r\n"

    assert _answered(answer.encode()) == Answer(503, seconds)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 and localhost; return it alone, and with its key."""
    alone, with_key = tmp_path / "certificate.pem", tmp_path / "with-key.pem"
    certificates.write(alone, with_key)
    return alone, with_key


def test_a_trusted_certificate_of_the_host_is_taken(
    certificate: tuple[Path, Path], names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted, with_key = certificate
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    with an_endpoint(certificate=with_key) as endpoint:
        assert _post(endpoint.url).status == 200

        names(["127.0.0.1"])
        assert _post(f"https://localhost:{endpoint.port}/").status == 200


def test_a_certificate_of_another_name_is_refused(
    certificate: tuple[Path, Path], names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted, with_key = certificate
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    names(["127.0.0.1"])
    with (
        an_endpoint(certificate=with_key) as endpoint,
        pytest.raises(NoAnswer, match="the certificate is not one of the host"),
    ):
        _post(f"https://another.example:{endpoint.port}/")

    assert endpoint.requests == []


def test_a_certificate_that_nobody_vouches_for_is_refused(
    certificate: tuple[Path, Path],
) -> None:
    with (
        an_endpoint(certificate=certificate[1]) as endpoint,
        pytest.raises(NoAnswer, match="the certificate is not one of the host"),
    ):
        _post(endpoint.url)

    assert endpoint.requests == []


def test_what_does_not_speak_tls_is_told() -> None:
    with an_endpoint() as endpoint, pytest.raises(NoAnswer, match="no connection with TLS"):
        _post(endpoint.url.replace("http:", "https:"))


def test_in_production_nothing_is_sent_without_tls() -> None:
    with (
        an_endpoint() as endpoint,
        changed_settings(environment="production"),
        pytest.raises(WrongUrl, match="must begin with https://"),
    ):
        _post(endpoint.url)

    assert endpoint.requests == []
