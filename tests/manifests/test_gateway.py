"""The routes of the gateway: to the function that declares a request, as the router goes (A1)."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import yaml

from taskflow.manifests.__main__ import GENERATED
from taskflow.manifests.gateway import TIMEOUT, traffic_policies
from taskflow.serving.endpoint import METHODS, Endpoint
from taskflow.serving.routes import Route, url_map
from tests.support.functions.client import all_functions
from tests.support.paths import ROOT
from tests.support.settings import changed_settings

RULES_MAX, MATCHES_MAX = 16, 64
"""Of an HTTPRoute, and of a rule (Gateway API)."""

ENDPOINTS = [one.endpoint for one in all_functions() if isinstance(one.endpoint, Endpoint)]
DOCUMENTS = list(yaml.safe_load_all((ROOT / GENERATED / "http-routes.yaml").read_text()))
ROUTES = {one["metadata"]["name"]: one["spec"] for one in DOCUMENTS if one["kind"] == "HTTPRoute"}
FILTERS = {
    one["metadata"]["name"]: one["spec"]["directResponse"]
    for one in DOCUMENTS
    if one["kind"] == "HTTPRouteFilter"
}
SAMPLES = {"user_id": "alice", "default": str(UUID(int=7))}


def _rank(match: dict[str, Any]) -> tuple[int, int, bool]:
    """Return how Envoy Gateway ranks a match: exact, then expressions, the longer one first."""
    path = match["path"]
    kinds = {"Exact": 2, "RegularExpression": 1, "PathPrefix": 0}
    return kinds[path["type"]], len(path["value"]), "method" in match


def _matching(
    path: str, method: str, *, headers: int = 0
) -> Iterator[tuple[dict[str, Any], str, dict[str, Any]]]:
    for name, spec in ROUTES.items():
        for rule in spec["rules"]:
            for match in rule["matches"]:
                value, kind = match["path"]["value"], match["path"]["type"]
                fits = {
                    "Exact": path == value,
                    "RegularExpression": re.fullmatch(value, path) is not None,
                    "PathPrefix": path.startswith(value),
                }[kind]
                asked = len(match.get("headers", [])) == headers
                if fits and asked and match.get("method", method) == method:
                    yield match, name, rule


def _answering(path: str, method: str) -> tuple[str, dict[str, Any]]:
    """Return the name of the route that a request takes, and its rule."""
    _, name, rule = max(_matching(path, method), key=lambda found: _rank(found[0]))
    return name, rule


def _paths() -> dict[str, str]:
    """Return a path for each template that a client may spell."""
    return {
        template: re.sub(
            r"\{(\w+)\}", lambda found: SAMPLES.get(found[1], SAMPLES["default"]), template
        )
        for endpoint in ENDPOINTS
        for route in endpoint.routes
        for template in route.paths()
    }


def _taken_at(path: str) -> dict[str, str]:
    """Return the methods that are taken at a path, as the router of `make up` finds them.

    That finds the path first: what is declared of another one that would fit does not count.
    """
    at: dict[str, dict[str, str]] = {}
    for endpoint in ENDPOINTS:
        for route in endpoint.routes:
            at.setdefault(route.template, {})[route.method] = endpoint.name
    paths = url_map([(Route("GET", template), template) for template in at])
    template, _ = paths.bind("").match(path, method="GET")
    return at[template]


def _direct(rule: dict[str, Any]) -> dict[str, Any]:
    [one] = rule["filters"]
    return FILTERS[one["extensionRef"]["name"]]


def test_every_request_that_is_declared_reaches_its_function() -> None:
    for path in _paths().values():
        for method, name in _taken_at(path).items():
            reached, rule = _answering(path, method)
            [one] = rule["filters"]
            assert reached == name, (path, method)
            assert one["urlRewrite"]["hostname"] == f"{name}.taskflow.svc.cluster.local"


def test_a_head_request_goes_to_the_function_that_get_goes_to() -> None:
    for path in _paths().values():
        name, _ = _answering(path, "GET")
        assert _answering(path, "HEAD")[0] == name


def test_another_method_is_answered_by_the_gateway_with_those_that_are_taken() -> None:
    for path in _paths().values():
        taken = set(_taken_at(path))
        allowed = {*taken, "OPTIONS", *(["HEAD"] if "GET" in taken else [])}
        for method in (METHODS | {"TRACE", "BREW"}) - taken:
            answer = _direct(_answering(path, method)[1])
            [allow] = answer["header"]["set"]
            assert answer["statusCode"] == 405
            assert set(allow["value"].split(", ")) == allowed, (path, method)
        assert _direct(_answering(path, "OPTIONS")[1])["statusCode"] == 204


def test_a_preflight_request_is_answered_by_the_gateways_policy_at_every_path() -> None:
    # It answers on routes to functions alone.
    for path in _paths().values():
        [(match, name, rule)] = list(_matching(path, "OPTIONS", headers=1))[:1]
        [header] = match["headers"]
        assert (name, header["name"]) == ("preflight", "Access-Control-Request-Method")
        assert rule["backendRefs"]


@pytest.mark.parametrize(
    "path", ["/api", "/api/alice", "/api/tasks/", "/metrics", "/health/liveness", "/x"]
)
def test_a_path_of_no_function_is_answered_by_the_gateway(path: str) -> None:
    answer = _direct(_answering(path, "GET")[1])

    assert answer["statusCode"] == 404
    assert answer["contentType"] == "application/problem+json"
    problem = yaml.safe_load(answer["body"]["inline"])
    assert problem["type"] == "urn:taskflow:problem:no-such-path"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_health_is_asked_of_the_function_that_is_always_awake(method: str) -> None:
    assert _answering("/health", method)[0] == "sync-tasks"


def test_the_health_takes_no_other_method() -> None:
    name, _ = _answering("/health", "POST")

    assert FILTERS[name]["statusCode"] == 405
    [allow] = FILTERS[name]["header"]["set"]
    assert allow["value"] == "GET, HEAD, OPTIONS"


def test_the_limit_of_accounts_is_of_all_that_opens_or_signs_in_to_them() -> None:
    [policy] = yaml.safe_load_all((ROOT / GENERATED / "traffic-policies.yaml").read_text())
    limited = {target["name"] for target in policy["spec"]["targetRefs"]}

    assert limited == {"log-in", "log-out", "refresh-session", "register-user"}
    assert limited <= ROUTES.keys()


def test_a_socket_is_not_cut_and_a_request_is_given_time_for_a_cold_start() -> None:
    timeouts = {
        name: rule["timeouts"]["request"]
        for name, spec in ROUTES.items()
        for rule in spec["rules"]
        if "timeouts" in rule
    }

    assert timeouts.pop("sync-tasks") == "0s"
    assert set(timeouts.values()) == {"90s"}
    # The longest wait for events, and half a minute for a start.
    [events] = [one for one in ENDPOINTS if one.name == "list-events"]
    assert events.query
    schema = events.query.model_json_schema()["properties"]["wait"]
    assert TIMEOUT.total_seconds() >= schema["maximum"] + 30


def test_no_route_is_larger_than_the_gateway_api_allows() -> None:
    for spec in ROUTES.values():
        assert len(spec["rules"]) <= RULES_MAX
        assert all(len(rule["matches"]) <= MATCHES_MAX for rule in spec["rules"])


def test_no_two_routes_take_the_same_requests() -> None:
    taken = Counter(
        (*match["path"].values(), match.get("method"), len(match.get("headers", [])))
        for spec in ROUTES.values()
        for rule in spec["rules"]
        for match in rule["matches"]
    )

    assert [match for match, count in taken.items() if count > 1] == []


def test_the_routes_that_lead_to_functions_are_labelled_as_the_functions_are() -> None:
    # By it a kustomization finds those whose backend it has to name.
    labelled = {
        one["metadata"]["name"]: one["metadata"]["labels"].get("app.kubernetes.io/component")
        for one in DOCUMENTS
        if one["kind"] == "HTTPRoute"
    }

    for name, spec in ROUTES.items():
        leads_to_a_function = any("backendRefs" in rule for rule in spec["rules"])
        assert (labelled[name] in {"endpoint", "socket"}) == leads_to_a_function


@pytest.mark.parametrize(("per_min", "requests"), [(0, []), (0.5, [1, 1]), (60, [60, 60])])
def test_the_gateway_bounds_what_one_process_bounds(per_min: float, requests: list[int]) -> None:
    with changed_settings(rate_limit_auth_per_min=per_min):
        policies = list(traffic_policies(all_functions()))

    assert [
        rule["limit"]["requests"]
        for policy in policies
        for rule in policy["spec"]["rateLimit"]["local"]["rules"]
    ] == requests
