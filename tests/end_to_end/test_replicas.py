"""Several server processes: each event reaches every socket, whoever stops or rotates (L4, L5, L7)."""

import random
import signal
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psutil
import pytest

from taskflow.push.connection import CloseCode
from tests.support.accounts import SignedIn, a_user
from tests.support.attached import attached_to
from tests.support.eventually import eventually
from tests.support.ordeal import JWT_SECRET
from tests.support.remote import Remote
from tests.support.roles import api_workers, wait_for
from tests.support.sockets import following, heard_up_to, seqs
from tests.support.system import System
from tests.support.watchers import Watchers
from tests.support.writers import Writers

SOON_S = 30
BACK_WITHIN_S = 5
LONG_S = 50
START_TIMES = Callable[..., System]


@pytest.fixture(scope="module", params=[2, 4], ids=lambda count: f"{count} workers")
def workers(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(scope="module")
def system(workers: int, tmp_path_factory: pytest.TempPathFactory) -> Generator[System]:
    running = System(
        tmp_path_factory.mktemp("system") / "data",
        WEB_CONCURRENCY=str(workers),
        JWT_SECRET=JWT_SECRET,
    )
    running.start()
    yield running
    running.stop()


def users_of(system: System, count: int) -> Sequence[SignedIn]:
    with attached_to(system):
        return [a_user() for _ in range(count)]


def newest_of(system: System, users: Sequence[SignedIn]) -> dict[str, int]:
    newest: dict[str, int] = {}
    for user in users:
        with Remote(system, user) as remote:
            newest[user.user_id] = remote.request("GET", "events").json()["seq"]
    return newest


def sockets_held(worker: psutil.Process, system: System) -> int:
    """Return how many connections of clients a worker holds."""
    return sum(
        one.status == psutil.CONN_ESTABLISHED and one.laddr.port == system.port
        for one in worker.net_connections("tcp")
    )


def test_a_users_sockets_on_all_workers_hear_everything_in_order(
    system: System, workers: int
) -> None:
    [user] = users_of(system, 1)
    with ExitStack() as stack:
        opened = [stack.enter_context(following(system, user)) for _ in range(8 * workers)]
        spread = [sockets_held(worker, system) for worker in wait_for(api_workers, system)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: _create(system, user, 10), range(4)))

        found = [heard_up_to(socket, 41, within_s=SOON_S) for socket in opened]

    assert len(spread) == workers
    assert sum(held > 0 for held in spread) > 1, f"all sockets are on one worker: {spread}"
    assert seqs(found[0]) == list(range(2, 42))
    assert all(messages == found[0] for messages in found)


def _create(system: System, user: SignedIn, count: int) -> None:
    with Remote(system, user) as remote:
        for _ in range(count):
            remote.create()


def test_when_a_worker_stops_its_clients_are_back_soon_and_miss_nothing(system: System) -> None:
    users = users_of(system, 20)
    with Watchers(system, users) as watchers:
        watchers.wait_until_connected(within_s=SOON_S)
        with Writers(system, users, threads=4, pause_s=0.02) as writers:
            for _ in range(2):
                before = wait_for(api_workers, system)
                victim = random.choice(before)
                victim.send_signal(signal.SIGTERM)
                eventually(lambda victim=victim: _gone(victim), within_s=SOON_S)
        newest = newest_of(system, users)
        watchers.wait_for(newest, within_s=SOON_S)
        watchers.assert_complete(newest)

    assert set(writers.outcomes) == {"201"}, "a request was cut off"
    away_s = [away for watcher in watchers.all for away in watcher.away_s]
    codes = {code for watcher in watchers.all for code in watcher.close_codes[:-1]}
    assert away_s
    assert max(away_s) < BACK_WITHIN_S
    assert codes == {CloseCode.SERVICE_RESTART}


def _gone(victim: psutil.Process) -> None:
    assert not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE


def test_those_who_long_poll_hold_up_nobody(system: System) -> None:
    [user, other] = users_of(system, 2)
    with ThreadPoolExecutor(50) as pool:
        began_s = time.monotonic()
        waiting = [pool.submit(_poll, system, user) for _ in range(50)]
        eventually(lambda: _all_wait(system, 50), within_s=SOON_S)

        with Remote(system, other) as remote:
            for _ in range(20):
                remote.create()
        assert not [future for future in waiting if future.done()]
        _create(system, user, 1)
        answers = [future.result(SOON_S) for future in waiting]
        lasted_s = time.monotonic() - began_s

    assert answers == [[2]] * 50
    assert lasted_s < LONG_S


def _poll(system: System, user: SignedIn) -> Sequence[int]:
    with Remote(system, user) as remote:
        answer = remote.request("GET", f"events?since=1&wait={LONG_S}", timeout_s=LONG_S + SOON_S)
        return seqs(answer.json()["items"])


def _all_wait(system: System, count: int) -> None:
    held = sum(sockets_held(worker, system) for worker in api_workers(system))
    assert held >= count


@pytest.fixture
def rotating(tmp_path_factory: pytest.TempPathFactory) -> Generator[System]:
    running = System(
        tmp_path_factory.mktemp("rotating") / "data",
        WEB_CONCURRENCY="2",
        SOCKET_LIFETIME_S="3",
        JWT_SECRET=JWT_SECRET,
    )
    running.start()
    yield running
    running.stop()


def test_sockets_are_sent_away_in_time_spread_out_and_miss_nothing(rotating: System) -> None:
    users = users_of(rotating, 20)
    with Watchers(rotating, users) as watchers:
        with Writers(rotating, users, threads=2, pause_s=0.05):
            watchers.wait_until_connected(times=3, within_s=SOON_S)
        newest = newest_of(rotating, users)
        watchers.wait_for(newest, within_s=SOON_S)
        watchers.assert_complete(newest)

    codes = {code for watcher in watchers.all for code in watcher.close_codes[:-1]}
    away_s = [away for watcher in watchers.all for away in watcher.away_s]
    assert codes == {CloseCode.SERVICE_RESTART}
    assert max(away_s) < BACK_WITHIN_S
    assert threading.active_count() < 100
