"""Transactions through deadlocks, lost connections, lost answers and a server that is away."""

import threading
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from taskflow import clock
from taskflow.domain import accounts
from taskflow.domain.accounts import SettingsChanges
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import (
    DatabaseUnavailable,
    LockTimeout,
    Transaction,
    account_store,
    connections_max,
    events,
    on_commit,
    run,
    state,
    transaction,
)
from taskflow.storage.transactions import ATTEMPTS, commit_listeners, engine
from tests.support.data.accounts import A_CAUSE, SignedIn
from tests.support.database.commit_proxy import losing_the_answer_to_commits
from tests.support.database.connection import database_at

WAIT_S = 10
ZONES = ("UTC", "Europe/Berlin")

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def no_listeners() -> Generator[None]:
    """Begin with nobody who is called after a commit."""
    with commit_listeners.renewed():
        yield


@pytest.fixture
def scratch() -> Generator[None]:
    """Make a table `scratch` with the rows 1 and 2."""
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text("CREATE TABLE scratch (id int PRIMARY KEY, n int DEFAULT 0)"))
        tx.connection.execute(text("INSERT INTO scratch VALUES (1), (2)"))
    yield
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text("DROP TABLE scratch"))


def _count(tx: Transaction, row: int) -> None:
    tx.connection.execute(text("UPDATE scratch SET n = n + 1 WHERE id = :id"), {"id": row})


def _counts() -> list[int]:
    with transaction(A_CAUSE) as tx:
        return list(tx.connection.execute(text("SELECT n FROM scratch ORDER BY id")).scalars())


def _backend(tx: Transaction) -> int:
    return tx.connection.execute(text("SELECT pg_backend_pid()")).scalar_one()


def _terminate(pid: int) -> None:
    # The second argument waits until it has ended.
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


def _rows(tx: Transaction, statement: str) -> list[object]:
    return list(tx.connection.execute(text(statement)).scalars())


@pytest.mark.usefixtures("scratch")
def test_two_transactions_that_deadlock_are_both_committed() -> None:
    attempts: list[int] = []
    both_hold_one = threading.Barrier(2)

    def work(first: int, second: int) -> None:
        tried = 0

        def crosswise(tx: Transaction) -> None:
            nonlocal tried
            tried += 1
            _count(tx, first)
            if tried == 1:
                both_hold_one.wait(WAIT_S)
            _count(tx, second)

        run(crosswise, A_CAUSE)
        attempts.append(tried)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(work, 1, 2), pool.submit(work, 2, 1)]:
            done.result(WAIT_S)

    assert sorted(attempts) == [1, 2]
    assert _counts() == [2, 2]


@pytest.mark.usefixtures("scratch")
def test_a_serialization_failure_is_tried_again() -> None:
    tried = 0

    def work(tx: Transaction) -> None:
        nonlocal tried
        tried += 1
        tx.connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        _rows(tx, "SELECT n FROM scratch")
        if tried == 1:
            run(lambda other: _count(other, 1), A_CAUSE)
        _count(tx, 1)

    run(work, A_CAUSE)

    assert tried == 2
    assert _counts() == [2, 0]


@pytest.mark.usefixtures("scratch")
def test_a_connection_that_is_lost_before_the_commit_is_replaced() -> None:
    tried = 0

    def work(tx: Transaction) -> str:
        nonlocal tried
        tried += 1
        _count(tx, 1)
        if tried == 1:
            _terminate(_backend(tx))
        _count(tx, 2)
        return "done"

    assert run(work, A_CAUSE) == "done"

    assert tried == 2
    assert _counts() == [1, 1]


def test_a_transaction_that_always_fails_is_tried_a_few_times_and_refused() -> None:
    tried = 0

    def work(tx: Transaction) -> None:
        nonlocal tried
        tried += 1
        _terminate(_backend(tx))
        _backend(tx)

    with pytest.raises(DatabaseUnavailable):
        run(work, A_CAUSE)

    assert tried == ATTEMPTS


@pytest.mark.usefixtures("scratch")
def test_an_error_raised_by_the_work_is_not_tried_again_and_leaves_no_change() -> None:
    tried = 0

    def work(tx: Transaction) -> None:
        nonlocal tried
        tried += 1
        _count(tx, 1)
        raise LookupError

    with pytest.raises(LookupError):
        run(work, A_CAUSE)
    with pytest.raises(DBAPIError, match="22012"):
        run(lambda tx: _rows(tx, "SELECT 1 / 0"), A_CAUSE)

    assert tried == 1
    assert _counts() == [0, 0]


@pytest.mark.usefixtures("scratch")
def test_a_commit_whose_answer_is_lost_is_never_run_again(
    database: EmbeddedPostgres, tmp_path: Path
) -> None:
    tried = 0
    notified: list[object] = []

    def work(tx: Transaction) -> None:
        nonlocal tried
        tried += 1
        _count(tx, 1)

    with (
        losing_the_answer_to_commits(database.url, tmp_path) as url,
        database_at(url),
        commit_listeners.replaced_by([notified.append]),
        pytest.raises(DatabaseUnavailable),
    ):
        run(work, A_CAUSE)

    assert tried == 1
    assert notified == []
    assert _counts() == [1, 0], "it did take effect, and once"


@pytest.mark.usefixtures("scratch")
def test_a_connection_that_is_lost_at_the_commit_is_never_run_again() -> None:
    tried = 0

    def work(tx: Transaction) -> None:
        nonlocal tried
        tried += 1
        _count(tx, 1)
        _terminate(_backend(tx))

    with pytest.raises(DatabaseUnavailable):
        run(work, A_CAUSE)

    assert tried == 1
    assert _counts() == [0, 0]


