"""Ports of the loopback interface that a test may listen on."""

import contextlib
import random
import socket

# Below the range from which Linux gives clients theirs: there, while a system is down, a client's
# own connection may take its port, or even be answered by itself.
PORTS = range(15_000, 30_000)


def a_free_port() -> int:
    """Return a port of the loopback interface that nobody uses."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
