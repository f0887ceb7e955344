"""What was sent: the body and the query of a request, validated, every wrong field named."""

import json
from typing import Any, TypeVar, cast

from flask import Request
from pydantic import BaseModel, ConfigDict, ValidationError
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from taskflow.domain.errors import FieldError
from taskflow.serving.problems import Problem

BODY_MAX_BYTES = 1024 * 1024

_WORDS = {
    "extra_forbidden": "is not a known field",
    "missing": "is required",
    "model_type": "must be a JSON object",
    "model_attributes_type": "must be a JSON object",
}


class Query(BaseModel):
    """The query of a request; a subclass names its parameters. One not named is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


B = TypeVar("B", bound=BaseModel)
Q = TypeVar("Q", bound=Query)


def read_bytes(request: Request) -> bytes:
    """Return the body as it was sent. Raises Problem 413 over BODY_MAX_BYTES, 400 if cut off."""
    # Of a body in chunks, Werkzeug gives the first so many bytes and keeps quiet about the rest.
    request.max_content_length = BODY_MAX_BYTES + 1
    try:
        raw = request.get_data(cache=True)
    except RequestEntityTooLarge:
        raise _too_large() from None
    except ClientDisconnected:
        raise Problem(400, "body-cut-off", "The body is shorter than its Content-Length.") from None
    if len(raw) > BODY_MAX_BYTES:
        raise _too_large()
    return raw


def parse_body(request: Request, model: type[B], raw: bytes) -> B:
    """Parse and validate a JSON body; none at all counts as `{}`.

    Raises Problem 415 for another media type, 400 for what is not JSON in UTF-8, and 422 naming
    every wrong field.
    """
    if raw and not (request.mimetype == "application/json" or request.mimetype.endswith("+json")):
        raise Problem(
            415,
            "not-json",
            "Send the body as Content-Type: application/json.",
            headers={"Accept": "application/json"},
        )
    return _validated(model, _parse_json(raw) if raw else {})


def parse_query(request: Request, model: type[Q]) -> Q:
    """Validate the query; a parameter that is a list may be repeated. Raises Problem 422."""
    given: dict[str, Any] = {}
    for name, values in request.args.lists():
        field = model.model_fields.get(name)
        is_list = field is not None and getattr(field.annotation, "__origin__", None) is list
        given[name] = values if is_list else values[-1]
    return _validated(model, given)


def _too_large() -> Problem:
    return Problem(
        413,
        "body-too-large",
        f"The body is larger than {BODY_MAX_BYTES} bytes.",
        headers={"Connection": "close"},
    )


def _parse_json(raw: bytes) -> object:
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as wrong:
        detail = f"The body is not UTF-8: byte {wrong.start} is out of place."
    except json.JSONDecodeError as wrong:
        detail = f"The body is not JSON: {wrong.msg} (line {wrong.lineno}, column {wrong.colno})."
    except RecursionError:
        detail = "The body is not JSON that can be read: it nests too deep."
    except ValueError as wrong:
        detail = f"The body is not JSON that can be read: {str(wrong).splitlines()[0][:100]}."
    raise Problem(400, "not-json", detail)


def _refuse_constant(name: str) -> object:
    message = f"{name} is not a JSON number"
    raise ValueError(message)


def _validated(model: type[B], given: object) -> B:
    try:
        return model.model_validate(given)
    except ValidationError as invalid:
        errors = [
            FieldError(_pointer(error["loc"]), _words(error["type"], error["msg"]))
            for error in invalid.errors(include_url=False, include_input=False)
        ]
    raise Problem(422, "invalid-content", "Some of what was sent is not valid.", errors=errors)


def _words(kind: str, message: str) -> str:
    return _WORDS.get(kind, message)


def _pointer(location: tuple[int | str, ...]) -> str:
    return "".join(
        "/" + str(part).replace("~", "~0").replace("/", "~1")
        for part in cast("tuple[object, ...]", location)
    )
