"""What a process has one of: made once, closed with it, and never used across a fork."""

import os
import pkgutil
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor

import pytest

import taskflow
from taskflow import process
from taskflow.process import Resource, at_start, draining, resource

WAIT_S = 10
THREADS = 8


class Thing:
    """Something that notes what is done to it."""

    def __init__(self, name: str, notes: list[str]) -> None:
        """Note that it was made."""
        self.name = name
        self._notes = notes
        notes.append(f"make {name}")

    def drain(self) -> None:
        """Note it."""
        self._notes.append(f"drain {self.name}")

    def close(self) -> None:
        """Note it."""
        self._notes.append(f"close {self.name}")


@pytest.fixture(autouse=True)
def _own_process() -> Generator[None]:
    with process.begun_anew():
        yield


@pytest.fixture
def notes() -> list[str]:
    """Return the list of calls on the resources of a test."""
    return []


@pytest.fixture
def things(notes: list[str]) -> tuple[Resource[Thing], Resource[Thing]]:
    """Declare two resources."""
    return tuple(
        Resource(lambda name=name: Thing(name, notes), drain=Thing.drain, close=Thing.close)
        for name in ("first", "second")
    )  # pyright: ignore[reportReturnType] - two of them


Things = tuple[Resource[Thing], Resource[Thing]]


