"""HTTPRoutes of the Gateway API: one address for all functions, as the router of `make up` is.

A request goes to the function that declares its path and method, by the name that this has in the
cluster, through Knative's own ingress. What no function declares is answered by the gateway, so
that it wakes nobody: 404, 405 with `Allow`, and OPTIONS.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus

from taskflow import config
from taskflow.domain.text import compact_json
from taskflow.eventing.bindings.knative import host_of
from taskflow.manifests.documents import Document, component_of, document
from taskflow.server.loading import Function
from taskflow.serving import problems
from taskflow.serving.endpoint import Endpoint
from taskflow.serving.problems import ProblemKind
from taskflow.serving.routes import Route

GATEWAY = "taskflow"
ACCOUNTS = "accounts"
"""The traffic policy of what opens accounts and signs in to them, and its component."""

INGRESS = {"name": "kourier-internal", "namespace": "kourier-system", "port": 80}
"""Knative's ingress for calls from inside. (A function's own Service is only a name of it, which no
route may lead to.) Where Knative's operator has put it elsewhere, the overlay says so."""

TIMEOUT = timedelta(seconds=90)
"""Of a request: the longest wait for events (55 s), and a cold start before it. A socket lasts as
long as Knative lets it."""

PREFLIGHT_HEADER = "Access-Control-Request-Method"

HEALTH = Route("GET", "/health")
"""Answered by the function of sockets, the one that is always awake."""

_ROUTE, _FILTER = "gateway.networking.k8s.io/v1", "gateway.envoyproxy.io/v1alpha1"
_LITERAL = re.compile(r"[a-z-]*")
_PARAMETER = "[^/]+"


def routes(functions: Iterable[Function]) -> Iterator[Document]:
    """Yield the routes of each endpoint, and then those of what no endpoint answers."""
    endpoints = _endpoints(functions)
    for endpoint in endpoints:
        yield _route(endpoint.name, [_rule(endpoint)], component=component_of(endpoint))
    for methods, paths in _paths_by_methods(endpoints).items():
        yield from _otherwise(methods, paths)
    yield _preflight(next(one for one in endpoints if one.is_socket), endpoints)
    yield from _nowhere()


def traffic_policies(functions: Iterable[Function]) -> Iterator[Document]:
    """Yield what bounds the requests of an address to accounts, as one process does (S5).

    Each function and each replica of the gateway counts for itself. None where the limit is off.
    """
    per_min = config.settings().rate_limit_auth_per_min
    if not per_min:
        return
    names = [each.name for each in _endpoints(functions) if each.is_of_accounts]
    target = {"group": _ROUTE.partition("/")[0], "kind": "HTTPRoute"}
    rules = [
        {
            "clientSelectors": [{"sourceCIDR": {"type": "Distinct", "value": everywhere}}],
            "limit": {
                "requests": math.ceil(per_min),
                "unit": "Minute",
            },
        }
        for everywhere in ("0.0.0.0/0", "::/0")
    ]
    spec = {
        "targetRefs": [{**target, "name": name} for name in names],
        "rateLimit": {"type": "Local", "local": {"rules": rules}},
    }
    yield document(_FILTER, "BackendTrafficPolicy", ACCOUNTS, spec, component=ACCOUNTS)


def _endpoints(functions: Iterable[Function]) -> list[Endpoint]:
    return [each.endpoint for each in functions if isinstance(each.endpoint, Endpoint)]


def _routes_of(endpoint: Endpoint) -> tuple[Route, ...]:
    return (*endpoint.routes, HEALTH) if endpoint.is_socket else endpoint.routes


def _rule(endpoint: Endpoint) -> Document:
    matches = [
        {**_match(path), "method": method}
        for route in _routes_of(endpoint)
        for path in route.paths()
        for method in _and_head(route.method)
    ]
    timeout_s = 0 if endpoint.is_socket else TIMEOUT.total_seconds()
    return {"matches": matches, **_to(endpoint), "timeouts": {"request": f"{timeout_s:g}s"}}


def _to(endpoint: Endpoint) -> Document:
    return {
        "filters": [{"type": "URLRewrite", "urlRewrite": {"hostname": host_of(endpoint.name)}}],
        "backendRefs": [INGRESS],
    }


