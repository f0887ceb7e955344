"""The timer: at the start and at the full minutes, each cron function gets its tick."""

import threading
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from taskflow import clock
from taskflow.domain.events import Cause
from taskflow.eventing import cron_function
from taskflow.eventing.bindings.knative import RETRIES
from taskflow.eventing.cron import CronFunction
from taskflow.eventing.frame import declaration_in
from taskflow.standalone.sender import Sender
from taskflow.standalone.timer import Timer
from tests.support.delivery.scripted_subscriber import NO_CONTENT, Delivered, ScriptedSubscriber
from tests.support.polling import eventually

SOON_S = 15
JUST_BEFORE = timedelta(seconds=-0.3)

ClockAt = Callable[[datetime], None]


def every_minute(cause: Cause) -> None:
    raise NotImplementedError


def every_five_minutes(cause: Cause) -> None:
    raise NotImplementedError


def every_hour(cause: Cause) -> None:
    raise NotImplementedError


def _declared(every_min: int, handler: Callable[[Cause], None]) -> CronFunction:
    declaration = declaration_in(cron_function(every_min=every_min)(handler))
    assert isinstance(declaration, CronFunction)
    return declaration


CRONS = [_declared(1, every_minute), _declared(5, every_five_minutes), _declared(60, every_hour)]


@pytest.fixture
def clock_at(monkeypatch: pytest.MonkeyPatch) -> ClockAt:
    """Return a function that sets the clock, which then goes on."""

    def set_to(at: datetime) -> None:
        started_s = clock.monotonic_s()
        monkeypatch.setattr(
            clock, "now", lambda: at + timedelta(seconds=clock.monotonic_s() - started_s)
        )

    return set_to


@pytest.fixture(autouse=True)
def _early_in_a_minute(clock_at: ClockAt) -> None:
    """Set the clock to a moment from which no minute ends while a test lasts."""
    clock_at(datetime(2026, 3, 1, 12, 1, 1, tzinfo=UTC))


@contextmanager
def ticking(socket: Path) -> Generator[None]:
    timer = Timer(CRONS, Sender(socket))
    thread = threading.Thread(target=timer.run)
    thread.start()
    try:
        yield
    finally:
        timer.stop()
        thread.join(timeout=SOON_S)
        assert not thread.is_alive()


def ticked(subscriber: ScriptedSubscriber, times: dict[str, int]) -> Callable[[], None]:
    """Return a check that the functions got just so many ticks."""

    def check() -> None:
        assert {cron.name: len(subscriber.received(cron.name)) for cron in CRONS} == times

    return check


@pytest.mark.parametrize(
    ("minute", "times"),
    [
        (datetime(2026, 3, 1, 12, 5, tzinfo=UTC), {"every-five-minutes": 2, "every-hour": 1}),
        (datetime(2026, 3, 1, 13, 0, tzinfo=UTC), {"every-five-minutes": 2, "every-hour": 2}),
        (datetime(2026, 3, 1, 12, 6, tzinfo=UTC), {"every-five-minutes": 1, "every-hour": 1}),
    ],
    ids=["five past", "the hour", "six past"],
)
def test_each_function_is_woken_at_the_start_and_at_its_minutes(
    served: Path,
    subscriber: ScriptedSubscriber,
    clock_at: ClockAt,
    minute: datetime,
    times: dict[str, int],
) -> None:
    clock_at(minute + JUST_BEFORE)

    with ticking(served):
        eventually(lambda: _reached(minute), within_s=SOON_S)
        eventually(ticked(subscriber, {**times, "every-minute": 2}), within_s=SOON_S)


def _reached(minute: datetime) -> None:
    assert clock.now() > minute + timedelta(seconds=0.2)


def test_a_tick_is_a_cloud_event_without_a_body(
    served: Path, subscriber: ScriptedSubscriber
) -> None:
    """PingSource: the source is /apis/v1/namespaces/<namespace>/pingsources/<name>."""
    with ticking(served):
        eventually(lambda: _has_all(subscriber), within_s=SOON_S)

    for cron in CRONS:
        [tick] = subscriber.received(cron.name)
        assert tick.body == b""
        assert tick.attributes["specversion"] == "1.0"
        assert tick.attributes["type"] == "dev.knative.sources.ping"
        source = f"/apis/v1/namespaces/taskflow/pingsources/{cron.name}"
        assert tick.attributes["source"] == source
        assert uuid.UUID(tick.attributes["id"])


def _has_all(subscriber: ScriptedSubscriber) -> None:
    assert all(subscriber.received(cron.name) for cron in CRONS)


@pytest.mark.usefixtures("short_waits")
def test_a_tick_that_is_not_taken_is_sent_again_a_few_times(
    served: Path, subscriber: ScriptedSubscriber
) -> None:
    def script(delivered: Delivered) -> tuple[int, str]:
        if delivered.subscriber == "every-hour":
            return 503, "never"
        if delivered.subscriber == "every-minute":
            return NO_CONTENT
        tried = len(subscriber.received("every-five-minutes"))
        return NO_CONTENT if tried == 3 else (503, "not now")

    subscriber.script = script

    with ticking(served):
        times = {"every-minute": 1, "every-five-minutes": 3, "every-hour": RETRIES}
        eventually(ticked(subscriber, times), within_s=SOON_S)


def test_a_function_that_hangs_holds_up_no_other_and_not_the_end(
    served: Path, subscriber: ScriptedSubscriber
) -> None:
    released = threading.Event()

    def script(delivered: Delivered) -> tuple[int, str]:
        if delivered.subscriber == "every-hour":
            released.wait(SOON_S)
        return NO_CONTENT

    subscriber.script = script

    with ticking(served):
        eventually(lambda: _has_all(subscriber), within_s=SOON_S)
    released.set()
