"""Rate limits: a burst, then a steady rate, each key on its own (S5)."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskflow import clock
from taskflow.serving import limits
from taskflow.serving.limits import PROBES, RateLimiter


@pytest.fixture
def at_s(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the monotonic clock, and return a function that sets it."""

    def set_to(now_s: float) -> None:
        monkeypatch.setattr(clock, "monotonic_s", lambda: now_s)

    set_to(1_000)
    return set_to


def _passed(limiter: RateLimiter, key: str, times: int) -> int:
    return [limiter.wait_s(key) for _ in range(times)].count(0)


@pytest.mark.usefixtures("at_s")
@pytest.mark.parametrize("burst", [1, 2, 7, 1000])
def test_a_burst_of_requests_passes_at_once_and_the_next_request_is_refused(burst: int) -> None:
    limiter = RateLimiter(rate_per_s=100, burst=burst)

    assert _passed(limiter, "somebody", burst + 50) == burst


@pytest.mark.usefixtures("at_s")
def test_an_uncounted_request_uses_up_nothing() -> None:
    limiter = RateLimiter(rate_per_s=1, burst=3)

    assert [limiter.wait_s("somebody", count=False) for _ in range(10)] == [0] * 10
    assert _passed(limiter, "somebody", 10) == 3
    assert limiter.wait_s("somebody", count=False) == 1


def test_after_the_burst_requests_pass_at_the_rate(at_s: Callable[[float], None]) -> None:
    limiter = RateLimiter(rate_per_s=10, burst=5)
    _passed(limiter, "somebody", 5)

    passed = 0
    for step in range(1, 1001):
        at_s(1_000 + step / 100)
        passed += _passed(limiter, "somebody", 3)

    assert passed == 100


def test_a_pause_gives_back_one_burst_and_no_more(at_s: Callable[[float], None]) -> None:
    limiter = RateLimiter(rate_per_s=1, burst=5)
    _passed(limiter, "somebody", 5)

    at_s(1_002)
    after_two_seconds = _passed(limiter, "somebody", 10)
    at_s(100_000)
    after_a_day = _passed(limiter, "somebody", 10)

    assert (after_two_seconds, after_a_day) == (2, 5)


def test_a_refused_request_is_told_how_long_to_wait(at_s: Callable[[float], None]) -> None:
    limiter = RateLimiter(rate_per_s=1 / 60, burst=1)
    limiter.wait_s("somebody")

    assert limiter.wait_s("somebody") == 60
    at_s(1_030.5)
    assert limiter.wait_s("somebody") == 30
    at_s(1_059.9)
    assert limiter.wait_s("somebody") == 1
    at_s(1_060)
    assert limiter.wait_s("somebody") == 0


@pytest.mark.usefixtures("at_s")
def test_a_refused_request_uses_up_nothing() -> None:
    limiter = RateLimiter(rate_per_s=1, burst=1)
    limiter.wait_s("somebody")

    assert {limiter.wait_s("somebody") for _ in range(1000)} == {1}


@pytest.mark.usefixtures("at_s")
def test_requests_of_one_key_do_not_count_for_another() -> None:
    limiter = RateLimiter(rate_per_s=1, burst=3)

    for number in range(500):
        assert _passed(limiter, f"user {number}", 5) == 3


@pytest.mark.usefixtures("at_s")
@pytest.mark.parametrize("key", ["", "ü🦉", "a\0b", "x" * 10_000, "::1"])
def test_a_key_is_any_text(key: str) -> None:
    limiter = RateLimiter(rate_per_s=1, burst=2)

    assert _passed(limiter, key, 5) == 2


@pytest.mark.usefixtures("at_s")
def test_a_rate_of_zero_is_no_limit() -> None:
    limiter = RateLimiter(rate_per_s=0, burst=1)

    assert _passed(limiter, "somebody", 100) == 100


def test_the_most_idle_key_gives_way_when_there_are_too_many_keys(
    at_s: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SLOTS", PROBES)
    limiter = RateLimiter(rate_per_s=1, burst=2)
    for number in range(PROBES):
        at_s(1_000 + number / 10)
        limiter.wait_s(f"user {number}")

    limiter.wait_s("one too many")

    assert _passed(limiter, "one too many", 5) == 1, "its own count is kept"
    assert _passed(limiter, f"user {PROBES - 1}", 5) == 1, "so is that of the busiest"


@pytest.mark.usefixtures("at_s")
def test_many_keys_never_lock_out_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SLOTS", 16)
    limiter = RateLimiter(rate_per_s=1, burst=1)

    assert all(limiter.wait_s(f"user {number}") == 0 for number in range(1000))


def test_threads_count_together() -> None:
    limiter = RateLimiter(rate_per_s=0.001, burst=100)

    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(limiter.wait_s, ["somebody"] * 400))

    # Two in one instant may count once.
    assert 100 <= waits.count(0) <= 110


def test_processes_forked_later_count_together() -> None:
    limiter = RateLimiter(rate_per_s=0.001, burst=10)

    child = os.fork()
    if child == 0:
        _passed(limiter, "somebody", 6)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)

    assert _passed(limiter, "somebody", 20) == 4


@settings(max_examples=30)
@given(
    st.integers(1, 20),
    st.integers(1, 20),
    st.lists(st.floats(0, 3), min_size=1, max_size=60),
)
def test_no_interval_passes_more_requests_than_burst_and_rate_allow(
    rate: int, burst: int, pauses: list[float]
) -> None:
    limiter = RateLimiter(rate_per_s=rate, burst=burst)
    passed: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        now_s = 1_000.0
        for pause in pauses:
            now_s += pause / 10
            patch.setattr(clock, "monotonic_s", lambda at=now_s: at)
            if limiter.wait_s("somebody") == 0:
                passed.append(now_s)

    for first, start_s in enumerate(passed):
        for last in range(first, len(passed)):
            allowed = burst + (passed[last] - start_s) * rate
            assert last - first + 1 <= allowed + 1e-6
