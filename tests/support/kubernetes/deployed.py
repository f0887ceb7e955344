"""What is deployed to the cluster of KUBECONFIG, as its clients and operators see it."""

import json
import subprocess
from collections import Counter
from functools import cached_property
from typing import Any
from uuid import uuid4

from taskflow import config
from tests.support.polling import eventually

NAMESPACE = "taskflow"
SERVICE = "serving.knative.dev/service"
CONTAINER = "user-container"

AT_ZERO_WITHIN_S = 240
"""Knative looks back over a minute, and then lets a pod finish what it does."""

LOOK_S = 1.0


class Deployed:
    """A deployed TaskFlow: its address, and its pods."""

    @cached_property
    def address(self) -> str:
        """The gateway's scheme, host and port, as TASKFLOW_URL or else the cluster says."""
        given = config.environment().get("TASKFLOW_URL")
        if given:
            return given.rstrip("/")
        gateway = json.loads(kubectl("get", "gateway", "taskflow", "-o=json"))
        [listener, *_] = gateway["spec"]["listeners"]
        scheme = "https" if listener["protocol"] == "HTTPS" else "http"
        host = listener.get("hostname") or gateway["status"]["addresses"][0]["value"]
        return f"{scheme}://{host}:{listener['port']}"

    @property
    def url(self) -> str:
        """The URL of the API."""
        return self.address

    @property
    def ws_url(self) -> str:
        """The URL for sockets."""
        return f"{self.address.replace('http', 'ws', 1)}/ws"

    def services(self) -> dict[str, bool]:
        """Return the functions that are deployed, and whether each is ready."""
        found = json.loads(kubectl("get", "services.serving.knative.dev", "-o=json"))["items"]
        return {one["metadata"]["name"]: _is_ready(one) for one in found}

    def revisions(self) -> dict[str, str]:
        """Return the newest revision of each function."""
        found = json.loads(kubectl("get", "services.serving.knative.dev", "-o=json"))["items"]
        return {one["metadata"]["name"]: one["status"]["latestReadyRevisionName"] for one in found}

    def pods(self, function: str) -> list[str]:
        """Return the names of a function's pods, those that end too."""
        return kubectl("get", "pods", f"-l={SERVICE}={function}", "-o=name").split()

    def awake(self) -> Counter[str]:
        """Return how many pods each function has, those that end too; none for one at zero."""
        label = SERVICE.replace(".", r"\.")
        said = kubectl(
            "get", "pods", f"-l={SERVICE}", f"-o=jsonpath={{.items[*].metadata.labels.{label}}}"
        )
        return Counter(said.split())

    def kill_pods(self, function: str) -> int:
        """Kill a function's pods, without the time that they are given to end; return how many."""
        found = self.pods(function)
        if found:
            kubectl("delete", *found, "--wait=false", "--force", "--grace-period=0")
        return len(found)

    def end_pods(self, function: str) -> int:
        """Have a function's pods end in order; return how many."""
        found = self.pods(function)
        if found:
            kubectl("delete", *found, "--wait=false")
        return len(found)

    def redeploy(self, function: str) -> int:
        """Have Knative make a new revision of a function; return how many pods the old one has."""
        found = self.pods(function)
        annotations = {"taskflow/redeployed-by": f"a test, {uuid4()}"}
        change = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
        kubectl(
            *("patch", "services.serving.knative.dev", function, "--type=merge"),
            f"--patch={json.dumps(change)}",
        )
        return len(found)

    def wait_until_at_zero(self, *functions: str) -> None:
        """Wait until these functions have no pod."""

        def check() -> None:
            awake = [function for function in functions if self.pods(function)]
            assert not awake, f"awake: {', '.join(awake)}"

        eventually(check, within_s=AT_ZERO_WITHIN_S, every_s=LOOK_S)

    def taskflow(self, *arguments: str) -> str:
        """Run the command `taskflow` in a pod of the function that is always awake."""
        [pod, *_] = self.pods("sync-tasks")
        return kubectl("exec", pod, f"--container={CONTAINER}", "--", "taskflow", *arguments)


def kubectl(
    *arguments: str, namespace: str = NAMESPACE, within_s: float = 60, given: str | None = None
) -> str:
    """Run kubectl, with its input if that is `given`, and return what it says.

    An error has what it says about that.
    """
    ended = subprocess.run(
        ["kubectl", f"--namespace={namespace}", *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )
    assert ended.returncode == 0, f"kubectl {' '.join(arguments)}: {ended.stderr}"
    return ended.stdout


def _is_ready(service: dict[str, Any]) -> bool:
    conditions = service.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
