"""The functions of a cluster: which are not as they should be, and having func deploy those."""

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

from knative.cluster import (
    NAMESPACE,
    OF_NAMESPACE,
    SERVICES,
    TIMEOUT,
    Document,
    get,
    is_ready,
    kubectl,
)
from taskflow import config
from taskflow.domain.merge_patch import merge_patch

ROOT = Path(__file__).parent.parent
FUNCTIONS, PATCHES = ROOT / "functions", ROOT / "knative/patches"

DEPLOYED_FROM = "taskflow/deployed-from"
"""The annotation with a digest of all that a function was deployed from."""

AT_A_TIME = 4

LOCAL_REGISTRIES = ("dev.local", "kind.local", "ko.local")
"""Of images that are loaded into the nodes; Knative asks no registry for these."""

REFUSES = "http://127.0.0.1:9"
"""An address at which nobody listens (the port of `discard`)."""


@dataclass(frozen=True, slots=True)
class Function:
    """What a function is deployed from: its func.yaml, and what that has no key for."""

    func_yaml: Document
    patch: Document | None

    @property
    def name(self) -> str:
        """The name of the function, and of its service."""
        return self.func_yaml["name"]

    def digest(self, image: str, image_id: str, configuration: Mapping[str, Document]) -> str:
        """Return a digest of all that it is deployed from.

        `image_id` tells apart what had the same name; `configuration` are the ConfigMaps and the
        secrets there are, of which a service takes no notice when they change.
        """
        environment = json.dumps(self.func_yaml["run"])
        read = {name: data for name, data in configuration.items() if name in environment}
        whole = [self.func_yaml, self.patch, image, image_id, read]
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def functions(changes: Document) -> Iterator[Function]:
    """Yield each function, with an overlay's changes of its func.yaml."""
    for path in sorted(FUNCTIONS.glob("*/func.yaml")):
        func_yaml = yaml.load(path.read_text(), yaml.CSafeLoader)
        func_yaml["created"] = func_yaml["created"].isoformat()
        for change in (changes.get("all", {}), changes.get(func_yaml["name"], {})):
            func_yaml = merge_patch(func_yaml, change)
        patch = PATCHES / path.parent.with_suffix(".yaml").name
        yield Function(func_yaml, yaml.safe_load(patch.read_text()) if patch.exists() else None)


def deploy(changes: Document, image: str, image_id: str) -> None:
    """Deploy each function that is not as it should be, several at a time."""
    configuration = {
        each["metadata"]["name"]: each.get("data", {})
        for each in get("configmaps,secrets")["items"]
    }
    live = {each["metadata"]["name"]: each for each in get(SERVICES)["items"]}
    wanted = list(functions(changes))
    digests = {each.name: each.digest(image, image_id, configuration) for each in wanted}
    pending = [each for each in wanted if not _is(live.get(each.name), digests[each.name])]
    print(f"{len(pending)} to deploy, {len(wanted) - len(pending)} as they should be")
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        started = [pool.submit(_deploy, each, digests[each.name], image) for each in pending]
        for each in started:
            each.result()
    if gone := sorted(live.keys() - digests.keys()):
        print(f"No longer in functions/: {', '.join(gone)}. `func delete NAME` deletes one.")


def _is(service: Document | None, digest: str) -> bool:
    return service is not None and is_ready(service) and _deployed_from(service) == digest


def _deployed_from(service: Document) -> str | None:
    return service["metadata"].get("annotations", {}).get(DEPLOYED_FROM)


def _deploy(function: Function, digest: str, image: str) -> None:
    annotated = merge_patch(
        function.func_yaml, {"deploy": {"annotations": {DEPLOYED_FROM: digest}}}
    )
    # func writes into the folder.
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "func.yaml").write_text(yaml.safe_dump(annotated))
        done = _func_deploy(folder, image)
    # It gives up 2 s after a service says that it is not ready, such as for a pod that has to wait
    # until others have left the node.
    if done.returncode and not _becomes_ready(function.name, digest):
        sys.exit(f"{function.name}: {done.stdout}{done.stderr}")
    if function.patch is not None:
        patch = f"--patch={json.dumps(function.patch)}"
        kubectl("patch", SERVICES, function.name, OF_NAMESPACE, "--type=merge", patch)
    print(f"{function.name}: deployed", flush=True)


def _becomes_ready(name: str, digest: str) -> bool:
    """Wait for a service, if it is the one that was to be deployed."""
    live = {each["metadata"]["name"]: each for each in get(SERVICES)["items"]}
    if name not in live or _deployed_from(live[name]) != digest:
        return False
    kubectl("wait", SERVICES, name, OF_NAMESPACE, "--for=condition=Ready", TIMEOUT, check=False)
    return _is(get(SERVICES, name), digest)


def _func_deploy(folder: str, image: str) -> subprocess.CompletedProcess[str]:
    options = ["--path", folder, "--image", image, "--namespace", NAMESPACE]
    return subprocess.run(
        ["func", "deploy", *options, "--build=false", "--push=false"],
        env={**config.environment(), **_without_registry(image)},
        capture_output=True,
        text=True,
        check=False,
    )


def _without_registry(image: str) -> dict[str, str]:
    """Return what keeps func from looking for a registry that does not exist.

    It asks the registry whether the image is public, and where the registry has no address it
    starts a pod to ask from inside the cluster, and waits a minute. A proxy that refuses is an
    answer.
    """
    if image.partition("/")[0] not in LOCAL_REGISTRIES:
        return {}
    server = kubectl("config", "view", "--minify", "-o=jsonpath={.clusters[0].cluster.server}")
    host = server.partition("://")[2].partition("/")[0].rpartition(":")[0]
    return {"HTTP_PROXY": REFUSES, "HTTPS_PROXY": REFUSES, "NO_PROXY": host}
