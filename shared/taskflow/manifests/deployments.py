"""`func.yaml`: how func deploys a function, with as much as its kind and its scale need."""

import ast
from pathlib import Path
from typing import Final

from taskflow.eventing.bindings.knative import NAMESPACE
from taskflow.eventing.frame import Subscriber
from taskflow.manifests.documents import (
    COMPONENT,
    LABELS,
    Document,
    Timestamp,
    component_of,
    text_of,
)
from taskflow.manifests.outside import REACHES_OUTSIDE, Uses, uses_of
from taskflow.push.feed import READERS
from taskflow.server.loading import Function
from taskflow.serving import health
from taskflow.serving.endpoint import Endpoint
from taskflow.serving.scale import Scale

FILE = "func.yaml"
IMAGE = "dev.local/taskflow:dev"
"""What `make image` makes. `make deploy` deploys another where it is told to."""

PODS_MAX: Final[dict[Scale, int]] = {"alone": 1, "seldom": 2, "sometimes": 3, "often": 10}
"""How many pods a function has at most, by how often it is called."""

SHARE_OF_USERS = 3
"""One user's requests hold at most a third of a pod's connections, so three are the least."""

SENDERS = 8
"""Connections of a pod that sends by all channels, of whose 40 places each takes one four times for
a message: with three, and a database 1 ms away, it sends 68 messages a second, with these 100."""

CONCURRENCY = 32
SOCKETS = 1000
"""How many requests, or sockets, a pod has at a time. Another pod is started at half of the
requests, and at seven tenths of the sockets, which come less suddenly."""

LONG_POLLS = 256
"""How many requests a pod has where one may wait without a turn, most of which do nothing. Another
pod is started at a sixth of them, for all of them may work."""

SETS_ASIDE = "set_aside"
"""What a main.py calls to wait without a turn."""

SOCKET_LIFETIME_S = 270
"""Less than the 300 s after which Knative cuts whatever is still open (`timeoutSeconds`)."""

CREATED = Timestamp("2026-11-22T00:00:00Z")
"""func takes a function without it for one that was not initialized."""

SECRETS, KAFKA = "taskflow-secrets", "taskflow-kafka"
CONFIG = "taskflow-config"
KAFKA_PATH = "/etc/taskflow/kafka"
"""Where the secret's `ca.crt` is, for KAFKA_SSL_CA_LOCATION."""

TMP = {"emptyDir": {"sizeLimit": "64Mi"}, "path": "/tmp"}  # noqa: S108 - the pod's own
"""All that a pod may write to: `make deploy` makes the rest read-only, which func can't say."""

USES_KAFKA = "taskflow/uses-kafka"

_APPENDING = ("events.append", "task_changes.", "erasure_store.begin")
"""What of the storage appends events, which are then published: all of `task_changes` does."""


_OF_KAFKA = ("taskflow.kafka", "taskflow.push", "taskflow.eventing.outbound")
"""What speaks to Kafka, follows its topics, or appends events by itself."""


def text(function: Function, source: Path) -> str:
    """Return the func.yaml of a function, whose main.py is `source`."""
    return text_of([_deployment(function, source)], source="main.py")


def uses_kafka(source: Path) -> bool:
    """Say whether a function publishes to Kafka or reads it: by what its main.py calls."""
    tree = ast.parse(source.read_bytes())
    imports = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    called = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    return bool(
        any(name.startswith(_APPENDING) for name in called)
        or any(name.startswith(_OF_KAFKA) for name in imports)
    )


def _deployment(function: Function, source: Path) -> Document:
    endpoint = function.endpoint
    is_socket = isinstance(endpoint, Endpoint) and endpoint.is_socket
    with_kafka, outside = uses_kafka(source), uses_of(source)
    labels = _labels(endpoint, outside, with_kafka=with_kafka)
    return {
        "specVersion": "0.36.0",
        "name": function.name,
        "runtime": "python",
        "namespace": NAMESPACE,
        "created": CREATED,
        "invoke": "cloudevent" if isinstance(endpoint, Subscriber) else "http",
        "image": IMAGE,
        "run": {
            "envs": _environment(function, outside, is_socket=is_socket, with_kafka=with_kafka),
            "volumes": [TMP, *([{"secret": KAFKA, "path": KAFKA_PATH}] if with_kafka else [])],
        },
        "deploy": {
            "serviceAccountName": "taskflow",
            "labels": [{"key": key, "value": value} for key, value in labels.items()],
            "healthEndpoints": {"liveness": health.LIVENESS, "readiness": health.READINESS},
            "options": _options(endpoint.scale, outside, is_socket=is_socket, waits=_waits(source)),
        },
    }


