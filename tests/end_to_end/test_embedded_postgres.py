"""The embedded PostgreSQL: kills, interrupted starts, leftover servers, awkward folders."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import make_url, text

from taskflow.standalone import postgres
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.standalone.processes import PostgresDidNotStart
from taskflow.storage import driver

SUPERVISOR = """
import os, sys
from pathlib import Path
from taskflow.standalone.postgres import EmbeddedPostgres

os.setgid(int(sys.argv[3]))
os.setuid(int(sys.argv[2]))
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.process.pid, flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("embedded")


@pytest.fixture
def server(data_dir: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(data_dir)
    server.start()
    _run(server, "DROP TABLE IF EXISTS kept")
    yield server
    server.stop()


def _run(server: EmbeddedPostgres, *statements: str) -> object:
    engine = driver.engine(server.url)
    try:
        with engine.begin() as connection:
            results = [connection.execute(text(statement)) for statement in statements]
            return results[-1].scalar_one_or_none() if results[-1].returns_rows else None
    finally:
        engine.dispose()


def _supervise(data_dir: Path, uid: int, gid: int) -> tuple[subprocess.Popen[str], int]:
    # It imports first and becomes the user then, who may be unable to read this Python.
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(data_dir), str(uid), str(gid)],
        env={"PYTHONPATH": str(Path(postgres.__file__).parents[2])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert supervisor.stdout is not None
    return supervisor, int(supervisor.stdout.readline())


def test_the_database_is_utf8_and_orders_by_code_point_on_every_machine(
    server: EmbeddedPostgres,
) -> None:
    locale = _run(
        server,
        "SELECT concat_ws(' ', pg_encoding_to_char(encoding), datlocprovider, datlocale)"
        " FROM pg_database WHERE datname = current_database()",
    )
    lower = _run(server, "SELECT lower('ÅSA')")

    assert (locale, lower) == ("UTF8 b C.UTF-8", "åsa")


def test_written_rows_are_there_after_a_stop_and_a_start(server: EmbeddedPostgres) -> None:
    _run(server, "CREATE TABLE kept AS SELECT 1 AS n")

    server.stop()
    server.start()

    assert _run(server, "SELECT n FROM kept") == 1


def test_committed_rows_are_there_after_the_server_was_killed(server: EmbeddedPostgres) -> None:
    _run(server, "CREATE TABLE kept AS SELECT 1 AS n")

    os.kill(server.process.pid, signal.SIGKILL)
    server.start()

    assert _run(server, "SELECT n FROM kept") == 1


def test_commits_are_durable(server: EmbeddedPostgres) -> None:
    settings = "SELECT current_setting('fsync') || current_setting('synchronous_commit')"

    assert _run(server, settings) == "onon"


def test_the_database_is_reached_only_by_its_own_user_through_its_socket(
    server: EmbeddedPostgres,
) -> None:
    path = Path(str(make_url(server.url).query["unix_sock"]))

    connections = psutil.Process(server.process.pid).net_connections("inet")

    assert connections == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_server_stops_in_order_and_may_be_stopped_again(
    server: EmbeddedPostgres,
) -> None:
    server.stop()
    server.stop()

    assert server.process.returncode == 0


def test_a_server_left_over_from_an_earlier_run_is_replaced(
    server: EmbeddedPostgres, data_dir: Path
) -> None:
    _run(server, "CREATE TABLE kept AS SELECT 1 AS n")
    successor = EmbeddedPostgres(data_dir)

    successor.start()

    assert server.process.poll() is not None
    assert _run(successor, "SELECT n FROM kept") == 1
    successor.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
def test_the_server_ends_when_its_supervisor_is_killed_and_starts_again(data_dir: Path) -> None:
    supervisor, pid = _supervise(data_dir, os.geteuid(), os.getegid())

    supervisor.kill()
    supervisor.communicate()
    successor = EmbeddedPostgres(data_dir)
    successor.start()

    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert _run(successor, "SELECT 1") == 1
    successor.stop()


def test_an_interrupt_from_the_terminal_does_not_reach_the_server(server: EmbeddedPostgres) -> None:
    assert os.getpgid(server.process.pid) != os.getpgrp()


def test_a_lock_file_that_names_another_process_does_not_prevent_the_start(
    server: EmbeddedPostgres, data_dir: Path
) -> None:
    lock_file = data_dir / "postgres" / "postmaster.pid"
    lines = lock_file.read_text().splitlines(keepends=True)
    server.stop()
    lock_file.write_text("".join([f"{os.getpid()}\n", *lines[1:]]))

    server.start()

    assert _run(server, "SELECT 1") == 1


def test_an_interrupted_first_start_is_done_anew(tmp_path: Path) -> None:
    unfinished = tmp_path / "postgres.new"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(tmp_path)

    server.start()

    assert _run(server, "SELECT 1") == 1
    server.stop()


def test_a_server_with_a_long_path_has_its_socket_elsewhere(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / ("long" * 30))

    server.start()

    assert len(str(make_url(server.url).query["unix_sock"])) < postgres.SOCKET_PATH_MAX_BYTES
    assert _run(server, "SELECT 1") == 1
    server.stop()


def test_a_failed_start_tells_the_log_of_the_server(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path, options={"max_connections": "many"})

    with pytest.raises(PostgresDidNotStart, match="invalid value for parameter"):
        server.start()

    assert server.process.poll() == 1


def test_options_win_over_the_defaults(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path, options={"max_connections": "17"})

    server.start()

    assert _run(server, "SHOW max_connections") == "17"
    server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as a plain user")
def test_an_ordinary_user_can_run_the_server() -> None:
    nobody = pwd.getpwnam("nobody")
    folder = Path(tempfile.mkdtemp())
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)

    supervisor, pid = _supervise(folder, nobody.pw_uid, nobody.pw_gid)
    owner = psutil.Process(pid).username()
    supervisor.communicate()

    assert (owner, supervisor.returncode) == ("nobody", 0)
    shutil.rmtree(folder)
