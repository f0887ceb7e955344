"""Turns: the requests of one user do not keep a process from those of others (A14)."""

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from taskflow import clock
from taskflow.serving import turns as module
from taskflow.serving.turns import (
    CPU_BURST_S,
    CPU_SHARE,
    OTHERS_WITHIN_S,
    OWED_MAX_S,
    REQUEST_S,
    NoTurn,
    Pacing,
    Turn,
    Turns,
)
from tests.support.polling import eventually

ADA, BOB = "ada", "bob"
USED_S = 0.01


@dataclass
class Time:
    """A clock that sleeping sets forward, and what was slept."""

    now_s: float = 1_000.0
    slept_s: float = 0.0

    def sleep(self, seconds: float) -> None:
        """Set it forward."""
        self.now_s += seconds
        self.slept_s += seconds


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Time:
    """Return the time that the turns see."""
    at = Time()
    monkeypatch.setattr(clock, "monotonic_s", lambda: at.now_s)
    monkeypatch.setattr(time, "sleep", at.sleep)
    return at


def _work(turns: Turns, name: str, times: int, used_s: float = USED_S) -> None:
    for _ in range(times):
        turns.take(name)
        turns.give_back(name, used_s)


def _check(is_so: Callable[[], bool]) -> None:
    assert is_so()


def test_turns_come_in_the_order_of_asking_and_a_full_queue_refuses_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 2)
    turns = Turns(lambda: 1)
    done: list[int] = []
    may_end = threading.Event()

    def wait(number: int) -> None:
        turns.take(ADA)
        may_end.wait(10)
        done.append(number)
        turns.give_back(ADA, 0)

    with ThreadPoolExecutor(3) as threads:
        for number in range(3):
            threads.submit(wait, number)
            eventually(lambda: _check(lambda: turns.active_keys == {ADA}))
            eventually(lambda n=number: _check(lambda: turns.waiting(ADA) == n))
        with pytest.raises(NoTurn):
            turns.take(ADA)
        _work(turns, BOB, 1)
        may_end.set()

    assert done == [0, 1, 2]
    assert (turns.active_keys, turns.waiting(ADA)) == (set(), 0)


def test_a_request_that_waited_in_vain_leaves_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.01)
    turns = Turns(lambda: 1)
    turns.take(ADA)

    with pytest.raises(NoTurn):
        turns.take(ADA)

    assert turns.waiting(ADA) == 0
    turns.give_back(ADA, 0)
    _work(turns, ADA, 1)
    assert turns.active_keys == set()


def test_a_heavy_user_alone_is_not_slowed_down(simulated: Time) -> None:
    turns = Turns(lambda: 3, Pacing())

    _work(turns, ADA, 1000)

    assert simulated.slept_s == 0


def test_a_heavy_user_gets_their_share_of_the_cpu_while_others_come(simulated: Time) -> None:
    turns, times = Turns(lambda: 3, Pacing()), 1000
    began_s = simulated.now_s

    for _ in range(times):
        _work(turns, BOB, 1, 0)
        _work(turns, ADA, 1)

    used_s = times * (USED_S + REQUEST_S) - CPU_BURST_S
    assert used_s / (simulated.now_s - began_s) == pytest.approx(CPU_SHARE, rel=0.02)


def test_a_heavy_user_goes_on_at_once_for_a_while_after_a_pause(simulated: Time) -> None:
    turns = Turns(lambda: 3, Pacing())
    at_once = int(CPU_BURST_S / (USED_S + REQUEST_S))
    for _ in range(5):
        _work(turns, BOB, 1, 0)
        _work(turns, ADA, at_once)
        assert simulated.slept_s == 0
        simulated.now_s += CPU_BURST_S / CPU_SHARE


def test_a_light_user_never_waits_beside_a_heavy_user(simulated: Time) -> None:
    turns, slept_s = Turns(lambda: 3, Pacing()), 0.0

    for _ in range(1000):
        _work(turns, ADA, 1, 0.1)
        before_s = simulated.slept_s
        # Twenty of these a second are below the share.
        _work(turns, BOB, 1)
        slept_s += simulated.slept_s - before_s

    assert slept_s == 0


def test_a_heavy_user_is_not_slowed_down_once_the_others_have_gone(simulated: Time) -> None:
    turns = Turns(lambda: 3, Pacing())
    _work(turns, BOB, 1, 0)
    _work(turns, ADA, 1, 10)

    simulated.now_s += OTHERS_WITHIN_S * 1.01
    _work(turns, ADA, 1)

    assert simulated.slept_s == 0


def test_the_wait_of_a_heavy_user_is_bounded_whatever_they_have_used(simulated: Time) -> None:
    turns = Turns(lambda: 3, Pacing())
    _work(turns, ADA, 1, math.inf)
    _work(turns, BOB, 1, 0)

    _work(turns, ADA, 1)

    assert simulated.slept_s == pytest.approx(OWED_MAX_S)


def test_a_heavy_user_gets_one_turn_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.01)
    turns = Turns(lambda: 3, Pacing())
    _work(turns, ADA, 1, 0)
    _work(turns, BOB, 1, 10)
    turns.take(ADA)
    turns.take(BOB)

    with pytest.raises(NoTurn):
        turns.take(BOB)
    turns.take(ADA)


def test_all_processes_know_that_other_users_have_come(simulated: Time) -> None:
    pacing = Pacing()
    here, there = Turns(lambda: 3, pacing), Turns(lambda: 3, pacing)
    _work(there, BOB, 1)

    _work(here, ADA, 100)

    assert simulated.slept_s > 0


def test_users_who_owe_no_time_are_forgotten(simulated: Time) -> None:
    turns = Turns(lambda: 3, Pacing())
    for number in range(5000):
        _work(turns, str(number), 1, 0)
        simulated.now_s += 1

    assert len(turns._queues) <= module._QUEUES_MAX  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - nothing else tells


def test_a_turn_that_is_set_aside_is_free_for_another_request_meanwhile() -> None:
    turns = Turns(lambda: 1)
    one, another = Turn(turns, ADA), Turn(turns, ADA)
    one.take()

    with one.set_aside():
        another.take()
        another.give_back()

    assert one.is_taken
    assert turns.active_keys == {ADA}
    one.give_back()
    assert turns.active_keys == set()
