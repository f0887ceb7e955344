"""The one address of all functions while its proxies, or its certificate, are replaced (S5, D3)."""

import json
import ssl
import time
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import requests

from taskflow import clock
from taskflow.domain.times import rfc3339
from tests.support.kubernetes.deployed import Deployed, kubectl
from tests.support.kubernetes.platform import GATEWAY
from tests.support.load.task_writers import TaskWriters
from tests.support.network.remote_api import RemoteApi, a_new_user
from tests.support.network.sockets import ResumingClient, following, receive_up_to, seqs
from tests.support.polling import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

WRITERS, PAUSE_S = 4, 0.05
SOON_S = 30
BACK_WITHIN_S = 60
"""Within which the last of the sockets has left a proxy that ends."""

RENEWALS = 3
RENEWED_WITHIN_S = 60
LOOK_S = 0.2


def _check_that_all_came(client: ResumingClient, writers: TaskWriters) -> None:
    # The account is the first event.
    written = len(writers.acknowledged) + 1
    client.wait_for(written, within_s=SOON_S)
    assert seqs(client.messages) == list(range(1, written + 1))
    assert client.resyncs == 0


def test_an_upgrade_of_the_gateway_fails_no_request(deployed: Deployed) -> None:
    user = a_new_user(deployed)
    before = GATEWAY.pods()

    with ResumingClient(deployed, user) as client:
        with TaskWriters(deployed, [user], threads=WRITERS, pause_s=PAUSE_S) as writers:
            began_s = time.monotonic()
            GATEWAY.replace()

            def check_replaced() -> None:
                assert before.isdisjoint(GATEWAY.pods())

            # The old ones end once their connections have.
            eventually(check_replaced, within_s=400, every_s=1)
            took_s = time.monotonic() - began_s
        _check_that_all_came(client, writers)

    print(
        f"{len(before)} proxies replaced in {took_s:.0f} s: answers {dict(writers.outcomes)}, "
        f"the slowest {writers.slowest_s:.1f} s; the socket opened {client.connected} times"
    )
    assert set(writers.outcomes) == {"201"}


def test_clients_are_back_soon_and_miss_nothing_when_the_gateway_is_killed(
    deployed: Deployed,
) -> None:
    user = a_new_user(deployed)

    with ResumingClient(deployed, user) as client:
        with TaskWriters(deployed, [user], threads=WRITERS, pause_s=PAUSE_S) as writers:
            client.wait_for(2, within_s=SOON_S)
            connected = client.connected
            killed, began_s = GATEWAY.kill(), time.monotonic()

            def check_back() -> None:
                assert client.connected > connected

            eventually(check_back, within_s=BACK_WITHIN_S)
            back_s = time.monotonic() - began_s
            client.wait_for(client.seq + 10, within_s=SOON_S)
        _check_that_all_came(client, writers)

    print(
        f"{len(killed)} proxies killed: a socket again after {back_s:.1f} s, answers "
        f"{dict(writers.outcomes)}"
    )


def test_the_gateway_logs_which_route_was_taken_and_not_the_path(deployed: Deployed) -> None:
    secret, name = uuid4().hex, str(uuid4())
    headers = {"X-Correlation-ID": name}

    answer = requests.get(
        f"{deployed.url}/api/{secret}/tasks?q={secret}", headers=headers, timeout=SOON_S
    )

    assert answer.status_code == 401

    def check() -> None:
        [line] = [line for line in GATEWAY.logs().splitlines() if name in line]
        assert "/list-tasks/" in json.loads(line)["route"]

    eventually(check, within_s=SOON_S)
    assert secret not in GATEWAY.logs()


@pytest.mark.certificate
def test_a_certificate_is_renewed_while_it_is_used(deployed: Deployed) -> None:
    user = a_new_user(deployed)
    gateway = json.loads(kubectl("get", "gateway", "taskflow", "-o=json"))
    [certificate] = {
        reference["name"]
        for listener in gateway["spec"]["listeners"]
        for reference in listener.get("tls", {}).get("certificateRefs", [])
    }

    with following(deployed, user) as kept:
        with TaskWriters(deployed, [user], threads=WRITERS, pause_s=PAUSE_S) as writers:
            seen, took_s = [_served(deployed)], list[float]()
            for _ in range(RENEWALS):
                began_s = time.monotonic()
                _renew(certificate)

                def check_renewed() -> str:
                    served = _served(deployed)
                    assert served not in seen
                    return served

                seen.append(eventually(check_renewed, within_s=RENEWED_WITHIN_S, every_s=LOOK_S))
                took_s.append(time.monotonic() - began_s)
            with RemoteApi(deployed, user) as new:
                new.create(f"After {uuid4()}")
        written = len(writers.acknowledged) + 2
        messages = receive_up_to(kept, written, within_s=SOON_S)

    print(
        f"{RENEWALS} renewals, served after {max(took_s):.1f} s at most: answers "
        f"{dict(writers.outcomes)}, the slowest {writers.slowest_s:.1f} s"
    )
    assert set(writers.outcomes) == {"201"}
    # None is missing between the first that came and the last that was written.
    assert seqs(messages) == list(range(messages[0]["seq"], written + 1))
    assert len(messages) >= len(writers.acknowledged)


def _served(deployed: Deployed) -> str:
    """Return the certificate that a new connection is shown."""
    address = urlsplit(deployed.url)
    assert address.hostname is not None
    return ssl.get_server_certificate((address.hostname, address.port or 443))


def _renew(certificate: str) -> None:
    """Have cert-manager make a certificate anew, as `cmctl renew` does."""
    condition = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "A test asked for it",
        "lastTransitionTime": rfc3339(clock.now()),
    }
    found = json.loads(kubectl("get", "certificate", certificate, "-o=json"))
    others = [one for one in found["status"]["conditions"] if one["type"] != "Issuing"]
    patch = json.dumps({"status": {"conditions": [*others, condition]}})
    kubectl(
        *("patch", "certificate", certificate, "--subresource=status", "--type=merge"),
        f"--patch={patch}",
    )
