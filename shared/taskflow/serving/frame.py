"""The frame of an HTTP function: all that every endpoint promises, done once.

A function declares its route, its permission and, by its signature, what it needs and answers
(`serving/endpoint.py`); the frame finds the route, authenticates, checks the path's user, limits
the rate, validates, opens the one transaction, and turns every error into a problem.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING, Any
from uuid import UUID

import flask
from flask import Request, Response
from werkzeug.exceptions import MethodNotAllowed, NotFound

from taskflow import config, logs, metrics, storage
from taskflow.domain.accounts import Permission, Role
from taskflow.domain.errors import DomainError
from taskflow.domain.events import Cause
from taskflow.kafka.publisher import publish_after_commit
from taskflow.process import at_start, resource
from taskflow.serving import browser, health, idempotency, problems, tracing, turns
from taskflow.serving.body import (
    EmptyObject,
    Query,
    check_encoding,
    leave_rest,
    parse_body,
    parse_query,
    read_bytes,
)
from taskflow.serving.caller import Caller, authenticate
from taskflow.serving.conditions import Conditions
from taskflow.serving.endpoint import AUTH_PATHS, SAFE_METHODS, USER_ID, Endpoint, Handler
from taskflow.serving.forms import Form
from taskflow.serving.limits import RateLimiter
from taskflow.serving.problems import (
    METHOD_NOT_ALLOWED,
    NO_SUCH_PATH,
    TOO_MANY_REQUESTS,
    Problem,
)
from taskflow.serving.routes import url_map
from taskflow.serving.scale import Scale
from taskflow.serving.signature import invalid
from taskflow.serving.tracing import Network
from taskflow.serving.turns import NoTurn, Turn
from taskflow.serving.web_pages import MEDIA_TYPE as PAGE_TYPE
from taskflow.serving.web_pages import refusal_page
from taskflow.storage import Transaction

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

EXTENSION = "taskflow"
"""Where a function's app keeps its Frame, for those who load functions to find."""

SIBLING_METHODS = "taskflow.methods"
"""The key in a WSGI environment for the methods that other functions take at the same path."""

_log = logging.getLogger(__name__)


@resource(is_shared_by_forks=True)
def user_limit() -> RateLimiter:
    """Return the limit of each user's requests."""
    settings = config.settings()
    return RateLimiter(
        rate_per_s=settings.rate_limit_user_per_s, burst=settings.rate_limit_user_burst
    )


@resource(is_shared_by_forks=True)
def address_limit() -> RateLimiter:
    """Return the limit of each client address's requests to `/api/auth`, and of wrong tickets."""
    per_min = config.settings().rate_limit_auth_per_min
    return RateLimiter(rate_per_s=per_min / 60, burst=max(1, int(per_min)))


def limited(limit: RateLimiter, key: str, *, count: bool = True) -> None:
    """Count a request. Raises Problem 429, with Retry-After, for one over the limit."""
    wait_s = limit.wait_s(key, count=count)
    if wait_s:
        metrics.RATE_LIMITED.labels("user" if limit is user_limit() else "address").inc()
        raise Problem(
            TOO_MANY_REQUESTS,
            f"Too many requests; try again in {wait_s} s.",
            headers={"Retry-After": str(wait_s)},
        )


def http_function(
    *routes: str,
    permission: Permission | str | None = None,
    role: Role | str | None = None,
    public: bool = False,
    page: bool = False,
    raises: Sequence[type[DomainError]] = (),
    scale: Scale = "sometimes",
) -> Callable[[Handler], Callable[[Request], Response]]:
    """Make a function of requests out of a handler.

    `routes` are the spellings of its one endpoint, such as `POST /api/{user_id}/tasks`. Unless it
    is `public`, it asks for a token, and for the `permission` and `role` named. At a `page` lies
    what runs in a browser, and is no part of the API: its address is its own to read. `raises` are
    the errors of the domain that its handler lets through, beside InvalidContent. `scale` is how
    often it is called.

    The handler's parameters say what it needs, by type: Caller, Cause, Transaction, Conditions,
    Request, Network, a Query, a Content for the body; and by name, a parameter of the route.
    It is annotated to return one Answer or several, each of a status of its own. Raises
    InvalidDeclaration for any other, and for what would not be kept.
    """

    def decorate(handler: Handler) -> Callable[[Request], Response]:
        endpoint = Endpoint.of(
            handler,
            routes,
            permission=permission,
            role=role,
            is_public=public,
            is_page=page,
            raises=raises,
            scale=scale,
        )
        return install(Frame(endpoint, handler), handler)

    return decorate


