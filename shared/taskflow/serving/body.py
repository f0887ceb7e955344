"""The body and the query of a request, validated, with every invalid field named."""

import io
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar, cast, get_args
from urllib.parse import unquote_to_bytes

from flask import Request
from gunicorn.http.errors import ParseException
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from taskflow.domain.content import Content, OneOf
from taskflow.domain.errors import FieldError
from taskflow.serving.problems import (
    BODY_CUT_OFF,
    BODY_TOO_LARGE,
    BODY_TOO_SLOW,
    ERRORS_MAX,
    INVALID_CONTENT,
    MALFORMED_CHUNKS,
    NOT_JSON,
    NOT_UTF_8,
    OTHER_MEDIA_TYPE,
    Problem,
)

BODY_MAX_BYTES = 1024 * 1024
PUBLIC_BODY_MAX_BYTES = 64 * 1024
"""The longest body, and the longest without a token: reading a MiB of JSON holds a process up for
50 ms."""


VALUES_MAX = 20_000
"""The most values in a body's JSON: metadata of 16 KB holds no more. Millions of empty lists in a
MiB would hold a process up for a second."""

JSON_TYPES = ("application/json",)
MERGE_TYPES = (*JSON_TYPES, "application/merge-patch+json")
"""The types PUT and PATCH take. Another `+json` type, such as json-patch, is no merge patch."""

# One that is not ended ends with the body: so no byte is looked at twice.
_LONG_NUMBER = re.compile(rb"[0-9]{400}")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)

_CLOSE = {"Connection": "close"}

_INVALID = "Some of what was sent is not valid."

_WORDS = {
    "extra_forbidden": "is not a known field",
    "missing": "is required",
    "model_type": "must be a JSON object",
    "model_attributes_type": "must be a JSON object",
    "int_parsing_size": "has too many digits",
    "union_tag_not_found": "is required",
}

_NO_SHAPE = ("union_tag_invalid", "union_tag_not_found")


class EmptyObject(Content):
    """The body of a request to an endpoint that takes none."""


