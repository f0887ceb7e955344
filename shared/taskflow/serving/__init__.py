"""What an HTTP function needs: the frame, and the answers that it gives."""

from taskflow.serving.answers import (
    Accepted,
    Answer,
    Created,
    Issued,
    ItemList,
    NoContent,
    NotModified,
    Ok,
    Page,
    SignedIn,
    SignedOut,
    SignedUp,
    TaskCreated,
    TaskShown,
    shown_unless_known,
)
from taskflow.serving.body import Query
from taskflow.serving.caller import Caller
from taskflow.serving.conditions import Conditions
from taskflow.serving.dashboard_files import (
    PageFileShown,
    PageFileUnchanged,
    dashboard,
    page_file_unless_known,
)
from taskflow.serving.files import FileShown, FileUnchanged, file_unless_known, reference
from taskflow.serving.forms import Form
from taskflow.serving.frame import http_function
from taskflow.serving.json_lines import JsonLines, LinesStreamed, invalid_lines
from taskflow.serving.pages import (
    PageQuery,
    page,
    page_of_json,
    read_cursor,
    read_position,
    write_cursor,
)
from taskflow.serving.task_queries import TaskFilterQuery, TaskSort
from taskflow.serving.tracing import Network
from taskflow.serving.turns import give_way, set_aside
from taskflow.serving.web_pages import PageShown

__all__ = [
    "Accepted",
    "Answer",
    "Caller",
    "Conditions",
    "Created",
    "FileShown",
    "FileUnchanged",
    "Form",
    "Issued",
    "ItemList",
    "JsonLines",
    "LinesStreamed",
    "Network",
    "NoContent",
    "NotModified",
    "Ok",
    "Page",
    "PageFileShown",
    "PageFileUnchanged",
    "PageQuery",
    "PageShown",
    "Query",
    "SignedIn",
    "SignedOut",
    "SignedUp",
    "TaskCreated",
    "TaskFilterQuery",
    "TaskShown",
    "TaskSort",
    "dashboard",
    "file_unless_known",
    "give_way",
    "http_function",
    "invalid_lines",
    "page",
    "page_file_unless_known",
    "page_of_json",
    "read_cursor",
    "read_position",
    "reference",
    "set_aside",
    "shown_unless_known",
    "write_cursor",
]
