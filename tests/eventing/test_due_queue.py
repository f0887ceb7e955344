"""Due items: taken in batches, and a bad item keeps no other from being carried out."""

import logging
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from taskflow.domain import tasks
from taskflow.domain.tasks import Task
from taskflow.eventing import DueQueue
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import (
    DatabaseUnavailable,
    DueItem,
    DueQuery,
    LockTimeout,
    Transaction,
    task_changes,
    task_store,
    transaction,
)
from tests.support.data.accounts import A_CAUSE
from tests.support.data.builders import A_TIME, a_recurring_task
from tests.support.database.connection import NOWHERE, database_at
from tests.support.database.temporary import a_database

NOW: datetime = A_TIME + timedelta(days=2)
BATCH_SIZE = 4
WAIT_S = 10


class DueSeries:
    """Due series, which are deleted one batch after the other; a test can make some of them bad."""

    def __init__(self, count: int, *, user_id: str = "somebody") -> None:
        self.series = [
            a_recurring_task(user_id=user_id, now=A_TIME + timedelta(seconds=number))
            for number in range(count)
        ]
        with transaction(A_CAUSE) as tx:
            task_changes.save_all(tx, new_tasks=self.series, events=[])
        self.ids = [task.id for task in self.series]
        self.tried: list[list[UUID]] = []
        self.bad: dict[UUID, Exception] = {}
        self.queue = self.a_run()

    def a_run(self) -> DueQueue:
        """Begin a run of the cron function, which knows nothing of those before it."""
        return DueQueue(self._lock, self._process, batch_size=BATCH_SIZE)

    def _lock(self, tx: Transaction, query: DueQuery) -> Sequence[DueItem]:
        return task_store.lock_due(tx, query, now=NOW)

    def _process(self, tx: Transaction, taken: Sequence[UUID]) -> None:
        self.tried.append(list(taken))
        for task in task_store.with_ids(tx, taken):
            _save_deleted(tx, task)
        for task_id in taken:
            if task_id in self.bad:
                raise self.bad[task_id]

    def process_all(self, queue: DueQueue | None = None) -> list[int]:
        """Take until there is nothing left; return how many there were each time."""
        counts: list[int] = []
        while not counts or counts[-1]:
            counts.append((queue or self.queue).process_batch(A_CAUSE))
        return counts

    def left(self) -> list[UUID]:
        """Return what is still due, the longest due first."""
        with transaction(A_CAUSE) as tx:
            return [item.id for item in task_store.lock_due(tx, DueQuery(99), now=NOW)]


def _save_deleted(tx: Transaction, task: Task) -> None:
    deleted, _ = tasks.delete(task, now=NOW)
    task_changes.save(tx, task, (deleted, []))


@pytest.fixture(autouse=True)
def _own_database(database: EmbeddedPostgres) -> Generator[None]:
    with a_database(database):
        yield


def test_a_run_without_due_items_processes_none() -> None:
    due_series = DueSeries(0)

    assert due_series.queue.process_batch(A_CAUSE) == 0
    assert due_series.tried == []


def test_due_items_share_transactions_until_none_is_left() -> None:
    due_series = DueSeries(2 * BATCH_SIZE + 1)

    counts = due_series.process_all()

    assert counts == [BATCH_SIZE, BATCH_SIZE, 1, 0]
    assert [each for tried in due_series.tried for each in tried] == due_series.ids
    assert due_series.left() == []


def test_a_failed_batch_is_tried_item_by_item_and_the_bad_item_is_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    due_series = DueSeries(2 * BATCH_SIZE)
    bad = due_series.ids[1]
    due_series.bad[bad] = ValueError("bad")

    with caplog.at_level(logging.WARNING, "taskflow.eventing.due_queue"):
        counts = due_series.process_all()

    first, others = due_series.ids[:BATCH_SIZE], due_series.ids[BATCH_SIZE:]
    assert due_series.tried == [first, *([each] for each in first), others]
    assert counts == [BATCH_SIZE, 1, 1, 1, 1, BATCH_SIZE, 0]
    assert due_series.left() == [bad]
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    assert str(bad) in caplog.text


