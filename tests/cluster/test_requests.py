"""The API behind the one address of the gateway (A1, A4, D3)."""

import json
import re
from uuid import uuid4

import pytest
import requests

from taskflow.config import Settings
from taskflow.serving.endpoint import Endpoint
from tests.support.functions.client import all_functions
from tests.support.kubernetes.deployed import NAMESPACE, Deployed, kubectl
from tests.support.network.readme_session import events_in, ran_as_pasted
from tests.support.network.remote_api import RemoteApi, a_new_user
from tests.support.paths import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

ANSWERED_WITHIN_S = 60
FUNCTIONS = {path.name for path in (ROOT / "functions").iterdir() if path.is_dir()}
ENDPOINTS = [one.endpoint for one in all_functions() if isinstance(one.endpoint, Endpoint)]
AN_ID = str(uuid4())


def test_every_function_is_deployed_and_ready(deployed: Deployed) -> None:
    services = deployed.services()

    assert set(services) == FUNCTIONS
    assert [name for name, is_ready in services.items() if not is_ready] == []


def test_the_session_of_the_readme_works_as_pasted(deployed: Deployed) -> None:
    printed = ran_as_pasted(deployed.url, "A session")

    types = ["user.registered", "task.created", "task.updated", "task.completed"]
    assert events_in(printed) == list(enumerate(types, start=1))


def _paths_and_methods() -> list[tuple[str, str, str]]:
    return sorted(
        {
            (path, route.method, endpoint.name)
            for endpoint in ENDPOINTS
            for route in endpoint.routes
            for path in route.paths()
            if not endpoint.is_socket
        }
    )


def test_every_declared_path_and_method_reaches_a_function(deployed: Deployed) -> None:
    user = a_new_user(deployed)

    for template, method, name in _paths_and_methods():
        path = template.replace("{user_id}", user.user_id)
        path = re.sub(r"\{\w+\}", AN_ID, path)
        answer = requests.request(
            method,
            f"{deployed.url}{path}",
            headers=user.headers,
            timeout=ANSWERED_WITHIN_S,
        )
        # Whatever a function says, it says under a correlation id; the gateway has none.
        assert answer.status_code != 405, (method, path)
        assert answer.status_code < 500, (method, path, answer.text)
        assert answer.headers.get("X-Correlation-ID"), (method, path, name, answer.text)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/api/tasks", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("POST", f"/api/alice/tasks/{AN_ID}", {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT"}),
        ("PUT", "/api/auth/login", {"OPTIONS", "POST"}),
    ],
)
def test_a_method_that_no_function_takes_is_a_problem_that_names_those_that_are_taken(
    deployed: Deployed, method: str, path: str, allowed: set[str]
) -> None:
    answer = requests.request(method, f"{deployed.url}{path}", timeout=ANSWERED_WITHIN_S)

    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == allowed
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:taskflow:problem:method-not-allowed"


@pytest.mark.parametrize("path", ["/", "/api", "/api/tasks/", "/metrics", "/nothing"])
def test_a_path_of_no_function_is_a_problem(deployed: Deployed, path: str) -> None:
    answer = requests.get(f"{deployed.url}{path}", timeout=ANSWERED_WITHIN_S)

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:taskflow:problem:no-such-path"


def test_head_is_answered_as_get_is_without_the_body(deployed: Deployed) -> None:
    user = a_new_user(deployed)
    url = f"{deployed.url}/api/{user.user_id}/settings"

    got = requests.get(url, headers=user.headers, timeout=ANSWERED_WITHIN_S)
    head = requests.head(url, headers=user.headers, timeout=ANSWERED_WITHIN_S)

    assert (got.status_code, head.status_code, head.content) == (200, 200, b"")
    assert head.headers["Content-Type"] == got.headers["Content-Type"]


def test_only_pages_of_the_origins_that_are_named_may_use_the_api(deployed: Deployed) -> None:
    named = json.loads(kubectl("get", "securitypolicies", "taskflow", "-o=json"))
    origins: list[str] = named["spec"]["cors"]["allowOrigins"]

    for origin in ["https://stranger.test", *origins]:
        answer = requests.options(
            f"{deployed.url}/api/tasks",
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type",
            },
            timeout=ANSWERED_WITHIN_S,
        )
        assert answer.status_code < 300, (origin, answer.text)
        is_named = origin in origins
        assert (answer.headers.get("Access-Control-Allow-Origin") == origin) == is_named


