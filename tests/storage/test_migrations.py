"""Migrations: of an empty database, twice, by two runs at once, around a deploy, under load."""

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from taskflow import clock, command_line, config
from taskflow.domain import accounts, recurring
from taskflow.domain.accounts import Registration
from taskflow.domain.search import parse
from taskflow.domain.times import Duration
from taskflow.standalone import supervisor
from taskflow.storage import (
    DatabaseUnavailable,
    dead_letter_store,
    events,
    reminder_store,
    task_changes,
    task_lists,
    task_store,
    transaction,
    wait_for_locks_at_most,
)
from taskflow.storage.collation import sort_key
from taskflow.storage.migrations import runner
from taskflow.storage.migrations.phases import SchemaIsNewer
from taskflow.storage.migrations.runner import MigrationOutOfPhase
from taskflow.storage.search_words import tsqueries_of
from taskflow.storage.tables import METADATA, REFRESH_TOKENS, SESSIONS
from taskflow.storage.task_lists import TaskFilter
from tests.support.data.accounts import A_CAUSE, a_user
from tests.support.data.builders import a_series, a_stored_task, log_of
from tests.support.polling import eventually

SCRIPT = """
from alembic import op

revision = "{revision}"
down_revision = {below!r}

PHASE = "{phase}"


def upgrade() -> None:
    op.execute("{statement}")
"""
WAIT_S = 20

pytestmark = pytest.mark.usefixtures("empty_database")

