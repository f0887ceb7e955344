"""Both ends of a WebSocket in one process: the server's as flask-sock makes it, and a client's."""

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from simple_websocket import Server
from websockets.sync.client import ClientConnection, connect

from taskflow.push.websocket import SUBPROTOCOL, WholeSends, abort, bound


@dataclass
class WebSocketPair:
    """The server's end and the client's end of one connection."""

    server: Server
    client: ClientConnection


@contextmanager
def a_websocket_pair(*, buffer_bytes: int | None = None) -> Generator[WebSocketPair]:
    """Connect a client to a server; `buffer_bytes` bounds the bytes in flight between them."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as far:
        if buffer_bytes is not None:
            far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        far.connect(listener.getsockname())
        near, _ = listener.accept()
        if buffer_bytes is not None:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        made: list[Server] = []
        accepting = threading.Thread(target=lambda: made.append(_accept(near)))
        accepting.start()
        with connect(
            "ws://taskflow/ws", sock=far, compression=None, max_queue=1, close_timeout=0.1
        ) as client:
            accepting.join()
            [server] = made
            yield WebSocketPair(server, client)
            abort(server)


def _accept(near: socket.socket) -> Server:
    request = b""
    while b"\r\n\r\n" not in request:
        request += near.recv(4096)
    headers = dict(line.split(": ", 1) for line in request.decode().split("\r\n")[1:] if line)
    environ: dict[str, object] = {
        f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()
    }
    server = Server({**environ, "werkzeug.socket": WholeSends(near)}, subprotocols=[SUBPROTOCOL])
    bound(server)
    return server
