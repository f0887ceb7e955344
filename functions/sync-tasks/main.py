"""GET /ws/user/{user_id}/tasks (WebSocket): follow one's events live, from where one left off."""

from taskflow.push import Connection, feed, socket_function
from taskflow.serving import Caller


@socket_function("GET /ws/user/{user_id}/tasks", "GET /ws/{user_id}", "GET /ws")
def sync_tasks(caller: Caller, since: int | None, connection: Connection) -> None:
    feed().stream(caller.user_id, since, connection)