Writer = Callable[[str, str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Writer:
    """Return what writes one more migration (revision, phase, statement) after the real ones."""
    folder = tmp_path / "migrations"
    shutil.copytree(Path(runner.__file__).parent, folder, ignore=shutil.ignore_patterns("*.pyc"))
    monkeypatch.setattr(runner, "__file__", str(folder / "runner.py"))
    newest = [_real()[-1]]

    def write_one(revision: str, phase: str, statement: str) -> None:
        script = SCRIPT.format(
            revision=revision, below=newest[-1], phase=phase, statement=statement
        )
        (folder / "versions" / f"{revision}.py").write_text(script)
        newest.append(revision)

    return write_one


WAITING_MIGRATORS = """
    SELECT extract(epoch FROM max(clock_timestamp() - backend_start)) FROM pg_stat_activity
    WHERE datname = current_database() AND query LIKE '%pg_try_advisory_xact_lock%'
        AND pid <> pg_backend_pid()
"""


def _real() -> list[str]:
    versions = Path(runner.__file__).parent / "versions"
    return sorted(path.stem for path in versions.glob("[0-9]*.py"))


def _all(statement: str) -> list[object]:
    with transaction(A_CAUSE) as tx:
        return list(tx.connection.execute(text(statement)).scalars())


def test_all_migrations_of_an_empty_database_make_the_tables_of_the_code() -> None:
    applied = runner.apply()

    columns = _all(
        "SELECT table_name || '.' || column_name FROM information_schema.columns"
        " WHERE table_schema = 'public'"
    )
    seen = {f"{table.name}.{column.name}" for table in METADATA.sorted_tables for column in table.c}
    assert applied == _real()
    assert seen <= set(columns)


def test_a_second_run_finds_no_migration_pending_and_changes_nothing() -> None:
    runner.apply()
    user = a_user()

    again = runner.apply()

    assert again == []
    assert len(log_of(user.user_id)) == 1


def test_one_of_two_simultaneous_runs_migrates_and_the_other_waits() -> None:
    together = threading.Barrier(2)

    def apply() -> list[str]:
        together.wait(WAIT_S)
        return runner.apply()

    with ThreadPoolExecutor(2) as pool:
        applied = [done.result(WAIT_S) for done in [pool.submit(apply), pool.submit(apply)]]

    assert sorted(applied) == [[], _real()]


def test_a_database_migrated_by_newer_code_is_refused_with_a_sentence() -> None:
    runner.apply()
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(SchemaIsNewer, match="at revision 9999, which this version") as refused:
        runner.apply()

    assert issubclass(SchemaIsNewer, supervisor.PROBLEMS)
    assert "\n" not in str(refused.value)


@pytest.fixture
def release_before() -> Path:
    """Return the path of the runner that has the real migrations alone, to be set anew."""
    return Path(runner.__file__)


def test_the_release_before_can_be_deployed_again_on_what_was_added_before_the_deploy(
    release_before: Path, write: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("9001_add", "before-deploy", "CREATE TABLE added (n int)")
    write("9002_drop", "after-deploy", "DROP TABLE added")
    applied = runner.apply("before-deploy")

    with monkeypatch.context() as rolled_back:
        rolled_back.setattr(runner, "__file__", str(release_before))
        again = [runner.apply("before-deploy"), runner.apply("after-deploy"), runner.apply()]

    assert applied[-1] == "9001_add"
    assert again == [[], [], []]
    # And forward once more.
    assert runner.apply("before-deploy") == []
    assert runner.apply("after-deploy") == ["9002_drop"]


def test_the_release_before_is_refused_once_what_it_needs_was_taken_away(
    release_before: Path, write: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("9001_drop", "after-deploy", "DROP TABLE IF EXISTS nothing")
    write("9002_add", "before-deploy", "CREATE TABLE added (n int)")
    runner.apply()
    monkeypatch.setattr(runner, "__file__", str(release_before))

    for phase in ("before-deploy", "after-deploy", None):
        with pytest.raises(SchemaIsNewer, match=r"9002_add, which .* 9001_drop took away"):
            runner.apply(phase)


def test_the_phases_of_migrations_from_before_phases_were_kept_are_added_with_the_next(
    write: Writer,
) -> None:
    runner.apply()
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text("DROP TABLE applied_migrations"))
    write("9001_drop", "after-deploy", "DROP TABLE IF EXISTS nothing")

    runner.apply()

    with transaction(A_CAUSE) as tx:
        kept = tx.connection.execute(text("SELECT revision, phase FROM applied_migrations")).all()
    assert sorted(map(tuple, kept)) == [
        *((revision, "before-deploy") for revision in _real_without_made_up()),
        ("9001_drop", "after-deploy"),
    ]


def test_a_migrator_waits_for_another_longer_than_a_request_would(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("taskflow.storage.transactions.LOCK_TIMEOUT_MS", 100)
    monkeypatch.setattr("taskflow.storage.transactions.STATEMENT_TIMEOUT_MS", 100)
    key = runner._ONE_MIGRATOR  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    with ThreadPoolExecutor(1) as pool, transaction(A_CAUSE) as tx:
        tx.connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
        waiting = pool.submit(runner.apply)

        eventually(lambda: _assert_a_migrator_has_waited_for(0.3))
        assert not waiting.done()
        tx.connection.rollback()

        assert waiting.result(WAIT_S) == _real()


def test_the_connection_of_a_migration_returns_with_the_limits_of_a_request() -> None:
    runner.apply()

    assert _all("SHOW lock_timeout") == ["10s"]
    assert _all("SHOW statement_timeout") == ["30s"]


def test_a_failed_migration_leaves_the_earlier_ones_and_nothing_of_itself(
    write: Writer,
) -> None:
    write("9001_good", "before-deploy", "CREATE TABLE good (n int)")
    write("9002_bad", "before-deploy", "CREATE TABLE bad (n int); SELECT 1 / 0")

    with pytest.raises(ProgrammingError, match="division by zero"):
        runner.apply()

    assert _all("SELECT to_regclass('good') IS NOT NULL") == [True]
    assert _all("SELECT to_regclass('bad') IS NOT NULL") == [False]
    assert _all("SELECT version_num FROM alembic_version") == ["9001_good"]


def test_only_migrations_that_the_old_code_can_bear_are_applied_before_the_deploy(
    write: Writer,
) -> None:
    write("9001_add", "before-deploy", "CREATE TABLE added (n int)")
    write("9002_drop", "after-deploy", "DROP TABLE IF EXISTS nothing")

    before = runner.apply("before-deploy")
    again = runner.apply("before-deploy")
    after = runner.apply("after-deploy")

    assert before == [*_real_without_made_up(), "9001_add"]
    assert again == []
    assert after == ["9002_drop"]


def test_the_command_says_which_migrations_wait_until_the_code_before_has_gone(
    empty_database: str,
    write: Writer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write("9001_drop", "after-deploy", "DROP TABLE IF EXISTS nothing")
    monkeypatch.setenv("DATABASE_URL", empty_database)
    with config.settings.replaced_by(config.settings()):
        for phase in ("before-deploy", "after-deploy", "before-deploy"):
            command_line.main(["migrate", "--phase", phase])

    assert capsys.readouterr().out.splitlines() == [
        *_real_without_made_up(),
        "After the deploy: 9001_drop",
        "9001_drop",
        "Nothing is pending.",
    ]


def test_no_migration_from_before_the_deploy_is_applied_after_it(write: Writer) -> None:
    write("9001_add", "before-deploy", "CREATE TABLE added (n int)")

    assert runner.apply("after-deploy") == []


def test_a_migration_that_an_earlier_deploy_left_undone_is_named(write: Writer) -> None:
    write("9001_drop", "after-deploy", "DROP TABLE IF EXISTS nothing")
    write("9002_add", "before-deploy", "CREATE TABLE added (n int)")

    with pytest.raises(MigrationOutOfPhase, match="9001_drop"):
        runner.apply("before-deploy")

    assert _all("SELECT to_regclass('users') IS NOT NULL") == [False]
    assert runner.apply() == [*_real_without_made_up(), "9001_drop", "9002_add"]


def test_requests_are_served_while_a_migration_waits_for_its_lock(
    write: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LOCK_WAIT_MS", 200)
    runner.apply()
    user = a_user()
    write("9001_add", "before-deploy", "ALTER TABLE tasks ADD COLUMN extra text")
    served = 0
    with ThreadPoolExecutor(1) as pool, transaction(A_CAUSE) as reader:
        # A long read holds the table, the migration waits for it, and all others behind that.
        reader.connection.execute(text("SELECT count(*) FROM tasks"))
        migrating = pool.submit(runner.apply)
        eventually(lambda: _assert_someone_waits_for(0))

        while served < 3:
            a_stored_task(user.user_id)
            served += 1
        assert not migrating.done()
        reader.connection.rollback()

        assert migrating.result(WAIT_S) == ["9001_add"]
    a_stored_task(user.user_id)
    assert len(log_of(user.user_id)) == 1 + served + 1


TASK: dict[str, Any] = {
    "id": UUID("019ca8a0-3e80-7000-8674-ca7e663b7f8f"),
    "metadata": '{"z": 1.0, "a": [null]}',
    "now": datetime(2026, 3, 1, 9, tzinfo=UTC),
}
INSERT_AS_BEFORE = """
INSERT INTO tasks (
    id, user_id, title, description, status, priority, tags, metadata, due_date, completed_at,
    created_at, updated_at, version, deleted_at
) VALUES (
    :id, :user_id, 'Buy milk', NULL, 'pending', 2, '{home}', CAST(:metadata AS json), :now, NULL,
    :now, :now, 1, NULL
)
"""


def test_tasks_from_before_recurrence_are_as_they_were_and_can_recur(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _apply_before("0004", tmp_path, monkeypatch)
    with transaction(A_CAUSE) as tx:
        events.open_stream(tx, "somebody")
        tx.connection.execute(text(INSERT_AS_BEFORE), {**TASK, "user_id": "somebody"})

    applied = runner.apply()

    with transaction(A_CAUSE) as tx:
        task = task_store.get(tx, "somebody", TASK["id"])
        found = reminder_store.of_task(tx, task.id)
        set_, happened = recurring.set_recurrence(
            task, a_series(), "UTC", lead=timedelta(0), now=TASK["now"]
        )
        task_changes.save(tx, task, (set_, happened))
        again = task_store.get(tx, "somebody", task.id)
    assert applied[0] == "0004_time"
    assert (task.title, task.tags, task.metadata) == (
        "Buy milk",
        ("home",),
        {"z": 1.0, "a": [None]},
    )
    assert (task.recurrence, task.next_occurrence, task.recurring_task_id) == (None, None, None)
    assert found == []
    assert again == set_
    assert len(log_of("somebody")) == 1


def test_the_code_from_before_recurrence_still_works_after_the_migration() -> None:
    runner.apply("before-deploy")
    user = a_user()

    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text(INSERT_AS_BEFORE), {**TASK, "user_id": user.user_id})

    with transaction(A_CAUSE) as tx:
        assert task_store.next_due(tx) is None
        assert not task_store.get(tx, user.user_id, TASK["id"]).recurs


def _assert_someone_waits_for(at_least_s: float) -> None:
    waiting = _all(
        "SELECT extract(epoch FROM max(clock_timestamp() - waitstart)) FROM pg_locks"
        " WHERE NOT granted"
    )
    assert waiting != [None]
    assert float(str(waiting[0])) >= at_least_s


def _assert_a_migrator_has_waited_for(at_least_s: float) -> None:
    try:
        connected = _all(WAITING_MIGRATORS)
    except DatabaseUnavailable:
        # So short a time for a statement may be too short for this one, too.
        connected = [None]
    assert connected != [None]
    assert float(str(connected[0])) >= at_least_s


def _real_without_made_up() -> list[str]:
    return [revision for revision in _real() if revision < "9"]


def test_old_emails_get_their_one_spelling_unless_it_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _apply_before("0008", tmp_path, monkeypatch)
    kept = {
        "a": ("e\u0301@example.com", "\u00e9@example.com"),
        "b": ("b@xn--bcher-kva.example", "b@xn--bcher-kva.example"),
        "c": ("b@b\u00fccher.example", "b@b\u00fccher.example"),
        "d": ("d@xn--bcher-kva.example", "d@b\u00fccher.example"),
        "e": ("e@example.com", "e@example.com"),
    }
    users = {name: _an_older_user() for name in kept}
    with transaction(A_CAUSE) as tx:
        for name, (before, _) in kept.items():
            statement = text("UPDATE users SET email = :email WHERE id = :id")
            tx.connection.execute(statement, {"email": before, "id": users[name]})

    runner.apply()

    with transaction(A_CAUSE) as tx:
        found = tx.connection.execute(text("SELECT id, email FROM users")).all()
    assert sorted(map(tuple, found)) == sorted(
        (users[name], after) for name, (_, after) in kept.items()
    )


INSERT_REMINDER_AS_BEFORE = """
INSERT INTO reminders (
    id, task_id, user_id, remind_at, before_due_s, message, status, created_at, version,
    is_snoozed, is_removed
) VALUES (
    gen_random_uuid(), :id, 'somebody', :now, :before_due_s, NULL, 'scheduled', :now, 1, false,
    coalesce(CAST(:before_due_s AS integer) > 999999, false)
)
"""
MAKE_RECUR_AS_BEFORE = """
UPDATE tasks SET
    next_occurrence = :now,
    spawn_at = CAST(:now AS timestamptz) - interval '26 hours',
    recurrence = '{"recurrence_rule": "FREQ=DAILY", "start": "2026-02-01T09:00:00",
      "timezone": null, "mode": "schedule", "missed": "all", "skip": "backward", "zone": "UTC",
      "lead_s": 93600, "made": 0, "led_since": null}'
"""


def test_old_reminders_have_as_many_calendar_days_as_they_showed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _apply_before("0013", tmp_path, monkeypatch)
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text(INSERT_AS_BEFORE), {**TASK, "user_id": "somebody"})
        tx.connection.execute(text(MAKE_RECUR_AS_BEFORE), TASK)
        for before_due_s in (None, 0, 3600, 86_400, 93_600, 1_000_000):
            values = {**TASK, "before_due_s": before_due_s}
            tx.connection.execute(text(INSERT_REMINDER_AS_BEFORE), values)

    runner.apply()

    with transaction(A_CAUSE) as tx:
        # As the old code adds one while the new one is rolled out.
        values = {**TASK, "before_due_s": 172_800}
        tx.connection.execute(text(INSERT_REMINDER_AS_BEFORE), values)
        task = task_store.get(tx, "somebody", TASK["id"])
        found = {one.before_due for one in reminder_store.of_task(tx, task.id)}
        spawn_at = tx.connection.execute(text("SELECT spawn_at FROM tasks")).scalar_one()
    assert found == {
        *(None, Duration(), Duration(seconds=3600), Duration(days=1), Duration(days=2)),
        *(Duration(days=1, seconds=7200), Duration(days=11, seconds=49_600)),
    }
    assert task.recurrence is not None
    # Of those that are not removed, the longest, with the hours that its day may last longer.
    assert task.recurrence.lead == timedelta(hours=29)
    assert spawn_at == TASK["now"] - timedelta(hours=29)


MANY_AS_BEFORE = """
INSERT INTO tasks (
    id, user_id, title, status, priority, tags, metadata, created_at, updated_at, version
) SELECT
    gen_random_uuid(), 'somebody', n || CAST(:end AS text), 'pending', 2, '{}', '{}', :now, :now, 1
FROM generate_series(1, 2345) AS n
"""


def test_old_titles_without_keys_are_listed_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _apply_before("0011", tmp_path, monkeypatch)
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(
            text(MANY_AS_BEFORE), {"end": "\u00e9 \U0001f418", "now": TASK["now"]}
        )

    runner.apply()

    with transaction(A_CAUSE) as tx:
        keys = tx.connection.execute(text("SELECT title, title_key FROM tasks")).all()
    assert len(keys) == 2345
    assert all(key == sort_key(title) for title, key in keys)


def test_a_task_that_older_code_makes_is_listed_by_title_too() -> None:
    runner.apply("before-deploy")
    user = a_user()
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text(INSERT_AS_BEFORE), {**TASK, "user_id": user.user_id})

    with transaction(A_CAUSE) as tx:
        found = task_lists.list_of(
            tx, user.user_id, TaskFilter(), sort="title", after=None, limit=9
        )

    assert [task.title for task, _ in found.tasks] == ["Buy milk"]


def _found(q: str) -> list[str]:
    """Return the titles of the tasks of somebody that a search finds, the oldest last."""
    wanted = TaskFilter(text=tsqueries_of("somebody", parse(q)))
    with transaction(A_CAUSE) as tx:
        found = task_lists.list_by_relevance(tx, "somebody", wanted, after=None, limit=9)
    return [task.title for task, _ in found.tasks]


def test_old_tasks_are_found_by_their_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _apply_before("0019", tmp_path, monkeypatch)
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text(INSERT_AS_BEFORE), {**TASK, "user_id": "somebody"})
        tx.connection.execute(
            text("UPDATE tasks SET title = 'Bring back 🐘', description = 'Café!'")
        )
        tx.connection.execute(text(MANY_AS_BEFORE), {"end": " loaves", "now": TASK["now"]})

    runner.apply("before-deploy")

    for q in ("bring", "cafe", "home", "🐘", "cafe home back"):
        assert _found(q) == ["Bring back 🐘"]
    assert _found("2345") == ["2345 loaves"]
    assert _all("SELECT count(*) FROM tasks WHERE heading IS NULL") == [0]


UPDATE_AS_BEFORE = """
UPDATE tasks SET title = 'Coffee', description = 'Black', version = 2 WHERE title = 'Tea'
"""


def test_what_older_code_writes_during_a_deploy_is_found_after_it() -> None:
    runner.apply("before-deploy")
    with transaction(A_CAUSE) as tx:
        events.open_stream(tx, "somebody")
        tx.connection.execute(text(INSERT_AS_BEFORE), {**TASK, "user_id": "somebody"})
    for title in ("Tea", "Tea too"):
        a_stored_task("somebody", title=title, description="Green" if title == "Tea" else None)
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text(UPDATE_AS_BEFORE))

    runner.apply("after-deploy")

    assert [_found(q) for q in ("tea", "green")] == [["Tea too"], []]
    assert [_found(q) for q in ("milk", "black")] == [["Buy milk"], ["Coffee"]]
    assert _all("SELECT count(*) FROM tasks WHERE words_version IS DISTINCT FROM version") == [0]


def test_sessions_that_were_left_without_a_token_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _apply_before("0018", tmp_path, monkeypatch)
    user_id = _an_older_user()
    with transaction(A_CAUSE) as tx:
        kept, left_over = uuid4(), uuid4()
        for session_id in (kept, left_over):
            tx.connection.execute(
                SESSIONS.insert().values(id=session_id, user_id=user_id, created_at=clock.now())
            )
        tx.connection.execute(
            REFRESH_TOKENS.insert().values(
                token_hash=b"of a token", session_id=kept, expires_at=clock.now()
            )
        )

    runner.apply()

    left = _all("SELECT id FROM sessions ORDER BY id")
    assert left == _all("SELECT session_id FROM refresh_tokens ORDER BY session_id")
    assert kept in left
    assert left_over not in left


def test_sessions_are_read_while_it_is_read_off_their_tokens_when_they_were_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _apply_before("0037", tmp_path, monkeypatch)
    user_id, now, used = _an_older_user(), clock.now(), uuid4()
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(
            text("INSERT INTO sessions (id, user_id, created_at) VALUES (:id, :user, :at)"),
            {"id": used, "user": user_id, "at": now - timedelta(days=9)},
        )
        for days in (21, 28):
            token = {"token_hash": b"%d" % days, "session_id": used}
            expires_at = now + timedelta(days=days)
            tx.connection.execute(REFRESH_TOKENS.insert().values(**token, expires_at=expires_at))
    column = "FROM information_schema.columns WHERE column_name = 'last_used_at'"
    with ThreadPoolExecutor(1) as pool, transaction(A_CAUSE) as holding:
        holding.connection.execute(text("LOCK TABLE refresh_tokens"))

        applying = pool.submit(runner.apply)

        def is_at_it() -> None:
            assert _all(f"SELECT table_name {column}") == ["sessions"]

        eventually(is_at_it, within_s=WAIT_S)
        assert _all("SELECT id FROM sessions") == [used]
        holding.connection.commit()
        applying.result(WAIT_S)

    assert _all("SELECT last_used_at FROM sessions") == [now - timedelta(days=2)]


def test_a_table_is_written_to_while_its_index_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _apply_before("0015", tmp_path, monkeypatch)
    claim = text("INSERT INTO claims VALUES ('a-consumer', gen_random_uuid(), now())")
    with ThreadPoolExecutor(1) as pool, transaction(A_CAUSE) as writing:
        writing.connection.execute(claim)
        migrating = pool.submit(runner.apply)
        eventually(lambda: _assert_someone_waits_for(0))

        with transaction(A_CAUSE) as tx:
            wait_for_locks_at_most(tx, 1_000)
            tx.connection.execute(claim)

        assert not migrating.done()
        writing.connection.commit()
        assert "0015_expiry_in_order" in migrating.result(WAIT_S)
    assert _all("SELECT indisvalid FROM pg_index WHERE indexrelid = 'claims_by_age'::regclass") == [
        True
    ]


def test_an_index_that_was_left_unfinished_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _apply_before("0015", tmp_path, monkeypatch)
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(text("CREATE INDEX claims_by_age ON claims (claimed_at)"))
        tx.connection.execute(
            text(
                "UPDATE pg_index SET indisvalid = false"
                " WHERE indexrelid = 'claims_by_age'::regclass"
            )
        )

    runner.apply()

    assert _all("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == [0]


INSERT_LETTER_AS_BEFORE = """
INSERT INTO dead_letters (
    id, consumer, event_id, event_type, user_id, seq, attributes, body, error_code, error_text,
    state, received_at, deaths
) SELECT
    gen_random_uuid(), 'a-consumer', event_id, event_type, user_id, seq, '{}', '', 503, '',
    :state, :now, 1
FROM events WHERE user_id = :user_id
"""


def test_dead_letters_that_older_code_stores_are_reconciled_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _apply_before("0024", tmp_path, monkeypatch)
    users = [_an_older_user() for _ in range(3)]

    def store(user_id: str, state: str) -> None:
        with transaction(A_CAUSE) as tx:
            values = {"user_id": user_id, "state": state, "now": clock.now()}
            tx.connection.execute(text(INSERT_LETTER_AS_BEFORE), values)

    store(users[0], "dead")
    store(users[1], "discarded")

    runner.apply()

    store(users[2], "dead")
    with transaction(A_CAUSE) as tx:
        now = clock.now() + timedelta(seconds=1)
        found = dead_letter_store.to_reconcile(tx, "a-consumer", now=now, limit=9)
    assert {letter.user_id for letter in found} == {users[0], users[2]}
    with pytest.raises(ProgrammingError, match="dead_letters_state_check"):
        store(_an_older_user(), "alive")


INSERT_USER_AS_BEFORE = """
INSERT INTO users (
    id, email, password_hash, timezone, roles, notification_channels, created_at, version
) VALUES (:id, :email, 'none', 'UTC', '{user}', '{}', now(), 1)
"""
INSERT_EVENT_AS_BEFORE = """
INSERT INTO events (
    user_id, seq, event_id, event_type, aggregate_id, version, schema_version, timestamp,
    correlation_id, traceparent, actor, origin, data, hash
) VALUES (
    :id, 1, gen_random_uuid(), 'user.registered', :id, 1, 1, now(), '', '', :id, '', '{}', ''
)
"""


def _an_older_user() -> str:
    """Store an account and its event, as older code did; return its id."""
    registration = Registration(email=f"{uuid4()}@example.com", password="a long password")
    account, _ = accounts.register(registration, now=clock.now())
    with transaction(A_CAUSE) as tx:
        values = {"id": account.id, "email": account.email}
        for statement in (INSERT_USER_AS_BEFORE, INSERT_EVENT_AS_BEFORE):
            tx.connection.execute(text(statement), values)
    return account.id


def _apply_before(number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apply the migrations that come before one."""
    folder = tmp_path / "as-before"
    later = [f"{revision}.py" for revision in _real() if revision >= number]
    unwanted = shutil.ignore_patterns("*.pyc", *later)
    shutil.copytree(Path(runner.__file__).parent, folder, ignore=unwanted)
    with monkeypatch.context() as patch:
        patch.setattr(runner, "__file__", str(folder / "runner.py"))
        runner.apply()
