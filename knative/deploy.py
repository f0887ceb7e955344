"""Deploy TaskFlow to the cluster that KUBECONFIG names, and take it away: `make deploy`.

A kustomization (knative/overlays) says what there is beside the functions; this says in what order:
what functions need, migrations, topics, the functions by func, and then what sends them events and
requests. Then what the release before had and this one has not is deleted. Run again it changes
nothing: a function is deployed where its func.yaml, its image, its settings or its secrets are
other than those it was deployed from.
"""

import argparse
import json
import secrets
import shutil
import sys
from base64 import b64decode
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from knative import functions, moves, pruning
from knative.cluster import (
    GATEWAYS,
    NAMESPACE,
    OF_NAMESPACE,
    TIMEOUT,
    Document,
    apply,
    built,
    delete,
    get,
    kinds,
    kubectl,
    names,
    run_job,
    wait,
    wait_for_services,
)
from knative.revisions import wait_until_old_pods_are_gone
from taskflow.command_line import AFTER_DEPLOY
from taskflow.domain.merge_patch import merge_patch
from taskflow.manifests import outside

OVERLAYS = Path(__file__).parent / "overlays"

LAST = ("KafkaSink", "KafkaSource", "PingSource", "HTTPRoute")
"""What is never ready without a function or a topic."""

DATA = ("Namespace", "StatefulSet", "KafkaSource")
"""What keeps data: a KafkaSource how far it has read, which is forgotten when it is deleted."""

EXAMPLES = ("taskflow.example", "ghcr.io/example/")
INGRESS = "metadata.name=kourier-internal"

DATABASE = "postgresql"
BACKING = (DATABASE, "redpanda")
"""The Services of what keeps data in the cluster, where the overlay has it there."""

OPTIONAL = (outside.MAIL, outside.WEB_PUSH, outside.AMAZON)
"""Secrets that need nothing in them. But they must be there: func deploys nothing that names one
that is not."""

INSTALL = {
    "serving.knative.dev/v1 Service": "Knative Serving, with Kourier",
    "sources.knative.dev/v1 PingSource": "Knative Eventing",
    "sources.knative.dev/v1 KafkaSource": "Knative's KafkaSource (eventing-kafka-source.yaml)",
    "eventing.knative.dev/v1alpha1 KafkaSink": "Knative's KafkaSink (eventing-kafka-sink.yaml)",
    "gateway.networking.k8s.io/v1 HTTPRoute": "the Gateway API, which comes with Envoy Gateway",
    "gateway.envoyproxy.io/v1alpha1 BackendTrafficPolicy": "Envoy Gateway",
    "cert-manager.io/v1 Issuer": "cert-manager, with its support of the Gateway API",
}
"""What brings the kinds that no cluster has by itself; the others of a group come with them."""


