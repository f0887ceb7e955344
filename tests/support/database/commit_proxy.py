"""A proxy in front of PostgreSQL that loses the answer to a commit."""

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import make_url

CHUNK_BYTES = 65_536


@contextmanager
def losing_the_answer_to_commits(url: str, folder: Path) -> Generator[str]:
    """Yield the URL of a proxy that relays all bytes, but hangs up after each commit."""
    there = str(make_url(url).query["unix_sock"])
    here = folder / "proxy"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(here))
    listener.listen()
    threads = [threading.Thread(target=_accept, args=(listener, there))]
    threads[0].start()
    try:
        yield make_url(url).set(query={"unix_sock": str(here)}).render_as_string()
    finally:
        # A thread that waits in accept() is not woken by close().
        listener.shutdown(socket.SHUT_RDWR)
        threads[0].join()
        listener.close()


def _accept(listener: socket.socket, there: str) -> None:
    workers: list[threading.Thread] = []
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(there)
            workers.append(threading.Thread(target=_relay, args=(client, server)))
            workers[-1].start()
    for worker in workers:
        worker.join()


def _relay(client: socket.socket, server: socket.socket) -> None:
    with client, server, suppress(OSError):
        answering = threading.Thread(target=_pass_on, args=(server, client))
        answering.start()
        while sent := client.recv(CHUNK_BYTES):
            if b"commit" in sent:
                # Nobody reads the answer from here on; the server closes when it is done.
                client.shutdown(socket.SHUT_WR)
                server.sendall(sent)
                break
            server.sendall(sent)
        server.shutdown(socket.SHUT_WR)
        answering.join()


def _pass_on(server: socket.socket, client: socket.socket) -> None:
    while answer := server.recv(CHUNK_BYTES):
        with suppress(OSError):
            client.sendall(answer)
