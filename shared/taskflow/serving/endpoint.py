"""What an endpoint takes and answers: all of it, read from its handler and what is declared of it.

The frame serves by it, and documents of the API are written from it.
"""

import inspect
import re
import typing
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from types import UnionType
from typing import Any, NoReturn, TypeVar, get_args, get_origin
from uuid import UUID

from flask import Request, Response
from pydantic import BaseModel, PydanticUserError, TypeAdapter

from taskflow.domain.accounts import Permission, RefreshRequest, Role
from taskflow.domain.content import Content, OneOf
from taskflow.domain.errors import DomainError, InvalidContent, VersionIsExcluded, VersionIsStale
from taskflow.domain.events import Cause
from taskflow.domain.text import JsonObject
from taskflow.serving import problems
from taskflow.serving.answers import JSON_TYPE, Answer
from taskflow.serving.body import BODY_MAX_BYTES, PUBLIC_BODY_MAX_BYTES, Query
from taskflow.serving.caller import Caller
from taskflow.serving.conditions import Conditions
from taskflow.serving.forms import Form
from taskflow.serving.json_lines import JsonLines
from taskflow.serving.problems import PROBLEMS, ProblemKind
from taskflow.serving.routes import Route
from taskflow.serving.scale import Scale
from taskflow.serving.signature import invalid, parameters_of
from taskflow.serving.tracing import Network
from taskflow.storage import Transaction

AUTH_PATHS = "/api/auth/"
"""Where the limit of each client address counts."""

