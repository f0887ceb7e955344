"""Lists of tasks: every filter, every order, pages that neither skip nor repeat (T3, A8)."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from taskflow.domain import tasks
from taskflow.domain.errors import InvalidContent, TaskNotFound
from taskflow.domain.tasks import Priority, Status, Task
from taskflow.storage import Transaction, run, task_changes, task_lists, task_store, transaction
from taskflow.storage.task_lists import SORTABLE, Position, TaskFilter
from tests.support.data.accounts import A_CAUSE, SignedIn
from tests.support.data.builders import A_TIME, a_stored_task, a_task

PRIORITIES = list(Priority)
DUE = [A_TIME + timedelta(days=1), None, A_TIME - timedelta(days=1)]
TITLES = ["b", "B", "a", "Ä", "ä", "a", "~", "x", "10", "9"]
EVERYTHING = TaskFilter()


def _store(*stored: Task) -> None:
    with transaction(A_CAUSE) as tx:
        for task in stored:
            task_changes.save_all(tx, new_tasks=[task], events=[])


def _many(user: SignedIn, count: int = 30) -> list[Task]:
    """Store tasks among which every sort key comes more than once, and is sometimes missing."""
    stored = [
        a_task(
            user_id=user.user_id,
            now=A_TIME + timedelta(seconds=number // 3),
            title=TITLES[number % len(TITLES)],
            priority=PRIORITIES[number % 4],
            due_date=due.isoformat() if (due := DUE[number % 3]) else None,
        )
        for number in range(count)
    ]
    _store(*stored)
    return stored


def _list(
    user: SignedIn,
    wanted: TaskFilter = EVERYTHING,
    *,
    sort: str = "created_at",
    after: Position | None = None,
    limit: int = 200,
) -> tuple[list[Task], Position | None]:
    """Return a page, and where the next begins if there is one."""

    def work(tx: Transaction) -> list[tuple[Task, Position]]:
        found = task_lists.list_of(
            tx, user.user_id, wanted, sort=sort, after=after, limit=limit + 1
        )
        assert found.then is None
        return found.tasks

    found = run(work, A_CAUSE)
    return [task for task, _ in found[:limit]], found[limit - 1][1] if len(found) > limit else None


def _ids(user: SignedIn, **wanted: Any) -> set[UUID]:  # noqa: ANN401 - what a filter may hold
    return {task.id for task in _list(user, TaskFilter(**wanted))[0]}


def _in_pages(user: SignedIn, sort: str, limit: int) -> list[Task]:
    found: list[Task] = []
    after = None
    for _ in range(100):
        page, after = _list(user, sort=sort, after=after, limit=limit)
        found += page
        if after is None:
            return found
    pytest.fail("the list has no end")


@pytest.mark.parametrize("limit", [1, 4, 7, 30])
@pytest.mark.parametrize("sort", [sign + name for name in SORTABLE for sign in ("", "-")])
def test_the_pages_of_a_list_are_the_whole_list_each_task_once(
    user: SignedIn, sort: str, limit: int
) -> None:
    stored = _many(user)

    whole, end = _list(user, sort=sort)
    found = _in_pages(user, sort, limit)

    assert end is None
    assert found == whole
    assert {task.id for task in found} == {task.id for task in stored}
    assert len(found) == len(stored)


@pytest.mark.parametrize("sort", SORTABLE)
def test_the_descending_order_is_the_ascending_reversed_except_that_no_due_date_is_last(
    user: SignedIn, sort: str
) -> None:
    _many(user)

    ascending, _ = _list(user, sort=sort)
    descending, _ = _list(user, sort=f"-{sort}")

    if sort == "due_date":
        assert [task.due_date is None for task in ascending] == [False] * 20 + [True] * 10
        assert [task.due_date is None for task in descending] == [False] * 20 + [True] * 10
        ascending, descending = ascending[:20], descending[:20]
    assert ascending == descending[::-1]


def test_each_order_sorts_by_the_field_of_its_name(user: SignedIn) -> None:
    _many(user)

    by_priority = [PRIORITIES.index(task.priority) for task in _list(user, sort="priority")[0]]
    by_title = [task.title for task in _list(user, sort="title")[0]]
    by_time = [(task.created_at, task.id) for task in _list(user, sort="created_at")[0]]

    assert by_priority == sorted(by_priority)
    # What Intl.Collator("und") makes of them: signs, digits, letters; accents before case.
    assert list(dict.fromkeys(by_title)) == ["~", "10", "9", "a", "ä", "Ä", "b", "B", "x"]
    assert by_time == sorted(by_time)


def test_a_task_created_between_two_pages_moves_no_other(user: SignedIn) -> None:
    stored = _many(user, 6)
    first, after = _list(user, sort="-created_at", limit=3)

    _store(a_task(user_id=user.user_id, now=A_TIME + timedelta(days=1)))
    second, end = _list(user, sort="-created_at", after=after, limit=3)

    assert end is None
    assert {task.id for task in first + second} == {task.id for task in stored}


def test_the_last_page_says_that_there_is_no_more(user: SignedIn) -> None:
    _many(user, 4)

    assert _list(user, limit=4)[1] is None
    assert _list(user, limit=3)[1] is not None
    assert _list(user, TaskFilter(tags=["none"]))[0] == []


def test_each_filter_lists_the_tasks_with_its_value_alone(user: SignedIn) -> None:
    plain = a_stored_task(user.user_id).id
    busy = a_stored_task(user.user_id, status="in_progress", priority="urgent").id
    done = a_stored_task(user.user_id, status="completed", priority="low").id
    off = a_stored_task(user.user_id, status="cancelled", tags=["home", "ö"]).id
    due = a_stored_task(user.user_id, due_date="2026-03-01T10:00:00+01:00", tags=["home"]).id
    at = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
    microsecond = timedelta(microseconds=1)
    everything = {plain, busy, done, off, due}

    assert _ids(user) == everything
    assert _ids(user, status=[Status.PENDING]) == {plain, due}
    assert _ids(user, status=[Status.IN_PROGRESS, Status.CANCELLED]) == {busy, off}
    assert _ids(user, completed=True) == {done}
    assert _ids(user, completed=False) == everything - {done}
    assert _ids(user, priority=[Priority.URGENT, Priority.LOW]) == {busy, done}
    assert _ids(user, tags=["home"]) == {off, due}
    assert _ids(user, tags=["home", "ö"]) == {off}
    assert _ids(user, tags=["hom"]) == set()
    assert _ids(user, due_before=at) == set()
    assert _ids(user, due_before=at + microsecond) == {due}
    assert _ids(user, due_after=at) == set()
    assert _ids(user, due_after=at - microsecond) == {due}
    assert _ids(user, tags=["home"], completed=False, due_after=A_TIME - microsecond) == {due}


def test_deleted_tasks_and_those_of_other_users_are_not_listed(
    user: SignedIn, other: SignedIn
) -> None:
    mine = a_stored_task(user.user_id)
    gone = a_stored_task(user.user_id)
    theirs = a_stored_task(other.user_id)
    with transaction(A_CAUSE) as tx:
        deleted, _ = tasks.delete(gone, now=A_TIME)
        task_changes.save(tx, gone, (deleted, []))

    assert _ids(user) == {mine.id}
    for task_id in (gone.id, theirs.id, uuid4()):
        with pytest.raises(TaskNotFound), transaction(A_CAUSE) as tx:
            task_store.get(tx, user.user_id, task_id)
    with transaction(A_CAUSE) as tx:
        assert task_store.lock(tx, user.user_id, gone.id, deleted=True) == deleted
        assert [task.id for task in task_store.all_of(tx, user.user_id)] == [mine.id, gone.id]
        assert task_store.owner(tx, theirs.id) == other.user_id
    with pytest.raises(TaskNotFound), transaction(A_CAUSE) as tx:
        task_store.lock(tx, other.user_id, gone.id, deleted=True)


@pytest.mark.parametrize("sort", ["created_at", "due_date", "priority", "updated_at"])
def test_a_position_of_another_order_is_refused(user: SignedIn, sort: str) -> None:
    a_stored_task(user.user_id)

    with pytest.raises(InvalidContent):
        _list(user, sort=sort, after=Position("no such key", uuid4()))


def test_a_task_is_read_back_as_it_was_stored(user: SignedIn) -> None:
    task = a_task(
        user_id=user.user_id,
        now=A_TIME + timedelta(microseconds=1),
        title="Zażółć 🐘 'quoted' \\ %s :name {}",
        description="line\nbreak\t\u2028",
        priority="urgent",
        tags=["a,b", '"', "{}", "\\", "NULL", "ö"],
        metadata={"z": 1.0, "a": [True, None, 10**20], "é": {"": "x"}},
        due_date="9999-12-31T23:59:59.999999Z",
    )

    _store(task)

    with transaction(A_CAUSE) as tx:
        found = task_store.get(tx, user.user_id, task.id)
    assert found == task
    assert list(found.metadata) == ["z", "a", "é"]


def test_an_older_version_never_overwrites_a_newer(user: SignedIn) -> None:
    task = a_stored_task(user.user_id)
    newer, _ = tasks.set_completed(task, True, now=A_TIME)  # noqa: FBT003 - the domain's own

    with transaction(A_CAUSE) as tx:
        task_changes.save(tx, task, (newer, []))
        task_changes.save(tx, newer, (task, []))
        found = task_store.get(tx, user.user_id, task.id)

    assert found == newer


def test_every_order_is_stable_while_all_keys_are_the_same(user: SignedIn) -> None:
    stored = [a_task(user_id=user.user_id) for _ in range(7)]
    _store(*stored)

    for name, sign in itertools.product(SORTABLE, ("", "-")):
        found = _in_pages(user, sign + name, 2)
        assert [task.id for task in found] == sorted(
            (task.id for task in stored), reverse=bool(sign)
        )
