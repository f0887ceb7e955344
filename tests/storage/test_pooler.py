"""Behind a PgBouncer in transaction mode: limits, shared connections, outages, migrations."""

import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from taskflow.standalone import supervisor
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import (
    DatabaseUnavailable,
    LockTimeout,
    Transaction,
    connections_max,
    driver,
    run,
    state,
    transaction,
    transactions,
)
from taskflow.storage.migrations import runner
from taskflow.storage.migrations.autocommit import NeedsDirectConnection
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.database.connection import database_at
from tests.support.database.pgbouncer import PgBouncer, a_pooler
from tests.support.polling import eventually

WAIT_S = 20
LIMITS = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")

Reach = Callable[[], str]


@pytest.fixture(params=["directly", "through a pooler"])
def reach(request: pytest.FixtureRequest, database: EmbeddedPostgres) -> Reach:
    """Return a function that returns the URL of the database, with and without a pooler."""
    if request.param == "directly":
        return lambda: database.url
    return lambda: request.getfixturevalue("pooler").url(database.url)


@pytest.fixture
def one_connection(database: EmbeddedPostgres) -> Generator[PgBouncer]:
    """Start a pooler whose clients share one connection, and have this process use it."""
    with a_pooler(database, connections=1) as pooler, database_at(pooler.url(database.url)):
        yield pooler


@pytest.fixture
def pooled(pooler: PgBouncer, database: EmbeddedPostgres) -> Generator[None]:
    """Have this process reach the database of the run through the pooler."""
    with database_at(pooler.url(database.url)):
        yield


def _backend(tx: Transaction) -> int:
    return tx.connection.execute(text("SELECT pg_backend_pid()")).scalar_one()


def _doubled(tx: Transaction, number: int) -> int:
    return tx.connection.execute(text("SELECT 2 * CAST(:n AS int)"), {"n": number}).scalar_one()


def _lock(tx: Transaction, user: SignedIn) -> None:
    query = text("SELECT 1 FROM users WHERE id = :id FOR UPDATE")
    tx.connection.execute(query, {"id": user.user_id})


def _shown(tx: Transaction) -> list[str]:
    return [tx.connection.execute(text(f"SHOW {limit}")).scalar_one() for limit in LIMITS]


def test_every_transaction_has_its_time_limits(reach: Reach) -> None:
    with database_at(reach()), transaction(A_CAUSE) as tx:
        assert _shown(tx) == ["10s", "30s", "30s"]


def test_a_lock_is_waited_for_no_longer_than_the_limit(
    reach: Reach, user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "LOCK_TIMEOUT_MS", 50)

    with database_at(reach()), transaction(A_CAUSE) as holder:
        _lock(holder, user)
        with pytest.raises(LockTimeout), transaction(A_CAUSE) as other:
            _lock(other, user)


def test_a_statement_takes_no_longer_than_the_limit(
    reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "STATEMENT_TIMEOUT_MS", 50)

    with database_at(reach()), pytest.raises(DatabaseUnavailable), transaction(A_CAUSE) as tx:
        tx.connection.execute(text("SELECT pg_sleep(:s)"), {"s": 60})


def test_a_transaction_that_stops_in_the_middle_lets_its_locks_go(
    reach: Reach, user: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactions, "IDLE_IN_TRANSACTION_TIMEOUT_MS", 50)

    def stop_in_the_middle() -> None:
        with transaction(A_CAUSE) as stopped:
            _lock(stopped, user)
            with transaction(A_CAUSE) as waiting:
                _lock(waiting, user)
            _lock(stopped, user)

    with database_at(reach()), pytest.raises(DatabaseUnavailable):
        stop_in_the_middle()


def test_the_settings_of_a_transaction_are_gone_for_the_next_client(
    one_connection: PgBouncer, database: EmbeddedPostgres
) -> None:
    with transaction(A_CAUSE) as tx:
        backend = _backend(tx)

    stranger = driver.engine(one_connection.url(database.url))
    with stranger.connect() as connection:
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() == backend
        found = [connection.execute(text(f"SHOW {limit}")).scalar_one() for limit in LIMITS]
    stranger.dispose()

    assert found == ["0", "0", "0"]


