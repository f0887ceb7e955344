"""Cron functions: what a tick says does not matter, and a run ends in time."""

import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor

import pytest

from taskflow import clock, process
from taskflow.domain.events import Cause
from taskflow.eventing.cron import CronFunction, CronRun, commit_listener

SOON_S = 10
VERY_LONG_S = 1_000_000.0


@pytest.fixture(autouse=True)
def _own_process() -> Generator[None]:
    # The process of the tests goes on after one that drains it.
    with process.begun_anew():
        yield


@pytest.fixture
def set_monotonic_s(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    return lambda at_s: monkeypatch.setattr(clock, "monotonic_s", lambda: at_s)


def test_a_run_ends_with_its_time(set_monotonic_s: Callable[[float], None]) -> None:
    set_monotonic_s(1000)
    cron_run = CronRun(75)

    over: list[bool] = []
    for at_s in (1000, 1074.9, 1075, 2000):
        set_monotonic_s(at_s)
        over.append(cron_run.is_over())

    assert over == [False, False, True, True]


def test_a_run_of_no_time_is_over_at_once() -> None:
    assert CronRun(0).is_over()


def test_an_ending_process_ends_its_runs_and_those_to_come() -> None:
    cron_runs = [CronRun(VERY_LONG_S), CronRun(VERY_LONG_S)]
    before = [cron_run.is_over() for cron_run in cron_runs]

    process.drain()

    after = [cron_run.is_over() for cron_run in (*cron_runs, CronRun(VERY_LONG_S))]
    assert (before, after) == ([False, False], [True, True, True])


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_rest_of_no_time_returns_at_once(seconds: float) -> None:
    CronRun(VERY_LONG_S).rest(seconds)


def test_a_rest_until_a_commit_ends_with_the_commit_even_an_earlier_one() -> None:
    notify = commit_listener()
    early, late = CronRun(VERY_LONG_S), CronRun(VERY_LONG_S)
    notify({"somebody": 1})

    early.rest_until_commit(0.0, VERY_LONG_S)

    with ThreadPoolExecutor(2) as pool:
        resting = pool.submit(early.rest_until_commit, 0.0, VERY_LONG_S)
        late.rest_until_commit(0.0, VERY_LONG_S)
        assert not resting.done()
        notify({"somebody": 2})
        resting.result(SOON_S)


def test_a_rest_without_commit_notifications_lasts_its_whole_time() -> None:
    CronRun(VERY_LONG_S).rest_until_commit(0.0, VERY_LONG_S)


def test_the_end_of_a_process_ends_a_rest_until_a_commit() -> None:
    commit_listener()
    cron_run = CronRun(VERY_LONG_S)

    with ThreadPoolExecutor(1) as pool:
        resting = pool.submit(cron_run.rest_until_commit, 0.0, VERY_LONG_S)
        process.drain()
        resting.result(SOON_S)


def test_a_rest_does_not_last_beyond_the_run(set_monotonic_s: Callable[[float], None]) -> None:
    set_monotonic_s(1000)
    cron_run = CronRun(75)
    set_monotonic_s(1075)

    cron_run.rest(VERY_LONG_S)

    assert cron_run.is_over()


def test_the_end_of_a_process_wakes_a_resting_run() -> None:
    cron_run, resting = CronRun(VERY_LONG_S), threading.Event()

    def rest() -> None:
        resting.set()
        cron_run.rest(VERY_LONG_S)

    with ThreadPoolExecutor(1) as pool:
        rested = pool.submit(rest)
        assert resting.wait(SOON_S)
        process.drain()
        rested.result(SOON_S)

    assert cron_run.is_over()


@pytest.mark.parametrize(
    ("attributes", "correlation_id"),
    [
        ({"id": "7", "type": "dev.knative.sources.ping"}, "7"),
        ({"id": "x" * 200}, "x" * 100),
        ({}, "tick"),
    ],
)
def test_the_events_of_a_run_are_caused_by_its_tick(
    attributes: dict[str, str], correlation_id: str
) -> None:
    causes: list[Cause] = []
    function = CronFunction(_handler_into(causes), 1, sends=False, scale="alone")

    said = function.receive(attributes, b"whatever the tick says")

    [cause] = causes
    assert said == "done"
    assert (cause.correlation_id, cause.traceparent) == (correlation_id, "")
    assert (cause.actor, cause.origin) == (function.name, "cron")


def _handler_into(causes: list[Cause]) -> Callable[[Cause], None]:
    def a_cron_function(cause: Cause) -> None:
        causes.append(cause)

    return a_cron_function
