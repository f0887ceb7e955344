"""The schemas of what is no part of Kubernetes itself: Knative's kinds, the gateway's and others.

They are read from the definitions in the projects' own Go modules, once, and kept in a cache.
"""

import hashlib
import json
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, cast

import yaml

from tests.support.kafka.installation import cache_folder
from tests.support.processes.debian_packages import CannotProvide, install

NEEDED = (
    "The tests hold the manifests against definitions from Go modules, which takes Go, once:"
    " install it (on Debian and Ubuntu: apt-get install golang-go)"
)

FUNC_SCHEMA = "func.yaml.json"

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Module:
    """A Go module: its version, its hash as in a go.sum, and where in it definitions are."""

    path: str
    version: str
    hash: str
    files: tuple[str, ...]


MODULES = (
    Module(
        "knative.dev/serving",
        "v0.50.0",
        "h1:9XUQq2yqUPN1YZUuGH6nF8IMvuumNvGXzCrSTYu44bA=",
        ("config/core/300-resources/service.yaml",),
    ),
    Module(
        "knative.dev/eventing",
        "v0.50.0",
        "h1:4GSn7yyMLgpGUqU0vZjcyFKK0vSi3TtZXPVzb7HW7Ds=",
        ("config/core/resources/pingsource.yaml",),
    ),
    Module(
        "knative.dev/operator",
        "v0.50.0",
        "h1:71cMZmGUAlyYlzJpf5qfNC4cSKiahAjd0Hku3hMhzaw=",
        (
            "config/crd/bases/*.yaml",
            # KafkaSource and KafkaSink, whose own module no proxy has.
            "cmd/operator/kodata/eventing-source/1.23/kafka/eventing-kafka-controller.yaml",
        ),
    ),
    Module(
        "sigs.k8s.io/gateway-api",
        "v1.6.1",
        "h1:mock6phZbI6rvZerwrVNk7hVNymQgHo+6sJ81Ia7ftY=",
        ("config/crd/standard/gateway.networking.k8s.io_*.yaml",),
    ),
    Module(
        "github.com/envoyproxy/gateway",
        "v1.9.1",
        "h1:vAVp6/AlBXJ1aOhp1mxL7fNEzVEfjADUguUhm2wzxQY=",
        ("charts/gateway-helm/charts/crds/crds/generated/*.yaml",),
    ),
    Module(
        "github.com/cert-manager/cert-manager",
        "v1.21.2",
        "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=",
        ("deploy/crds/cert-manager.io_issuers.yaml",),
    ),
)

FUNC = Module(
    "knative.dev/func",
    "v0.50.1",
    "h1:ct1LRCeG052WVw+mwabnb3DpFS0zeoROWqvgUdhDTqQ=",
    ("schema/func_yaml-schema.json",),
)
"""func itself has a schema of its func.yaml, which is no kind of Kubernetes."""


def provide() -> Path:
    """Return the folder with a schema for each kind and version; fetch what they are made of.

    Raises CannotProvide.
    """
    # What is in the folder is what this file says, so a changed one has another folder.
    version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    folder = cache_folder() / f"definitions-{version}"
    if folder.exists():
        return folder
    if shutil.which("go") is None:
        install(["golang-go"], purpose="definitions of Knative's kinds", needed=NEEDED)
    print("Fetching the definitions of Knative's and the gateway's kinds (once)", flush=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Half of them would look like all: the folder gets its name when it is whole.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="definitions-new-") as unfinished:
        made = Path(unfinished) / "schemas"
        made.mkdir()
        for module in MODULES:
            for api_version, kind, schema in _schemas(_definitions(module)):
                _file(made, api_version, kind).write_text(json.dumps(schema))
        for text in _files(FUNC):
            (made / FUNC_SCHEMA).write_bytes(text)
        try:
            made.rename(folder)
        except OSError:
            # Another run was there first, with the same.
            if not folder.exists():
                raise
    return folder


def schema_of(api_version: str, kind: str) -> Schema:
    """Return the JSON schema of a kind, under which nothing is allowed that it does not name."""
    return json.loads(_file(provide(), api_version, kind).read_text())


def schema_of_func_yaml() -> Schema:
    """Return the JSON schema of a func.yaml, of draft 4."""
    return json.loads((provide() / FUNC_SCHEMA).read_text())


def _file(folder: Path, api_version: str, kind: str) -> Path:
    return folder / f"{api_version.replace('/', '_')}_{kind}.json"


def _definitions(module: Module) -> Iterator[Schema]:
    for text in _files(module):
        # In C: the definitions are megabytes.
        for each in yaml.load_all(text, yaml.CSafeLoader):
            if each and each["kind"] == "CustomResourceDefinition":
                yield each


def _files(module: Module) -> Iterator[bytes]:
    archive = zipfile.ZipFile(_archive(module))
    for name in archive.namelist():
        within = name.removeprefix(f"{module.path}@{module.version}/")
        if any(fnmatch(within, pattern) for pattern in module.files):
            yield archive.read(name)


def _archive(module: Module) -> Path:
    """Have Go download a module, and return the path of its archive. Raises CannotProvide."""
    said = subprocess.run(
        ["go", "mod", "download", "-json", f"{module.path}@{module.version}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if said.returncode != 0:
        raise CannotProvide(f"{NEEDED}\ngo said:\n{said.stdout}{said.stderr}")
    found = json.loads(said.stdout)
    if found["Sum"] != module.hash:
        message = f"{module.path} {module.version} has the hash {found['Sum']}, not {module.hash}"
        raise CannotProvide(message)
    return Path(found["Zip"])


def _schemas(definitions: Iterable[Schema]) -> Iterator[tuple[str, str, Schema]]:
    for definition in definitions:
        spec = definition["spec"]
        for version in spec["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            # Kubernetes' own, of every kind.
            own = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
            properties = {**schema.get("properties", {}), **own, "metadata": {}}
            api_version = f"{spec['group']}/{version['name']}"
            yield api_version, spec["names"]["kind"], _strict({**schema, "properties": properties})


def _strict(schema: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return a schema of JSON Schema, under which an object has no fields that are not named."""
    if isinstance(schema, list):
        return [_strict(each) for each in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    strict = {
        key: _strict(value)
        for key, value in cast("Schema", schema).items()
        # Prose; a field may have that name.
        if not (key == "description" and isinstance(value, str))
    }
    # Kubernetes' own word for either of two types.
    if strict.pop("x-kubernetes-int-or-string", False):
        strict.pop("type", None)
    if "properties" in strict and not strict.get("x-kubernetes-preserve-unknown-fields"):
        strict.setdefault("additionalProperties", False)
    return strict


if __name__ == "__main__":
    try:
        provide()
    except CannotProvide as error:
        raise SystemExit(str(error)) from None
