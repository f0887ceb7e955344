"""Health and metrics: cheap to ask for, and the metrics only with their token (D7, S5)."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from taskflow import clock
from taskflow.process import draining
from taskflow.serving import health
from taskflow.serving.health import CACHED_FOR_S, Cached
from tests.support.database.connection import NOWHERE, database_at
from tests.support.functions.client import Api, content
from tests.support.functions.problems import assert_refused
from tests.support.settings import changed_settings

pytestmark = pytest.mark.usefixtures("database")

A_TOKEN = "a token of the metrics"


@pytest.fixture
def at_s(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that sets the monotonic clock."""
    return lambda now_s: monkeypatch.setattr(clock, "monotonic_s", lambda: now_s)


def test_a_health_check_runs_once_a_second_however_often_it_is_asked_for(
    at_s: Callable[[float], None],
) -> None:
    looks: list[int] = []

    def look() -> int:
        looks.append(0)
        return len(looks)

    cached = Cached(look)
    found: list[int] = []
    for at in (0.0, CACHED_FOR_S / 2, CACHED_FOR_S, 1.5 * CACHED_FOR_S, 2 * CACHED_FOR_S):
        at_s(1_000 + at)
        found += [cached.get() for _ in range(100)]

    assert found == [1] * 200 + [2] * 200 + [3] * 100


def test_requests_during_a_health_check_wait_for_its_result() -> None:
    looks: list[int] = []
    asking = threading.Semaphore(0)
    go_on = threading.Event()

    def look() -> int:
        looks.append(0)
        go_on.wait(10)
        return len(looks)

    cached = Cached(look)

    def ask() -> int:
        asking.release()
        return cached.get()

    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(ask) for _ in range(20)]
        for _ in answers:
            assert asking.acquire(timeout=10)
        go_on.set()

        assert [answer.result(10) for answer in answers] == [1] * 20


def test_a_health_check_that_fails_is_not_kept() -> None:
    divisors = [0, 1]
    cached = Cached(lambda: 7 // divisors.pop(0))

    with pytest.raises(ZeroDivisionError):
        cached.get()

    assert cached.get() == 7


def test_without_its_database_a_function_is_live_and_ready_and_not_healthy() -> None:
    paths = ("/health/liveness", "/health/readiness", "/health")
    with database_at(NOWHERE), health.database.renewed():
        answers = [Api().get(path) for path in paths]

    assert [answer.status_code for answer in answers] == [200, 200, 503]
    assert content(answers[2]) == {
        "status": "unavailable",
        "parts": {"database": "unreachable"},
    }


def test_a_process_that_is_to_end_is_live_and_not_ready() -> None:
    is_to_end = threading.Event()
    is_to_end.set()
    with draining.replaced_by(is_to_end):
        statuses = [
            Api().get(path).status_code for path in ("/health/liveness", "/health/readiness")
        ]

    assert statuses == [200, 503]


@pytest.mark.parametrize("environment", ["local", "test", "production"])
def test_the_metrics_are_shown_to_holders_of_their_token_alone(environment: str) -> None:
    with changed_settings(environment=environment, metrics_token=A_TOKEN):
        right = [
            Api().get("/metrics", headers={"Authorization": f"{scheme} {A_TOKEN}"})
            for scheme in ("Bearer", "bearer")
        ]
        wrong = [
            Api().get("/metrics", headers={"Authorization": given})
            for given in ("", "Bearer", "Bearer \xe4", f"Basic {A_TOKEN}", f"Bearer {A_TOKEN}x")
        ]

    for answer in right:
        assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    for answer in wrong:
        assert_refused(answer, 401, "no-token")


def test_metrics_without_a_configured_token_are_hidden_in_production() -> None:
    with changed_settings(environment="production"):
        assert_refused(Api().get("/metrics"), 404, "no-metrics")
        assert Api().get("/health").status_code == 200
