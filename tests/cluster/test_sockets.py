"""Sockets through the gateway and Knative: nothing missed when pods go (L1-L4)."""

import itertools
import threading
import time

import pytest

from taskflow.manifests.deployments import SOCKET_LIFETIME_S
from tests.support.kubernetes.deployed import Deployed
from tests.support.network.remote_api import RemoteApi, a_new_user
from tests.support.network.sockets import ResumingClient, following, receive_up_to, seqs
from tests.support.polling import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

SOON_S = 30
BACK_WITHIN_S = 5.0
WRITE_EVERY_S = 0.1
WRITES = 200
DRAINED_WITHIN_S = 90
"""Knative drains a pod for half a minute before it tells the server to end."""

SOCKETS = "sync-tasks"


def test_two_sockets_of_a_user_see_the_changes_of_each_other(deployed: Deployed) -> None:
    user = a_new_user(deployed)

    with (
        following(deployed, user) as one,
        following(deployed, user) as other,
        RemoteApi(deployed, user) as remote,
    ):
        task = remote.create("Buy milk")
        remote.change(task["id"], title="Buy bread")
        heard = [receive_up_to(socket, 3, within_s=SOON_S) for socket in (one, other)]

    assert heard[0] == heard[1]
    assert [message["type"] for message in heard[0]][-2:] == ["task.created", "task.updated"]


@pytest.mark.parametrize(
    ("how", "gone_within_s"),
    [
        ("kill_pods", SOON_S),
        ("end_pods", DRAINED_WITHIN_S),
        # The pods of the revision before stay for as long as they have sockets.
        ("redeploy", SOCKET_LIFETIME_S + DRAINED_WITHIN_S),
    ],
)
def test_a_client_is_back_soon_and_misses_nothing_when_the_pods_of_its_socket_go(
    deployed: Deployed, how: str, gone_within_s: float
) -> None:
    user = a_new_user(deployed)
    came_s: list[float] = []
    stopping = threading.Event()

    with ResumingClient(deployed, user) as client, RemoteApi(deployed, user) as remote:

        def watch() -> None:
            known = 0
            while not stopping.is_set():
                if client.seq > known:
                    known = client.seq
                    came_s.append(time.monotonic())
                stopping.wait(0.01)

        watcher = threading.Thread(target=watch)
        watcher.start()
        for number in range(WRITES):
            remote.create(f"Task {number}")
            if number in {WRITES // 3, 2 * WRITES // 3}:
                assert getattr(deployed, how)(SOCKETS) > 0
            time.sleep(WRITE_EVERY_S)
        written, until_s = WRITES, time.monotonic() + gone_within_s
        while client.connected == 1 and time.monotonic() < until_s:
            remote.create(f"Task {written}")
            written += 1
            time.sleep(WRITE_EVERY_S)
        client.wait_for(written + 1, within_s=SOON_S)
        stopping.set()
        watcher.join()

    paused_s = max(later - earlier for earlier, later in itertools.pairwise(came_s))
    print(f"{how}: connected {client.connected} times, without news for {paused_s:.1f} s at most")
    assert seqs(client.messages) == list(range(1, written + 2))
    assert client.resyncs == 0
    assert client.connected >= 2
    assert paused_s < BACK_WITHIN_S


def test_a_client_outlives_the_time_that_knative_gives_a_request(deployed: Deployed) -> None:
    # It is told to resume some seconds before.
    user = a_new_user(deployed)

    with ResumingClient(deployed, user) as client, RemoteApi(deployed, user) as remote:
        client.wait_for(1, within_s=SOON_S)

        def check_reconnected() -> None:
            assert client.connected == 2

        eventually(check_reconnected, within_s=320, every_s=1)
        remote.create("After")
        client.wait_for(2, within_s=SOON_S)

    assert seqs(client.messages) == [1, 2]