def _environment(
    function: Function, outside: Uses, *, is_socket: bool, with_kafka: bool
) -> list[Document]:
    pool = SENDERS if outside.lanes else SHARE_OF_USERS
    if is_socket:
        pool += READERS
    variables = {
        "FUNCTION_TARGET": function.name.replace("-", "_"),
        "FUNCTION_SOURCE": f"functions/{function.name}/main.py",
        # gunicorn would believe a header SCRIPT_NAME of whoever connects from the pod itself, and
        # that is Knative's proxy, with the headers of all clients.
        "FORWARDED_ALLOW_IPS": "",
        "DATABASE_POOL_SIZE": str(pool),
        "DATABASE_URL": _secret(SECRETS, "database-url"),
        "METRICS_TOKEN": _secret(SECRETS, "metrics-token"),
    }
    if is_socket:
        variables["SOCKET_LIFETIME_S"] = str(SOCKET_LIFETIME_S)
    if not isinstance(function.endpoint, Subscriber):
        variables["JWT_SECRET"] = _secret(SECRETS, "jwt-secret")
        if function.endpoint.checks_tokens:
            variables["BETTER_AUTH_SECRET"] = _secret(SECRETS, "better-auth-secret")
    if outside.links:
        variables["LINK_SECRET"] = _secret(SECRETS, "link-secret")
    all_of = [f"configMap:{CONFIG}"]
    if with_kafka:
        variables["KAFKA_SASL_PASSWORD"] = _secret(KAFKA, "password")
        all_of.append(f"configMap:{KAFKA}")
    all_of += [f"secret:{name}" for name in outside.secrets]
    named = [{"name": name, "value": value} for name, value in variables.items()]
    return [*named, *({"value": f"{{{{ {each} }}}}"} for each in all_of)]


def _secret(name: str, key: str) -> str:
    return f"{{{{ secret:{name}:{key} }}}}"


def _labels(endpoint: Endpoint | Subscriber, outside: Uses, *, with_kafka: bool) -> dict[str, str]:
    return {
        **LABELS,
        COMPONENT: component_of(endpoint),
        # By it the network lets a pod reach Kafka.
        **({USES_KAFKA: "true"} if with_kafka else {}),
        **({REACHES_OUTSIDE: "true"} if outside.sends else {}),
        # What comes from outside comes through the gateway, which tells the client's address.
        "networking.knative.dev/visibility": "cluster-local",
    }


def _waits(source: Path) -> bool:
    tree = ast.parse(source.read_bytes())
    return any(isinstance(node, ast.Name) and node.id == SETS_ASIDE for node in ast.walk(tree))


def _options(scale: Scale, outside: Uses, *, is_socket: bool, waits: bool) -> Document:
    most = PODS_MAX[scale]
    if is_socket:
        return {
            # Clients that come back after a rollout would all wait for the first pod.
            "scale": _scale(1, most, target=SOCKETS, utilization=70),
            "resources": _resources("100m", "128Mi", "512Mi", SOCKETS),
        }
    if waits:
        return {
            "scale": _scale(0, most, target=LONG_POLLS // 4, utilization=70),
            "resources": _resources("50m", "96Mi", "512Mi", LONG_POLLS),
        }
    return {
        "scale": _scale(0, most, target=CONCURRENCY // 2, utilization=70),
        "resources": _resources("50m", _memory_of(outside), "256Mi", CONCURRENCY),
    }


def _memory_of(outside: Uses) -> str:
    """Return what a function asks for: boto3 takes 20 MiB once Amazon is asked, and places more."""
    if outside.lanes:
        return "144Mi"
    return "128Mi" if outside.devices else "96Mi"


def _scale(least: int, most: int, *, target: int, utilization: int) -> Document:
    return {
        "min": least,
        "max": most,
        "metric": "concurrency",
        "target": target,
        "utilization": utilization,
    }


def _resources(cpu: str, memory: str, memory_max: str, concurrency: int) -> Document:
    return {
        "requests": {"cpu": cpu, "memory": memory},
        # A start is CPU bound, so a pod may take a whole one.
        "limits": {"cpu": "1", "memory": memory_max, "concurrency": concurrency},
    }