@pytest.mark.usefixtures("one_connection")
def test_clients_share_one_connection_and_each_gets_its_own_answers() -> None:
    together = threading.Barrier(5)

    def twenty(first: int) -> tuple[set[int], list[int]]:
        together.wait(WAIT_S)
        numbers = [run(lambda tx, n=n: _doubled(tx, n), A_CAUSE) for n in range(first, first + 20)]
        return {run(_backend, A_CAUSE)}, numbers

    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(twenty, range(0, 500, 100)))

    backends = set[int]().union(*(found for found, _ in answers))
    assert len(backends) == 1
    assert [numbers for _, numbers in answers] == [
        [2 * n for n in range(first, first + 20)] for first in range(0, 500, 100)
    ]


def test_a_transaction_of_two_statements_takes_three_round_trips(
    one_connection: PgBouncer,
) -> None:
    def counted() -> tuple[int, int]:
        # Its console counts too, as a database of its own.
        of_all = one_connection.command("SHOW STATS_TOTALS")
        [ours] = [totals for totals in of_all if totals["database"] == "taskflow"]
        return int(str(ours["xact_count"])), int(str(ours["query_count"]))

    run(_backend, A_CAUSE)
    transactions_before, trips_before = counted()

    run(lambda tx: (_doubled(tx, 1), _doubled(tx, 2)), A_CAUSE)

    transactions_after, trips_after = counted()
    assert (transactions_after - transactions_before, trips_after - trips_before) == (1, 3)


def test_a_statement_is_known_on_the_next_connection_too(one_connection: PgBouncer) -> None:
    first = run(_backend, A_CAUSE), run(lambda tx: _doubled(tx, 21), A_CAUSE)

    one_connection.command("RECONNECT")
    second = run(_backend, A_CAUSE), run(lambda tx: _doubled(tx, 21), A_CAUSE)

    assert first[0] != second[0]
    assert first[1] == second[1] == 42


def test_a_connection_that_the_pooler_has_closed_as_idle_is_not_missed(
    one_connection: PgBouncer, database: EmbeddedPostgres
) -> None:
    backend = run(_backend, A_CAUSE)
    one_connection.command("SET server_idle_timeout = '0.1'")

    def check_it_has_gone() -> None:
        with database_at(database.url), transaction(A_CAUSE) as tx:
            running = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
            assert tx.connection.execute(running, {"pid": backend}).scalar_one() == 0

    eventually(check_it_has_gone)

    assert run(_backend, A_CAUSE) != backend


def test_a_restart_of_the_pooler_is_an_outage_and_is_over_with_it(
    one_connection: PgBouncer, database: EmbeddedPostgres
) -> None:
    with database_at(one_connection.url(database.url), pool_size=4):
        # Idle ones, all of which will be broken.
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(_any_backend, range(20)))

        one_connection.stop()
        with pytest.raises(DatabaseUnavailable):
            run(_backend, A_CAUSE)
        assert state() == "unreachable"
        one_connection.start()

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(_any_backend, range(20)))
        assert state() == "ok"


def test_a_server_that_is_away_behind_its_pooler_is_an_outage(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path)
    server.start()
    with a_pooler(server) as pooler, database_at(pooler.url(server.url)):
        pooler.command("SET query_wait_timeout = '1'")
        backend = run(_backend, A_CAUSE)
        server.stop()
        # The first to ask waits for as long as that; then PgBouncer knows.
        assert state() == "unreachable"
        began_s = time.monotonic()
        for _ in range(10):
            with pytest.raises(DatabaseUnavailable):
                run(_backend, A_CAUSE)
        refused_s = time.monotonic() - began_s
        server.start()

        assert eventually(_backend_again) != backend
    server.stop()

    assert refused_s < 10


def _backend_again() -> int:
    try:
        return run(_backend, A_CAUSE)
    except DatabaseUnavailable:
        # PgBouncer asks again after server_login_retry.
        raise AssertionError from None


def test_a_restart_of_the_pooler_unnoticed_costs_no_request_its_answer(
    one_connection: PgBouncer, database: EmbeddedPostgres
) -> None:
    with database_at(one_connection.url(database.url), pool_size=4):
        together = threading.Barrier(4)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(_hold_a_connection, [together] * 4))

        one_connection.stop()
        one_connection.start()

        assert [run(lambda tx: _doubled(tx, 4), A_CAUSE) for _ in range(8)] == [8] * 8


def _hold_a_connection(together: threading.Barrier) -> None:
    with transactions.engine().connect():
        together.wait(WAIT_S)


