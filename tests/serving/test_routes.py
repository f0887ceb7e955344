"""Routes: which paths a template takes, and where a user id can stand (A1)."""

from urllib.parse import quote

import pytest
from werkzeug.exceptions import MethodNotAllowed, NotFound

from taskflow.serving.routes import FIRST_WORDS, Route, path_of, url_map

LIST = Route.parse("GET /api/{user_id}/tasks")
SHOW = Route.parse("GET /api/{user_id}/tasks/{task_id}")
COMPLETE = Route.parse("POST /api/{user_id}/tasks/{task_id}/complete")
ADMIN = Route.parse("GET /api/admin/tasks/{task_id}")
SETTINGS = Route.parse("GET /api/{user_id}/settings")
ALL = url_map(
    [(LIST, "list"), (SHOW, "show"), (COMPLETE, "complete"), (ADMIN, "admin"), (SETTINGS, "own")]
)

ODD_IDS = [
    "somebody",
    "a b",
    "ü",
    "🦉",
    "100%",
    "%41",
    "a?b#c",
    "a;b=c&d",
    "+",
    "<script>",
    '"',
    "{user_id}",
    "tasks2",
    "my-tasks",
    "Tasks",
    "auth0|12345",
    "user:1@example.com",
    "-",
    "a.b",
    "...",
    "0",
    "x" * 255,
]


def _match(path: str, method: str = "GET") -> tuple[str, dict[str, str]]:
    name, parameters = ALL.bind("").match(path, method=method)
    return name, dict(parameters)


def test_a_route_is_read_from_its_text() -> None:
    assert Route("GET", "/api/{user_id}/tasks") == LIST
    assert LIST.paths() == ["/api/{user_id}/tasks", "/api/tasks"]
    assert ADMIN.paths() == ["/api/admin/tasks/{task_id}"]


@pytest.mark.parametrize("text", ["GET", "GET  /x", "GET /a b", "/api/tasks"])
def test_a_route_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unpack"):
        Route.parse(text)


@pytest.mark.parametrize("user_id", ODD_IDS)
def test_a_user_id_is_found_in_the_path_as_it_is(user_id: str) -> None:
    assert _match(f"/api/{user_id}/tasks") == ("list", {"user_id": user_id})
    assert _match(f"/api/{user_id}/tasks/7") == ("show", {"user_id": user_id, "task_id": "7"})
    assert _match(f"/api/{user_id}/settings") == ("own", {"user_id": user_id})


def test_a_path_without_a_user_id_leads_to_the_same_endpoint() -> None:
    assert _match("/api/tasks") == ("list", {})
    assert _match("/api/tasks/7") == ("show", {"task_id": "7"})
    assert _match("/api/tasks/7/complete", "POST") == ("complete", {"task_id": "7"})
    assert _match("/api/tasks/") == ("list", {})


@pytest.mark.parametrize("word", sorted(FIRST_WORDS))
def test_a_first_word_of_the_api_is_no_user_id(word: str) -> None:
    assert path_of(word, "tasks/7") == "/api/tasks/7"
    with pytest.raises(NotFound):
        _match(f"/api/{word}/tasks/7/complete", "POST")


def test_the_word_tasks_is_never_a_user() -> None:
    assert _match("/api/tasks/tasks") == ("show", {"task_id": "tasks"})
    assert _match("/api/tasks/settings") == ("show", {"task_id": "settings"})
    assert _match("/api/admin/tasks/7") == ("admin", {"task_id": "7"})


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/", "/api//tasks", "/api/a/b/tasks", "/API/tasks"]
)
def test_an_unknown_path_is_not_found(path: str) -> None:
    with pytest.raises(NotFound):
        _match(path)


def test_an_unknown_method_is_told_from_an_unknown_path() -> None:
    with pytest.raises(MethodNotAllowed):
        _match("/api/tasks", "PUT")


@pytest.mark.parametrize("user_id", ODD_IDS)
def test_a_path_is_made_from_a_user_id_and_a_rest(user_id: str) -> None:
    path = path_of(user_id, "tasks/7")

    assert path == f"/api/{quote(user_id, safe='')}/tasks/7"
    assert path.isascii()


@pytest.mark.parametrize("user_id", ["a/b", "/", "tasks", ".", ".."])
def test_a_user_id_that_cannot_stand_in_a_path_gets_the_short_path(user_id: str) -> None:
    assert path_of(user_id, "tasks/7") == "/api/tasks/7"
