"""What a process has one of: made at its first use, closed at its end, never used across a fork.

A module declares each such thing as a Resource, by a function that makes it, and calls that for it:

    @resource(close=Engine.dispose)
    def engine() -> Engine: ...

So nothing is made at import. A child of a fork begins without the resources of its parent, except
for those that are there to be shared by both, and makes its own.
"""

import atexit
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import update_wrapper
from typing import Any, Final, Generic, NoReturn, Protocol, TypeVar, overload

T = TypeVar("T")

_log = logging.getLogger(__name__)


class _NotMade:
    pass


_NOT_MADE: Final = _NotMade()


class Resource(Generic[T]):
    """What each process has one of; the first call in a process makes it, every call returns it."""

    def __init__(
        self,
        make: Callable[[], T],
        *,
        drain: Callable[[T], object] | None = None,
        close: Callable[[T], object] | None = None,
        is_shared_by_forks: bool = False,
    ) -> None:
        """Declare a resource by the function that makes it.

        `drain` has the resource finish what it has begun, and must return at once; `close` ends it.
        With `is_shared_by_forks`, the child of a fork goes on with the parent's, for values and for
        memory that both share.
        """
        update_wrapper(self, make)
        self.__name__: str = make.__name__
        self._make = make
        self._drain = drain
        self._close = close
        self.is_shared_by_forks = is_shared_by_forks
        self._thing: T | _NotMade = _NOT_MADE

    def __call__(self) -> T:
        """Return this process's; raise what making it raises, and make it at the next call."""
        thing = self._thing
        if isinstance(thing, _NotMade):
            with _lock:
                thing = self._thing
                if isinstance(thing, _NotMade):
                    thing = self._make()
                    self._keep(thing)
        return thing

    def if_made(self) -> T | None:
        """Return this process's, or None if it has not been made."""
        thing = self._thing
        return None if isinstance(thing, _NotMade) else thing

    def set(self, thing: T) -> None:
        """Make this thing the process's. What was made before is not closed."""
        with _lock:
            self._keep(thing)

    @contextmanager
    def replaced_by(self, thing: T) -> Generator[T]:
        """Make this thing the process's for the length of the block, and do not close it."""
        with self._set_aside():
            self.set(thing)
            yield thing

    @contextmanager
    def renewed(self) -> Generator[None]:
        """Begin the block without one; close what is made in it, and then use the former again."""
        with self._set_aside():
            try:
                yield
            finally:
                self.close()

    def drain(self) -> None:
        """Have what was made finish what it has begun; an error is logged."""
        thing = self._thing
        if self._drain is not None and not isinstance(thing, _NotMade):
            with _logged(f"draining {self.__name__} failed"):
                self._drain(thing)

    @property
    def is_closed_at_exit(self) -> bool:
        """Whether it holds what is to be closed; what does not stays until the process has gone."""
        return self._close is not None

    def close(self) -> None:
        """Close what was made; the next call makes it anew."""
        with _lock:
            thing, self._thing = self._thing, _NOT_MADE
        if self._close is not None and not isinstance(thing, _NotMade):
            self._close(thing)

    def forget(self) -> object:
        """Return what was made and forget it, without closing it; in the child of a fork."""
        if self.is_shared_by_forks:
            return None
        thing, self._thing = self._thing, _NOT_MADE
        return thing

    def _keep(self, thing: T) -> None:
        self._thing = thing
        # Last of all, although made before: closing goes backwards.
        if self in _made:
            _made.remove(self)
        _made.append(self)
        if self is not draining and draining().is_set():
            self.drain()

    @contextmanager
    def _set_aside(self) -> Generator[None]:
        with _lock:
            former, self._thing = self._thing, _NOT_MADE
        try:
            yield
        finally:
            with _lock:
                self._thing = former


@overload
def resource(*, is_shared_by_forks: bool = False) -> Callable[[Callable[[], T]], Resource[T]]: ...
@overload
def resource(
    *, drain: Callable[[T], object], close: Callable[[T], object] | None = None
) -> Callable[[Callable[[], T]], Resource[T]]: ...
@overload
def resource(*, close: Callable[[T], object]) -> Callable[[Callable[[], T]], Resource[T]]: ...
def resource(
    *,
    drain: Callable[[T], object] | None = None,
    close: Callable[[T], object] | None = None,
    is_shared_by_forks: bool = False,
) -> Callable[[Callable[[], T]], Resource[T]]:
    """Declare a resource by the function that makes it; see Resource for the rest."""
    return lambda make: Resource(
        make, drain=drain, close=close, is_shared_by_forks=is_shared_by_forks
    )