class Frame:
    """Serves one endpoint: does everything around the handler that every endpoint promises."""

    def __init__(self, endpoint: Endpoint, handler: Handler) -> None:
        """Serve an endpoint by its handler."""
        self.endpoint = endpoint
        self.handler = handler
        self._map = url_map([(route, "") for route in endpoint.routes])

    def answer(self, request: Request) -> Response:
        """Answer a request, whatever it is."""
        started_s = time.perf_counter()
        correlation_id = tracing.correlation_id_of(request)
        traceparent = tracing.traceparent_of(request)
        bound = logs.correlation_id.set(correlation_id)
        try:
            response = self._in_turn(request, correlation_id, traceparent)
            browser.allow_origin(request, response)
            browser.protect(response)
            response.headers["X-Correlation-ID"] = correlation_id
            response.headers["traceparent"] = traceparent
            duration_s = time.perf_counter() - started_s
            if request.path not in health.PATHS:
                # A client may make methods up; each would be kept as a series of its own.
                method = request.method if request.method in HTTPMethod.__members__ else "other"
                metrics.REQUESTS.labels(self.endpoint.name, method, response.status_code).inc()
                metrics.REQUEST_SECONDS.labels(self.endpoint.name).observe(duration_s)
            routes = self.endpoint.routes
            _log.info(
                "%s %s %d",
                request.method,
                routes[0].template if routes else "-",
                response.status_code,
                extra={"facts": {"duration_ms": round(duration_s * 1000, 1)}},
            )
            leave_rest(request)
            return response
        finally:
            logs.correlation_id.reset(bound)

    def _in_turn(self, request: Request, correlation_id: str, traceparent: str) -> Response:
        """Answer when it is the user's turn, or that of their network; refusals wait for it too."""
        network = tracing.network_of(tracing.address_of(request))
        cause = Cause(
            correlation_id=correlation_id,
            traceparent=traceparent,
            actor="",
            origin=tracing.origin_of(request),
        )
        with turns.turn_of(network) as turn:
            try:
                try:
                    return self._answer(request, network, cause, turn)
                except NoTurn:
                    raise
                except Exception as error:  # noqa: BLE001 - every error becomes a problem
                    if not turn.is_taken:
                        turn.take()
                    return self._refused(error, request)
            except NoTurn as too_many:
                return self._refused(too_many, request)

    def _answer(self, request: Request, network: Network, cause: Cause, turn: Turn) -> Response:
        if request.path in health.PATHS:
            # A process that is busy, or waits for the database, lives all the same.
            if request.path in health.OF_THE_PROCESS:
                turn.key = f"probes {network}"
            turn.take()
            return health.answer(request)
        check_encoding(request)
        parameters = self._match(request)
        if parameters is None:
            turn.take()
            return browser.preflight(self._allowed(request))
        if request.path.startswith(AUTH_PATHS):
            if config.settings().auth == "external":
                raise Problem(NO_SUCH_PATH, "Who uses this signs in elsewhere: at its issuer.")
            limited(address_limit(), network)
        caller: Caller | None = None
        if self.endpoint.asks_for_token:
            caller = authenticate(request)
            turn.key = caller.user_id
            self._admit(caller, parameters.pop(USER_ID, None))
            cause = replace(cause, actor=caller.user_id)
        given: dict[object, object] = {
            Caller: caller,
            Cause: cause,
            Request: request,
            Network: network,
        }
        # It may take its time to come: nobody's turn waits for it.
        raw = read_bytes(request, max_bytes=self.endpoint.body_max_bytes)
        turn.take()
        if caller is not None:
            caller.must_have_account(cause)
        return self._call(request, given, cause, parameters, raw)

    def _match(self, request: Request) -> dict[str, str] | None:
        try:
            _, parameters = self._map.bind("").match(request.path, method=request.method)
        except NotFound:
            raise Problem(NO_SUCH_PATH, "No function takes this path.") from None
        except MethodNotAllowed:
            if request.method == "OPTIONS":
                return None
            raise Problem(
                METHOD_NOT_ALLOWED,
                f"{request.method} is not taken here.",
                headers={"Allow": self._allowed(request)},
            ) from None
        return dict(parameters)

    def _allowed(self, request: Request) -> str:
        methods = set(self.endpoint.methods)
        methods |= request.environ.get(SIBLING_METHODS, set[str]())
        if "GET" in methods:
            methods.add("HEAD")
        return ", ".join(sorted(methods | {"OPTIONS"}))

    def _is_patched(self, request: Request) -> bool:
        return "PATCH" in self._allowed(request)

    def _admit(self, caller: Caller, path_user_id: str | None) -> None:
        limited(user_limit(), caller.user_id)
        if path_user_id is not None:
            caller.must_be(path_user_id)
        if self.endpoint.role is not None:
            caller.must_hold(self.endpoint.role)
        if self.endpoint.permission is not None:
            caller.must_have(self.endpoint.permission)

    def _call(
        self,
        request: Request,
        given: Mapping[object, object],
        cause: Cause,
        parameters: dict[str, str],
        raw: bytes,
    ) -> Response:
        arguments = self._arguments(request, given, parameters, raw)
        key = idempotency.key_of(request) if self.endpoint.stores_answers else None
        tx_name = self.endpoint.transaction
        if tx_name is None:
            return self.handler(**arguments)

        def work(tx: Transaction) -> Response:
            def effect() -> Response:
                response = self.handler(**arguments, **{tx_name: tx})
                self._check_conditions(request, response)
                return response

            if key is None:
                return effect()
            route = f"{request.method} {self.endpoint.routes[0].template}"
            fingerprint = idempotency.fingerprint_of(request, route, parameters, raw)
            return idempotency.once(tx, key, fingerprint, effect)

        return storage.run(work, cause)

    def _arguments(
        self,
        request: Request,
        given: Mapping[object, object],
        parameters: dict[str, str],
        raw: bytes,
    ) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        if self.endpoint.query is None and not self.endpoint.is_page:
            parse_query(request, Query)
        endpoint = self.endpoint
        takes_none = endpoint.body is None and endpoint.lines is None and not endpoint.takes_form
        if raw and takes_none:
            parse_body(request, EmptyObject, raw, is_patched=self._is_patched(request))
        for name, need in self.endpoint.parameters.items():
            if name in parameters:
                arguments[name] = _parameter(parameters[name], need)
            elif need in given:
                arguments[name] = given[need]
            elif need is Conditions:
                arguments[name] = Conditions.of(request)
            elif need is self.endpoint.query:
                arguments[name] = parse_query(request, need)
            elif need is self.endpoint.lines or need is Form:
                arguments[name] = need.of(request, raw)
            elif need is self.endpoint.body:
                is_patched = self._is_patched(request)
                arguments[name] = parse_body(request, need, raw, is_patched=is_patched)
        return arguments

    def _check_conditions(self, request: Request, response: Response) -> None:
        """Refuse a change of something untagged that the request's conditions do not allow.

        A refusal undoes the change. The check comes after the handler, for only an answer without
        an error says that the resource exists; one that was just created did not exist before.
        """
        is_safe = request.method in SAFE_METHODS
        is_new = response.status_code == HTTPStatus.CREATED
        if not (self.endpoint.shows_tags or is_safe or is_new):
            Conditions.of(request).check_untagged()

    def serve(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        """Answer as a WSGI app of its own, where the app around it has nothing to add."""
        return self.answer(Request(environ))(environ, start)

    def _refused(self, error: Exception, request: Request) -> Response:
        problem = problems.problem_of(error)
        if problem.kind.status == HTTPStatus.SERVICE_UNAVAILABLE:
            # What is away says so itself; a stack for each request would bury it.
            _log.warning("%s: %s", problem.kind.slug, type(error).__name__)
        elif problem.kind.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("%s", problem.kind.slug, exc_info=error)
        refused = problems.answer(problem, instance=request.path)
        if self.endpoint.shows_pages and _is_for_a_person(request):
            return refusal_page(problem, refused)
        return refused


def install(frame: Frame, handler: Callable[..., object]) -> Callable[[Request], Response]:
    """Return the frame as functions-framework calls it, and leave it with the app being made.

    Raises InvalidDeclaration where it has no route, by which it would be called.
    """
    if not frame.endpoint.routes:
        raise invalid(handler, "it has no route")

    @wraps(handler)
    def function(request: Request) -> Response:
        return frame.answer(request)

    # functions-framework executes a function's module inside the context of its app.
    if flask.has_app_context():
        config.check_issuer(to_check=frame.endpoint.checks_tokens)
        if frame.endpoint.shows_pages:
            # To who follows the links in mails.
            config.check_links()
        at_start(publish_after_commit)
        flask.current_app.extensions[EXTENSION] = frame
    return function


def _is_for_a_person(request: Request) -> bool:
    taken = request.accept_mimetypes
    return taken.quality(PAGE_TYPE) > taken.quality(problems.MEDIA_TYPE)


def _parameter(text: str, need: object) -> object:
    if need is not UUID:
        return text
    try:
        return UUID(text)
    except ValueError:
        raise Problem(NO_SUCH_PATH, f"{text[:50]!r} is not an id.") from None