@pytest.mark.usefixtures("scratch")
def test_the_loss_of_all_connections_does_not_hurt_the_next_transactions(
    database: EmbeddedPostgres,
) -> None:
    """PostgreSQL was started again, and the pool is full of connections that broke."""
    all_hold_one = threading.Barrier(5)
    tried: list[int] = []

    def work(tx: Transaction) -> int:
        tried.append(1)
        if len(tried) <= 5:
            all_hold_one.wait(WAIT_S)
        _count(tx, 1)
        return _backend(tx)

    def five_at_once() -> list[int]:
        tried.clear()
        with ThreadPoolExecutor(5) as pool:
            return [done.result() for done in [pool.submit(run, work, A_CAUSE) for _ in range(5)]]

    with database_at(database.url, pool_size=5):
        five = five_at_once()
        with engine.renewed():
            for pid in five:
                _terminate(pid)

        five_at_once()

    assert len(set(five)) == 5
    assert len(tried) > 5
    assert _counts() == [10, 0]


def test_a_server_that_is_away_is_reported_as_unreachable(tmp_path: Path) -> None:
    url = f"postgresql+pg8000://postgres@/taskflow?unix_sock={tmp_path}/nobody"

    with database_at(url):
        assert state() == "unreachable"
        with pytest.raises(DatabaseUnavailable):
            run(_backend, A_CAUSE)
        with pytest.raises(DatabaseUnavailable), transaction(A_CAUSE):
            pytest.fail("there is no connection to work on")


def test_a_server_that_went_away_is_reported_and_used_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    server = EmbeddedPostgres(tmp_path)
    server.start()
    try:
        with database_at(server.url):
            run(_backend, A_CAUSE)
            server.stop()
            with pytest.raises(DatabaseUnavailable):
                run(_backend, A_CAUSE)
            server.start()
            assert state() == "ok"
            assert run(_backend, A_CAUSE) > 0
    finally:
        server.stop()


def test_an_exhausted_pool_is_raised_as_an_unavailable_database(
    database: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskflow.storage.transactions._POOL_TIMEOUT_S", 0.05)

    with database_at(database.url, pool_size=1), transaction(A_CAUSE):
        with pytest.raises(DatabaseUnavailable):
            run(_backend, A_CAUSE)
        with pytest.raises(DatabaseUnavailable), transaction(A_CAUSE):
            pytest.fail("there is no connection to work on")


@pytest.mark.usefixtures("scratch")
def test_a_lock_that_is_held_too_long_is_reported_and_not_tried_again(
    database: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskflow.storage.transactions.LOCK_TIMEOUT_MS", 50)
    tried = 0

    def work(tx: Transaction) -> None:
        nonlocal tried
        tried += 1
        _count(tx, 1)

    with database_at(database.url), transaction(A_CAUSE) as holder:
        _count(holder, 1)
        with pytest.raises(LockTimeout):
            run(work, A_CAUSE)

    assert tried == 1
    assert _counts() == [1, 0]


def test_every_connection_has_its_time_limits() -> None:
    limits = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")

    with transaction(A_CAUSE) as tx:
        found = [_rows(tx, f"SHOW {limit}") for limit in limits]

    assert found == [["10s"], ["30s"], ["30s"]]


@pytest.mark.usefixtures("no_listeners")
def test_listeners_hear_of_appended_events_only_after_their_commit(
    user: SignedIn, other: SignedIn
) -> None:
    notified: list[dict[str, int]] = []
    seen_by_listener: list[int] = []

    def listen(newest: Mapping[str, int]) -> None:
        notified.append(dict(newest))
        # By another connection: it is there for all to see.
        with transaction(A_CAUSE) as tx:
            seen_by_listener.append(len(events.after(tx, user.user_id, 0)))

    on_commit(listen)
    with transaction(A_CAUSE) as tx:
        _append_setting(tx, user)
        _append_setting(tx, user)
        _append_setting(tx, other)
        assert notified == []
    run(lambda tx: _append_setting(tx, user), A_CAUSE)

    assert notified == [{user.user_id: 3, other.user_id: 2}, {user.user_id: 4}]
    assert seen_by_listener == [3, 4]


@pytest.mark.usefixtures("no_listeners")
def test_listeners_do_not_hear_of_rollbacks_and_of_transactions_without_events(
    user: SignedIn,
) -> None:
    notified: list[object] = []
    on_commit(notified.append)

    def fail(tx: Transaction) -> None:
        _append_setting(tx, user)
        raise LookupError

    with pytest.raises(LookupError):
        run(fail, A_CAUSE)
    with pytest.raises(LookupError), transaction(A_CAUSE) as tx:
        fail(tx)
    run(_backend, A_CAUSE)

    assert notified == []


def _append_setting(tx: Transaction, user: SignedIn) -> None:
    newest = events.newest_seq(tx, user.user_id)
    account = account_store.get(tx, user.user_id)
    changes = SettingsChanges(timezone=ZONES[newest % 2])
    account, happened = accounts.change_settings(account, changes, now=clock.now())
    account_store.save(tx, account)
    events.append(tx, happened)


def test_the_maximum_of_connections_is_the_least_of_all_limits(
    empty_database: str,
) -> None:
    by_server = connections_max()
    with transaction(A_CAUSE) as tx:
        name = make_url(empty_database).database
        tx.connection.execute(text(f"ALTER DATABASE {name} CONNECTION LIMIT 7"))

    # 3 are PostgreSQL's superuser_reserved_connections.
    assert (by_server, connections_max()) == (200 - 3, 7)
