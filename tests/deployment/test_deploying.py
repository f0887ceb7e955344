"""`make deploy`: what it deploys functions from, and what it refuses before it changes anything."""

import json
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from knative import deploy, functions
from knative.cluster import has_been_ready, is_ready
from knative.functions import PATCHES, Function
from tests.support.kubernetes.kustomize import built
from tests.support.paths import ROOT

OVERLAYS = sorted((ROOT / "knative/overlays").glob("*/functions.yaml"))
SETTINGS: dict[str, Any] = {
    "configmap/taskflow-config": {"LOG_LEVEL": "info"},
    "configmap/taskflow-kafka": {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"},
    "secret/taskflow-kafka": {"password": "a", "ca.crt": "a"},
    "secret/taskflow-secrets": {
        "database-url": "a",
        "jwt-secret": "a",
        "better-auth-secret": "a",
        "metrics-token": "a",
    },
}


def _of(name: str, changes: dict[str, Any] | None = None) -> Function:
    [found] = [each for each in functions.functions(changes or {}) if each.name == name]
    return found


def _digest(function: Function, *, image_id: str = "a", settings: dict[str, Any] = SETTINGS) -> str:
    return function.digest("dev.local/taskflow:dev", image_id, settings)


def _with(where: str, key: str) -> dict[str, Any]:
    return SETTINGS | {where: SETTINGS[where] | {key: "changed"}}


def test_every_function_is_deployed() -> None:
    folders = {path.parent.name for path in (ROOT / "functions").glob("*/main.py")}

    assert {each.name for each in functions.functions({})} == folders


def test_an_overlay_changes_all_functions_and_one() -> None:
    changes = {
        "all": {"deploy": {"options": {"resources": {"requests": {"cpu": "1m"}}}}},
        "get-task": {"deploy": {"options": {"scale": {"min": 2}}}},
    }

    one, other = _of("get-task", changes), _of("get-settings", changes)

    assert one.func_yaml["deploy"]["options"]["scale"]["min"] == 2
    assert other.func_yaml["deploy"]["options"]["scale"]["min"] == 0
    for each in (one, other):
        resources = each.func_yaml["deploy"]["options"]["resources"]
        assert resources["requests"]["cpu"] == "1m"
        # The rest stays.
        assert resources["limits"]["concurrency"] == 32


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.parent.name)
def test_an_overlay_changes_functions_that_there_are_where_they_say_something(path: Path) -> None:
    changes = yaml.safe_load(path.read_text())

    assert changes.keys() <= {each.name for each in functions.functions({})} | {"all"}
    for name, change in changes.items():
        unchanged = _of("get-task" if name == "all" else name).func_yaml
        assert _keys(change) <= _keys(unchanged)


