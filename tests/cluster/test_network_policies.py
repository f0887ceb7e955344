"""Network policies, by trying what they must not let through (D3, S5)."""

import json
from collections.abc import Generator, Sequence

import pytest

from tests.support.kubernetes.deployed import CONTAINER, NAMESPACE, Deployed, kubectl
from tests.support.polling import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

GIVEN_UP_AFTER_S = 4
READY_WITHIN_S = 90
STRANGERS = "strangers"

CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3])).close()
except OSError as error:
    print(type(error).__name__)
else:
    print("connected")
"""
"""What is denied is dropped, so that who connects gives up."""

KNATIVE_PROXY, FUNCTION, LISTENING = 8012, 8080, 8025

LISTEN = f"import socket, time; s = socket.create_server(('', {LISTENING})); time.sleep(600)"


@pytest.fixture(scope="module")
def stranger(deployed: Deployed) -> Generator[str]:
    """Run a pod in a namespace of its own, from our image, for it has a Python; it listens."""
    image = _pod_of(deployed, "sync-tasks")["spec"]["containers"][0]["image"]
    kubectl("create", "namespace", STRANGERS)
    try:
        kubectl(
            *("run", "stranger", f"--image={image}", "--restart=Never"),
            *("--image-pull-policy=IfNotPresent", "--command", "--"),
            *("python", "-c", LISTEN),
            namespace=STRANGERS,
        )
        kubectl(
            *("wait", "pod/stranger", "--for=condition=Ready", f"--timeout={READY_WITHIN_S}s"),
            namespace=STRANGERS,
            within_s=READY_WITHIN_S + 10,
        )
        yield "stranger"
    finally:
        kubectl("delete", "namespace", STRANGERS, "--wait=false")


def _pod_of(deployed: Deployed, function: str) -> dict[str, dict[str, list[dict[str, str]]]]:
    [pod, *_] = deployed.pods(function)
    return json.loads(kubectl("get", pod, "-o=json"))


def _address_of(deployed: Deployed, function: str) -> str:
    [pod, *_] = deployed.pods(function)
    return kubectl("get", pod, "-o=jsonpath={.status.podIP}")


def _tried(pod: str, namespace: str, host: str, port: int, *, container: str = "") -> str:
    """Try to connect from a pod; return `connected`, or the error's name."""
    given = [f"--container={container}"] if container else []
    return kubectl(
        *("exec", pod, *given, "--", "python", "-c", CONNECT, host, str(port)),
        str(GIVEN_UP_AFTER_S),
        namespace=namespace,
    ).strip()


def _from_a_function(deployed: Deployed, host: str, port: int) -> str:
    """Try to connect from a pod of the function that is always awake."""
    [pod, *_] = deployed.pods("sync-tasks")
    return _tried(pod, NAMESPACE, host, port, container=CONTAINER)


@pytest.mark.parametrize("port", [KNATIVE_PROXY, FUNCTION])
def test_a_strangers_pod_reaches_no_function(deployed: Deployed, stranger: str, port: int) -> None:
    address = _address_of(deployed, "sync-tasks")

    # Somebody listens there: a pod always reaches itself.
    assert _from_a_function(deployed, address, port) == "connected"
    assert _tried(stranger, STRANGERS, address, port) == "TimeoutError"


def test_a_strangers_pod_does_not_reach_the_ingress_by_which_functions_are_called_inside(
    stranger: str,
) -> None:
    ingress = "kourier-internal"
    found = kubectl("get", "services", "--all-namespaces", "-o=json")
    [address] = [
        each["spec"]["externalName" if each["spec"]["type"] == "ExternalName" else "clusterIP"]
        for each in json.loads(found)["items"]
        if each["metadata"]["name"] == ingress
    ]

    assert _tried(stranger, STRANGERS, address, 80) == "TimeoutError"


@pytest.mark.parametrize(("service", "port"), [("postgresql", 5432), ("redpanda", 9092)])
def test_a_strangers_pod_reaches_neither_the_database_nor_kafka(
    deployed: Deployed, stranger: str, service: str, port: int
) -> None:
    if not kubectl("get", "service", service, "--ignore-not-found", "-o=name"):
        pytest.skip(f"{service} is outside the cluster, where no policy of the cluster guards it")
    # By address: a name that is wrong would not be reached either.
    address = kubectl(
        *("get", "pods", f"--selector=app.kubernetes.io/component={service}"),
        "-o=jsonpath={.items[0].status.podIP}",
    )

    assert _from_a_function(deployed, address, port) == "connected"
    assert _tried(stranger, STRANGERS, address, port) == "TimeoutError"


def test_a_function_does_not_reach_what_others_reach(deployed: Deployed, stranger: str) -> None:
    api = kubectl(
        "get", "service", "kubernetes", "-o=jsonpath={.spec.clusterIP}", namespace="default"
    )

    assert _tried(stranger, STRANGERS, api, 443) == "connected"
    assert _from_a_function(deployed, api, 443) == "TimeoutError"


def test_what_sends_does_not_reach_what_is_within_the_cluster(
    deployed: Deployed, stranger: str
) -> None:
    sending = _sending(deployed)
    api = kubectl(
        "get", "service", "kubernetes", "-o=jsonpath={.spec.clusterIP}", namespace="default"
    )
    address = _address_of_stranger(stranger)

    assert _tried(stranger, STRANGERS, api, 443) == "connected"
    assert _tried(stranger, STRANGERS, address, LISTENING) == "connected"
    # And where clouds tell a machine its credentials.
    for host, port in ((api, 443), (address, LISTENING), ("169.254.169.254", 80)):
        assert _tried(sending, NAMESPACE, host, port, container=CONTAINER) == "TimeoutError"


def test_what_sends_alone_reaches_what_a_policy_of_the_overlay_names(
    deployed: Deployed, stranger: str
) -> None:
    sending, address = _sending(deployed), _address_of_stranger(stranger)
    policy = json.loads(kubectl("get", "networkpolicy", "to-outside", "-o=json"))
    egress = policy["spec"]["egress"]
    where = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": STRANGERS}}}
    to_mail = {"to": [where], "ports": [{"port": LISTENING, "protocol": "TCP"}]}

    def reached() -> None:
        said = _tried(sending, NAMESPACE, address, LISTENING, container=CONTAINER)
        assert said == "connected"

    try:
        _have_egress([*egress, to_mail])
        eventually(reached, within_s=READY_WITHIN_S)
        assert _from_a_function(deployed, address, LISTENING) == "TimeoutError"
    finally:
        _have_egress(egress)


def _have_egress(rules: Sequence[object]) -> None:
    patch = f"--patch={json.dumps({'spec': {'egress': rules}})}"
    kubectl("patch", "networkpolicy", "to-outside", "--type=merge", patch)


def _address_of_stranger(stranger: str) -> str:
    return kubectl("get", f"pod/{stranger}", "-o=jsonpath={.status.podIP}", namespace=STRANGERS)


def _sending(deployed: Deployed) -> str:
    """Return a pod of the function that sends, which is woken each minute."""

    def found() -> str:
        [*_, pod] = deployed.pods("deliver-notifications") or [""]
        assert pod
        kubectl("wait", pod, "--for=condition=Ready", "--timeout=1s")
        return pod

    return eventually(found, within_s=READY_WITHIN_S)
