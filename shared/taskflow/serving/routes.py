"""Routes: how `POST /api/{user_id}/tasks` is declared, and which request it takes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from werkzeug.routing import BaseConverter, Map, Rule

FIRST_WORDS = frozenset(
    {
        "account",
        "admin",
        "auth",
        "calendar-feed",
        "destinations",
        "events",
        "export",
        "import",
        "notifications",
        "password",
        "recurrence",
        "reminders",
        "search",
        "sessions",
        "settings",
        "statistics",
        "tasks",
        "web-push-key",
        "webhooks",
        "ws-ticket",
    }
)
"""What may follow `/api/` in place of a user id, which therefore can't be one of these there."""


class _UserId(BaseConverter):
    regex = f"(?!(?:{'|'.join(map(re.escape, sorted(FIRST_WORDS)))})(?:/|$))[^/]+"


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path template; `{user_id}` at its front may be left out by the client."""

    method: str
    template: str

    @classmethod
    def parse(cls, text: str) -> "Route":
        """Read `METHOD /path/{parameter}`. Raises ValueError for a text of other than two words."""
        method, template = text.split(" ")
        return cls(method, template)

    def parameters(self) -> list[str]:
        """Return the names of the parameters in its template."""
        return re.findall(r"\{(\w+)\}", self.template)

    def paths(self) -> list[str]:
        """Return the path templates: with the user id and, under `/api`, without."""
        short = self.template.replace("/api/{user_id}/", "/api/", 1)
        return list(dict.fromkeys([self.template, short]))


def url_map(routes: Sequence[tuple[Route, str]]) -> Map:
    """Build the map that finds, for a path and a method, the name given beside the route."""
    rules = [
        Rule(_werkzeug(path), endpoint=name, methods=[route.method])
        for route, name in routes
        for path in route.paths()
    ]
    return Map(rules, converters={"user_id": _UserId}, strict_slashes=False, merge_slashes=False)


def path_of(user_id: str, path: str) -> str:
    """Return `/api/{user_id}/path`, or the short form where the user id can't stand in a path."""
    if "/" in user_id or user_id in FIRST_WORDS or user_id in {".", ".."}:
        return f"/api/{path}"
    return f"/api/{quote(user_id, safe='')}/{path}"


def _werkzeug(template: str) -> str:
    return re.sub(
        r"\{(\w+)\}",
        lambda found: "<user_id:user_id>" if found[1] == "user_id" else f"<{found[1]}>",
        template,
    )
