"""CPU time is counted for the greenlet that uses it, whatever other greenlets do meanwhile."""

# gevent has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import threading
import time

import gevent
import gevent.event
import greenlet

from taskflow.server.greenlets import Greenlets

BUSY_S = 0.05


def _burn(seconds: float) -> None:
    until_s = time.thread_time() + seconds
    while time.thread_time() < until_s:
        pass


def _used_by_each() -> tuple[float, float]:
    """Have one greenlet wait while another works; return what each has used."""
    greenlets = Greenlets()
    used: dict[str, float] = {}
    has_worked = gevent.event.Event()

    def wait() -> None:
        before_s = greenlets.cpu_s()
        has_worked.wait()
        used["waits"] = greenlets.cpu_s() - before_s

    def work() -> None:
        before_s = greenlets.cpu_s()
        _burn(BUSY_S)
        gevent.sleep(0)
        _burn(BUSY_S)
        used["works"] = greenlets.cpu_s() - before_s
        has_worked.set()

    gevent.joinall([gevent.spawn(wait), gevent.spawn(work)], raise_error=True)
    greenlet.settrace(None)
    return used["waits"], used["works"]


def test_a_waiting_greenlet_is_not_charged_for_a_working_one() -> None:
    found: list[tuple[float, float]] = []
    # Of its own thread, for the trace is one of a thread.
    thread = threading.Thread(target=lambda: found.append(_used_by_each()))
    thread.start()
    thread.join()

    [(waits_s, works_s)] = found
    assert works_s >= 2 * BUSY_S
    assert waits_s < BUSY_S / 2