def main() -> None:
    """Deploy, or undeploy; end with a sentence where something is missing or does not get ready."""
    parser = argparse.ArgumentParser(prog="deploy", description=__doc__)
    parser.add_argument(
        "--overlay", default="minikube", help="a folder of knative/overlays, or any"
    )
    parser.add_argument("--image", help="of the functions and Jobs, in place of the overlay's")
    parser.add_argument("--undeploy", action="store_true", help="take it away, but keep the data")
    parser.add_argument("--delete-data", action="store_true", help="with --undeploy: keep nothing")
    given = parser.parse_args()
    for tool in ("kubectl", "func"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is not on the PATH.")
    overlay = OVERLAYS / given.overlay
    documents = built(str(overlay if overlay.exists() else Path(given.overlay)))
    if given.undeploy:
        undeploy(documents, delete_data=given.delete_data)
    else:
        deploy(documents, image=given.image)


def deploy(documents: Sequence[Document], *, image: str | None) -> None:
    """Apply everything in order, waiting for each step."""
    jobs = {each["metadata"]["name"]: each for each in documents if each["kind"] == "Job"}
    containers = [each["spec"]["template"]["spec"]["containers"][0] for each in jobs.values()]
    deployed: str = image or containers[0]["image"]
    for container in containers:
        container["image"] = deployed
    check_kinds(documents)
    check_examples(documents)
    check_ingress(documents)

    say("What the functions need")
    apply(each for each in documents if each["kind"] == "Namespace")
    provide_secrets(documents)
    apply(each for each in documents if each["kind"] not in {"Namespace", "Job", *LAST})
    for each in documents:
        if each["kind"] == "StatefulSet":
            name = f"statefulset/{each['metadata']['name']}"
            kubectl("rollout", "status", name, OF_NAMESPACE, TIMEOUT)

    say("Migrations and topics")
    before = run_job(jobs["migrate-before-deploy"])
    run_job(jobs["topics"])

    say("Functions")
    changes = changes_of_functions(documents)
    losing = moves.losing(documents)
    functions.deploy(changes, deployed, before.image_id, but=losing)
    if losing:
        apply(moves.in_order(documents, losing))
        functions.deploy(changes, deployed, before.image_id)

    say("Events and requests")
    apply(each for each in documents if each["kind"] in LAST)
    pruning.prune(documents, {each.name for each in functions.functions(changes)})
    wait_for_services()
    wait("Ready", "kafkasinks", "kafkasources", "pingsources")
    wait("Programmed", GATEWAYS)

    say("Migrations")
    if any(line.startswith(AFTER_DEPLOY) for line in before.said):
        # Which take away what the pods of earlier revisions still use.
        wait_until_old_pods_are_gone()
    run_job(jobs["migrate-after-deploy"])
    print(f"TaskFlow is at {address()}")


def undeploy(documents: Sequence[Document], *, delete_data: bool) -> None:
    """Delete what runs. Data stay, unless told, and with them what is theirs.

    That is a database and a Kafka in the cluster, with their volumes and the secrets, and each
    KafkaSource, without consumers. What is outside the cluster stays in either case.
    """
    if NAMESPACE not in names("namespaces"):
        sys.exit(f"There is no namespace {NAMESPACE}.")
    gone = [
        each
        for each in documents
        if each["kind"] not in DATA and each["metadata"]["name"] not in BACKING
    ]
    for source in names("kafkasources"):
        kubectl("scale", "kafkasource", source, OF_NAMESPACE, "--replicas=0")
    delete(each for each in gone if each["kind"] in LAST)
    pruning.prune(documents, (), sources=False)
    delete(each for each in gone if each["kind"] not in LAST)
    if delete_data:
        # While Kafka still runs, which has to forget them.
        kubectl("delete", "kafkasources", "--all", OF_NAMESPACE, TIMEOUT)
        kubectl("delete", "namespace", NAMESPACE, TIMEOUT)


def check_kinds(documents: Iterable[Document]) -> None:
    """End with a sentence if the cluster does not know a kind, and say what brings it."""
    needed = {f"{each['apiVersion']} {each['kind']}" for each in documents} | {next(iter(INSTALL))}
    if missing := sorted(needed - kinds()):
        of_group = {kind.partition("/")[0]: name for kind, name in INSTALL.items()}
        brings = {INSTALL.get(kind, of_group.get(kind.partition("/")[0], kind)) for kind in missing}
        sys.exit(f"This cluster lacks {', '.join(missing)}. Install {'; '.join(sorted(brings))}.")


def check_examples(documents: Iterable[Document]) -> None:
    """End with a sentence if an address or the image is still that of an example."""
    of_examples = {
        f"{each['kind']} {each['metadata']['name']}"
        for each in documents
        if any(example in json.dumps(each) for example in EXAMPLES)
    }
    if of_examples:
        named = ", ".join(sorted(of_examples))
        sys.exit(
            f"The overlay still names what is there for an example, {' or '.join(EXAMPLES)}: say "
            f"your own in it. ({named})"
        )


def check_ingress(documents: Iterable[Document]) -> None:
    """End with a sentence if Knative's ingress is elsewhere than the overlay says."""
    grants = (each["metadata"] for each in documents if each["kind"] == "ReferenceGrant")
    [said] = {grant["namespace"] for grant in grants}
    found = json.loads(
        kubectl("get", "services", "--all-namespaces", f"--field-selector={INGRESS}", "-o=json")
    )
    namespaces = [each["metadata"]["namespace"] for each in found["items"]]
    if not namespaces:
        sys.exit("This cluster lacks Knative's ingress Kourier.")
    if said not in namespaces:
        sys.exit(
            f"Kourier is in {' and '.join(namespaces)}, and the overlay says {said}: say it in its "
            f"ConfigMap `ingress`."
        )


def provide_secrets(documents: Iterable[Document]) -> None:
    """Make the secrets where the database is in the cluster too; elsewhere, require them.

    Of one that is there from an earlier release, the keys that are new. A pod does not start
    without a key that its function reads. Those that may be empty are made so anywhere.
    """
    services = {each["metadata"]["name"] for each in documents if each["kind"] == "Service"}
    found = names("secrets")
    missing = {"taskflow-secrets", "taskflow-kafka"} - found
    if missing and DATABASE not in services:
        wanted = " and ".join(sorted(missing))
        sys.exit(f"The namespace {NAMESPACE} lacks the secret {wanted}: see docs/deploying.md.")
    if DATABASE in found:
        password = b64decode(get("secret", DATABASE)["data"]["password"]).decode()
    else:
        password = secrets.token_urlsafe(24)
    host = f"{DATABASE}.{NAMESPACE}.svc.cluster.local"
    made = {
        DATABASE: {"password": password},
        "taskflow-secrets": {
            "database-url": f"postgresql://taskflow:{password}@{host}:5432/taskflow",
            "jwt-secret": secrets.token_urlsafe(48),
            "link-secret": secrets.token_urlsafe(48),
            # Empty is unset.
            "better-auth-secret": "",
            "metrics-token": secrets.token_urlsafe(24),
        },
        # In the keys of a KafkaSink's secret.
        "taskflow-kafka": {"protocol": "PLAINTEXT", "password": "", "ca.crt": ""},
    }
    for name in made.keys() & found:
        there = get("secret", name)["data"]
        added = {key: value for key, value in made[name].items() if key not in there}
        if added and DATABASE not in services:
            sys.exit(f"The secret {name} lacks {', '.join(added)}: see docs/deploying.md.")
        if added:
            patch = json.dumps({"stringData": added})
            kubectl("patch", "secret", name, OF_NAMESPACE, "--type=merge", f"--patch={patch}")
    given: dict[str, dict[str, str]] = made if missing else {}
    given |= {name: {} for name in OPTIONAL}
    new = [secret(name, data) for name, data in given.items() if name not in found]
    if new:
        # Created, not applied: an annotation would hold them in plain text.
        kubectl("create", "-f", "-", stdin=yaml.safe_dump_all(new))


def changes_of_functions(documents: Iterable[Document]) -> Document:
    """Return what the overlay changes in func.yaml files, from its ConfigMap `functions`."""
    changes: Document = {}
    for each in documents:
        if (each["kind"], each["metadata"]["name"]) == ("ConfigMap", "functions"):
            for text in each["data"].values():
                changes = merge_patch(changes, yaml.safe_load(text))
    return changes


def secret(name: str, data: dict[str, str]) -> Document:
    """Return a secret of TaskFlow."""
    labels = {"app.kubernetes.io/part-of": "taskflow"}
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}


def address() -> str:
    """Return where the gateway is reached."""
    gateway = get(GATEWAYS, "taskflow")
    [listener, *_] = gateway["spec"]["listeners"]
    [found, *_] = gateway["status"].get("addresses") or [{"value": "(no address yet)"}]
    return f"{listener['protocol'].lower()}://{listener.get('hostname') or found['value']}"


def say(step: str) -> None:
    """Print which step is next."""
    print(f"== {step}", flush=True)


if __name__ == "__main__":
    main()
