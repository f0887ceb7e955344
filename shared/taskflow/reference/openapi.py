"""The OpenAPI 3.1 document of the API, written from what the endpoints declare."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from http import HTTPMethod, HTTPStatus
from importlib import metadata
from typing import Any, Final

from taskflow.domain.accounts import USER_ID_MAX_CHARS
from taskflow.domain.text import JsonObject
from taskflow.reference.schemas import PREFIX, Schemas, referred, without_null
from taskflow.server import refusals
from taskflow.serving import body, browser, forms, headers, health, json_lines, problems
from taskflow.serving.answers import REFRESH_COOKIE
from taskflow.serving.endpoint import ALWAYS, USER_ID, AnswerKind, Endpoint
from taskflow.serving.json_lines import JsonLines
from taskflow.serving.problems import ProblemDetails, ProblemKind
from taskflow.serving.routes import FIRST_WORDS, Route

VERSION: Final = "3.1.1"
DIALECT: Final = "https://spec.openapis.org/oas/3.1/dialect/base"

BEARER, COOKIE = "bearer", "refreshCookie"
"""The names of the security schemes."""

_OF_ADMINISTRATORS = "admin"
"""The tag of all that they alone may use."""

_TRACED = (headers.CORRELATION_ID, headers.TRACEPARENT)

_COMPONENT = "#/components/{}/{}"


@dataclass(frozen=True)
class Operation:
    """An endpoint at one of its paths, asked by one of its methods."""

    endpoint: Endpoint
    route: Route
    path: str

    @cached_property
    def id(self) -> str:
        """The name by which generated clients call it.

        The short path, where the token says who asks, has the plain name of the function.
        """
        first = self.endpoint.routes[0]
        words = [self.endpoint.name.replace("-", "_")]
        if self.route.template != first.template:
            path = re.sub(r"\{\w+\}", "", self.route.template)
            words += [
                word for word in re.findall(r"[a-z]+", path) if word not in words[0].split("_")
            ]
        if self.is_of_user:
            words.append("of_user")
        same_path = [each for each in self.endpoint.routes if each.template == self.route.template]
        if self.route.method != same_path[0].method:
            words.append(f"by_{self.route.method.lower()}")
        return "_".join(words)

    @property
    def is_of_user(self) -> bool:
        """Whether the path names the user."""
        return f"{{{USER_ID}}}" in self.path

    @cached_property
    def tag(self) -> str:
        """The noun that it is about: the last one in its path, or else in its function's name."""
        nouns = [word for word in self.path.split("/") if word in FIRST_WORDS]
        if not nouns:
            return self.endpoint.name.partition("-")[2]
        return nouns[0] if nouns[0] == _OF_ADMINISTRATORS else nouns[-1]

    @cached_property
    def problems(self) -> Mapping[int, Sequence[ProblemKind]]:
        """The kinds of problem that it can answer, by status."""
        found: dict[int, list[ProblemKind]] = {}
        for kind in (*self.endpoint.problems, *refusals.OF_LIMITS):
            if kind is not problems.NOT_YOUR_ACCOUNT or self.is_of_user:
                found.setdefault(kind.status, []).append(kind)
        return {status: found[status] for status in sorted(found)}


def operations(endpoints: Iterable[Endpoint]) -> Iterator[Operation]:
    """Yield every operation; a socket has none, for an upgrade is none, nor has a page."""
    for endpoint in endpoints:
        if not (endpoint.is_socket or endpoint.is_page):
            for route in endpoint.routes:
                for path in route.paths():
                    yield Operation(endpoint, route, path)


def document(endpoints: Sequence[Endpoint]) -> JsonObject:
    """Return the document. Raises SameName, and KeyError for a header that nothing describes."""
    all_of = sorted(operations(endpoints), key=lambda each: (each.path, each.route.method))
    writer = _Writer(all_of)
    paths: dict[str, JsonObject] = {}
    for operation in all_of:
        item = paths.setdefault(operation.path, {})
        item[operation.route.method.lower()] = writer.operation(operation)
    components: JsonObject = {
        "responses": {name: writer.refusals[name] for name in sorted(writer.refusals)},
        "parameters": _request_headers(),
        "headers": writer.headers,
        "securitySchemes": _security_schemes(),
    }
    described: JsonObject = {
        "openapi": VERSION,
        "info": {
            "title": "TaskFlow",
            "version": metadata.version("taskflow-shared"),
            "description": _description(),
        },
        "jsonSchemaDialect": DIALECT,
        "servers": [{"url": "/", "description": "Where this document is served."}],
        "tags": [{"name": tag} for tag in sorted({operation.tag for operation in all_of})],
        "paths": paths,
    }
    schemas = referred({**described, **components}, writer.schemas)
    return {**described, "components": {"schemas": schemas, **components}}