USER_ID = "user_id"
"""The parameter of a path that must be the caller's own; no handler is given it."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

METHODS = frozenset({"DELETE", "GET", "PATCH", "POST", "PUT"})
"""What a route may take; HEAD and OPTIONS are answered by the frame."""

Handler = Callable[..., Response]

K = TypeVar("K", Permission, Role)

PAGES = ("text/html",)
"""The media types of pages."""

_GIVEN = (Caller, Cause, Conditions, Network, Request, Transaction)
"""What the frame can give a handler, by type, beside what was sent."""

ALWAYS = (
    problems.NOT_UTF_8,
    problems.NO_SUCH_PATH,
    problems.METHOD_NOT_ALLOWED,
    problems.BODY_CUT_OFF,
    problems.MALFORMED_CHUNKS,
    problems.BODY_TOO_SLOW,
    problems.BODY_TOO_LARGE,
    problems.OTHER_MEDIA_TYPE,
    problems.NOT_JSON,
    problems.INVALID_CONTENT,
    problems.INTERNAL_ERROR,
    problems.UNAVAILABLE,
)
"""The kinds of problem that any request can meet."""


@dataclass(frozen=True, slots=True)
class AnswerKind:
    """A way to answer when all went well.

    `headers` are always there and `optional_headers` may be, beside EVERY_ANSWER_HEADERS. `body` is
    the type of the JSON in the body, which pydantic can read; bytes where it is no JSON but one of
    `media_types`, None where there is no body. `meaning` is a sentence.
    """

    status: int
    body: Any
    headers: frozenset[str]
    optional_headers: frozenset[str] = frozenset()
    media_types: tuple[str, ...] = (JSON_TYPE,)
    meaning: str = field(default="", compare=False)


EVERY_ANSWER_HEADERS = frozenset(
    {
        "Content-Type",
        "Content-Length",
        "X-Correlation-ID",
        "traceparent",
        "Vary",
        "Access-Control-Allow-Origin",
        "Access-Control-Expose-Headers",
    }
)
"""What any answer may carry, a problem too, beside `browser.PROTECTION`."""

PREFLIGHT = AnswerKind(
    HTTPStatus.NO_CONTENT,
    None,
    frozenset(
        {
            "Allow",
            "Access-Control-Allow-Headers",
            "Access-Control-Allow-Methods",
            "Access-Control-Max-Age",
        }
    ),
    frozenset({"Accept-Patch"}),
    meaning="What the path takes.",
)
"""How OPTIONS is answered wherever there is an endpoint."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One endpoint: where it is, who may use it, what it takes and all that it can answer.

    `parameters` are what its handler is called with, by name: the type of each. `body` and `query`
    are None where it takes none; a request may then have an empty object as its body. One that
    `is_public` asks for no token; one that `is_page` is where a page lies that reads its address by
    itself, its query and the parameters of its path; one that `is_socket` is asked for an upgrade
    and checks the token by itself. `raises` are the errors of the domain that its handler lets
    through.
    """

    name: str
    summary: str
    routes: tuple[Route, ...]
    permission: Permission | None
    role: Role | None
    is_public: bool
    is_page: bool
    is_socket: bool
    parameters: Mapping[str, Any]
    query: type[Query] | None
    body: type[Content | OneOf[Any]] | None
    answers: tuple[AnswerKind, ...]
    raises: tuple[type[DomainError], ...]
    scale: Scale

    @classmethod
    def of(
        cls,
        handler: Handler,
        routes: Sequence[str],
        *,
        permission: Permission | str | None = None,
        role: Role | str | None = None,
        is_public: bool = False,
        is_page: bool = False,
        socket: Callable[..., None] | None = None,
        socket_query: type[Query] | None = None,
        raises: Sequence[type[DomainError]] = (),
        scale: Scale = "sometimes",
    ) -> "Endpoint":
        """Read what a handler takes and answers from its signature, and the routes from their text.

        For a `socket` the handler answers a request for no upgrade, and `socket_query` is the model
        of the query that the socket reads by itself. Raises InvalidDeclaration where the signature
        can't be filled or leaves out what is answered, where a text is no route, and where one part
        of the declaration contradicts another.
        """
        parameters = parameters_of(handler)
        function = socket or handler
        endpoint = cls(
            name=function.__name__.strip("_").replace("_", "-"),
            summary=_summary(function),
            routes=tuple(_route(handler, text) for text in routes),
            permission=_member(handler, Permission, permission),
            role=_member(handler, Role, role),
            is_public=is_public,
            is_page=is_page,
            is_socket=socket is not None,
            parameters=parameters,
            query=socket_query or _the_one(handler, parameters, Query),
            body=_the_one(handler, parameters, BaseModel, but=Query),
            answers=tuple(_answers(handler)),
            raises=tuple(raises),
            scale=scale,
        )
        for contradiction in endpoint.contradictions():
            raise invalid(handler, contradiction)
        return endpoint

    @cached_property
    def path_parameters(self) -> Mapping[str, type]:
        """The parameters of its paths, by name: the type of each."""
        names = [name for route in self.routes for name in route.parameters()]
        return {name: self.parameters.get(name, str) for name in names}

    @cached_property
    def methods(self) -> frozenset[str]:
        """The methods that it takes; HEAD goes with GET."""
        return frozenset(route.method for route in self.routes)

    @property
    def is_safe(self) -> bool:
        """Say whether its methods ask for no change (RFC 9110, 9.2.1)."""
        return self.methods <= SAFE_METHODS

    @property
    def is_of_accounts(self) -> bool:
        """Say whether it is under AUTH_PATHS: opens accounts, or signs in to them."""
        return any(route.template.startswith(AUTH_PATHS) for route in self.routes)

    @property
    def asks_for_token(self) -> bool:
        """Say whether a request without a token is refused."""
        return not (self.is_public or self.is_socket)

    @property
    def checks_tokens(self) -> bool:
        """Say whether it checks tokens, of requests or of sockets."""
        return not self.is_public

    @property
    def takes_refresh_cookie(self) -> bool:
        """Say whether a browser's cookie may stand in for the refresh token in the body."""
        return self.body is RefreshRequest

    @property
    def body_max_bytes(self) -> int:
        """How large a body may be."""
        return BODY_MAX_BYTES if self.asks_for_token else PUBLIC_BODY_MAX_BYTES

    @cached_property
    def lines(self) -> type[JsonLines] | None:
        """What the lines of the body are, where that is a JSON object in each line."""
        return next((need for need in self.parameters.values() if _is(need, JsonLines)), None)

    @cached_property
    def takes_form(self) -> bool:
        """Whether its body is a form, if there is one."""
        return Form in self.parameters.values()

    @cached_property
    def shows_pages(self) -> bool:
        """Whether it answers people: with a page, and nothing else."""
        return bool(self.answers) and all(kind.media_types == PAGES for kind in self.answers)

    @cached_property
    def transaction(self) -> str | None:
        """The name of the parameter that is the frame's transaction, if its handler takes one."""
        return next((name for name, need in self.parameters.items() if need is Transaction), None)

    @cached_property
    def shows_tags(self) -> bool:
        """Whether the resource has an entity tag, with which conditions are compared."""
        return Conditions in self.parameters.values()

    @cached_property
    def stores_answers(self) -> bool:
        """Whether a second request with the same Idempotency-Key gets the first one's answer.

        Not where that holds a secret, which is not to be stored, nor where the effect is in no
        transaction of the frame's, in which it could be.
        """
        is_secret = any("Cache-Control" in answer.headers for answer in self.answers)
        has_transaction = self.transaction is not None
        return self.asks_for_token and not self.is_safe and has_transaction and not is_secret

    @cached_property
    def takes_conditions(self) -> bool:
        """Whether the endpoint heeds If-Match and If-None-Match (RFC 9110, 13)."""
        changes = any(answer.status != HTTPStatus.CREATED for answer in self.answers)
        is_undone = self.transaction is not None and not self.is_safe and changes
        return self.shows_tags or is_undone

    @cached_property
    def problems(self) -> Mapping[ProblemKind, Sequence[type[DomainError]]]:
        """The kinds of problem that it can answer, and the errors of the domain that lead to each.

        The frame itself answers those that no error leads to.
        """
        kinds: dict[ProblemKind, list[type[DomainError]]] = {kind: [] for kind in self._of_frame()}
        errors = [InvalidContent, *self.raises]
        if self.takes_conditions:
            errors += [VersionIsStale, *([] if self.is_safe else [VersionIsExcluded])]
        for error in dict.fromkeys(errors):
            kinds.setdefault(PROBLEMS[error], []).append(error)
        return kinds

    @property
    def examples(self) -> Sequence[JsonObject]:
        """The example bodies that the body's model shows; `{}` stands for none at all."""
        extra = None if self.body is None else self.body.model_config.get("json_schema_extra")
        return typing.cast("Any", extra)["examples"] if isinstance(extra, dict) else ()

    @property
    def query_example(self) -> Mapping[str, str]:
        """A query that it takes: an example of each parameter that must be there."""
        fields = {} if self.query is None else self.query.model_fields
        required = {name: field for name, field in fields.items() if field.is_required()}
        return {name: str((field.examples or [""])[0]) for name, field in required.items()}

    def contradictions(self) -> Iterator[str]:
        """Yield a sentence for each part of the declaration that nothing fills or can't hold."""
        yield from self._wrong_routes()
        yield from self._wrong_parameters()
        yield from self._wrong_paths()
        yield from self._wrong_content()
        yield from self._wrong_callers()
        if self.scale not in get_args(Scale):
            yield f"it is called {', '.join(get_args(Scale))}, not {self.scale}"
        for error in self.raises:
            if error not in PROBLEMS:
                yield f"there is no problem for {_name(error)}, which it raises"

    def _wrong_routes(self) -> Iterator[str]:
        for route in self.routes:
            if route.method not in METHODS:
                yield f"{route.method} is no method that a route may take"
            if not route.template.startswith("/"):
                yield f"the path of {route.method} {route.template} must begin with a slash"
        taken = Counter(
            (route.method, re.sub(r"\{\w+\}", "{}", path))
            for route in self.routes
            for path in route.paths()
        )
        for (method, path), count in taken.items():
            if count > 1:
                yield f"{method} {path} is declared twice"

    def _wrong_parameters(self) -> Iterator[str]:
        of_path = set(self.path_parameters)
        for name, need in self.parameters.items():
            if name == USER_ID:
                yield f"no handler is given the {USER_ID}, which is the Caller's"
            elif name in of_path:
                if need not in (UUID, str):
                    yield f"the parameter {name} of its path must be UUID or str"
            elif need not in (*_GIVEN, Form) and not _is(need, (BaseModel, JsonLines)):
                yield f"nothing fills the parameter {_shown(name, need)}"
        needs = Counter(need for need in self.parameters.values() if need in _GIVEN)
        for need, count in needs.items():
            if count > 1:
                yield f"it is given one {need.__name__}, not two"

    def _wrong_paths(self) -> Iterator[str]:
        if self.is_page:
            return
        for name in sorted(self.path_parameters.keys() - {USER_ID}):
            if name not in self.parameters:
                yield f"it has no parameter for {{{name}}} of its path"
            if not all(name in route.parameters() for route in self.routes):
                yield f"{{{name}}} must be in all its paths"

    def _wrong_content(self) -> Iterator[str]:
        if self.takes_form and self.methods & SAFE_METHODS:
            yield f"{min(self.methods & SAFE_METHODS)} has no form to be read"
        if self.body is not None:
            name = self.body.__name__
            if self.methods & SAFE_METHODS:
                yield f"{min(self.methods & SAFE_METHODS)} has no body to be read"
            if not _is(self.body, (Content, OneOf)):
                yield f"its body {name} must be a Content"
            elif not _refuses_others(self.body):
                yield f"its body {name} must refuse fields that it does not know"
        # What a socket reads by itself may be more.
        if self.query is not None and not (self.is_socket or _refuses_others(self.query)):
            yield f"its query {self.query.__name__} must refuse parameters that it does not know"
        for name, example in self.query_example.items():
            if not example:
                yield f"its query needs {name}, and shows no example of it"

    def _wrong_callers(self) -> Iterator[str]:
        is_of_user = USER_ID in self.path_parameters
        if self.is_socket and (self.is_public or self.role):
            yield "a socket asks for a token and its permission, and for no role"
        if not self.asks_for_token and Caller in self.parameters.values():
            yield "nobody has signed in where it is public, so there is no Caller"
        if self.is_public and (is_of_user or self.permission or self.role):
            yield "nobody has signed in where it is public, so nothing can be asked of a caller"
        if self.is_page and not self.is_public:
            yield "a page is shown to whoever comes: it must be public"
        if is_of_user and not self.is_public and self.permission is None:
            yield f"what is under a {{{USER_ID}}} needs a permission"

    def _of_frame(self) -> list[ProblemKind]:
        kinds = list(ALWAYS)
        templates = [route.template for route in self.routes]
        if self.asks_for_token:
            kinds += [problems.NO_TOKEN, problems.INVALID_TOKEN, problems.TOO_MANY_REQUESTS]
            if any(f"{{{USER_ID}}}" in template for template in templates):
                kinds.append(problems.NOT_YOUR_ACCOUNT)
            if self.permission is not None:
                kinds.append(problems.MISSING_PERMISSION)
            if self.role is not None:
                kinds.append(problems.MISSING_ROLE)
        if self.is_socket:
            kinds += [problems.UPGRADE_NEEDED, problems.TOO_MANY_REQUESTS]
        is_secret = self.is_public and not self.is_page and bool(self.path_parameters)
        if self.is_of_accounts or is_secret:
            # Of a path that is a secret it is said to who guesses.
            kinds.append(problems.TOO_MANY_REQUESTS)
        if self.stores_answers:
            kinds += [
                problems.BAD_IDEMPOTENCY_KEY,
                problems.REQUEST_STILL_RUNNING,
                problems.IDEMPOTENCY_KEY_REUSED,
            ]
        return kinds