def _any_backend(_: int) -> int:
    return run(_backend, A_CAUSE)


@pytest.mark.parametrize("by", ["restart", "KILL", "server"])
def test_a_transaction_that_the_pooler_cuts_short_is_run_again(
    one_connection: PgBouncer, database: EmbeddedPostgres, by: str
) -> None:
    tried: list[int] = []

    def work(tx: Transaction) -> int:
        tried.append(_backend(tx))
        if len(tried) == 1 and by == "restart":
            one_connection.stop()
            one_connection.start()
        elif len(tried) == 1 and by == "KILL":
            one_connection.command("KILL taskflow")
            one_connection.command("RESUME taskflow")
        elif len(tried) == 1:
            with database_at(database.url), transaction(A_CAUSE) as other:
                end = text("SELECT pg_terminate_backend(:pid, 5000)")
                other.connection.execute(end, {"pid": tried[0]})
        return _doubled(tx, 3)

    assert run(work, A_CAUSE) == 6

    assert len(set(tried)) == 2


def test_a_pooler_without_a_connection_to_spare_is_an_outage(
    one_connection: PgBouncer,
) -> None:
    one_connection.command("SET query_wait_timeout = '0.2'")

    with transaction(A_CAUSE) as holder:
        _backend(holder)
        with pytest.raises(DatabaseUnavailable), transaction(A_CAUSE) as other:
            _backend(other)

    assert run(_backend, A_CAUSE)


@pytest.mark.usefixtures("pooled")
def test_a_pooler_in_between_is_noticed(database: EmbeddedPostgres) -> None:
    with transaction(A_CAUSE) as tx:
        assert transactions.is_pooled(tx.connection)
    assert connections_max() is None
    with database_at(database.url), transaction(A_CAUSE) as tx:
        assert not transactions.is_pooled(tx.connection)
        assert connections_max() == 200 - 3


def test_a_password_and_tls_are_asked_for_by_the_pooler(database: EmbeddedPostgres) -> None:
    with a_pooler(database, secured=True) as pooler:
        url = pooler.url(database.url)

        with database_at(url):
            assert run(lambda tx: _doubled(tx, 4), A_CAUSE) == 8
        for refused in (url.replace("tests", "others"), url.replace("sslmode=require", "")):
            with database_at(refused), pytest.raises(DatabaseUnavailable):
                run(_backend, A_CAUSE)


def test_all_migrations_are_applied_through_a_pooler_and_leave_no_lock(
    empty_database: str, pooler: PgBouncer
) -> None:
    with database_at(pooler.url(empty_database)):
        applied = runner.apply()
        again = runner.apply()
        assert a_user()
    with database_at(empty_database):
        assert runner.apply() == []

        with transaction(A_CAUSE) as tx:
            locks = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
            assert tx.connection.execute(locks).scalar_one() == 0

    assert applied == _all_revisions()
    assert again == []


def test_one_of_two_migrators_waits_whether_a_pooler_is_in_between_or_not(
    empty_database: str, pooler: PgBouncer
) -> None:
    together = threading.Barrier(2)

    def apply(_: int) -> list[str]:
        together.wait(WAIT_S)
        return runner.apply()

    with database_at(pooler.url(empty_database)), ThreadPoolExecutor(2) as pool:
        applied = list(pool.map(apply, range(2)))

    assert sorted(applied) == [[], _all_revisions()]


def test_an_index_that_the_database_gives_too_little_time_is_made_directly_alone(
    empty_database: str, pooler: PgBouncer
) -> None:
    with database_at(empty_database), transaction(A_CAUSE) as tx:
        name = tx.connection.execute(text("SELECT current_database()")).scalar_one()
        tx.connection.execute(text(f"ALTER DATABASE {name} SET statement_timeout = '30s'"))

    with (
        database_at(pooler.url(empty_database)),
        pytest.raises(NeedsDirectConnection, match="a DATABASE_URL that names PostgreSQL directly"),
    ):
        runner.apply()
    with database_at(empty_database):
        left = [revision for revision in _all_revisions() if revision >= "0015_expiry_in_order"]
        assert runner.apply() == left

    assert issubclass(NeedsDirectConnection, supervisor.PROBLEMS)


def _all_revisions() -> list[str]:
    versions = Path(runner.__file__).parent / "versions"
    return sorted(path.stem for path in versions.glob("[0-9]*.py"))
