"""What the WebSocket function needs: connections, the feed that fills them, and resuming."""

from taskflow.push.connection import Connection
from taskflow.push.frame import socket_function
from taskflow.push.process_feed import feed

__all__ = ["Connection", "feed", "socket_function"]
