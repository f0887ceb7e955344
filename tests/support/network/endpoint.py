"""Endpoints that users name: a server that answers as a test says, and one that does anything."""

import socket
import ssl
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Network, ip_network
from pathlib import Path

LOOPBACK = (IPv4Network("127.0.0.0/8"),)
"""For OUTBOUND_ALLOWED_NETWORKS: where the servers of tests are."""


def networks(*named: str) -> tuple[object, ...]:
    """Return these networks, for OUTBOUND_ALLOWED_NETWORKS."""
    return tuple(ip_network(each) for each in named)


@dataclass(frozen=True)
class Request:
    """What has come to an endpoint; the names of the headers are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Endpoint:
    """A server that answers every POST in the same way; a test changes how.

    Before it answers it does what is to be done `meanwhile`.
    """

    host: str
    port: int
    scheme: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    meanwhile: Callable[[], object] | None = None
    requests: list[Request] = field(default_factory=list[Request])

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{self.scheme}://{self.host}:{self.port}/hook"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    endpoint: Endpoint

    def __init__(self, host: str, port: int) -> None:
        super().__init__((host, port), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: whoever asks may refuse the certificate."""


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, _Server)
        endpoint = self.server.endpoint
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        endpoint.requests.append(Request(self.path, headers, body))
        if endpoint.meanwhile is not None:
            endpoint.meanwhile()
        self.send_response(endpoint.status)
        for name, value in endpoint.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(endpoint.body)))
        self.end_headers()
        # Who asked may not want so much.
        with suppress(OSError):
            self.wfile.write(endpoint.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' own
        """Say nothing."""


@contextmanager
def an_endpoint(
    status: int = 200,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    certificate: Path | None = None,
) -> Generator[Endpoint]:
    """Run a server on an address of the loopback interface; with a certificate, by TLS."""
    server = _Server(host, port)
    scheme = "http" if certificate is None else "https"
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    endpoint = server.endpoint = Endpoint(host, server.server_port, scheme, status)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def a_server(serve: Callable[[socket.socket], None], *, port: int = 0) -> Generator[str]:
    """Run a server that does this with each connection and closes it; give its address."""
    with socket.create_server(("127.0.0.1", port)) as listening:

        def accept() -> None:
            # Until it is closed.
            with suppress(OSError):
                while True:
                    connected, _ = listening.accept()
                    with connected, suppress(OSError):
                        serve(connected)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/hook"
        # A thread that accepts is not woken by closing alone.
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def heard(connected: socket.socket) -> bytes:
    """Return a request that has come, as far as the end of its headers at least."""
    received = b""
    while b"\r\n\r\n" not in received and (some := connected.recv(65_536)):
        received += some
    return received


def until_gone(connected: socket.socket) -> None:
    """Read on until the other side has closed the connection."""
    with suppress(OSError):
        while connected.recv(65_536):
            pass
