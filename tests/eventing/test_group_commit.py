"""GroupCommit: simultaneous requests are served together, and none gets the error of another."""

import threading
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from taskflow.eventing.group_commit import BATCH_MAX, GroupCommit
from tests.support.polling import eventually

SOON_S = 10


class GroupWork:
    """Work that a test can hold up and make fail; it remembers what was done together."""

    def __init__(self) -> None:
        self.done: list[list[int]] = []
        self.held: threading.Event | None = None
        self.bad: set[int] = set()
        self.group_commit = GroupCommit(self._work)
        self._pool = ThreadPoolExecutor(2 * BATCH_MAX)

    def _work(self, items: Sequence[int]) -> Sequence[str]:
        self.done.append(list(items))
        if items[0] == 0 and self.held is not None:
            assert self.held.wait(SOON_S)
        if wrong := self.bad.intersection(items):
            raise ValueError(*wrong)
        return [str(item) for item in items]

    def hold_up(self) -> Future[str]:
        """Have the work on 0 going on until it is released; it is already being done."""
        self.held = threading.Event()
        first = self._pool.submit(self.group_commit.do, 0)

        def check() -> None:
            assert self.done

        eventually(check)
        return first

    def ask(self, items: Sequence[int]) -> list[Future[str]]:
        """Ask for each, one after the other, while they wait."""
        asked: list[Future[str]] = []
        for count, item in enumerate(items, start=self.group_commit.waiting + 1):
            asked.append(self._pool.submit(self.group_commit.do, item))

            def check(count: int = count) -> None:
                assert self.group_commit.waiting == count

            eventually(check)
        return asked

    def release(self) -> None:
        """Let the work on 0 end."""
        assert self.held is not None
        self.held.set()

    def close(self) -> None:
        """Wait for all requests."""
        self._pool.shutdown()


@pytest.fixture
def group_work(monkeypatch: pytest.MonkeyPatch) -> Generator[GroupWork]:
    monkeypatch.setattr("taskflow.eventing.group_commit.WAIT_MAX_S", SOON_S)
    made = GroupWork()
    yield made
    made.close()


def test_a_single_request_is_served_alone(group_work: GroupWork) -> None:
    assert [group_work.group_commit.do(item) for item in (1, 2)] == ["1", "2"]

    assert group_work.done == [[1], [2]]


def test_requests_during_a_commit_are_served_together_in_the_order_they_came(
    group_work: GroupWork,
) -> None:
    first = group_work.hold_up()
    others = group_work.ask(range(1, 11))
    group_work.release()

    assert [one.result() for one in (first, *others)] == [str(item) for item in range(11)]
    assert group_work.done == [[0], list(range(1, 11))]


def test_no_more_requests_are_served_together_than_the_limit(group_work: GroupWork) -> None:
    first = group_work.hold_up()
    others = group_work.ask(range(1, BATCH_MAX + 6))
    group_work.release()

    assert [one.result() for one in (first, *others)] == [
        str(item) for item in range(BATCH_MAX + 6)
    ]
    assert [len(items) for items in group_work.done] == [1, BATCH_MAX, 5]


def test_each_request_of_a_failed_group_is_served_alone(group_work: GroupWork) -> None:
    group_work.bad = {3}
    first = group_work.hold_up()
    others = group_work.ask(range(1, 6))
    group_work.release()

    answers = [one.exception() or one.result() for one in (first, *others)]
    assert [str(answer) for answer in answers] == ["0", "1", "2", "3", "4", "5"]
    assert [isinstance(answer, ValueError) for answer in answers].index(True) == 3
    together, *alone = group_work.done[1:]
    assert together == [1, 2, 3, 4, 5]
    assert sorted(alone) == [[1], [2], [3], [4], [5]]


def test_a_request_that_fails_alone_is_not_served_twice_and_others_go_on(
    group_work: GroupWork,
) -> None:
    group_work.bad = {0}
    first = group_work.hold_up()
    others = group_work.ask([1, 2])
    group_work.release()

    with pytest.raises(ValueError, match="0"):
        first.result()
    assert [one.result() for one in others] == ["1", "2"]
    assert group_work.done == [[0], [1, 2]]


def test_a_request_that_has_waited_too_long_is_served_alone(
    group_work: GroupWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = group_work.hold_up()
    monkeypatch.setattr("taskflow.eventing.group_commit.WAIT_MAX_S", 0.01)

    assert [group_work.group_commit.do(item) for item in (1, 2)] == ["1", "2"]
    assert not first.done()

    group_work.release()
    assert first.result() == "0"
    assert group_work.done == [[0], [1], [2]]


def test_each_of_many_requests_is_served_once(group_work: GroupWork) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(group_work.group_commit.do, range(1, 2001)))

    assert answers == [str(item) for item in range(1, 2001)]
    assert sorted(item for items in group_work.done for item in items) == list(range(1, 2001))
    assert group_work.group_commit.waiting == 0
