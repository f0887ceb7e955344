"""What the WebSocket function needs: connections, the feed that fills them, and resuming."""

from taskflow.push.connection import Connection
from taskflow.push.feed import feed
from taskflow.push.frame import socket_function

__all__ = ["Connection", "feed", "socket_function"]