class _Writer:
    """Writes operations, and gathers what they refer to."""

    def __init__(self, all_of: Sequence[Operation]) -> None:
        """Read the models of all operations."""
        self._all_of = all_of
        endpoints = {operation.endpoint.name: operation.endpoint for operation in all_of}
        self._models = Schemas(_types_of(endpoints.values()))
        self.refusals: dict[str, JsonObject] = {}
        self.schemas: dict[str, JsonObject] = dict(self._models.components)
        self._sent: dict[str, bool] = {}

    @property
    def headers(self) -> JsonObject:
        """The headers of answers; those that every answer that names them has are required."""
        return {
            name: {
                "description": headers.OF_ANSWERS[name].meaning,
                "required": self._sent[name],
                "schema": headers.OF_ANSWERS[name].schema,
            }
            for name in sorted(self._sent)
        }

    def operation(self, operation: Operation) -> JsonObject:
        """Return the description of an operation."""
        endpoint = operation.endpoint
        written: JsonObject = {
            "operationId": operation.id,
            "summary": _sentence(endpoint.summary),
            "description": _description_of(operation),
            "tags": [operation.tag],
            "security": _security_of(endpoint),
            "parameters": [*self._parameters(operation)],
        }
        if endpoint.body is not None:
            written["requestBody"] = self._request_body(operation)
        elif endpoint.lines is not None:
            written["requestBody"] = _lines_body(endpoint, endpoint.lines)
        elif endpoint.takes_form:
            written["requestBody"] = _form_body(endpoint)
        written["responses"] = self._responses(operation)
        return {name: value for name, value in written.items() if value != ""}

    def _parameters(self, operation: Operation) -> Iterator[JsonObject]:
        endpoint = operation.endpoint
        yield from _path_parameters(operation)
        if endpoint.query is not None:
            yield from self._query_parameters(endpoint)
        named = [headers.IDEMPOTENCY_KEY] if endpoint.stores_answers else []
        if endpoint.takes_conditions:
            named += [headers.IF_MATCH, headers.IF_NONE_MATCH]
        for name in named:
            yield _reference("parameters", name)

    def _query_parameters(self, endpoint: Endpoint) -> Iterator[JsonObject]:
        assert endpoint.query is not None  # noqa: S101 - the caller has looked
        model = self._models.fields_of(endpoint.query)
        for name, schema in model.get("properties", {}).items():
            shown = without_null(schema)
            meaning = shown.pop("description", None)
            yield {
                "name": name,
                "in": "query",
                **({} if meaning is None else {"description": meaning}),
                **({"required": True} if name in model.get("required", []) else {}),
                "schema": shown,
            }

    def _request_body(self, operation: Operation) -> JsonObject:
        endpoint = operation.endpoint
        schema = self._models.of(endpoint.body)
        model = self._models.fields_of(endpoint.body)  # type: ignore[arg-type]
        is_needed = bool(model.get("required") or model.get("oneOf"))
        shown = {
            f"example-{number}": {"value": example}
            for number, example in enumerate(endpoint.examples, start=1)
        }
        content: JsonObject = {"schema": schema, "examples": shown}
        return {
            "description": f"At most {endpoint.body_max_bytes:,} bytes.",
            "required": is_needed,
            "content": dict.fromkeys(body.media_types_of(operation.route.method), content),
        }

    def _responses(self, operation: Operation) -> JsonObject:
        written: JsonObject = {
            str(int(kind.status)): self._answer(kind, operation)
            for kind in operation.endpoint.answers
        }
        for status, kinds in operation.problems.items():
            written[str(status)] = self._refusal(status, kinds)
        return dict(sorted(written.items()))

    def _answer(self, kind: AnswerKind, operation: Operation) -> JsonObject:
        written: JsonObject = {
            "description": kind.meaning,
            "headers": self._headers(
                [*sorted(kind.headers), *_TRACED], optional=sorted(kind.optional_headers)
            ),
        }
        if kind.body is bytes:
            written["content"] = {media_type: {} for media_type in kind.media_types}
        elif kind.body is not None:
            schema = self._models.of(kind.body)
            written["content"] = {media_type: {"schema": schema} for media_type in kind.media_types}
            links = self._next_page(operation) if "next_cursor" in self._fields(schema) else {}
            if links or kind.status == HTTPStatus.CREATED:
                # What is shown again was found by its id: its links would say nothing new.
                links |= self._links(schema, operation)
            if links:
                written["links"] = links
        return written

    def _next_page(self, operation: Operation) -> JsonObject:
        query = operation.endpoint.query
        if query is None or "cursor" not in query.model_fields:
            return {}
        in_path = re.findall(r"\{(\w+)\}", operation.path)
        given = {name: f"$request.path.{name}" for name in in_path}
        given["cursor"] = "$response.body#/next_cursor"
        return {"next_page": {"operationId": operation.id, "parameters": given}}

    def _links(self, schema: JsonObject, operation: Operation) -> JsonObject:
        """Return the operations on what an answer shows, by the name of its id in their paths."""
        found: JsonObject = {}
        for noun, pointer in self._ids_in(schema):
            for other in self._all_of:
                needed = re.findall(r"\{(\w+)\}", other.path)
                if noun not in needed or other.is_of_user != operation.is_of_user:
                    continue
                given = {noun: f"$response.body#{pointer}"}
                if other.is_of_user:
                    given[USER_ID] = f"$request.path.{USER_ID}"
                if set(needed) == set(given) and other.id != operation.id:
                    found[other.id] = {"operationId": other.id, "parameters": given}
        return found

    def _ids_in(self, schema: JsonObject) -> Iterator[tuple[str, str]]:
        """Yield the name of a path's parameter, and where an answer shows what to fill it with."""
        pointer = "/id"
        if "next_cursor" in self._fields(schema):
            schema, pointer = self._fields(schema)["items"]["items"], "/items/0/id"
        if "id" in self._fields(schema):
            words = re.sub(r"(?<!^)(?=[A-Z])", "_", _name_in(schema)).lower()
            yield f"{words}_id", pointer

    def _fields(self, schema: JsonObject) -> JsonObject:
        return self.schemas.get(_name_in(schema), {}).get("properties", {})

    def _headers(self, always: Iterable[str], *, optional: Iterable[str]) -> JsonObject:
        for names, is_always in ((always, True), (optional, False)):
            for name in names:
                self._sent[name] = is_always and self._sent.get(name, True)
        return {name: _reference("headers", name) for name in (*always, *optional)}

    def _refusal(self, status: int, kinds: Sequence[ProblemKind]) -> JsonObject:
        """Return a reference to the answer that is one of some kinds of problem."""
        special = [kind for kind in kinds if kind not in ALWAYS]
        name = "Or".join(_pascal(kind.slug) for kind in special) or _pascal(
            HTTPStatus(status).name.lower().replace("_", "-")
        )
        if name not in self.refusals:
            meanings = [kind.meaning for kind in kinds]
            named = dict.fromkeys(header for kind in kinds for header in kind.headers)
            self.refusals[name] = {
                "description": meanings[0]
                if len(meanings) == 1
                else "\n".join(f"* {meaning}" for meaning in meanings),
                "headers": self._headers(_TRACED, optional=named),
                "content": {problems.MEDIA_TYPE: {"schema": self._one_of(kinds)}},
            }
        return _reference("responses", name)

    def _one_of(self, kinds: Sequence[ProblemKind]) -> JsonObject:
        references = {kind.type: PREFIX + self._problem(kind) for kind in kinds}
        if len(references) == 1:
            return {"$ref": next(iter(references.values()))}
        return {
            "oneOf": [{"$ref": reference} for reference in references.values()],
            "discriminator": {"propertyName": "type", "mapping": references},
        }

    def _problem(self, kind: ProblemKind) -> str:
        name = f"{_pascal(kind.slug)}Problem"
        self.schemas[name] = {
            "description": kind.meaning,
            "allOf": [self._models.of(ProblemDetails)],
            "properties": {"type": {"const": kind.type}, "status": {"const": kind.status}},
        }
        return name


