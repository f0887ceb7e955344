"""GET /openapi.json, GET /asyncapi.json, GET /docs and what it loads: describe the whole API."""

from flask import Request

from taskflow.serving import (
    Conditions,
    FileShown,
    FileUnchanged,
    file_unless_known,
    http_function,
    reference,
)


@http_function(
    "GET /openapi.json",
    "GET /asyncapi.json",
    "GET /docs",
    "GET /docs/swagger-ui.css",
    "GET /docs/swagger-ui-bundle.js",
    "GET /docs/start.js",
    public=True,
    scale="seldom",
)
def show_reference(request: Request, conditions: Conditions) -> FileShown | FileUnchanged:
    return file_unless_known(reference().at(request.path), request, conditions)
