"""GET / and its other places, and what they load: show tasks to people, in a browser."""

from flask import Request

from taskflow.serving import (
    Conditions,
    PageFileShown,
    PageFileUnchanged,
    dashboard,
    http_function,
    page_file_unless_known,
)


@http_function(
    "GET /",
    "GET /upcoming",
    "GET /all",
    "GET /completed",
    "GET /recurring",
    "GET /tags",
    "GET /tags/{tag}",
    "GET /search",
    "GET /tasks/{task_id}",
    "GET /inbox",
    "GET /statistics",
    "GET /settings",
    "GET /administration",
    "GET /log-in",
    "GET /register",
    "GET /manifest.webmanifest",
    "GET /service-worker.js",
    "GET /assets/{version}/{folder}/{file}",
    "GET /assets/{version}/{folder}/{subfolder}/{file}",
    public=True,
    page=True,
    scale="sometimes",
)
def serve_dashboard(request: Request, conditions: Conditions) -> PageFileShown | PageFileUnchanged:
    return page_file_unless_known(dashboard().at(request.path), request, conditions)
