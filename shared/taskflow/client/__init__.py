"""A client: log in, call the API, and follow one's stream with nothing missed and nothing twice."""

from taskflow.client.session import LogInFailed, Session
from taskflow.client.stream import Message, Stream, Sync

__all__ = ["LogInFailed", "Message", "Session", "Stream", "Sync"]
