"""The cluster that KUBECONFIG names, by kubectl."""

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import yaml

Document = dict[str, Any]

NAMESPACE = "taskflow"
OF_NAMESPACE = f"--namespace={NAMESPACE}"
OURS = "--selector=app.kubernetes.io/part-of=taskflow"
SERVICES = "services.serving.knative.dev"
GATEWAYS = "gateways.gateway.networking.k8s.io"

WAIT_S = 300
TIMEOUT = f"--timeout={WAIT_S}s"
LOOK_S = 0.5

STARTING = ("ContainerCreating", "PodInitializing")
"""Why a container does not run yet where nothing is wrong, or nothing that is known so far."""


class Ran(NamedTuple):
    """What is known of a Job that has run."""

    image_id: str
    said: tuple[str, ...]
    """What its command printed, without what it logged."""


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


def list_of(kind: str, *options: str) -> list[Document]:
    """Return the objects of a kind, such as `batch/v1 Job`, that the options of kubectl select."""
    api_version, _, name = kind.partition(" ")
    group, _, version = api_version.rpartition("/")
    found = kubectl("get", f"{name}.{version}.{group}", *options, "-o=json")
    return json.loads(found)["items"]


def find(kind: str, name: str) -> Document | None:
    """Return one object, or None where there is none of that name."""
    text = kubectl("get", kind, name, OF_NAMESPACE, "--ignore-not-found", "-o=json")
    return json.loads(text) if text else None


def names(kind: str) -> set[str]:
    """Return the names of the objects of a kind in TaskFlow's namespace."""
    return {each["metadata"]["name"] for each in get(kind)["items"]}


def apply(documents: Iterable[Document]) -> None:
    """Make the cluster's objects what the documents say."""
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))


def delete(documents: Iterable[Document]) -> None:
    """Delete the objects of the documents that are there, and wait until they are gone."""
    if text := yaml.safe_dump_all(documents):
        kubectl("delete", "-f", "-", "--ignore-not-found", TIMEOUT, stdin=text)


def wait(condition: str, *of: str) -> None:
    """Wait until all that TaskFlow has of these kinds have a condition."""
    for kind in of:
        kubectl("wait", kind, OURS, OF_NAMESPACE, f"--for=condition={condition}", TIMEOUT)


def wait_for_services() -> None:
    """Wait until the newest revision of each service has been ready; end with what is not."""
    deadline = time.monotonic() + WAIT_S
    while late := [each for each in get(SERVICES, OURS)["items"] if not has_been_ready(each)]:
        if time.monotonic() > deadline:
            said = [f"{each['metadata']['name']}: {_messages(each)}" for each in late]
            sys.exit("\n".join(["Not ready:", *said]))
        time.sleep(LOOK_S)


def _messages(of: Document) -> str:
    conditions = of.get("status", {}).get("conditions", [])
    found = {each["message"] for each in conditions if each.get("message")}
    return " ".join(sorted(found)) or "Knative says nothing of it."


def run_job(job: Document) -> Ran:
    """Run a Job anew; end with its log if it fails, and with the reason if it can't start.

    It is given WAIT_S to start, and then as long as its own deadline says. A Job of the same name
    that another deploy made meanwhile is none of this one's.
    """
    name = job["metadata"]["name"]
    # Its template can't be changed.
    delete([job])
    apply([job])
    uid = get("job", name)["metadata"]["uid"]
    said: set[str] = set()
    deadline = time.monotonic() + WAIT_S
    while True:
        found = find("job", name)
        if found is None or found["metadata"]["uid"] != uid:
            sys.exit(f"Another deploy has taken the place of the Job {name}: leave it to that.")
        if ended := _true_conditions(found) & {"Complete", "Failed"}:
            break
        waits_for = _why_not_started(name)
        if waits_for is None:
            deadline = time.monotonic() + WAIT_S
        elif waits_for not in {*said, *STARTING}:
            said.add(waits_for)
            print(f"The Job {name} waits: {waits_for}", flush=True)
        elif time.monotonic() > deadline:
            # Or it would start whenever it can, with nobody to see what comes of it.
            delete([job])
            sys.exit(f"The Job {name} does not start: {waits_for}")
        time.sleep(LOOK_S)
    log = kubectl("logs", f"job/{name}", OF_NAMESPACE, check=False)
    if "Failed" in ended:
        sys.exit(f"{log}The Job {name} failed.")
    lines = tuple(line for line in log.splitlines() if not line.startswith("{"))
    print("".join(f"{line}\n" for line in lines), end="")
    return Ran(_pods_of(name)[-1]["status"]["containerStatuses"][0]["imageID"], lines)


def _pods_of(job: str) -> list[Document]:
    """Return the pods of a Job, the newest last."""
    pods = get("pods", f"--selector=batch.kubernetes.io/job-name={job}")["items"]
    return sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])


def _why_not_started(job: str) -> str | None:
    """Return what the newest pod of a Job waits for, or None once it has started."""
    match _pods_of(job):
        case [*_, {"status": {"phase": "Pending"} as status}]:
            pass
        case []:
            return "it has no pod yet"
        case _:
            return None
    waiting = [
        each["state"]["waiting"]
        for each in status.get("containerStatuses", [])
        if "waiting" in each["state"]
    ]
    not_scheduled = [
        each for each in status.get("conditions", []) if each.get("reason") == "Unschedulable"
    ]
    [why, *_] = [*waiting, *not_scheduled, {"reason": STARTING[0]}]
    return ": ".join(why[key] for key in ("reason", "message") if why.get(key))


def is_ready(service: Document) -> bool:
    """Say whether the newest revision of a service serves it."""
    return "Ready" in _true_conditions(service) and has_been_ready(service)


def has_been_ready(service: Document) -> bool:
    """Say whether the newest revision of a service has served it, if not just now.

    Knative says "not ready", until the next request, of one whose pod ended by itself on its way
    to zero, as a busy node's do.
    """
    status = service.get("status", {})
    return (
        status.get("observedGeneration") == service["metadata"]["generation"]
        and status.get("latestReadyRevisionName") is not None
        and status.get("latestCreatedRevisionName") == status.get("latestReadyRevisionName")
    )


def _true_conditions(of: Document) -> set[str]:
    conditions = of.get("status", {}).get("conditions", [])
    return {each["type"] for each in conditions if each["status"] == "True"}