def test_an_address_that_asks_for_accounts_too_often_is_told_so_by_the_gateway(
    deployed: Deployed,
) -> None:
    # By what no other test needs: each function has a limit of its own.
    per_min = int(Settings.model_fields["rate_limit_auth_per_min"].default)
    with requests.Session() as session:
        answers = [
            session.post(f"{deployed.url}/api/auth/logout", timeout=ANSWERED_WITHIN_S)
            # Of each replica, and some that come again while they are sent.
            for _ in range(3 * per_min)
        ]

    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert all(answer.status_code != 429 for answer in answers[:per_min])
    for answer in refused:
        assert answer.headers["Retry-After"]
        assert answer.json()["type"] == "urn:taskflow:problem:too-many-requests"
    # A pod counts too, and no function is woken for what the gateway refuses.
    assert any("X-Correlation-ID" not in answer.headers for answer in refused)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("OPTIONS", 204), ("POST", 405)])
def test_the_health_answers_as_any_path_does(deployed: Deployed, method: str, status: int) -> None:
    answer = requests.request(method, f"{deployed.url}/health", timeout=ANSWERED_WITHIN_S)

    assert answer.status_code == status
    if status != 200:
        assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_the_health_tells_of_the_database(deployed: Deployed) -> None:
    answer = requests.get(f"{deployed.url}/health", timeout=ANSWERED_WITHIN_S)

    assert answer.status_code == 200, answer.text


def test_a_function_at_zero_answers_the_first_request(deployed: Deployed) -> None:
    user = a_new_user(deployed)
    with RemoteApi(deployed, user) as remote:
        remote.create("Before")
        deployed.wait_until_at_zero("create-task")
        created = remote.create("After")

    assert created["title"] == "After"


def test_no_client_can_say_from_where_it_asks(deployed: Deployed) -> None:
    forged = {
        "X-Forwarded-For": "203.0.113.7",
        "X-Envoy-External-Address": "203.0.113.8",
        "X-Real-IP": "203.0.113.9",
        "Forwarded": "for=203.0.113.10",
    }
    email = f"{uuid4()}@example.com"
    registered = requests.post(
        f"{deployed.url}/api/auth/register",
        json={"email": email, "password": "a long password"},
        headers=forged,
        timeout=ANSWERED_WITHIN_S,
    )
    assert registered.status_code == 201, registered.text
    deployed.taskflow("admin", "grant", email)
    signed_in = requests.post(
        f"{deployed.url}/api/auth/login",
        json={"email": email, "password": "a long password"},
        headers=forged,
        timeout=ANSWERED_WITHIN_S,
    ).json()

    entries = requests.get(
        f"{deployed.url}/api/admin/audit",
        params={"user_id": signed_in["user"]["id"]},
        headers={"Authorization": f"Bearer {signed_in['access_token']}", **forged},
        timeout=ANSWERED_WITHIN_S,
    )

    assert entries.status_code == 200, entries.text
    assert "203.0.113." not in json.dumps(entries.json())


@pytest.mark.parametrize(
    "agent", ["kube-probe/1.36", "Knative-Activator-Probe", "Knative-Ingress-Probe"]
)
def test_a_client_that_is_called_as_a_probe_is_answered_by_the_function(
    deployed: Deployed, agent: str
) -> None:
    # Knative's proxies go by the agent, and would answer it themselves: 200, or 400.
    user = a_new_user(deployed)
    headers = {"User-Agent": agent}

    healthy = requests.get(f"{deployed.url}/health", headers=headers, timeout=ANSWERED_WITHIN_S)
    stranger = requests.get(
        f"{deployed.url}/api/settings", headers=headers, timeout=ANSWERED_WITHIN_S
    )
    created = requests.post(
        f"{deployed.url}/api/tasks",
        json={"title": "Of a probe"},
        headers={**user.headers, **headers},
        timeout=ANSWERED_WITHIN_S,
    )

    assert (healthy.status_code, stranger.status_code, created.status_code) == (200, 401, 201)
    assert created.json()["title"] == "Of a probe"


@pytest.mark.parametrize("function", ["record-audit-entry", "run-schedule"])
def test_what_eventing_alone_may_call_is_not_to_be_called_from_outside(
    deployed: Deployed, function: str
) -> None:
    headers = {
        "ce-specversion": "1.0",
        "ce-id": AN_ID,
        "ce-type": "task.created",
        "ce-source": "/tests",
        "Content-Type": "application/json",
    }
    for host in (f"{function}.{NAMESPACE}.svc.cluster.local", f"{function}.{NAMESPACE}"):
        answer = requests.post(
            f"{deployed.url}/",
            data="{}",
            headers={**headers, "Host": host},
            timeout=ANSWERED_WITHIN_S,
        )
        assert answer.status_code == 404
