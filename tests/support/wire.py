"""Both ends of a WebSocket in one process: the server's as flask-sock makes it, and a client's."""

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from simple_websocket import ConnectionClosed, Server
from websockets.sync.client import ClientConnection, connect

from taskflow.push.websocket import SERVER_OPTIONS, WholeSends, bound


@dataclass
class Wire:
    """The two ends."""

    server: Server
    client: ClientConnection


@contextmanager
def a_wire(*, receive_buffer_bytes: int | None = None) -> Generator[Wire]:
    """Connect a client to a server; with a small buffer, the client's system takes in little."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as far:
        if receive_buffer_bytes is not None:
            far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        far.connect(listener.getsockname())
        near, _ = listener.accept()
        made: list[Server] = []
        accepting = threading.Thread(target=lambda: made.append(_accept(near)))
        accepting.start()
        with connect(
            "ws://taskflow/ws", sock=far, compression=None, max_queue=1, close_timeout=0.1
        ) as client:
            accepting.join()
            [server] = made
            yield Wire(server, client)
            _hang_up(server)
        server.thread.join()


def _accept(near: socket.socket) -> Server:
    request = b""
    while b"\r\n\r\n" not in request:
        request += near.recv(4096)
    headers = dict(line.split(": ", 1) for line in request.decode().split("\r\n")[1:] if line)
    environ: dict[str, object] = {
        f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()
    }
    server = Server({**environ, "werkzeug.socket": WholeSends(near)}, **SERVER_OPTIONS)
    bound(server)
    return server


def _hang_up(server: Server) -> None:
    with suppress(ConnectionClosed, OSError):
        server.close()
    with suppress(OSError):
        server.sock.abort()