def test_any_number_of_bad_items_leaves_the_others_processed() -> None:
    due_series = DueSeries(3 * BATCH_SIZE)
    bad = due_series.ids[::2]
    due_series.bad = {each: LookupError(each) for each in bad}

    due_series.process_all()

    assert due_series.left() == bad
    assert all(due_series.tried.count([each]) == 1 for each in bad), "a bad one was tried again"


def test_a_single_bad_item_is_passed_over() -> None:
    due_series = DueSeries(1)
    due_series.bad[due_series.ids[0]] = ValueError("bad")

    counts = due_series.process_all()

    assert counts == [1, 0]
    assert due_series.tried == [due_series.ids]
    assert due_series.left() == due_series.ids


def test_an_item_that_was_passed_over_is_left_to_the_next_run() -> None:
    due_series = DueSeries(BATCH_SIZE)
    due_series.bad[due_series.ids[0]] = ValueError("bad")
    due_series.process_all()
    due_series.bad.clear()

    due_series.process_all(due_series.a_run())

    assert due_series.left() == []


def test_a_batch_that_is_refused_by_the_database_is_taken_singly_too() -> None:
    due_series = DueSeries(2)

    def process(tx: Transaction, taken: Sequence[UUID]) -> None:
        for task in task_store.with_ids(tx, taken):
            # The first is there already; the others are refused with it.
            _save_deleted(tx, task)
            if task.id == due_series.ids[0]:
                task_changes.save_all(tx, new_tasks=[task], events=[])

    queue = DueQueue(
        lambda tx, query: task_store.lock_due(tx, query, now=NOW),
        process,
        batch_size=BATCH_SIZE,
    )

    counts = due_series.process_all(queue)

    assert counts == [2, 1, 1, 0]
    assert due_series.left() == [due_series.ids[0]]


def test_an_outage_is_raised_and_not_held_against_the_items() -> None:
    due_series = DueSeries(BATCH_SIZE)
    due_series.bad[due_series.ids[2]] = DatabaseUnavailable()

    with pytest.raises(DatabaseUnavailable):
        due_series.queue.process_batch(A_CAUSE)
    due_series.bad.clear()

    assert due_series.process_all() == [BATCH_SIZE, 0]
    assert due_series.tried == [due_series.ids, due_series.ids]


def test_an_item_that_is_locked_for_too_long_is_left_to_the_next_run() -> None:
    due_series = DueSeries(BATCH_SIZE)
    locked = due_series.ids[1]
    due_series.bad[locked] = LockTimeout()

    due_series.process_all()
    left = due_series.left()
    due_series.bad.clear()

    assert left == [locked]
    assert due_series.process_all(due_series.a_run()) == [1, 0]


def test_a_user_whose_item_failed_comes_after_all_other_users() -> None:
    due_series, theirs = DueSeries(3), DueSeries(3, user_id="somebody else")
    due_series.bad = {each: ValueError("bad") for each in due_series.ids}

    due_series.process_all()

    first, others = due_series.ids[0], due_series.ids[1:]
    assert len(due_series.tried[0]) == BATCH_SIZE
    assert [each for [each] in due_series.tried[1:5]] == [first, *theirs.ids]
    assert {each for tried in due_series.tried[5:] for each in tried} == {*others}
    assert due_series.left() == due_series.ids


def test_a_database_that_is_away_is_raised() -> None:
    due_series = DueSeries(0)

    with database_at(NOWHERE), pytest.raises(DatabaseUnavailable):
        due_series.queue.process_batch(A_CAUSE)


def test_an_error_in_finding_due_items_is_raised_and_not_held_against_an_item() -> None:
    def lock(tx: Transaction, _query: DueQuery) -> Sequence[DueItem]:
        tx.connection.execute(text("SELECT 1 / 0"))
        return []

    queue = DueQueue(lock, lambda _tx, _taken: None, batch_size=BATCH_SIZE)

    with pytest.raises(Exception, match="division by zero"):
        queue.process_batch(A_CAUSE)


def test_many_runs_at_once_process_each_item_once() -> None:
    due_series = DueSeries(40)

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(due_series.process_all, due_series.a_run()) for _ in range(4)]
        for done in running:
            done.result(WAIT_S)

    tried = [each for together in due_series.tried for each in together]
    assert sorted(tried) == sorted(due_series.ids)
    assert due_series.left() == []
