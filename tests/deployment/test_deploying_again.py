"""`make deploy` where something is deployed already, by a stand-in for kubectl and func.

What Knative and the gateway make of it, a cluster alone can show.
"""

import copy
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from knative import cluster as of_cluster
from knative import deploy, functions, moves, pruning, revisions
from knative.cluster import Document
from taskflow.command_line import AFTER_DEPLOY
from taskflow.config import SECRET_MIN_CHARS
from tests.support.kubernetes.fake_tools import Cluster
from tests.support.kubernetes.kustomize import built
from tests.support.paths import ROOT
from tests.support.polling import eventually

IMAGE = "dev.local/taskflow:dev"
FEW = ("get-task", "sync-tasks", "record-audit-entry")
LATEST = [{"latestRevision": True, "percent": 100}]
SOON_S = 20

Deploy = Callable[[], None]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Return an empty cluster, which kubectl and func reach; of the functions there are a few."""
    found = Cluster([*deploy.INSTALL, *pruning.PRUNED])
    folder = tmp_path / "functions"
    for name in FEW:
        shutil.copytree(ROOT / "functions" / name, folder / name)
    monkeypatch.setattr(functions, "FUNCTIONS", folder)
    monkeypatch.setattr(subprocess, "run", found.run)
    for module in (of_cluster, revisions):
        monkeypatch.setattr(module, "LOOK_S", 0.01)
    return found


@pytest.fixture
def deploy_functions(cluster: Cluster) -> Deploy:
    """Return what deploys the functions to the cluster, each as its func.yaml says."""
    del cluster
    return lambda: functions.deploy({}, IMAGE, "an-image")


def _overlay() -> list[Document]:
    return copy.deepcopy(built(ROOT / "knative/overlays/minikube"))


def _services(cluster: Cluster) -> dict[str, Document]:
    return {
        name: each
        for name, each in cluster.objects("Service").items()
        if each["apiVersion"].startswith("serving")
    }


def _revisions(cluster: Cluster) -> dict[str, str]:
    return {
        name: each["status"]["latestReadyRevisionName"] for name, each in _services(cluster).items()
    }


def test_a_second_deploy_changes_nothing(cluster: Cluster, deploy_functions: Deploy) -> None:
    deploy_functions()
    done, made = [*cluster.done], _revisions(cluster)

    deploy_functions()

    assert sorted(made) == sorted(FEW)
    assert cluster.done == done
    assert _revisions(cluster) == made


def test_a_deployed_function_has_a_root_file_system_that_is_read_only(
    cluster: Cluster, deploy_functions: Deploy
) -> None:
    deploy_functions()

    for service in _services(cluster).values():
        [container] = service["spec"]["template"]["spec"]["containers"]
        # What func has set besides is still there.
        assert container["securityContext"] == {
            "runAsNonRoot": True,
            "readOnlyRootFilesystem": True,
        }
        assert container["image"] == IMAGE


def test_requests_that_were_led_to_an_old_revision_go_to_the_newest_again(
    cluster: Cluster, deploy_functions: Deploy
) -> None:
    deploy_functions()
    made = _revisions(cluster)
    # As `kn service update --traffic` does.
    pinned = {"spec": {"traffic": [{"revisionName": "get-task-00001", "percent": 100}]}}
    cluster.change("services.serving.knative.dev", "get-task", pinned)
    before = len(cluster.done)

    deploy_functions()

    assert _services(cluster)["get-task"]["spec"]["traffic"] == LATEST
    assert [each for each in cluster.done[before:] if each[0] in {"func", "patch"}] == [
        ["func", "get-task"],
        ["patch", "get-task"],
        ["patch", "get-task"],
    ]
    assert _revisions(cluster) == made


def test_a_function_that_was_changed_by_hand_is_made_what_it_was(
    cluster: Cluster, deploy_functions: Deploy
) -> None:
    deploy_functions()
    template = _services(cluster)["get-task"]["spec"]["template"]
    # As `kn service update --env` does.
    changed = copy.deepcopy(template)
    changed["spec"]["containers"][0]["env"].append({"name": "LOG_LEVEL", "value": "debug"})
    cluster.change("services.serving.knative.dev", "get-task", {"spec": {"template": changed}})

    deploy_functions()

    assert _services(cluster)["get-task"]["spec"]["template"] == template


def test_requests_that_were_led_to_an_old_revision_go_to_a_new_release(
    cluster: Cluster, deploy_functions: Deploy
) -> None:
    deploy_functions()
    pinned = {"spec": {"traffic": [{"revisionName": "get-task-00001", "percent": 100}]}}
    cluster.change("services.serving.knative.dev", "get-task", pinned)

    functions.deploy({}, "dev.local/taskflow:other", "another-image")

    assert _services(cluster)["get-task"]["spec"]["traffic"] == LATEST


def test_a_deploy_that_ended_before_the_patch_is_ended_by_the_next(
    cluster: Cluster, deploy_functions: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(functions, "kubectl", _killed)
        with pytest.raises(SystemExit):
            deploy_functions()
    assert ["func", "sync-tasks"] in cluster.done
    assert "timeoutSeconds" not in _services(cluster)["sync-tasks"]["spec"]["template"]["spec"]
    before = len(cluster.done)

    deploy_functions()

    assert _services(cluster)["sync-tasks"]["spec"]["template"]["spec"]["timeoutSeconds"] == 600
    assert {verb for verb, _ in cluster.done[before:]} == {"patch"}


def test_a_secret_of_an_earlier_release_gets_the_keys_that_are_new(cluster: Cluster) -> None:
    database = {"kind": "Service", "metadata": {"name": deploy.DATABASE}}
    cluster.put(*_secrets())

    deploy.provide_secrets([database])

    # The API server writes what is given into `data`.
    found = cluster.objects("Secret")
    added = found["taskflow-secrets"]["stringData"]
    assert "stringData" not in found["taskflow-kafka"]
    # Empty is unset.
    assert added.pop("better-auth-secret") == ""
    assert len(added.pop("link-secret")) >= SECRET_MIN_CHARS
    assert added == {}


def test_where_the_secrets_are_ones_own_a_missing_key_is_named(cluster: Cluster) -> None:
    cluster.put(*_secrets())

    with pytest.raises(SystemExit, match="taskflow-secrets lacks link-secret, better-auth-secret"):
        deploy.provide_secrets([])
    assert cluster.done == []


@pytest.mark.parametrize("is_outside", [False, True])
def test_secrets_that_may_be_empty_are_made_where_they_are_not_there_and_left_where_they_are(
    cluster: Cluster, *, is_outside: bool
) -> None:
    database = {"kind": "Service", "metadata": {"name": deploy.DATABASE}}
    mail = {**_labelled("v1", "Secret", "taskflow-mail"), "data": {"SMTP_PASSWORD": "YQ=="}}
    complete = dict.fromkeys(("link-secret", "better-auth-secret"), "YQ==")
    for each in _secrets():
        is_ours = each["metadata"]["name"] == "taskflow-secrets"
        cluster.put({**each, "data": each["data"] | (complete if is_ours else {})})
    cluster.put(mail)

    for _ in range(2):
        deploy.provide_secrets([] if is_outside else [database])

    assert cluster.done == [
        ["create", "Secret", "taskflow-web-push"],
        ["create", "Secret", "taskflow-aws"],
    ]
    found = cluster.objects("Secret")
    assert found["taskflow-mail"] == mail
    assert found["taskflow-aws"]["stringData"] == {}


def test_every_secret_that_a_function_names_is_there_before_functions_are_deployed(
    cluster: Cluster,
) -> None:
    database = {"kind": "Service", "metadata": {"name": deploy.DATABASE}}
    texts = [path.read_text() for path in (ROOT / "functions").glob("*/func.yaml")]
    whole = {name for text in texts for name in re.findall(r"\{\{ secret:([\w-]+) \}\}", text)}
    keys = {key for text in texts for key in re.findall(r"secret:([\w-]+):([\w-]+)", text)}

    deploy.provide_secrets([database])

    found = cluster.objects("Secret")
    assert whole == set(deploy.OPTIONAL) <= found.keys()
    assert all(key in found[name]["stringData"] for name, key in keys)


def _secrets() -> list[Document]:
    """Return the secrets as a release before left them."""
    keys = {
        deploy.DATABASE: ["password"],
        "taskflow-secrets": ["database-url", "jwt-secret", "metrics-token"],
        "taskflow-kafka": ["protocol", "password", "ca.crt"],
    }
    return [
        {**_labelled("v1", "Secret", name), "data": dict.fromkeys(of, "YQ==")}
        for name, of in keys.items()
    ]


def _killed(verb: str, *_arguments: str, **_options: object) -> str:
    if verb == "patch":
        raise SystemExit
    return "https://127.0.0.1:6443"


def test_a_deploy_leaves_the_checkout_as_it_was(deploy_functions: Deploy) -> None:
    before = _files(functions.FUNCTIONS)

    deploy_functions()

    assert _files(functions.FUNCTIONS) == before


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _labelled(api_version: str, kind: str, name: str, *, applied: bool = True) -> Document:
    annotations = {pruning.APPLIED: "{}"} if applied else {}
    metadata = {
        "name": name,
        "namespace": "taskflow",
        "labels": {"app.kubernetes.io/part-of": "taskflow"},
        "annotations": annotations,
    }
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


OLD = [
    _labelled("networking.k8s.io/v1", "NetworkPolicy", "old-policy"),
    _labelled("serving.knative.dev/v1", "Service", "old-function", applied=False),
    _labelled("sources.knative.dev/v1", "KafkaSource", "old-function"),
    _labelled("gateway.envoyproxy.io/v1alpha1", "HTTPRouteFilter", "other-than-put"),
    _labelled("gateway.networking.k8s.io/v1", "HTTPRoute", "old-function"),
]
KEPT = [
    _labelled("gateway.networking.k8s.io/v1", "HTTPRoute", "of-somebody", applied=False),
    _labelled("eventing.knative.dev/v1alpha1", "KafkaSink", "old-sink"),
    _labelled("apps/v1", "StatefulSet", "old-database"),
    _labelled("v1", "Service", "old-database"),
    _labelled("v1", "Secret", "old-secret"),
    {
        **_labelled("gateway.networking.k8s.io/v1", "HTTPRoute", "elsewhere"),
        "metadata": {
            **_labelled("", "", "elsewhere")["metadata"],
            "namespace": "of-somebody-else",
        },
    },
]


def test_what_this_release_no_longer_has_is_deleted_routes_first_and_functions_after_sources(
    cluster: Cluster,
) -> None:
    cluster.put(*OLD, *KEPT, *(each for each in _overlay() if each["kind"] == "PingSource"))

    pruning.prune(_overlay(), FEW)

    assert cluster.done == [
        ["delete", "HTTPRoute", "old-function"],
        ["delete", "HTTPRouteFilter", "other-than-put"],
        ["delete", "KafkaSource", "old-function"],
        ["delete", "Service", "old-function"],
        ["delete", "NetworkPolicy", "old-policy"],
    ]


def test_what_is_deployed_is_not_deleted_and_what_the_cluster_lacks_is_not_asked_for(
    cluster: Cluster,
) -> None:
    cluster.kinds = [pruning.SERVICE]
    cluster.put(*OLD)

    pruning.prune(_overlay(), ["old-function"])

    assert cluster.done == []


def test_undeploying_takes_away_what_an_earlier_release_has_left_but_not_how_far_it_has_read(
    cluster: Cluster,
) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "taskflow"}}
    cluster.put(namespace, *OLD, *KEPT)

    deploy.undeploy(_overlay(), delete_data=False)

    assert ["scale", "kafkasource", "old-function"] in cluster.done
    assert sorted(cluster.objects("KafkaSource")) == ["old-function"]
    assert sorted(cluster.objects("HTTPRoute")) == ["elsewhere", "of-somebody"]
    assert sorted(cluster.objects("Service")) == ["old-database"]
    assert cluster.objects("StatefulSet")
    assert not cluster.objects("NetworkPolicy")


def test_each_kind_of_an_overlay_is_one_that_is_pruned_or_one_that_may_stay() -> None:
    documents = [*_overlay(), *built(ROOT / "knative/overlays/cloud")]
    kinds = {f"{each['apiVersion']} {each['kind']}" for each in documents}

    # They hold data, are read by what acts, or are one for good: nothing happens if they stay.
    assert {kind.partition(" ")[2] for kind in kinds - set(pruning.PRUNED)} == {
        *("Namespace", "StatefulSet", "Service", "ConfigMap", "ServiceAccount"),
        *("KafkaSink", "Gateway", "GatewayClass", "EnvoyProxy", "ReferenceGrant", "Issuer"),
    }


INGRESS = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "kourier-internal", "namespace": "kourier-system"},
}


def _job(name: str) -> Document:
    [found] = [
        each for each in _overlay() if (each["kind"], each["metadata"]["name"]) == ("Job", name)
    ]
    return found


WAITING = {"reason": "CreateContainerConfigError", "message": "couldn't find key database-url"}


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (
            {"containerStatuses": [{"state": {"waiting": WAITING}}]},
            "CreateContainerConfigError: couldn't find key database-url",
        ),
        (
            {"conditions": [{"reason": "Unschedulable", "message": "0/1 nodes are available"}]},
            "Unschedulable: 0/1 nodes are available",
        ),
        ({}, "ContainerCreating"),
    ],
)
def test_a_job_that_can_not_start_says_why_and_is_given_up(
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: dict[str, Any],
    says: str,
) -> None:
    cluster.pods["topics"] = {"phase": "Pending", **status}
    monkeypatch.setattr(of_cluster, "WAIT_S", 0.1)

    with pytest.raises(SystemExit, match=f"topics does not start: {says}"):
        of_cluster.run_job(_job("topics"))

    said = capsys.readouterr().out
    # Once, as soon as it is known; but what every pod does at first is not worth a word.
    assert said == ("" if says == "ContainerCreating" else f"The Job topics waits: {says}\n")
    assert not cluster.objects("Job")


def test_a_job_that_runs_may_take_longer_than_it_may_take_to_start(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = {"phase": "Running", "containerStatuses": [{"imageID": "an-image"}]}
    cluster.pods["topics"] = status
    cluster.logs["topics"] = '{"a": "log"}\ntasks.events: made'
    monkeypatch.setattr(of_cluster, "WAIT_S", 0.1)
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(of_cluster.run_job, _job("topics"))
        end = time.monotonic() + 4 * of_cluster.WAIT_S
        eventually(lambda: _assert_is_past(end), within_s=SOON_S)
        assert not job.done()
        complete = {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}
        cluster.change("job", "topics", complete)

        assert job.result(SOON_S) == of_cluster.Ran("an-image", ("tasks.events: made",))


def test_a_deploy_does_not_take_the_job_of_another_for_its_own(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = {"phase": "Pending", "containerStatuses": [{"state": {"waiting": WAITING}}]}
    cluster.pods["topics"] = waiting
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(of_cluster.run_job, _job("topics"))
        said: list[str] = []
        eventually(lambda: _assert_said("The Job topics waits", said, capsys))
        del cluster.pods["topics"]
        of_cluster.run_job(_job("topics"))

        with pytest.raises(SystemExit, match="Another deploy"):
            job.result(SOON_S)


def _assert_is_past(end: float) -> None:
    assert time.monotonic() > end


def _pod(function: str, revision: str, number: int = 1) -> Document:
    labels = {revisions.SERVICE: function, revisions.REVISION: revision}
    metadata = {"name": f"{revision}-{number}", "namespace": "taskflow", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}


def test_the_last_migrations_wait_until_earlier_revisions_have_no_pods(
    cluster: Cluster, deploy_functions: Deploy, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy_functions()
    newest = _revisions(cluster)["get-task"]
    cluster.put(_pod("get-task", newest), _pod("get-task", "get-task-00000"))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(revisions.wait_until_old_pods_are_gone)
        said: list[str] = []
        eventually(lambda: _assert_said("revisions are gone: get-task\n", said, capsys))
        assert not waiting.done()

        cluster.remove(_pod("get-task", "get-task-00000"))
        waiting.result(SOON_S)


def test_the_last_migrations_are_not_run_while_pods_of_earlier_revisions_stay(
    cluster: Cluster, deploy_functions: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy_functions()
    cluster.put(_pod("get-task", "get-task-00000"), _pod("removed", "removed-00001"))
    monkeypatch.setattr(revisions, "OLD_PODS_S", 0.2)

    with pytest.raises(SystemExit, match="still there: get-task, removed"):
        revisions.wait_until_old_pods_are_gone()


def test_the_last_migrations_do_not_wait_for_a_pod_that_was_evicted(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.put({**_pod("get-task", "get-task-00000"), "status": {"phase": "Failed"}})
    monkeypatch.setattr(revisions, "OLD_PODS_S", 0)

    revisions.wait_until_old_pods_are_gone()


def _assert_said(what: str, so_far: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    so_far.append(capsys.readouterr().out)
    assert what in "".join(so_far)


@pytest.mark.parametrize("is_left", [True, False])
def test_a_deploy_waits_for_earlier_revisions_only_if_a_migration_is_left(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, *, is_left: bool
) -> None:
    documents = _overlay()
    cluster.kinds = [*pruning.PRUNED, *(f"{one['apiVersion']} {one['kind']}" for one in documents)]
    cluster.logs["migrate-before-deploy"] = f"{AFTER_DEPLOY}0099_drop" if is_left else "0098_add"
    cluster.put(INGRESS, _pod("removed", "removed-00001"))
    monkeypatch.setattr(revisions, "OLD_PODS_S", 0)
    last = ["apply", "Job", "migrate-after-deploy"]

    if is_left:
        with pytest.raises(SystemExit, match="still there: removed"):
            deploy.deploy(documents, image=None)
    else:
        deploy.deploy(documents, image=None)

    assert (last in cluster.done) == (not is_left)
    assert ["apply", "Job", "migrate-before-deploy"] in cluster.done


def _route_of(documents: list[Document], name: str) -> Document:
    [found] = [
        each
        for each in documents
        if (each["kind"], each["metadata"]["name"]) == ("HTTPRoute", name)
    ]
    return found


@pytest.mark.parametrize(
    ("loses", "gains"), [("sync-tasks", "get-task"), ("get-task", "sync-tasks")]
)
def test_a_function_that_gives_a_path_up_is_deployed_when_the_gateway_leads_it_to_the_other(
    cluster: Cluster, loses: str, gains: str
) -> None:
    documents, live = _overlay(), _overlay()
    cluster.kinds = [*pruning.PRUNED, *(f"{one['apiVersion']} {one['kind']}" for one in documents)]
    _route_of(live, loses)["spec"]["rules"] += _route_of(documents, gains)["spec"]["rules"]
    cluster.put(INGRESS, *(each for each in live if each["kind"] == "HTTPRoute"))

    deploy.deploy(documents, image=None)

    steps = (
        ["func", gains],
        ["apply", "HTTPRoute", gains],
        ["apply", "HTTPRoute", loses],
        ["func", loses],
    )
    places = [cluster.done.index(step) for step in steps]
    assert places == sorted(places)
    assert moves.losing(documents) == set()


def test_a_function_is_deployed_once_there_is_room_for_the_connections_of_its_new_pods(
    cluster: Cluster,
    deploy_functions: Deploy,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    deploy_functions()
    monkeypatch.setattr(revisions, "FUNCTIONS_CONNECTIONS_MAX", 20)
    newest = _revisions(cluster)
    old = _pod("sync-tasks", "sync-tasks-00000")
    # 2 × 7 and 1 × 3 are held, and one more pod of get-task would hold 3: that is all there is.
    cluster.put(old, _pod("sync-tasks", newest["sync-tasks"]))
    cluster.put(_pod("get-task", newest["get-task"]))
    connections = revisions.Connections({"get-task": 3, "sync-tasks": 7})
    with connections.room_for("get-task"), ThreadPoolExecutor(1) as pool:
        # Until the old pod is gone, and the other function has been deployed.
        waiting = pool.submit(lambda: _enter(connections, "sync-tasks"))
        said: list[str] = []
        eventually(lambda: _assert_said("sync-tasks: waits for connections", said, capsys))
        assert not waiting.done()

        cluster.remove(old)
        waiting.result(SOON_S)


def _enter(connections: revisions.Connections, name: str) -> None:
    with connections.room_for(name):
        pass


def test_a_function_that_fills_all_connections_is_deployed_when_no_earlier_revision_has_pods(
    cluster: Cluster, deploy_functions: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy_functions()
    monkeypatch.setattr(revisions, "FUNCTIONS_CONNECTIONS_MAX", 3)
    cluster.put(_pod("get-task", _revisions(cluster)["get-task"]))

    _enter(revisions.Connections({"get-task": 3}), "get-task")
