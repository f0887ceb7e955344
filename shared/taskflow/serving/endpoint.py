"""What an endpoint takes and answers: all of it, read from its handler and what is declared of it.

The frame serves by it, and documents of the API are written from it.
"""

import inspect
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from types import UnionType
from typing import Any, NoReturn, get_args, get_origin
from uuid import UUID

from flask import Request, Response
from pydantic import BaseModel

from taskflow.domain.accounts import Permission
from taskflow.domain.errors import DomainError, InvalidContent, VersionIsExcluded, VersionIsStale
from taskflow.domain.events import Cause
from taskflow.domain.text import JsonObject
from taskflow.serving import problems
from taskflow.serving.answers import Answer
from taskflow.serving.body import BODY_MAX_BYTES, PUBLIC_BODY_MAX_BYTES, Query
from taskflow.serving.caller import Caller
from taskflow.serving.conditions import Conditions
from taskflow.serving.problems import PROBLEMS, ProblemKind
from taskflow.serving.routes import Route
from taskflow.serving.tracing import Network
from taskflow.storage import Transaction

AUTH_PATHS = "/api/auth/"
"""Where the limit of each client address counts."""

USER_ID = "user_id"
"""The parameter of a path that must be the caller's own; no handler is given it."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

Handler = Callable[..., Response]

_GIVEN = (Caller, Cause, Conditions, Network, Request, Transaction)
"""What the frame can give a handler, by type, beside what was sent."""

_ALWAYS = (
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


class InvalidDeclaration(TypeError):
    """A handler can't be called with what requests bring, or does not say what it answers."""