def _lines_body(endpoint: Endpoint, lines: type[JsonLines]) -> JsonObject:
    content: JsonObject = {
        "schema": {"type": "string", "minLength": 2},
        "examples": {"example-1": {"value": lines.EXAMPLE}},
    }
    return {
        "description": (
            f"A JSON object in each line, at most {json_lines.LINES_MAX} of them and"
            f" {endpoint.body_max_bytes:,} bytes."
        ),
        "required": True,
        "content": dict.fromkeys(json_lines.MEDIA_TYPES, content),
    }


def _form_body(endpoint: Endpoint) -> JsonObject:
    content: JsonObject = {
        "schema": {"type": "string"},
        "examples": {"example-1": {"value": forms.EXAMPLE}},
    }
    return {
        "description": (
            f"A form of any fields, or nothing. At most {endpoint.body_max_bytes:,} bytes."
        ),
        "required": False,
        "content": dict.fromkeys(forms.MEDIA_TYPES, content),
    }


def _types_of(endpoints: Iterable[Endpoint]) -> Iterator[Any]:
    yield ProblemDetails
    for endpoint in endpoints:
        if endpoint.body is not None:
            yield endpoint.body
        if endpoint.query is not None:
            yield endpoint.query
        yield from (kind.body for kind in endpoint.answers if kind.body not in (None, bytes))


