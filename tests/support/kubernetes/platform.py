"""The parts of Knative and of the gateway that a test takes away: their pods end, others follow."""

import shlex
import subprocess
from dataclasses import dataclass

from taskflow import config
from tests.support.kubernetes.deployed import NAMESPACE, kubectl

KILLED_WITHIN_S = 120


@dataclass(frozen=True)
class Part:
    """What runs in pods that a Deployment or a StatefulSet makes anew.

    Args:
        name: What it is called in what a test prints.
        namespace: Where its pods are.
        selector: The labels of its pods.
        instead: An environment variable that may name a command, for a cluster whose part is no
            pod: it kills the part and has it start again.
    """

    name: str
    namespace: str
    selector: str
    instead: str | None = None

    def kill(self) -> set[str]:
        """Kill its pods, without the time that they are given to end; return their names."""
        command = None if self.instead is None else config.environment().get(self.instead)
        if command is not None:
            subprocess.run(
                shlex.split(command), check=True, timeout=KILLED_WITHIN_S, stdin=subprocess.DEVNULL
            )
            return {self.name}
        now = ("--force", "--grace-period=0", "--wait=false")
        return set(self._kubectl("delete", "pod", "--output=name", *now).split())

    def replace(self) -> None:
        """Have others take the place of its pods, as an upgrade does, and wait until they have."""
        self._kubectl("rollout", "restart", "deployment")
        self._kubectl("rollout", "status", "deployment", "--timeout=5m", within_s=310)

    def pods(self) -> set[str]:
        """Return the names of its pods, those that end too."""
        return set(self._kubectl("get", "pods", "--output=name").split())

    def logs(self) -> str:
        """Return what its pods have logged of late."""
        return self._kubectl("logs", "--tail=2000", "--container=envoy")

    def _kubectl(self, *words: str, within_s: float = 60) -> str:
        return kubectl(
            *words, f"--selector={self.selector}", namespace=self.namespace, within_s=within_s
        )


ACTIVATOR = Part("activator", "knative-serving", "app=activator")
"""What holds requests for functions at zero."""

PING_SOURCE_ADAPTER = Part(
    "PingSource's adapter",
    "knative-eventing",
    "sources.knative.dev/role=adapter,eventing.knative.dev/source=ping-source-controller",
)
"""What wakes the cron functions."""

KAFKA_SOURCE_DISPATCHER = Part(
    "KafkaSource's dispatcher",
    "knative-eventing",
    "app=kafka-source-dispatcher",
    instead="CLUSTER_KILL_DISPATCHER",
)
"""What brings events to the consumers."""

GATEWAY = Part(
    "gateway",
    "envoy-gateway-system",
    "gateway.envoyproxy.io/owning-gateway-name=taskflow,"
    f"gateway.envoyproxy.io/owning-gateway-namespace={NAMESPACE}",
)
"""The proxies of the Gateway: what every request and socket goes through."""