def _route(handler: Handler, text: str) -> Route:
    try:
        return Route.parse(text)
    except ValueError:
        detail = f"{text!r} is no route, which is a method, one space and a path without any"
        raise invalid(handler, detail) from None


def _member(handler: Handler, kind: type[K], value: str | None) -> K | None:
    try:
        return None if value is None else kind(value)
    except ValueError:
        raise invalid(handler, f"{value} is no {kind.__name__.lower()}") from None


def _summary(function: Callable[..., object]) -> str:
    """Return the part of the docstring of a function's module that comes after its route."""
    docstring = " ".join((getattr(function, "__globals__", {}).get("__doc__") or "").split())
    return docstring.partition(": ")[2].rstrip(".")


def _the_one(
    handler: Handler, parameters: Mapping[str, Any], kind: type, *, but: type | None = None
) -> Any:  # noqa: ANN401 - a class below `kind`, which the caller knows
    found = [
        need
        for need in parameters.values()
        if _is(need, kind) and not (but is not None and _is(need, but))
    ]
    if len(found) > 1:
        raise invalid(handler, f"a request has one {'query' if kind is Query else 'body'}, not two")
    return found[0] if found else None


def _answers(handler: Handler) -> list[AnswerKind]:
    returned = typing.get_type_hints(handler).get("return")
    if returned is NoReturn:
        return []
    is_union = get_origin(returned) in (typing.Union, UnionType)
    kinds = get_args(returned) if is_union else (returned,)
    found: dict[int, AnswerKind] = {}
    for kind in kinds:
        answer: Any = get_origin(kind) or kind
        if not _is(answer, Answer):
            raise invalid(handler, f"it must be annotated to return Answers, not {kind!r}")
        if answer.STATUS in found:
            raise invalid(handler, f"it has two answers with the status {answer.STATUS.value}")
        found[answer.STATUS] = AnswerKind(
            answer.STATUS,
            _readable(handler, answer, _body_of(kind)),
            frozenset(answer.HEADERS),
            frozenset(answer.OPTIONAL_HEADERS),
            answer.MEDIA_TYPES,
            inspect.getdoc(answer) or "",
        )
    return list(found.values())


