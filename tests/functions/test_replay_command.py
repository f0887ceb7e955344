"""`taskflow replay --from log`: the log replayed from the command line (E7)."""

import re
import subprocess
from collections.abc import Generator
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select

from taskflow import clock, command_line, config
from taskflow.domain.replay import ReplayRequest
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.storage import replay_store, transaction
from taskflow.storage.replay_store import RequestedReplay
from taskflow.storage.tables import REPLAYS
from tests.support.data.accounts import A_CAUSE, SignedIn, a_user
from tests.support.data.builders import a_stored_task
from tests.support.data.bulk_events import add_events
from tests.support.database.tampering import tamper
from tests.support.database.temporary import a_database
from tests.support.polling import eventually
from tests.support.processes.command_line import begin_taskflow, taskflow

MANY = 5_000


@pytest.fixture(scope="module", autouse=True)
def _own_database(database: EmbeddedPostgres) -> Generator[None]:
    """Use a database without other writers: all tasks are compared."""
    with a_database(database):
        yield


@pytest.fixture(autouse=True)
def _no_other_replays(_own_database: None) -> None:
    with transaction(A_CAUSE) as tx:
        tx.connection.execute(REPLAYS.delete())


@pytest.fixture
def user(_own_database: None) -> SignedIn:
    return a_user()


@pytest.fixture
def another_database(database: EmbeddedPostgres) -> Generator[None]:
    """Use a database without what other tests have changed by hand."""
    with a_database(database):
        yield


def replay(*arguments: str) -> subprocess.CompletedProcess[str]:
    return taskflow("replay", *arguments, DATABASE_URL=config.settings().database_url or "")


def the_replay() -> RequestedReplay:
    with transaction(A_CAUSE) as tx:
        [replay] = replay_store.list_of(tx, after=None, limit=10)
    return replay


def test_the_command_says_that_the_log_gives_the_live_tasks(user: SignedIn) -> None:
    a_stored_task(user.user_id)

    done = replay("--from", "log", "--user", user.user_id)

    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "done: 2 events; 1 tasks are the same, 0 differ, 0 are not in the log,"
        " 0 not in the tables\n"
    )
    assert re.match(r"Replay [0-9a-f-]{36}\n", done.stderr)


def test_the_command_names_what_differs_and_fails(user: SignedIn) -> None:
    task, gone = a_stored_task(user.user_id), a_stored_task(user.user_id)
    a_stored_task(a_user().user_id)
    tamper("UPDATE tasks SET title = 'forged' WHERE id = :id", id=task.id)
    tamper("DELETE FROM tasks WHERE id = :id", id=gone.id)

    done = replay("--from", "log", "--user", user.user_id)

    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "done: 3 events; 0 tasks are the same, 1 differ, 0 are not in the log, 1 not in the tables",
        f"{task.id} differs in title",
        f"{gone.id} is not in the tables",
    ]


@pytest.mark.usefixtures("another_database")
def test_a_replay_that_was_killed_is_gone_on_with_where_it_was() -> None:
    add_events(MANY, over=timedelta(days=1), claimed_by="record-audit-entry")
    url = config.settings().database_url or ""
    process = begin_taskflow("replay", "--from", "log", DATABASE_URL=url)
    try:
        killed = eventually(_a_replay_under_way, within_s=30)
    finally:
        process.kill()
        process.wait()
    left = the_replay()
    assert (left.state, 0 < killed.events_done <= left.events_done < MANY) == ("running", True)
    tamper("UPDATE replays SET held_until = now() - interval '1 second'")

    done = replay("--resume", str(left.id))

    # None of them has a live task.
    assert done.returncode == 1
    assert done.stdout.startswith(f"done: {MANY} events; 0 tasks are the same, 0 differ")
    assert the_replay().tasks_only_rebuilt == MANY


def _a_replay_under_way() -> RequestedReplay:
    with transaction(A_CAUSE) as tx:
        assert tx.connection.execute(select(REPLAYS.c.id)).first()
    found = the_replay()
    assert found.events_done > 0
    return found


def test_a_replay_is_cancelled_by_the_command(user: SignedIn) -> None:
    a_stored_task(user.user_id)
    with transaction(A_CAUSE) as tx:
        left = replay_store.add(tx, ReplayRequest(to="shadow"), requested_by="", now=clock.now())

    done = replay("--cancel", str(left.id))

    assert (done.returncode, done.stdout) == (0, f"Replay {left.id} is cancelled.\n")
    assert the_replay().state == "cancelled"
    assert "done or was cancelled already" in replay("--cancel", str(left.id)).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "log", "--to", "topic"], "There is no Kafka here"),
        (["--from", "log", "--user", "nobody"], "--user: 'nobody' is no user's id"),
        (["--resume", str(uuid4())], "There is no such replay."),
    ],
)
def test_what_cannot_be_replayed_is_said_in_a_sentence(arguments: list[str], said: str) -> None:
    done = replay(*arguments)

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "kafka", "--user", "x"], "go with --from log"),
        (["--from", "log", "--from-seq", "0"], "--from-seq: Input should be greater"),
        (["--resume", str(uuid4()), "--to", "topic"], "go with --from log"),
    ],
)
def test_options_that_say_no_replay_are_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = command_line.main(["replay", *arguments])

    assert status == 2
    assert said in capsys.readouterr().err