def _paths_by_methods(endpoints: Iterable[Endpoint]) -> Mapping[tuple[str, ...], list[str]]:
    """Return the paths that there are, by the methods that are taken at them."""
    taken: dict[str, set[str]] = defaultdict(set)
    for route in (route for endpoint in endpoints for route in _routes_of(endpoint)):
        for path in route.paths():
            taken[path].update(_and_head(route.method))
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for path, methods in sorted(taken.items()):
        found[*sorted({*methods, "OPTIONS"})].append(path)
    return found


def _otherwise(methods: tuple[str, ...], paths: Iterable[str]) -> Iterator[Document]:
    """Yield what answers other methods than these at these paths, and OPTIONS."""
    name = "-".join(["other-than", *(method.lower() for method in methods)])
    allow = {"header": {"set": [{"name": "Allow", "value": ", ".join(methods)}]}}
    matches = [_match(path) for path in paths]
    yield _filter(name, {**_problem(problems.METHOD_NOT_ALLOWED, "No such method here."), **allow})
    yield _filter(f"options-{name}", {"statusCode": HTTPStatus.NO_CONTENT.value, **allow})
    yield _route(
        name,
        [
            {"matches": matches, "filters": [_answered_by(name)]},
            {
                "matches": [{**match, "method": "OPTIONS"} for match in matches],
                "filters": [_answered_by(f"options-{name}")],
            },
        ],
    )


def _preflight(asked: Endpoint, endpoints: Iterable[Endpoint]) -> Document:
    """Return the route of what a browser asks before a request to another origin (CORS).

    The gateway's policy answers it, but only on a route to a function: `asked` is one that is
    awake, should the policy leave the answer to it.
    """
    by = {"name": PREFLIGHT_HEADER, "type": "RegularExpression", "value": ".+"}
    rules = [
        {
            "matches": [{**_match(path), "method": "OPTIONS", "headers": [by]} for path in paths],
            **_to(asked),
        }
        for paths in _paths_by_methods(endpoints).values()
    ]
    return _route("preflight", rules, component=component_of(asked))


def _nowhere() -> Iterator[Document]:
    name = problems.NO_SUCH_PATH.slug
    everywhere = {"path": {"type": "PathPrefix", "value": "/"}}
    yield _filter(name, _problem(problems.NO_SUCH_PATH, "There is nothing at this path."))
    yield _route(name, [{"matches": [everywhere], "filters": [_answered_by(name)]}])


def _match(path: str) -> Document:
    """Return what a path template matches."""
    if "{" not in path:
        return {"path": {"type": "Exact", "value": path}}
    *parts, last = [_expression(part) for part in path.split("/")]
    # Of those that match, the longest expression is taken: the word of a path must be longer than
    # a parameter in its place, at which another path may end, `tasks/quick` or `tasks/{task_id}`.
    last = last if len(last) > len(_PARAMETER) or last == _PARAMETER else f"({last})"
    return {"path": {"type": "RegularExpression", "value": "/".join([*parts, last])}}


def _expression(part: str) -> str:
    if part.startswith("{"):
        return _PARAMETER
    assert _LITERAL.fullmatch(part), part  # noqa: S101 - a declaration of ours
    return part


def _and_head(method: str) -> tuple[str, ...]:
    return ("GET", "HEAD") if method == "GET" else (method,)


def _problem(kind: ProblemKind, detail: str) -> Document:
    title = HTTPStatus(kind.status).phrase
    text = compact_json(
        {
            "type": f"urn:taskflow:problem:{kind.slug}",
            "title": title,
            "status": kind.status,
            "detail": detail,
        }
    )
    return {
        "statusCode": kind.status,
        "contentType": problems.MEDIA_TYPE,
        "body": {"type": "Inline", "inline": text},
    }


def _filter(name: str, answer: Document) -> Document:
    return document(_FILTER, "HTTPRouteFilter", name, {"directResponse": answer})


def _answered_by(name: str) -> Document:
    reference = {"group": _FILTER.partition("/")[0], "kind": "HTTPRouteFilter", "name": name}
    return {"type": "ExtensionRef", "extensionRef": reference}


def _route(name: str, rules: Sequence[Document], *, component: str | None = None) -> Document:
    spec = {"parentRefs": [{"name": GATEWAY}], "rules": rules}
    return document(_ROUTE, "HTTPRoute", name, spec, component=component)
