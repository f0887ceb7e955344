"""What an earlier release has left in the cluster that acts, and that this one does not have.

kubectl's own way (`apply --prune`, with or without an ApplySet) is in alpha; this goes by the same
two marks. What is TaskFlow's has its label, and what was applied from a kustomization has the
annotation of `kubectl apply`, which nothing has that was created by hand.
"""

from collections.abc import Collection, Iterable

from knative.cluster import OURS, Document, delete, kinds, list_of

SERVICE = "serving.knative.dev/v1 Service"
KAFKA_SOURCE = "sources.knative.dev/v1 KafkaSource"

PRUNED = (
    # Of two routes that match the same the older one is served, until it is gone.
    "gateway.networking.k8s.io/v1 HTTPRoute",
    "gateway.envoyproxy.io/v1alpha1 HTTPRouteFilter",
    "gateway.envoyproxy.io/v1alpha1 BackendTrafficPolicy",
    "gateway.envoyproxy.io/v1alpha1 ClientTrafficPolicy",
    "gateway.envoyproxy.io/v1alpha1 SecurityPolicy",
    # Before the functions that they send to, or what they send meanwhile would be dead letters.
    "sources.knative.dev/v1 PingSource",
    KAFKA_SOURCE,
    SERVICE,
    "policy/v1 PodDisruptionBudget",
    "networking.k8s.io/v1 NetworkPolicy",
    "batch/v1 Job",
)
"""The kinds of which something is deleted, in this order. Of others what is left does nothing by
itself (a ConfigMap), or holds data."""

APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def prune(
    documents: Iterable[Document], functions: Collection[str], *, sources: bool = True
) -> None:
    """Delete what is in the cluster of TaskFlow and neither among the documents nor the functions.

    Each kind is gone before the next is deleted. Without `sources`, KafkaSources stay: one that is
    deleted forgets how far it has read.
    """
    documents = list(documents)
    wanted = {_identity(each) for each in documents}
    namespaces = {each["metadata"].get("namespace") for each in documents}
    known = kinds()
    for kind in PRUNED:
        if kind not in known or (kind == KAFKA_SOURCE and not sources):
            continue
        stale = [
            each
            for each in list_of(kind, OURS, "--all-namespaces")
            if each["metadata"]["namespace"] in namespaces
            and (
                each["metadata"]["name"] not in functions
                if kind == SERVICE
                else _was_applied(each) and _identity(each) not in wanted
            )
        ]
        if stale:
            names = ", ".join(each["metadata"]["name"] for each in stale)
            print(f"No longer there: {kind.partition(' ')[2]} {names}", flush=True)
            delete(stale)


def _was_applied(document: Document) -> bool:
    return APPLIED in document["metadata"].get("annotations", {})


def _identity(document: Document) -> tuple[str, str, str | None, str]:
    group, _, _ = document["apiVersion"].rpartition("/")
    metadata = document["metadata"]
    return group, document["kind"], metadata.get("namespace"), metadata["name"]
