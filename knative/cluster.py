"""The cluster that KUBECONFIG names, by kubectl."""

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any

import yaml

Document = dict[str, Any]

NAMESPACE = "taskflow"
OF_NAMESPACE = f"--namespace={NAMESPACE}"
SERVICES = "services.serving.knative.dev"
GATEWAYS = "gateways.gateway.networking.k8s.io"

WAIT_S = 300
TIMEOUT = f"--timeout={WAIT_S}s"
LOOK_S = 0.5


def kubectl(*arguments: str, stdin: str | None = None, check: bool = True) -> str:
    """Return what kubectl prints; end with what it says if it fails."""
    done = subprocess.run(
        ["kubectl", *arguments], input=stdin, capture_output=True, text=True, check=False
    )
    if check and done.returncode:
        sys.exit(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout}")
    return done.stdout


def built(kustomization: str) -> list[Document]:
    """Return what a kustomization builds."""
    return list(yaml.load_all(kubectl("kustomize", kustomization), yaml.CSafeLoader))


def kinds() -> set[str]:
    """Return the kinds that the cluster knows, such as `batch/v1 Job`."""
    lines = [line.split() for line in kubectl("api-resources", "--no-headers").splitlines()]
    return {f"{columns[-3]} {columns[-1]}" for columns in lines}


def get(*of: str) -> Document:
    """Return what the cluster has of TaskFlow: an object, or the list of a kind."""
    return json.loads(kubectl("get", *of, OF_NAMESPACE, "-o=json"))


def names(kind: str) -> set[str]:
    """Return the names of TaskFlow's objects of a kind."""
    return {each["metadata"]["name"] for each in get(kind)["items"]}


def apply(documents: Iterable[Document]) -> None:
    """Make the cluster's objects what the documents say."""
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))


def delete(documents: Iterable[Document]) -> None:
    """Delete the objects of the documents that are there, and wait until they are gone."""
    if text := yaml.safe_dump_all(documents):
        kubectl("delete", "-f", "-", "--ignore-not-found", TIMEOUT, stdin=text)


def wait(condition: str, *of: str) -> None:
    """Wait until all of these kinds have a condition."""
    for kind in of:
        kubectl("wait", kind, "--all", OF_NAMESPACE, f"--for=condition={condition}", TIMEOUT)


def run_job(job: Document) -> str:
    """Run a Job anew, and return the identity of its image; end with its log if it fails."""
    name = job["metadata"]["name"]
    # Its template can't be changed.
    delete([job])
    apply([job])
    while not (ended := _true_conditions(get("job", name)) & {"Complete", "Failed"}):
        time.sleep(LOOK_S)
    log = kubectl("logs", f"job/{name}", OF_NAMESPACE, check=False)
    if "Failed" in ended:
        sys.exit(f"{log}The Job {name} failed.")
    # What the command says, without what it logs.
    print("".join(f"{line}\n" for line in log.splitlines() if not line.startswith("{")), end="")
    pods = get("pods", f"--selector=batch.kubernetes.io/job-name={name}")["items"]
    return pods[0]["status"]["containerStatuses"][0]["imageID"]


def is_ready(service: Document) -> bool:
    """Say whether the newest revision of a service serves it."""
    status = service.get("status", {})
    return (
        "Ready" in _true_conditions(service)
        and status.get("observedGeneration") == service["metadata"]["generation"]
        and status.get("latestCreatedRevisionName") == status.get("latestReadyRevisionName")
    )


def _true_conditions(of: Document) -> set[str]:
    conditions = of.get("status", {}).get("conditions", [])
    return {each["type"] for each in conditions if each["status"] == "True"}