def _keys(document: dict[str, Any], above: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for key, value in document.items():
        path = (*above, key)
        inner = cast("dict[str, Any] | None", value if isinstance(value, dict) else None)
        found |= {path} if inner is None else _keys(inner, path)
    return found


def test_a_function_is_deployed_anew_for_whatever_it_was_deployed_from() -> None:
    function = _of("sync-tasks")
    changed = _of("sync-tasks", {"sync-tasks": {"deploy": {"options": {"scale": {"max": 9}}}}})
    unpatched = Function(function.func_yaml, None)

    assert _digest(_of("sync-tasks")) == _digest(function)
    digests = [
        _digest(function),
        _digest(changed),
        _digest(unpatched),
        # The same name, another image.
        _digest(function, image_id="b"),
        # Of a ConfigMap and a secret of one name, both.
        *(
            _digest(function, settings=_with(where, key))
            for where, data in SETTINGS.items()
            for key in data
        ),
    ]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize(
    ("name", "where", "key"),
    [
        # A name that is part of a name, or of a path, that the function has.
        ("get-settings", "configmap/functions", "functions.yaml"),
        ("get-settings", "configmap/taskflow", "LOG_LEVEL"),
        # What the overlay changes of another function.
        ("sync-tasks", "configmap/functions", "functions.yaml"),
        ("get-settings", "configmap/taskflow-kafka", "KAFKA_BOOTSTRAP_SERVERS"),
        ("get-settings", "secret/taskflow-kafka", "password"),
        # The key alone that it is given, of a secret that has several.
        ("record-audit-entry", "secret/taskflow-secrets", "jwt-secret"),
        ("record-audit-entry", "secret/taskflow-secrets", "better-auth-secret"),
        ("deliver-notifications", "secret/taskflow-secrets", "jwt-secret"),
        ("send-notification", "secret/taskflow-mail", "SMTP_PASSWORD"),
    ],
)
def test_a_function_is_not_deployed_anew_for_settings_that_it_does_not_read(
    name: str, where: str, key: str
) -> None:
    function = _of(name)
    changed = SETTINGS | {where: SETTINGS.get(where, {}) | {key: "changed"}}

    assert _digest(function, settings=changed) == _digest(function)


@pytest.mark.parametrize(
    ("where", "key"),
    [
        ("secret/taskflow-secrets", "link-secret"),
        # Of which it is given all there is.
        ("secret/taskflow-mail", "SMTP_PASSWORD"),
        ("secret/taskflow-web-push", "VAPID_PRIVATE_KEY"),
        ("secret/taskflow-aws", "AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_what_sends_is_deployed_anew_for_a_secret_of_its_providers(where: str, key: str) -> None:
    function = _of("deliver-notifications")
    changed = SETTINGS | {where: SETTINGS.get(where, {}) | {key: "changed"}}

    assert _digest(function, settings=changed) != _digest(function)


def test_the_function_of_sockets_is_patched() -> None:
    patch = _of("sync-tasks").patch

    assert patch == yaml.safe_load((PATCHES / "sync-tasks.yaml").read_text())
    assert patch
    spec = patch["spec"]["template"]["spec"]
    variables = {
        env.get("name"): env["value"] for env in _of("sync-tasks").func_yaml["run"]["envs"]
    }
    assert int(variables["SOCKET_LIFETIME_S"]) < spec["timeoutSeconds"]
    assert spec["responseStartTimeoutSeconds"] == spec["idleTimeoutSeconds"] == 0


def test_a_service_is_ready_once_its_newest_revision_is() -> None:
    def service(**status: Any) -> dict[str, Any]:  # noqa: ANN401 - of any type
        ready = {
            "conditions": [{"type": "Ready", "status": "True"}],
            "observedGeneration": 2,
            "latestCreatedRevisionName": "a-2",
            "latestReadyRevisionName": "a-2",
        }
        return {"metadata": {"generation": 2}, "status": ready | status}

    assert is_ready(service())
    assert not is_ready(service(latestReadyRevisionName="a-1"))
    assert not is_ready(service(observedGeneration=1))
    assert not is_ready(service(conditions=[{"type": "Ready", "status": "Unknown"}]))
    assert not is_ready({"metadata": {"generation": 1}})


def test_a_service_whose_pod_ended_by_itself_has_been_ready() -> None:
    status = {
        "conditions": [{"type": "Ready", "status": "False", "reason": "RevisionMissing"}],
        "observedGeneration": 2,
        "latestCreatedRevisionName": "a-2",
        "latestReadyRevisionName": "a-2",
    }
    service = {"metadata": {"generation": 2}, "status": status}

    assert has_been_ready(service)
    assert not is_ready(service)
    assert not has_been_ready({**service, "status": status | {"latestReadyRevisionName": "a-1"}})
    assert not has_been_ready({"metadata": {"generation": 2}})


def test_an_overlays_changes_of_functions_are_in_what_it_builds() -> None:
    documents = built(ROOT / "knative/overlays/cloud")

    assert deploy.changes_of_functions(documents)["sync-tasks"]["deploy"]["options"]
    assert deploy.changes_of_functions([]) == {}


@pytest.mark.parametrize(
    "spec",
    [
        {"bootstrapServers": ["kafka.taskflow.example:9092"]},
        {"acme": {"email": "operations@taskflow.example"}},
        {"template": {"spec": {"containers": [{"image": "ghcr.io/example/taskflow:0.1.0"}]}}},
    ],
)
def test_what_is_there_for_an_example_is_refused_and_named(spec: dict[str, Any]) -> None:
    document = {"kind": "KafkaSink", "metadata": {"name": "dead-letters"}, "spec": spec}

    with pytest.raises(SystemExit, match="KafkaSink dead-letters"):
        deploy.check_examples([document])
    deploy.check_examples([{**document, "spec": {"bootstrapServers": ["kafka.other.test:9092"]}}])


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ([], "lacks Knative's ingress"),
        (["knative-serving"], "Kourier is in knative-serving, and the overlay says kourier-system"),
    ],
)
def test_an_ingress_elsewhere_is_said_before_anything_is_changed(
    found: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = {"kind": "ReferenceGrant", "metadata": {"namespace": "kourier-system"}}

    def kubectl(*_arguments: str) -> str:
        return json.dumps({"items": [{"metadata": {"namespace": name}} for name in namespaces]})

    monkeypatch.setattr(deploy, "kubectl", kubectl)
    namespaces = ["kourier-system"]
    deploy.check_ingress([grant])
    namespaces = found
    with pytest.raises(SystemExit, match=says):
        deploy.check_ingress([grant])