def _in_a_child(work: Callable[[], str]) -> str:
    """Return what `work` returns in the child of a fork."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            said = work()
        except BaseException as failed:  # noqa: BLE001 - the parent is to see it
            said = repr(failed)
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


def test_threads_that_ask_at_once_are_given_the_same_thing(notes: list[str]) -> None:
    all_ask = threading.Barrier(THREADS)
    slowly = threading.Event()

    def make() -> Thing:
        slowly.wait(0.05)
        return Thing("one", notes)

    one = Resource(make)

    def ask(_: int) -> Thing:
        all_ask.wait(WAIT_S)
        return one()

    with ThreadPoolExecutor(THREADS) as pool:
        given = set(pool.map(ask, range(THREADS)))

    assert len(given) == 1
    assert notes == ["make one"]


def test_a_resource_that_could_not_be_made_is_made_at_the_next_call() -> None:
    tried: list[int] = []

    @resource()
    def unlucky() -> str:
        tried.append(1)
        if len(tried) == 1:
            raise LookupError
        return "made"

    with pytest.raises(LookupError):
        unlucky()
    assert unlucky.if_made() is None

    assert unlucky() == "made"


def test_a_process_closes_what_it_made_the_latest_first(things: Things, notes: list[str]) -> None:
    first, second = things
    first()
    second()

    process.close()

    assert notes == ["make first", "make second", "close second", "close first"]
    assert first.if_made() is None


def test_a_resource_that_fails_to_close_keeps_none_of_the_others_open(
    things: Things, notes: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise OSError

    @resource(close=fail)
    def stubborn() -> str:
        return "stubborn"

    things[0]()
    stubborn()

    process.close()

    assert notes[-1] == "close first"
    assert "closing stubborn failed" in caplog.text


def test_a_resource_that_needs_no_closing_can_be_used_while_a_process_exits(
    notes: list[str],
) -> None:
    plain = Resource(lambda: Thing("plain", notes))
    made = plain()

    process.close()

    assert plain.if_made() is made


def test_a_resource_made_while_a_process_closes_does_not_keep_it_from_exiting(
    notes: list[str],
) -> None:
    one = Resource(lambda: Thing("one", notes), close=lambda _: one())
    one()

    process.close()

    assert notes == ["make one", "make one"]


def test_a_resource_that_fails_to_drain_keeps_none_of_the_others_from_it(
    things: Things, notes: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise OSError

    stubborn = Resource(lambda: "stubborn", drain=fail)
    things[0]()
    stubborn()

    process.drain()

    assert notes[-1] == "drain first"
    assert "draining <lambda> failed" in caplog.text


def test_draining_reaches_what_was_made_and_makes_nothing(things: Things, notes: list[str]) -> None:
    things[0]()

    process.drain()

    assert notes == ["make first", "drain first"]
    assert draining().is_set()


def test_a_resource_made_while_the_process_drains_is_drained_at_once(
    things: Things, notes: list[str]
) -> None:
    process.drain()

    things[1]()

    assert notes == ["make second", "drain second"]


def test_a_renewed_resource_is_made_anew_and_the_former_one_comes_back(
    things: Things, notes: list[str]
) -> None:
    first, _ = things
    former = first()

    with first.renewed():
        assert first() is not former
    assert first() is former

    assert notes == ["make first", "make first", "close first"]


def test_a_replaced_resource_comes_back_and_its_stand_in_is_not_closed(
    things: Things, notes: list[str]
) -> None:
    first, _ = things
    former, other = first(), Thing("other", notes)

    with first.replaced_by(other):
        assert first() is other
    assert first() is former

    assert "close other" not in notes


def test_the_child_of_a_fork_makes_its_own_and_leaves_the_parents_alone(
    things: Things, notes: list[str]
) -> None:
    first, _ = things
    former = first()

    def work() -> str:
        own = first()
        process.close()
        return f"{own is not former} {notes}"

    assert _in_a_child(work) == f"True {['make first', 'make first', 'close first']}"
    assert first() is former


def test_a_resource_shared_by_forks_is_used_by_the_child_and_closed_by_the_parent() -> None:
    closed: list[str] = []
    shared = Resource(object, close=lambda _: closed.append("closed"), is_shared_by_forks=True)
    ours = shared()

    def work() -> str:
        is_same = shared() is ours
        process.close()
        return f"{is_same} {closed}"

    assert _in_a_child(work) == "True []"


def test_a_lock_that_another_thread_held_at_the_fork_does_not_stop_the_child(
    notes: list[str],
) -> None:
    is_making, may_go_on = threading.Event(), threading.Event()
    parent = os.getpid()

    def make() -> Thing:
        is_making.set()
        if os.getpid() == parent:
            may_go_on.wait(WAIT_S)
        return Thing("slow", notes)

    slow = Resource(make)
    with ThreadPoolExecutor(1) as pool:
        making = pool.submit(slow)
        assert is_making.wait(WAIT_S)
        said = _in_a_child(lambda: slow().name)
        may_go_on.set()
        making.result(WAIT_S)

    assert said == "slow"


def test_a_process_that_drains_forks_children_that_do_not() -> None:
    process.drain()

    assert _in_a_child(lambda: str(draining().is_set())) == "False"


def test_work_at_the_start_is_done_once_in_each_process() -> None:
    done: list[int] = []

    def work() -> None:
        done.append(os.getpid())

    at_start(work)
    at_start(work)
    try:
        assert done == [os.getpid()]
        assert _in_a_child(lambda: str(done[1:] == [os.getpid()])) == "True"
    finally:
        process._at_start.remove(work)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - only processes end


def test_a_process_that_exits_closes_what_it_made() -> None:
    code = (
        "from taskflow.process import resource\n"
        "@resource(close=lambda thing: print('closed', thing))\n"
        "def thing(): return 'it'\n"
        "thing()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "closed it\n"


def test_a_process_that_is_ended_closes_what_it_made_and_frees_nothing() -> None:
    code = (
        "from taskflow import process\n"
        "class Thing:\n"
        "    def __del__(self): print('freed')\n"
        "thing = process.Resource(Thing, close=lambda _: print('closed'))\n"
        "kept = thing()\n"
        "process.end(3)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (3, "closed\n", "")


def test_an_import_makes_nothing_and_starts_nothing() -> None:
    modules = [
        found.name
        for found in pkgutil.walk_packages(taskflow.__path__, "taskflow.")
        # Those that are run, and the server that patches what it imports.
        if not found.name.endswith((".__main__", ".standalone.web", ".migrations.env"))
        and ".migrations.versions." not in found.name
    ]
    code = (
        "import importlib, threading\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        "from taskflow import process\n"
        "print([each.__name__ for each in process._made], threading.active_count())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert len(modules) > 50
    assert done.stdout == "[] 1\n"
