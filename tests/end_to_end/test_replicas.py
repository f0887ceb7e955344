"""Several server processes: each event reaches every socket through stops and rotations (L4–L7)."""

import contextlib
import signal
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psutil
import pytest

from taskflow.push.connection import CloseCode
from tests.support.data.accounts import SignedIn, a_user
from tests.support.database.connection import database_of
from tests.support.load.chaos import JWT_SECRET
from tests.support.load.socket_clients import SocketClients
from tests.support.load.task_writers import TaskWriters
from tests.support.network.remote_api import RemoteApi
from tests.support.network.sockets import seqs
from tests.support.polling import eventually
from tests.support.processes.roles import api_workers, wait_for
from tests.support.processes.system import System

SOON_S = 30
BACK_WITHIN_S = 5
LONG_S = 50


@pytest.fixture(scope="module")
def system_of_four(tmp_path_factory: pytest.TempPathFactory) -> Generator[System]:
    """Run a system of four server processes."""
    yield from _running(tmp_path_factory, WEB_CONCURRENCY="4")


@pytest.fixture(scope="module")
def system_of_two(tmp_path_factory: pytest.TempPathFactory) -> Generator[System]:
    """Run a system of two server processes, whose sockets last three seconds at most."""
    yield from _running(tmp_path_factory, WEB_CONCURRENCY="2", SOCKET_LIFETIME_S="3")


def _running(factory: pytest.TempPathFactory, **settings: str) -> Generator[System]:
    running = System(factory.mktemp("system") / "data", JWT_SECRET=JWT_SECRET, **settings)
    running.start()
    yield running
    running.stop()


@pytest.fixture(params=["system_of_two", "system_of_four"])
def system(request: pytest.FixtureRequest) -> System:
    return request.getfixturevalue(request.param)


def users_of(system: System, count: int) -> Sequence[SignedIn]:
    with database_of(system):
        return [a_user() for _ in range(count)]


def newest_of(system: System, users: Sequence[SignedIn]) -> dict[str, int]:
    newest: dict[str, int] = {}
    for user in users:
        with RemoteApi(system, user) as remote:
            newest[user.user_id] = remote.request("GET", "events").json()["seq"]
    return newest


def sockets_held(worker: psutil.Process, system: System) -> int:
    """Return how many connections of clients a worker holds."""
    return sum(
        one.status == psutil.CONN_ESTABLISHED and one.laddr.port == system.port
        for one in worker.net_connections("tcp")
    )


def test_the_sockets_of_a_user_on_all_workers_hear_all_messages_in_order(system: System) -> None:
    [user] = users_of(system, 1)
    groups: list[SocketClients] = []
    with ExitStack() as stack:
        # Which worker accepts is the kernel's choice; a burst may be one's alone.
        while sum(held > 0 for held in _held(system)) < 2:
            assert len(groups) < 30, f"all sockets are on one worker: {_held(system)}"
            groups.append(stack.enter_context(SocketClients(system, [user] * 4)))
            groups[-1].wait_until_connected(within_s=SOON_S)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(_create, [system] * 4, [user] * 4, [10] * 4))
        for clients in groups:
            clients.wait_for({user.user_id: 41}, within_s=SOON_S)

    for clients in groups:
        clients.assert_complete({user.user_id: 41})


def _held(system: System) -> Sequence[int]:
    return [sockets_held(worker, system) for worker in wait_for(api_workers, system)]


def _create(system: System, user: SignedIn, count: int) -> None:
    with RemoteApi(system, user) as remote:
        for _ in range(count):
            remote.create()


def test_the_clients_of_a_stopped_worker_are_back_soon_and_miss_no_message(system: System) -> None:
    users = users_of(system, 20)
    with SocketClients(system, users) as clients:
        clients.wait_until_connected(within_s=SOON_S)
        with TaskWriters(system, users, threads=4, pause_s=0.02) as writers:
            # Which worker a client came to is the kernel's choice: some may have none.
            workers = wait_for(api_workers, system)
            victim = max(workers, key=lambda worker: sockets_held(worker, system))
            victim.send_signal(signal.SIGTERM)
            eventually(lambda: _gone(victim), within_s=SOON_S)
        newest = newest_of(system, users)
        clients.wait_for(newest, within_s=SOON_S)
        clients.assert_complete(newest)

    assert set(writers.outcomes) == {"201"}, "a request was cut off"
    away_s = [away for client in clients.all for away in client.away_s]
    codes = {code for client in clients.all for code in client.close_codes[:-1]}
    assert away_s
    assert max(away_s) < BACK_WITHIN_S
    assert codes == {CloseCode.SERVICE_RESTART}


def _gone(victim: psutil.Process) -> None:
    # It may go between two looks at it.
    with contextlib.suppress(psutil.NoSuchProcess):
        assert victim.status() == psutil.STATUS_ZOMBIE


def test_waiting_long_polls_hold_up_no_request(system: System) -> None:
    # Of one user, only some may wait at a time.
    [other, *users] = users_of(system, 6)
    with ThreadPoolExecutor(50) as pool:
        began_s = time.monotonic()
        waiting = [pool.submit(_poll, system, user) for user in users for _ in range(10)]
        eventually(lambda: _all_wait(system, 50), within_s=SOON_S)

        with RemoteApi(system, other) as remote:
            for _ in range(20):
                remote.create()
        assert not [future for future in waiting if future.done()]
        for user in users:
            _create(system, user, 1)
        answers = [future.result(SOON_S) for future in waiting]
        lasted_s = time.monotonic() - began_s

    assert answers == [[2]] * 50
    assert lasted_s < LONG_S


def _poll(system: System, user: SignedIn) -> Sequence[int]:
    with RemoteApi(system, user) as remote:
        answer = remote.request("GET", f"events?since=1&wait={LONG_S}", timeout_s=LONG_S + SOON_S)
        return seqs(answer.json()["items"])


def _all_wait(system: System, count: int) -> None:
    held = sum(sockets_held(worker, system) for worker in api_workers(system))
    assert held >= count


def test_old_sockets_are_sent_away_at_different_times_and_miss_no_message(
    system_of_two: System,
) -> None:
    users = users_of(system_of_two, 20)
    with SocketClients(system_of_two, users) as clients:
        with TaskWriters(system_of_two, users, threads=2, pause_s=0.05):
            clients.wait_until_connected(times=3, within_s=SOON_S)
        newest = newest_of(system_of_two, users)
        clients.wait_for(newest, within_s=SOON_S)
        clients.assert_complete(newest)

    codes = {code for client in clients.all for code in client.close_codes[:-1]}
    away_s = [away for client in clients.all for away in client.away_s]
    assert codes == {CloseCode.SERVICE_RESTART}
    assert max(away_s) < BACK_WITHIN_S
