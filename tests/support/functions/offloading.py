"""Work that a process takes off the thread that asks for it, as a test wants it done."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar, cast

from taskflow.process import Threads, concurrency

T = TypeVar("T")


@contextmanager
def offloading_by(do: Callable[[Callable[[], object]], object]) -> Generator[None]:
    """Have `do` do what this process offloads, for the length of the block."""

    class Offloading(Threads):
        def offload(self, work: Callable[[], T]) -> T:
            return cast("T", do(work))

    with concurrency.replaced_by(Offloading()):
        yield