@dataclass(frozen=True, slots=True)
class AnswerKind:
    """A way to answer when all went well.

    `headers` are always there and `optional_headers` may be, beside EVERY_ANSWER_HEADERS. `body` is
    the type of the JSON in the body, which pydantic can read; None where there is no body.
    """

    status: int
    body: Any
    headers: frozenset[str]
    optional_headers: frozenset[str] = frozenset()


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
"""What any answer may carry, a problem too."""

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
)
"""How OPTIONS is answered wherever there is an endpoint."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One endpoint: where it is, who may use it, what it takes and all that it can answer.

    `parameters` are what its handler is called with, by name: the type of each. `body` and `query`
    are None where it takes none; a request may then have an empty object as its body. One that
    `is_public` asks for no token; one that `is_socket` is asked for an upgrade and checks the token
    by itself. `raises` are the errors of the domain that its handler lets through.
    """

    name: str
    summary: str
    routes: tuple[Route, ...]
    permission: Permission | None
    role: str | None
    is_public: bool
    is_socket: bool
    parameters: Mapping[str, Any]
    query: type[Query] | None
    body: type[BaseModel] | None
    answers: tuple[AnswerKind, ...]
    raises: tuple[type[DomainError], ...]

    @classmethod
    def of(
        cls,
        handler: Handler,
        routes: Sequence[Route],
        *,
        permission: Permission | None = None,
        role: str | None = None,
        is_public: bool = False,
        socket: Callable[..., None] | None = None,
        socket_query: type[Query] | None = None,
        raises: Sequence[type[DomainError]] = (),
    ) -> "Endpoint":
        """Read what a handler takes and answers from its signature.

        For a `socket` the handler answers a request for no upgrade, and `socket_query` is the model
        of the query that the socket reads by itself. Raises InvalidDeclaration where the signature
        can't be filled, or leaves out what is answered.
        """
        parameters, returned = _signature(handler)
        function = socket or handler
        endpoint = cls(
            name=function.__name__.strip("_").replace("_", "-"),
            summary=_summary(function),
            routes=tuple(routes),
            permission=permission,
            role=role,
            is_public=is_public,
            is_socket=socket is not None,
            parameters=parameters,
            query=socket_query or _the_one(handler, parameters, Query),
            body=_the_one(handler, parameters, BaseModel, but=Query),
            answers=tuple(_answers(handler, returned)),
            raises=tuple(raises),
        )
        endpoint.check(handler)
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
    def asks_for_token(self) -> bool:
        """Say whether a request without a token is refused."""
        return not (self.is_public or self.is_socket)

    @property
    def body_max_bytes(self) -> int:
        """How large a body may be."""
        return BODY_MAX_BYTES if self.asks_for_token else PUBLIC_BODY_MAX_BYTES

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

        Not where that holds a secret, which is not to be stored.
        """
        is_secret = any("Cache-Control" in answer.headers for answer in self.answers)
        return self.asks_for_token and not self.is_safe and not is_secret

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
        """Bodies that it takes, as its model shows them; `{}` stands for none at all."""
        extra = None if self.body is None else self.body.model_config.get("json_schema_extra")
        return typing.cast("Any", extra)["examples"] if isinstance(extra, dict) else ()

    def check(self, handler: Handler) -> None:
        """Check that requests bring all that the handler is called with.

        Raises InvalidDeclaration.
        """
        of_path = {name for route in self.routes for name in route.parameters()}
        for name, need in self.parameters.items():
            if name in of_path:
                if need not in (UUID, str):
                    raise _invalid(handler, f"the parameter {name} of its path must be UUID or str")
            elif need not in _GIVEN and not _is(need, BaseModel):
                raise _invalid(handler, f"nothing fills the parameter {_shown(name, need)}")
        if not self.asks_for_token and Caller in self.parameters.values():
            raise _invalid(
                handler, "nobody has signed in where it is public, so there is no Caller"
            )
        for name in of_path - {USER_ID} - self.parameters.keys():
            raise _invalid(handler, f"it has no parameter for {{{name}}} of its path")
        if self.body is not None and self.methods & SAFE_METHODS:
            raise _invalid(handler, f"{min(self.methods & SAFE_METHODS)} has no body to be read")

    def _of_frame(self) -> list[ProblemKind]:
        kinds = list(_ALWAYS)
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
        if any(template.startswith(AUTH_PATHS) for template in templates):
            kinds.append(problems.TOO_MANY_REQUESTS)
        if self.stores_answers:
            kinds += [
                problems.BAD_IDEMPOTENCY_KEY,
                problems.REQUEST_STILL_RUNNING,
                problems.IDEMPOTENCY_KEY_REUSED,
            ]
        return kinds


def _signature(handler: Handler) -> tuple[Mapping[str, Any], Any]:
    hints = typing.get_type_hints(handler)
    names = list(inspect.signature(handler).parameters)
    for name in names:
        if name not in hints:
            raise _invalid(handler, f"the parameter {name} has no type")
    return {name: hints[name] for name in names}, hints.get("return")


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
        raise _invalid(
            handler, f"a request has one {'query' if kind is Query else 'body'}, not two"
        )
    return found[0] if found else None


def _answers(handler: Handler, returned: Any) -> list[AnswerKind]:  # noqa: ANN401 - what typing makes of it
    if returned is NoReturn:
        return []
    is_union = get_origin(returned) in (typing.Union, UnionType)
    kinds = get_args(returned) if is_union else (returned,)
    found: list[AnswerKind] = []
    for kind in kinds:
        answer = get_origin(kind) or kind
        if not _is(answer, Answer):
            raise _invalid(handler, f"it must be annotated to return Answers, not {kind!r}")
        found.append(
            AnswerKind(
                answer.STATUS,
                _body_of(kind),
                frozenset(answer.HEADERS),
                frozenset(answer.OPTIONAL_HEADERS),
            )
        )
    return found


def _body_of(kind: Any) -> Any:  # noqa: ANN401 - what typing makes of it
    """Return what stands for Body in `Answer[Body]`, which the kind is derived from."""
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if origin is Answer:
        [body] = arguments or (Any,)
        return None if body is type(None) else body
    bases: Collection[Any] = getattr(origin, "__orig_bases__", origin.__bases__)
    [base] = [base for base in bases if _is(get_origin(base) or base, Answer)]
    return _body_of(base[arguments] if arguments else base)


def _is(need: object, kind: type) -> bool:
    return inspect.isclass(need) and issubclass(need, kind)


def _shown(name: str, need: object) -> str:
    return f"{name}: {getattr(need, '__name__', need)}"


def _invalid(handler: Handler, detail: str) -> InvalidDeclaration:
    return InvalidDeclaration(f"{handler.__name__} can't be served: {detail}.")
