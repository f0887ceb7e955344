"""The functions of a cluster: which are not as they should be, and having func deploy those."""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
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
    find,
    get,
    is_ready,
    kubectl,
)
from knative.revisions import Connections
from taskflow import config
from taskflow.domain.merge_patch import merge_patch

ROOT = Path(__file__).parent.parent
FUNCTIONS, PATCHES = ROOT / "functions", ROOT / "knative/patches"

MADE_FROM = "taskflow/made-from"
"""The annotation that func writes, with a digest of all that a function is deployed from: to its
revision too, so that there is a new one where nothing but a secret has changed."""

DEPLOYED_FROM = "taskflow/deployed-from"
"""The annotation with the same digest, written when the service is whole, with its generation: a
change that is made by hand makes another. func takes it away when it deploys again."""

LATEST = [{"latestRevision": True, "percent": 100}]
"""All requests to the newest revision, as Knative has it unless it is told otherwise."""

READ_ONLY = {"readOnlyRootFilesystem": True}
"""What func.yaml has no key for, of every function's container. func leaves it when it updates."""

AT_A_TIME = 4

_REFERENCE = re.compile(r"\{\{ (secret|configMap):([\w.-]+)(?::([\w.-]+))? \}\}")

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

    @property
    def pool_size(self) -> int:
        """How many connections to the database a pod may hold."""
        envs = {each.get("name"): each["value"] for each in self.func_yaml["run"]["envs"]}
        return int(envs["DATABASE_POOL_SIZE"])

    def digest(self, image: str, image_id: str, configuration: Mapping[str, Document]) -> str:
        """Return a digest of all that it is deployed from.

        `image_id` tells apart what had the same name; `configuration` are the data of the
        ConfigMaps and the secrets there are, by kind and name, of which a service takes no notice
        when they change.
        """
        read = [[*each, _read(configuration, *each)] for each in sorted(self._references())]
        whole = [self.func_yaml, self.patch, READ_ONLY, image, image_id, read]
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()

    def _references(self) -> Iterator[tuple[str, str, str]]:
        """Yield kind, name and key (none for all keys) of what it reads of secrets and such."""
        run = self.func_yaml["run"]
        for env in run["envs"]:
            if found := _REFERENCE.fullmatch(env["value"]):
                yield found[1].lower(), found[2], found[3] or ""
        for volume in run.get("volumes", []):
            for kind in volume.keys() & {"secret", "configMap"}:
                yield kind.lower(), volume[kind], ""

    def finishing(self, service: Document) -> Document:
        """Return the merge patch that gives its service, as func has left it, what func can't."""
        [container] = service["spec"]["template"]["spec"]["containers"]
        containers = [merge_patch(container, {"securityContext": READ_ONLY})]
        spec = {"traffic": LATEST, "template": {"spec": {"containers": containers}}}
        return merge_patch(self.patch or {}, {"spec": spec})


def _read(configuration: Mapping[str, Document], kind: str, name: str, key: str) -> object:
    data = configuration.get(f"{kind}/{name}", {})
    return data.get(key) if key else data


def functions(changes: Document) -> Iterator[Function]:
    """Yield each function, with an overlay's changes of its func.yaml."""
    for path in sorted(FUNCTIONS.glob("*/func.yaml")):
        func_yaml = yaml.load(path.read_text(), yaml.CSafeLoader)
        func_yaml["created"] = func_yaml["created"].isoformat()
        for change in (changes.get("all", {}), changes.get(func_yaml["name"], {})):
            func_yaml = merge_patch(func_yaml, change)
        patch = PATCHES / path.parent.with_suffix(".yaml").name
        yield Function(func_yaml, yaml.safe_load(patch.read_text()) if patch.exists() else None)


def deploy(
    changes: Document, image: str, image_id: str, *, but: Collection[str] = frozenset()
) -> None:
    """Deploy each function, but some, that is not as it should be, several at a time."""
    configuration = {
        f"{each['kind'].lower()}/{each['metadata']['name']}": each.get("data", {})
        for each in get("configmaps,secrets")["items"]
    }
    live = {each["metadata"]["name"]: each for each in get(SERVICES)["items"]}
    wanted = [each for each in functions(changes) if each.name not in but]
    digests = {each.name: each.digest(image, image_id, configuration) for each in wanted}
    pending = [each for each in wanted if not is_whole(live.get(each.name), digests[each.name])]
    print(f"{len(pending)} to deploy, {len(wanted) - len(pending)} as they should be")
    connections = Connections({each.name: each.pool_size for each in wanted})

    def deploy_one(function: Function) -> None:
        with connections.room_for(function.name):
            _deploy(function, digests[function.name], image)

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        for done in [pool.submit(deploy_one, each) for each in pending]:
            done.result()


def is_whole(service: Document | None, digest: str) -> bool:
    """Say whether a service is all that the digest is of, as it was deployed, and is ready."""
    return (
        service is not None
        and is_ready(service)
        and _annotation(service, DEPLOYED_FROM) == _mark(service, digest)
    )


def _mark(service: Document, digest: str) -> str:
    return f"{digest}, generation {service['metadata']['generation']}"


def _annotation(service: Document, name: str) -> str | None:
    return service["metadata"].get("annotations", {}).get(name)


def _deploy(function: Function, digest: str, image: str) -> None:
    live = find(SERVICES, function.name)
    if live is None or not (_is_only_made(live, digest) and is_ready(live)):
        live = _made(function, digest, image)
    finished = _patched(function.name, function.finishing(live))
    # An annotation makes no generation.
    mark = {DEPLOYED_FROM: _mark(finished, digest)}
    _patched(function.name, {"metadata": {"annotations": mark}})
    print(f"{function.name}: deployed", flush=True)


def _patched(name: str, patch: Document) -> Document:
    given = f"--patch={json.dumps(patch)}"
    return json.loads(
        kubectl("patch", SERVICES, name, OF_NAMESPACE, "--type=merge", given, "-o=json")
    )


def _made(function: Function, digest: str, image: str) -> Document:
    """Have func deploy a function; return its service, or end with what func says."""
    made = merge_patch(function.func_yaml, {"deploy": {"annotations": {MADE_FROM: digest}}})
    # func writes into the folder.
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "func.yaml").write_text(yaml.safe_dump(made))
        done = _func_deploy(folder, image)
    live = find(SERVICES, function.name)
    if live is not None and _is_made(live, digest):
        if not done.returncode:
            return live
        # It gives up 2 s after a service says that it is not ready, such as for a pod that has to
        # wait until others have left the node.
        ready = "--for=condition=Ready"
        kubectl("wait", SERVICES, function.name, OF_NAMESPACE, ready, TIMEOUT, check=False)
        if is_ready(live := get(SERVICES, function.name)):
            return live
    sys.exit(f"{function.name}: {done.stdout}{done.stderr}")


def _is_made(service: Document, digest: str) -> bool:
    return _annotation(service, MADE_FROM) == digest


def _is_only_made(service: Document, digest: str) -> bool:
    """Say whether a deploy ended when func had made the service, before it was whole."""
    return _is_made(service, digest) and _annotation(service, DEPLOYED_FROM) is None


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