_lock = threading.RLock()
"""One for all of them: what makes one may use another, and no two wait for each other."""

_made: list[Resource[Any]] = []
"""The resources of this process, in the order in which they were made."""

_of_the_parent: list[object] = []
"""What a fork's parent goes on to use: while the child runs, no finalizer may end it there."""

_at_start: list[Callable[[], None]] = []


@resource()
def draining() -> threading.Event:
    """Return the event that is set once this process is to end."""
    return threading.Event()


def at_start(work: Callable[[], None]) -> None:
    """Do this now, and at the start of each process that is forked off this one; but once in each.

    For what a function's import sets up: a server may import it before it forks.
    """
    if work not in _at_start:
        _at_start.append(work)
        work()


def drain() -> None:
    """Have what this process has begun be finished, and nothing more be begun: it is to end."""
    draining().set()
    for each in reversed(list(_made)):
        each.drain()


def close() -> None:
    """Close what this process has made, the latest first. It runs when the process exits, too."""
    # What a thread makes meanwhile ends with the process.
    for each in reversed(list(_made)):
        if each.is_closed_at_exit:
            with _logged(f"closing {each.__name__} failed"):
                each.close()


def end(status: int = 0) -> NoReturn:
    """Close what this process has made, and end it with this exit status, without a clean-up.

    At an ordinary exit Python frees every object. With our functions loaded that takes half a
    second of CPU time, in each of a system's processes at the same moment, and saves nothing.
    Nothing else that is registered with `atexit` is called, and no thread is waited for.
    """
    close()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(status)


@contextmanager
def begun_anew() -> Generator[None]:
    """Run the block as a process would that has made nothing yet; close what it makes."""
    former = [(each, each.forget()) for each in _made if not each.is_shared_by_forks]
    kept, _made[:] = list(_made), []
    try:
        yield
    finally:
        for each in reversed(list(_made)):
            with _logged(f"closing {each.__name__} failed"):
                each.close()
        for each, thing in former:
            each.set(thing)
        _made[:] = kept


def _begin_child() -> None:
    global _lock  # noqa: PLW0603 - a thread that is not in the child may hold it
    _lock = threading.RLock()
    _of_the_parent.extend([each.forget() for each in _made])
    # What both share is the parent's to close.
    _made.clear()
    for work in _at_start:
        with _logged("what is done at the start of a process failed"):
            work()


@contextmanager
def _logged(failure: str) -> Generator[None]:
    """Log what the block raises, so that what comes after it is done all the same."""
    try:
        yield
    except Exception:  # noqa: BLE001 - whatever it is
        _log.warning("%s", failure, exc_info=True)


os.register_at_fork(after_in_child=_begin_child)
atexit.register(close)


class Concurrency(Protocol):
    """How a process does several things at once: on threads, or on greenlets."""

    def start_thread(self, work: Callable[[], None]) -> None:
        """Run `work`, which may block in a library, on a thread of the operating system."""
        ...

    def offload(self, work: Callable[[], T]) -> T:
        """Run `work`, which takes long and no locks, beside all others; return its result."""
        ...

    def cpu_s(self) -> float:
        """Return the CPU time, in seconds, of who calls: of its thread or greenlet."""
        ...


class Threads:
    """What a server with a thread for each request needs."""

    def start_thread(self, work: Callable[[], None]) -> None:
        """Run `work` on a thread."""
        threading.Thread(target=work, name="blocking", daemon=True).start()

    def offload(self, work: Callable[[], T]) -> T:
        """Run `work` here: others have threads of their own."""
        return work()

    def cpu_s(self) -> float:
        """Return the CPU time of this thread."""
        return time.thread_time()


@resource()
def concurrency() -> Concurrency:
    """Return how this process does several things at once; a server sets it as it starts."""
    return Threads()