class Query(BaseModel):
    """The query of a request; a subclass names its parameters. One not named is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Location = tuple[int | str, ...]

B = TypeVar("B", bound=BaseModel)
Q = TypeVar("Q", bound=Query)


def read_bytes(request: Request, *, max_bytes: int = BODY_MAX_BYTES) -> bytes:
    """Return the body as it was sent.

    Raises Problem 413 over `max_bytes`, 408 where it does not come, 400 where it is cut off or its
    chunks are malformed.
    """
    # Of a body in chunks, Werkzeug gives the first so many bytes and keeps quiet about the rest.
    request.max_content_length = max_bytes + 1
    try:
        raw = request.get_data(cache=True)
    except RequestEntityTooLarge:
        raise _too_large(max_bytes) from None
    except ClientDisconnected as error:
        if isinstance(error.__context__, TimeoutError):
            raise Problem(BODY_TOO_SLOW, "The body did not come.", headers=_CLOSE) from None
        raise Problem(BODY_CUT_OFF, "The body is shorter than it was to be.") from None
    except ParseException:
        detail = "The body is not in chunks as HTTP/1.1 has them."
        raise Problem(MALFORMED_CHUNKS, detail, headers=_CLOSE) from None
    if len(raw) > max_bytes:
        raise _too_large(max_bytes)
    return raw


def leave_rest(request: Request) -> None:
    """Leave what is unread of a body to the server, which discards it as it comes.

    functions-framework would read it into memory.
    """
    setattr(request, "stream", io.BytesIO())  # noqa: B010 - typed as if read-only


def check_encoding(request: Request) -> None:
    """Refuse a path or a query that is not UTF-8 percent-encoded. Raises Problem 400."""
    # Werkzeug reads what is not UTF-8 as U+FFFD, and that would be searched for.
    path = request.environ.get("PATH_INFO", "")
    for part, text in (
        ("path", path.encode("latin-1")),
        ("query", unquote_to_bytes(request.query_string)),
    ):
        try:
            text.decode()
        except UnicodeDecodeError:
            raise Problem(NOT_UTF_8, f"The {part} is not UTF-8 once decoded.") from None


def media_types_of(method: str) -> tuple[str, ...]:
    """Return the media types that a method takes as a body."""
    return MERGE_TYPES if method in {"PATCH", "PUT"} else JSON_TYPES


def parse_body(request: Request, model: type[B], raw: bytes, *, is_patched: bool = False) -> B:
    """Parse and validate a JSON body; none at all counts as `{}`.

    Raises Problem 415 for another media type, with Accept-Patch where what is asked for can be
    patched, and for a body that is compressed; 400 for what is not JSON in UTF-8, or takes long to
    be read; and 422 naming every invalid field.
    """
    taken = media_types_of(request.method)
    if raw and request.mimetype not in taken:
        headers = {"Accept": ", ".join(taken)}
        if is_patched:
            headers["Accept-Patch"] = ", ".join(MERGE_TYPES)
        detail = f"Send the body as Content-Type: {' or '.join(taken)}."
        raise Problem(OTHER_MEDIA_TYPE, detail, headers=headers)
    if raw and request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        detail = "Send the body as it is, without a Content-Encoding."
        raise Problem(OTHER_MEDIA_TYPE, detail, headers={"Accept": ", ".join(taken)})
    return validated(model, parse_json(raw) if raw else {})


def parse_query(request: Request, model: type[Q]) -> Q:
    """Validate the query; a parameter that is a list may be repeated. Raises Problem 422."""
    given: dict[str, Any] = {}
    repeated: list[FieldError] = []
    for name, values in request.args.lists():
        field = model.model_fields.get(name)
        is_list = field is not None and getattr(field.annotation, "__origin__", None) is list
        if len(values) > 1 and field is not None and not is_list:
            repeated.append(FieldError(_pointer((name,)), "must be given once"))
        given[name] = values if is_list else values[-1]
    if repeated:
        raise Problem(INVALID_CONTENT, _INVALID, errors=repeated)
    return validated(model, given)


def _too_large(max_bytes: int) -> Problem:
    return Problem(
        BODY_TOO_LARGE,
        f"The body is larger than {max_bytes} bytes.",
        headers=_CLOSE,
    )


def parse_json(raw: bytes) -> object:
    """Read JSON in UTF-8. Raises Problem 400 for what is none, or takes long to be read."""
    if _values_in(raw) > VALUES_MAX or _LONG_NUMBER.search(raw):
        _check_costs(_STRING.sub(b"", raw))
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        detail = f"The body is not UTF-8: byte {error.start} is out of place."
    except json.JSONDecodeError as error:
        detail = f"The body is not JSON: {error.msg} (line {error.lineno}, column {error.colno})."
    except RecursionError:
        detail = "The body is not JSON that can be read: it nests too deep."
    except ValueError:
        # Python converts no integer of more than 4,300 digits: its cost grows with their square.
        detail = "The body is not JSON that can be read: a number in it has too many digits."
    raise Problem(NOT_JSON, detail)


def _check_costs(raw: bytes) -> None:
    """Refuse JSON, here without strings, that would take long to be read. Raises Problem 400."""
    if _values_in(raw) > VALUES_MAX:
        detail = f"The body is not JSON that can be read: it holds more than {VALUES_MAX} values."
        raise Problem(NOT_JSON, detail)
    if _LONG_NUMBER.search(raw):
        # To convert one costs the square of its digits; none of a float's range has more.
        detail = "The body is not JSON that can be read: a number in it has too many digits."
        raise Problem(NOT_JSON, detail)


def _values_in(raw: bytes) -> int:
    """Return how many values JSON holds at the most, without reading it."""
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def _refuse_constant(name: str) -> object:
    raise Problem(NOT_JSON, f"The body is not JSON: {name} is not a JSON number.")


def validated(model: type[B], given: object) -> B:
    """Validate what was read. Raises Problem 422, naming the first invalid fields."""
    first: list[FieldError] = []
    unknown = _count_unknown(model, given, (), first)
    if unknown > ERRORS_MAX:
        # To describe them all would take seconds, in which everybody else here would wait.
        more = unknown - len(first)
        raise Problem(INVALID_CONTENT, _INVALID, errors=first, more_errors=more)
    try:
        return model.model_validate(given)
    except ValidationError as invalid:
        errors = [
            FieldError(_pointer(_location(model, error)), _words(error))
            for error in invalid.errors(include_url=False)
        ]
    raise Problem(INVALID_CONTENT, _INVALID, errors=errors)


def _count_unknown(
    model: type[BaseModel], given: object, location: Location, first: list[FieldError]
) -> int:
    """Count the fields that a model, or a model within it, does not know; describe the first."""
    if not isinstance(given, dict):
        return 0
    sent, fields = cast("dict[str, object]", given), _fields_of(model)
    known = [name for name in fields if name in sent]
    count = len(sent) - len(known)
    unknown = (name for name in sent if name not in fields)
    for name in itertools.islice(unknown, ERRORS_MAX - len(first)):
        pointer = _pointer((*location, name))
        first.append(FieldError(pointer, _WORDS["extra_forbidden"]))
    for name in known:
        value = sent[name]
        if isinstance(value, dict | list):
            nested = cast("object", value)
            for inner in _models_in(fields[name].annotation):
                count += _count_unknown_within(inner, nested, (*location, name), first)
    return count


def _fields_of(model: type[BaseModel]) -> Mapping[str, FieldInfo]:
    """Return the fields of a model, or those that any of its shapes has."""
    if not issubclass(model, OneOf):
        return model.model_fields
    return {name: field for shape in model.shapes() for name, field in shape.model_fields.items()}


def _location(model: type[BaseModel], error: ErrorDetails) -> Location:
    """Return where an error is in what was sent: pydantic names the shape in front, if it can."""
    location = error["loc"]
    if not issubclass(model, OneOf):
        return location
    if error["type"] in _NO_SHAPE:
        return (model.discriminator(),)
    return location[1:]


def _count_unknown_within(
    model: type[BaseModel], value: object, location: Location, first: list[FieldError]
) -> int:
    if not isinstance(value, list):
        return _count_unknown(model, value, location, first)
    count = 0
    for number, item in enumerate(cast("list[object]", value)):
        if isinstance(item, dict):
            count += _count_unknown(model, cast("object", item), (*location, number), first)
    return count


@cache
def _models_in(annotation: Any) -> Sequence[type[BaseModel]]:  # noqa: ANN401 - what typing makes of it
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _words(error: ErrorDetails) -> str:
    # Pydantic's own words speak of items, for text too where it has validators of ours.
    kind, limits = error["type"].removeprefix("string_"), error.get("ctx", {})
    unit = "characters" if isinstance(error["input"], str) else "items"
    if kind == "too_long":
        return f"must be at most {limits['max_length']} {unit}"
    if kind == "too_short":
        return f"must be at least {limits['min_length']} {unit}"
    if kind == "union_tag_invalid":
        return f"must be one of {limits['expected_tags']}"
    return _WORDS.get(error["type"], error["msg"])


def _pointer(location: Location) -> str:
    return "".join(
        "/" + str(part).replace("~", "~0").replace("/", "~1")
        for part in cast("tuple[object, ...]", location)
    )
