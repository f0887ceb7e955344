"""A stand-in for the commands `kubectl` and `func`, and for the cluster behind them.

It takes what `make deploy` gives them and answers as the real ones do, from objects in memory. No
controller is at work on these: what is applied is ready at once, unless a test says not. What func
changes of a service is as in its 0.50 (pkg/knative/deployer.go): all annotations are replaced, the
security context and the traffic are left.
"""

import copy
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import RLock
from typing import Any, cast
from uuid import uuid4

import yaml

_run = subprocess.run

Document = dict[str, Any]
Key = tuple[str, str, str]

SERVING = "serving.knative.dev/v1"
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

KINDS = {
    "services": "Service.",
    "services.serving.knative.dev": "Service.serving.knative.dev",
    "gateways.gateway.networking.k8s.io": "Gateway.gateway.networking.k8s.io",
    "kafkasources": "KafkaSource.sources.knative.dev",
    "configmaps": "ConfigMap.",
    "secrets": "Secret.",
    "secret": "Secret.",
    "pods": "Pod.",
    "job": "Job.batch",
    "namespaces": "Namespace.",
}
"""Kind and group of what kubectl is asked for by these names."""


class NotFound(Exception):
    """There is no such object."""


class Cluster:
    """The objects of a cluster that is none, and what was done to it."""

    def __init__(self, kinds: Sequence[str]) -> None:
        """Know these kinds, such as `batch/v1 Job`."""
        self.kinds = kinds
        self.done: list[list[str]] = []
        """What changed something or waited, in order, such as `["patch", "get-task"]`."""
        self.logs: dict[str, str] = {}
        """What each Job prints."""
        self.pods: dict[str, Document] = {}
        """The status of a Job's pod, of those that do not end well at once."""
        self._objects: dict[Key, Document] = {}
        self._lock = RLock()

    def run(
        self,
        command: Sequence[str],
        *,
        input: str | None = None,  # noqa: A002 - subprocess' name
        **options: Any,  # noqa: ANN401 - subprocess' own
    ) -> subprocess.CompletedProcess[str]:
        """Do what a command is asked to, in place of `subprocess.run`."""
        tool, *arguments = command
        if tool not in {"kubectl", "func"}:
            return _run(command, input=input, **options)
        try:
            with self._lock:
                if tool == "func":
                    self._func(arguments)
                    said = ""
                else:
                    said = self._kubectl(arguments, input or "")
        except NotFound as error:
            return subprocess.CompletedProcess(command, 1, "", str(error))
        return subprocess.CompletedProcess(command, 0, said, "")

    def objects(self, kind: str) -> dict[str, Document]:
        """Return the objects of a kind, such as `HTTPRoute`, by name."""
        with self._lock:
            found = [each for each in self._objects.values() if each["kind"] == kind]
            return {each["metadata"]["name"]: each for each in copy.deepcopy(found)}

    def put(self, *documents: Document) -> None:
        """Have these objects there, in place of those of the same names."""
        with self._lock:
            self._objects.update({_key(each): copy.deepcopy(each) for each in documents})

    def remove(self, document: Document) -> None:
        """Have an object there no longer."""
        with self._lock:
            del self._objects[_key(document)]

    def change(self, kind: str, name: str, patch: Document) -> None:
        """Merge a patch into an object, as another user of the cluster does."""
        with self._lock:
            self._patch(kind, name, patch)

    def _kubectl(self, arguments: Sequence[str], stdin: str) -> str:
        verb, *rest = arguments
        split = [each.partition("=") for each in rest if each.startswith("-")]
        options = {option: value for option, _, value in split}
        named = [each for each in rest if not each.startswith("-")]
        match verb:
            case "get":
                return self._get(named, options)
            case "apply" | "create" | "delete":
                for document in yaml.load_all(stdin, yaml.CSafeLoader):
                    self._change(verb, document)
            case "patch":
                [kind, name] = named
                patched = self._patch(kind, name, json.loads(options["--patch"]))
                self.done.append(["patch", name])
                return json.dumps(patched)
            case "logs":
                return self.logs.get(named[0].partition("/")[2], "")
            case "api-resources":
                columns = [each.split(" ") for each in self.kinds]
                return "".join(f"names {version} true {kind}\n" for version, kind in columns)
            case _:
                self.done.append([verb, *named])
        return ""

    def _get(self, named: Sequence[str], options: Mapping[str, str]) -> str:
        if len(named) > 1:
            try:
                return json.dumps(self._named(*named))
            except NotFound:
                if "--ignore-not-found" in options:
                    return ""
                raise
        kinds = {_kind_of(each) for each in named[0].split(",")}
        selector = options.get("--selector", "")
        found = [
            each
            for each in self._objects.values()
            if _kind(each) in kinds and _is_selected(each, selector)
        ]
        return json.dumps({"items": found})

    def _named(self, kind: str, name: str) -> Document:
        for each in self._objects.values():
            if (_kind(each), each["metadata"]["name"]) == (_kind_of(kind), name):
                return each
        raise NotFound(f"{kind} {name} not found")

    def _change(self, verb: str, document: Document) -> None:
        self.done.append([verb, document["kind"], document["metadata"]["name"]])
        self._objects.pop(_key(document), None)
        if verb == "delete":
            return
        self._objects[_key(document)] = document
        if verb != "apply":
            return
        document["metadata"].setdefault("annotations", {})[APPLIED] = "{}"
        if document["kind"] == "Gateway":
            document["status"] = {"addresses": [{"value": "192.0.2.1"}]}
        if document["kind"] == "Job":
            document["metadata"]["uid"] = str(uuid4())
            self._start(document)

    def _start(self, job: Document) -> None:
        name = job["metadata"]["name"]
        status = self.pods.get(name)
        if status is None:
            job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
            status = {"phase": "Succeeded", "containerStatuses": [{"imageID": "an-image"}]}
        metadata = {
            "name": f"{name}-x",
            "labels": {"batch.kubernetes.io/job-name": name},
            "creationTimestamp": "2026-11-30T00:00:00Z",
        }
        self.put({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status})

    def _patch(self, kind: str, name: str, patch: Document) -> Document:
        found = self._named(kind, name)
        before = copy.deepcopy(found)
        _merge(found, patch)
        if found["apiVersion"] == SERVING:
            _reconcile(found, before)
        return found

    def _func(self, arguments: Sequence[str]) -> None:
        path = Path(arguments[arguments.index("--path") + 1])
        func_yaml = yaml.safe_load((path / "func.yaml").read_text())
        # As func does.
        (path / ".gitignore").write_text("/.func\n")
        name = func_yaml["name"]
        try:
            service = self._named("services.serving.knative.dev", name)
        except NotFound:
            service = _new_service(name)
        before = copy.deepcopy(service)
        annotations = func_yaml["deploy"]["annotations"]
        service["metadata"]["annotations"] = dict(annotations)
        labels = {each["key"]: each["value"] for each in func_yaml["deploy"]["labels"]}
        service["metadata"]["labels"] = labels
        template = service["spec"]["template"]
        template["metadata"] = {"annotations": dict(annotations)}
        [container] = template["spec"]["containers"]
        container["image"] = arguments[arguments.index("--image") + 1]
        container["env"] = func_yaml["run"]["envs"]
        _reconcile(service, before)
        self._objects[_key(service)] = service
        self.done.append(["func", name])