def _path_parameters(operation: Operation) -> Iterator[JsonObject]:
    types = operation.endpoint.path_parameters
    for name in re.findall(r"\{(\w+)\}", operation.path):
        schema: JsonObject = {"type": "string", "minLength": 1, "maxLength": USER_ID_MAX_CHARS}
        meaning = "The user's own id, as their token and their account have it."
        if name != USER_ID:
            is_text = types[name] is str
            schema = {"type": "string"} if is_text else {"type": "string", "format": "uuid"}
            meaning = f"The id of the {name.removesuffix('_id').replace('_', ' ')}."
            if is_text:
                meaning = f"The secret in the address: the {name.replace('_', ' ')}."
        yield {"name": name, "in": "path", "required": True, "description": meaning} | {
            "schema": schema
        }


def _description_of(operation: Operation) -> str:
    endpoint = operation.endpoint
    parts: list[str] = []
    if endpoint.query is not None and endpoint.query.__doc__:
        parts.append(" ".join(endpoint.query.__doc__.split()))
    if endpoint.permission is not None:
        parts.append(f"Needs the permission `{endpoint.permission}`.")
    if endpoint.role is not None:
        parts.append(f"Needs the role `{endpoint.role}`.")
    return "\n\n".join(parts)


def _security_of(endpoint: Endpoint) -> list[JsonObject]:
    # OpenAPI 3.1 takes what a token must allow for any scheme.
    needed = [str(each) for each in (endpoint.role, endpoint.permission) if each is not None]
    given: JsonObject = {BEARER: needed} if endpoint.asks_for_token else {}
    if endpoint.takes_refresh_cookie:
        return [given, {**given, COOKIE: []}]
    return [given] if given else []


def _security_schemes() -> JsonObject:
    return {
        BEARER: {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The `access_token` that registering, logging in or refreshing gave.",
        },
        COOKIE: {
            "type": "apiKey",
            "in": "cookie",
            "name": REFRESH_COOKIE,
            "description": "A browser's refresh token; it counts with an Origin of our own alone.",
        },
    }


def _request_headers() -> JsonObject:
    return {
        name: {
            "name": name,
            "in": "header",
            "description": header.meaning,
            "schema": header.schema,
        }
        for name, header in headers.OF_REQUESTS.items()
    }


def _reference(kind: str, name: str) -> JsonObject:
    return {"$ref": _COMPONENT.format(kind, name)}


def _name_in(schema: JsonObject) -> str:
    return schema.get("$ref", "").removeprefix(PREFIX)


def _pascal(words: str) -> str:
    return "".join(word.capitalize() for word in words.split("-"))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _description() -> str:
    refused = ", ".join(str(status) for status in sorted({kind.status for kind in refusals.OTHERS}))
    methods = ", ".join(f"`{method}`" for method in (HTTPMethod.HEAD, HTTPMethod.OPTIONS))
    protection = ", ".join(f"`{name}: {value}`" for name, value in browser.PROTECTION.items())
    return f"""\
Tasks, recurring tasks and reminders of many users. What happens to them can be followed live:
`/asyncapi.json` describes the events and the socket.

* **Paths.** `/api/{{user_id}}/…` may be written without the user id; the token says who asks.
* **Refusals** are problems (RFC 9457). Every kind has a `type` of its own, and new kinds may come.
  What is no request, or asks for what no server here can do, is refused so, too: {refused}.
* **What is sent** holds the named members and query parameters alone; any other is refused (422).
  No text holds a null character. **What is answered** may get more members.
* **Times** are RFC 3339 with an offset where they are sent, in UTC where they are answered.
* **Tracing.** Any request may carry `{headers.CORRELATION_ID}` (up to 128 printable ASCII
  characters without a space) and `{headers.TRACEPARENT}` (W3C Trace Context). Its answer, its
  events and the logs have both; they are made up where there are none.
* **Browsers.** Answers that say nothing else have {protection}.
* **PUT and PATCH** both merge (RFC 7396): what is left out stays, `null` clears.
* **Health.** `{health.HEALTH}` says whether the service can be used.
* **Methods.** At each path {methods} work too, the former where GET does.
"""