def _readable(handler: Handler, answer: type[Answer[Any]], body: Any) -> Any:  # noqa: ANN401 - as below
    """Return the type of a body, of which pydantic is to know what it holds."""
    if body is Any or isinstance(body, TypeVar):
        raise invalid(handler, f"it must say what the body of its {answer.__name__} holds")
    try:
        TypeAdapter(body)
    except PydanticUserError:
        raise invalid(handler, f"no JSON is a {_name(body)}, the body of its answer") from None
    return body


def _body_of(kind: Any) -> Any:  # noqa: ANN401 - what typing makes of it
    """Return what stands for Body in `Answer[Body]`, which the kind is derived from."""
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if origin is Answer:
        [body] = arguments or (Any,)
        return None if body is type(None) else body
    bases: Collection[Any] = getattr(origin, "__orig_bases__", origin.__bases__)
    [base] = [base for base in bases if _is(get_origin(base) or base, Answer)]
    return _body_of(base[arguments] if arguments else base)


def _is(need: object, kind: type | tuple[type, ...]) -> bool:
    return inspect.isclass(need) and issubclass(need, kind)


def _refuses_others(model: type[BaseModel]) -> bool:
    if issubclass(model, OneOf):
        return all(_refuses_others(shape) for shape in model.shapes())
    return model.model_config.get("extra") == "forbid"


def _shown(name: str, need: object) -> str:
    return f"{name}: {_name(need)}"


def _name(kind: object) -> str:
    return getattr(kind, "__name__", str(kind))
