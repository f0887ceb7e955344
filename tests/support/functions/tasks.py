"""Tasks as a client creates and reads them, and their events in the log."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from taskflow.domain.events import Event
from tests.support.data.builders import log_of
from tests.support.functions.client import Api, content


def created(api: Api, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - what JSON may hold
    """Create a task, and return it."""
    answer = api.post("/api/tasks", {"title": "Water the plants", **fields})
    assert answer.status_code == 201, answer.text
    return content(answer)


def shown(api: Api, task_id: object) -> dict[str, Any]:
    """Return a task as the API shows it now."""
    answer = api.get(f"/api/tasks/{task_id}")
    assert answer.status_code == 200, answer.text
    return content(answer)


def items(api: Api, path: str) -> list[dict[str, Any]]:
    """Return a list that is one page long."""
    answer = api.get(path)
    assert answer.status_code == 200, answer.text
    assert set(content(answer)) == {"items", "next_cursor"}
    assert content(answer)["next_cursor"] is None
    return content(answer)["items"]


def pages(api: Api, path: str) -> list[list[dict[str, Any]]]:
    """Return all pages of a list, followed by their links."""
    found: list[list[dict[str, Any]]] = []
    while path:
        answer = api.get(path)
        assert answer.status_code == 200, answer.text
        found.append(content(answer)["items"])
        link = answer.headers.get("Link", "")
        assert bool(link) == (content(answer)["next_cursor"] is not None)
        path = link.partition(">")[0].removeprefix("<")
    return found


def types_of(happened: Iterable[Event]) -> list[str]:
    """Return the types of events, in their order."""
    return [event.event_type for event in happened]


def data_of(event: Event) -> dict[str, Any]:
    """Return the data of an event."""
    return json.loads(event.data_json)


def happened_to(user_id: str, event_type: str) -> Sequence[Event]:
    """Return the events of one type in a user's log."""
    return [event for event in log_of(user_id) if event.event_type == event_type]
