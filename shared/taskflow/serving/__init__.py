"""What an HTTP function needs: the frame, and the words it answers with."""

from taskflow.serving.answers import (
    as_json,
    created,
    no_content,
    shown,
    shown_unless_known,
    signed_in,
    signed_out,
)
from taskflow.serving.body import Query
from taskflow.serving.caller import Caller
from taskflow.serving.conditions import Conditions
from taskflow.serving.frame import http_function
from taskflow.serving.pages import PageQuery, page, read_cursor, read_position, write_cursor
from taskflow.serving.tracing import Network
from taskflow.serving.turns import set_aside

__all__ = [
    "Caller",
    "Conditions",
    "Network",
    "PageQuery",
    "Query",
    "as_json",
    "created",
    "http_function",
    "no_content",
    "page",
    "read_cursor",
    "read_position",
    "set_aside",
    "shown",
    "shown_unless_known",
    "signed_in",
    "signed_out",
    "write_cursor",
]