def _new_service(name: str) -> Document:
    container = {"name": "user-container", "securityContext": {"runAsNonRoot": True}}
    return {
        "apiVersion": SERVING,
        "kind": "Service",
        "metadata": {"name": name, "namespace": "taskflow", "generation": 0},
        "spec": {
            "traffic": [{"latestRevision": True, "percent": 100}],
            "template": {"metadata": {}, "spec": {"containers": [container]}},
        },
    }


def _reconcile(service: Document, before: Document) -> None:
    """Have a service be ready, with a new revision where its template has changed."""
    name, status = service["metadata"]["name"], service.get("status", {})
    number = int(status.get("latestReadyRevisionName", "-0").rpartition("-")[2])
    is_new = not status
    number += is_new or service["spec"]["template"] != before["spec"]["template"]
    service["metadata"]["generation"] += is_new or service["spec"] != before["spec"]
    service["status"] = {
        "conditions": [{"type": "Ready", "status": "True"}],
        "observedGeneration": service["metadata"]["generation"],
        "latestCreatedRevisionName": f"{name}-{number:05}",
        "latestReadyRevisionName": f"{name}-{number:05}",
    }


def _merge(target: Document, patch: Document) -> None:
    """Merge a patch (RFC 7396) without nulls."""
    for key, value in patch.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], cast("Document", value))
        else:
            target[key] = value


def _is_selected(document: Document, selector: str) -> bool:
    """Say whether an object has the label of a selector: `key=value`, or `key` of any value."""
    key, _, value = selector.partition("=")
    found = document["metadata"].get("labels", {}).get(key)
    return not selector or (found is not None and value in {"", found})


def _key(document: Document) -> Key:
    metadata = document["metadata"]
    return _kind(document), metadata.get("namespace", "taskflow"), metadata["name"]


def _kind(document: Document) -> str:
    return f"{document['kind']}.{document['apiVersion'].rpartition('/')[0]}"


def _kind_of(resource: str) -> str:
    """Return kind and group of what is called so, or `Kind.version.group`."""
    if resource in KINDS:
        return KINDS[resource]
    kind, _, group = resource.split(".", 2)
    return f"{kind}.{group}"
