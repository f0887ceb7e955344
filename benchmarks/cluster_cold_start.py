"""From zero on the cluster of KUBECONFIG: the first answer of functions, beside that of hello."""

import json
import re
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import requests

from benchmarks.figures import percentile, show
from taskflow import config
from taskflow.config import Settings
from taskflow.serving.endpoint import Endpoint
from tests.support.functions.client import all_functions
from tests.support.kubernetes.deployed import CONTAINER, NAMESPACE, Deployed, kubectl
from tests.support.network.remote_api import a_new_user
from tests.support.polling import eventually

STARTS = 20
ANSWERED_WITHIN_S = 60
READY_WITHIN_S = 300
HELLO = 'def hello(request):\n    return "hello"\n'
OURS = "benchmark=cold-start"


def main() -> None:
    """Wait until all are at zero, then ask each once, hello and a function in turn."""
    # The functions are read here for what they declare, and run elsewhere.
    config.settings.set(Settings(environment="test"))
    deployed = Deployed()
    user = a_new_user(deployed)
    endpoints = [one.endpoint for one in all_functions() if isinstance(one.endpoint, Endpoint)]
    # What a refusal would answer without the database, and what is always awake, is left out.
    asked = [one for one in endpoints if one.asks_for_token and not one.is_socket][:STARTS]
    names = [f"hello-{number}" for number in range(len(asked))]
    with _hello_services(deployed, names):
        deployed.wait_until_at_zero(*names, *(one.name for one in asked))
        hellos, functions = list[float](), list[float]()
        for name, endpoint in zip(names, asked, strict=True):
            hellos.append(_first_answer_s(deployed, "GET", f"/{name}", {}))
            path = endpoint.routes[0].template.replace("{user_id}", user.user_id)
            path = re.sub(r"\{\w+\}", str(uuid4()), path)
            method = endpoint.routes[0].method
            functions.append(_first_answer_s(deployed, method, path, user.headers))
    rows = [
        (name, *(f"{percentile(times, percent):.2f}" for percent in (50, 95)), f"{max(times):.2f}")
        for name, times in (("functions-framework hello", hellos), ("a function", functions))
    ]
    ratio = percentile(functions, 50) / percentile(hellos, 50)
    show(
        f"From zero to the first answer, s, {len(asked)} of each; ours is {ratio:.2f} × hello",
        [("", "p50", "p95", "max"), *rows],
    )


def _first_answer_s(deployed: Deployed, method: str, path: str, headers: dict[str, str]) -> float:
    began_s = time.perf_counter()
    answer = requests.request(
        method, f"{deployed.url}{path}", headers=headers, timeout=ANSWERED_WITHIN_S
    )
    took_s = time.perf_counter() - began_s
    assert answer.status_code < 405 or answer.status_code == 422, (path, answer.text)  # noqa: S101 - what is measured is an answer of the function
    return took_s


@contextmanager
def _hello_services(deployed: Deployed, names: Sequence[str]) -> Generator[None]:
    """Deploy hello under each name, from the same image, and lead the gateway to it."""
    [pod, *_] = deployed.pods("sync-tasks")
    containers = json.loads(kubectl("get", pod, "-o=json"))["spec"]["containers"]
    [image] = [one["image"] for one in containers if one["name"] == CONTAINER]
    like = json.loads(kubectl("get", "httproute", "get-settings", "-o=json"))["spec"]
    documents: list[dict[str, Any]] = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": _metadata("hello"),
            "data": {"main.py": HELLO},
        }
    ]
    for name in names:
        documents += [_service(name, image), _route(name, like)]
    kubectl("apply", "-f=-", given=json.dumps(_list_of(documents)))
    try:
        eventually(lambda: _check_ready(deployed, names), within_s=READY_WITHIN_S, every_s=1)
        yield
    finally:
        for kind in ("services.serving.knative.dev", "httproutes", "configmaps"):
            kubectl("delete", kind, f"--selector={OURS}", "--wait=false")


def _check_ready(deployed: Deployed, names: Sequence[str]) -> None:
    services = deployed.services()
    assert all(services.get(name) for name in names)  # noqa: S101 - what `eventually` waits for


def _metadata(name: str) -> dict[str, Any]:
    [key, value] = OURS.split("=")
    return {
        "name": name,
        "labels": {key: value, "networking.knative.dev/visibility": "cluster-local"},
    }


def _list_of(documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": documents}


def _service(name: str, image: str) -> dict[str, Any]:
    container = {
        "image": image,
        "command": ["python", "-m", "functions_framework"],
        "args": ["--target=hello", "--source=/hello/main.py"],
        "env": [{"name": "THREADS", "value": "8"}],
        "resources": {"requests": {"cpu": "10m", "memory": "80Mi"}, "limits": {"cpu": "1"}},
        "volumeMounts": [{"name": "hello", "mountPath": "/hello"}],
        # As the namespace wants it of all pods.
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    volume = {"name": "hello", "configMap": {"name": "hello"}}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": _metadata(name),
        "spec": {"template": {"spec": {"containers": [container], "volumes": [volume]}}},
    }


def _route(name: str, like: dict[str, Any]) -> dict[str, Any]:
    [rule] = like["rules"]
    host = f"{name}.{NAMESPACE}.svc.cluster.local"
    to_hello = {
        "matches": [{"path": {"type": "Exact", "value": f"/{name}"}}],
        "filters": [{"type": "URLRewrite", "urlRewrite": {"hostname": host}}],
        "backendRefs": rule["backendRefs"],
        "timeouts": rule["timeouts"],
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": _metadata(name),
        "spec": {"parentRefs": like["parentRefs"], "rules": [to_hello]},
    }
