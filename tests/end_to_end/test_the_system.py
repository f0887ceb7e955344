"""`taskflow up`: started, stopped and misused, with processes that are killed (D1, D2, A5)."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import jwt
import psutil
import pytest
import requests
from sqlalchemy import text

from taskflow import config
from taskflow.config import FUNCTIONS_CONNECTIONS_MAX
from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.standalone.processes import NICENESS
from taskflow.storage import connections_max, task_store, transaction
from tests.support.data.accounts import A_CAUSE, SignedIn
from tests.support.data.builders import log_of
from tests.support.database.connection import database_of
from tests.support.network.ports import a_free_port
from tests.support.network.remote_api import RemoteApi, a_new_user, signed_in
from tests.support.network.sockets import ResumingClient, seqs
from tests.support.paths import ROOT
from tests.support.polling import eventually
from tests.support.processes.roles import (
    api_workers,
    consumers_workers,
    crons_workers,
    delivery,
    wait_for,
)
from tests.support.processes.system import STARTED_WITHIN_S, System

COMMAND_WITHIN_S = 60
STOPPED_WITHIN_S = 15
STOPPED_AT_ONCE_S = 8
"""What an orderly stop takes by itself is 2 s; the server's patience with its clients is 10 s."""

RECOVERED_WITHIN_S = 15
A_SHORT_SECRET = "too short a secret"


def _taskflow(*arguments: str, data_dir: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "taskflow.command_line", *arguments],
        env={
            **config.environment(),
            "TASKFLOW_DATA_DIR": str(data_dir),
            "FUNCTIONS_DIR": str(ROOT / "functions"),
            **settings,
        },
        capture_output=True,
        text=True,
        timeout=COMMAND_WITHIN_S,
        check=False,
    )


def _permissions(user: SignedIn, system: System) -> tuple[list[str], int]:
    """Return the roles in a user's token, and what a route for administrators answers it."""
    answer = requests.get(f"{system.url}/api/admin/audit", headers=user.headers, timeout=10)
    claims = jwt.decode(user.token, options={"verify_signature": False})
    return claims["roles"], answer.status_code


def _postmaster(system: System) -> psutil.Process:
    [found] = [
        child
        for child in psutil.Process(system.process.pid).children()
        if child.name() == "postgres"
    ]
    return found


def _servers(system: System) -> Sequence[psutil.Process]:
    """Return what the supervisor runs beside PostgreSQL; what ends meanwhile is left out."""
    found: list[psutil.Process] = []
    for child in psutil.Process(system.process.pid).children():
        with suppress(psutil.NoSuchProcess):
            if child.name() != "postgres":
                found.append(child)
    return found


def _consumers(system: System) -> psutil.Process:
    """Return the server of the consumers; raises AssertionError while there is none."""
    for child in _servers(system):
        with suppress(psutil.NoSuchProcess):
            if "consumers" in child.cmdline():
                return child
    raise AssertionError("the consumers' server is being replaced")


def _api_workers(system: System) -> Sequence[psutil.Process]:
    """Return the workers of the API; raises AssertionError while it is being replaced."""
    try:
        [master] = [child for child in _servers(system) if "api" in child.cmdline()]
        return master.children()
    except (psutil.NoSuchProcess, ValueError) as error:
        raise AssertionError("the API is being replaced") from error


def _nothing_is_left(system: System) -> None:
    assert [str(found) for found in system.processes()] == []


def _persistently(remote: RemoteApi, *, within_s: float = RECOVERED_WITHIN_S) -> float:
    """Create a task, again and again until it is acknowledged; return how long that took."""
    began_s = time.monotonic()

    def create() -> None:
        try:
            answer = remote.request("POST", "tasks", {"title": "persistent"}, timeout_s=5)
        except requests.RequestException as error:
            raise AssertionError("no answer") from error
        assert answer.status_code == 201, answer.text

    eventually(create, within_s=within_s)
    return time.monotonic() - began_s


def _titles(remote: RemoteApi) -> set[str]:
    """Return the titles of all tasks of a user, and check that none comes twice."""
    found: list[str] = []
    cursor = ""
    while cursor is not None:
        answer = remote.request("GET", f"tasks?limit=200&cursor={cursor}".removesuffix("&cursor="))
        assert answer.status_code == 200, answer.text
        found += [task["title"] for task in answer.json()["items"]]
        cursor = answer.json()["next_cursor"]
    own = [title for title in found if title != "persistent"]
    assert len(own) == len(set(own))
    return set(own)


# Starting


def test_the_started_system_prints_its_address_and_how_to_log_in(system: System) -> None:
    def banner() -> str:
        text = system.log.read_text()
        assert "Ctrl-C stops it" in text
        return text

    text = eventually(banner)

    assert f"{system.url}/api" in text
    assert system.ws_url in text
    assert str(system.data_dir.resolve() / "postgres") in text
    assert f"{system.url}/api/auth/register" in text
    assert '{"email": "you@example.com", "password": "a long password"}' in text
    # Not `-d '{{`, which an f-string may leave: what is shown can be pasted.
    assert "{{" not in text
    assert "Traceback" not in text


def test_the_printed_command_to_log_in_works(system: System) -> None:
    eventually(lambda: _has(system.log, "Ctrl-C"))
    shown = system.log.read_text().split("Bearer …`:")[1].split("Ctrl-C")[0]

    answer = subprocess.run(["bash", "-c", shown], capture_output=True, text=True, check=True)

    assert '"access_token"' in answer.stdout


def _has(log: Path, words: str) -> None:
    assert words in log.read_text()


def test_the_system_listens_on_loopback_only(system: System) -> None:
    listening = {
        connection.laddr.ip
        for found in system.processes()
        for connection in found.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }

    assert listening == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"JWT_SECRET": A_SHORT_SECRET}, "JWT_SECRET: "),
        ({"DATABASE_URL": "postgresql://localhost/taskflow"}, "DATABASE_URL: "),
        (
            {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x?connect_timeout=1"},
            "PostgreSQL can't be reached",
        ),
        ({"DATABASE_URL": "postgresql://u@127.0.0.1:port/taskflow"}, "DATABASE_URL"),
        ({"ENVIRONMENT": "production"}, "JWT_SECRET"),
        ({"LINK_SECRET": A_SHORT_SECRET}, "LINK_SECRET: "),
        (
            {"SMTP_HOST": "h", "SMTP_FROM": "a@b", "SMTP_USERNAME": "me"},
            "SMTP_PASSWORD is needed for SMTP_USERNAME",
        ),
        ({"FUNCTIONS_DIR": "/nowhere"}, "FUNCTIONS_DIR: "),
        ({"HOST": "192.0.2.1"}, "192.0.2.1"),
        ({"HOST": "no such host"}, "no such host"),
        ({"TASKFLOW_DATA_DIR": "/dev/null/x"}, "TASKFLOW_DATA_DIR"),
    ],
    ids=str,
)
def test_a_wrong_setting_is_refused_with_a_sentence(
    tmp_path: Path, settings: dict[str, str], sentence: str
) -> None:
    data_dir = Path(settings.get("TASKFLOW_DATA_DIR", str(tmp_path / "data")))
    others = {"PORT": str(a_free_port()), **settings}
    others.pop("TASKFLOW_DATA_DIR", None)

    ended = _taskflow("up", data_dir=data_dir, **others)

    assert ended.returncode not in {0, None}
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
    # No setting is repeated that may hold a secret.
    assert A_SHORT_SECRET not in ended.stderr
    assert "u:p@" not in ended.stderr


def test_all_wrong_settings_are_named_at_once(tmp_path: Path) -> None:
    ended = _taskflow("up", data_dir=tmp_path, PORT="abc", JWT_SECRET="short", LOG_LEVEL="loud")

    assert ended.returncode != 0
    assert all(name in ended.stderr for name in ("PORT: ", "JWT_SECRET: ", "LOG_LEVEL: "))


def test_an_empty_setting_counts_as_unset(system: System) -> None:
    ended = _taskflow("migrate", data_dir=system.data_dir, DATABASE_URL="", JWT_SECRET=" ")

    assert (ended.returncode, ended.stdout) == (0, "Nothing is pending.\n")


def test_a_second_system_on_the_same_data_does_not_start(system: System) -> None:
    ended = _taskflow("up", data_dir=system.data_dir, PORT=str(a_free_port()))

    assert ended.returncode != 0
    assert "already runs" in ended.stderr
    assert "TASKFLOW_DATA_DIR" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert requests.get(f"{system.url}/health/readiness", timeout=5).status_code == 200


def test_a_taken_port_is_refused_with_a_sentence(system: System, tmp_path: Path) -> None:
    ended = _taskflow("up", data_dir=tmp_path / "data", PORT=str(system.port))

    assert ended.returncode != 0
    assert f"PORT: 127.0.0.1:{system.port} can't be had" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_more_connections_than_postgresql_allows_are_refused_with_a_sentence(
    system: System, tmp_path: Path
) -> None:
    ended = _taskflow(
        "up",
        data_dir=tmp_path / "data",
        PORT=str(a_free_port()),
        DATABASE_URL=EmbeddedPostgres(system.data_dir).url,
        DATABASE_POOL_SIZE="40",
        WEB_CONCURRENCY="2",
    )

    assert ended.returncode != 0
    assert "WEB_CONCURRENCY of 2, and 6 more are 206; PostgreSQL allows 197" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_embedded_postgresql_allows_the_connections_that_the_settings_need(
    own_system: System,
) -> None:
    own_system.settings.update(DATABASE_POOL_SIZE="40", WEB_CONCURRENCY="2")

    own_system.start()

    with database_of(own_system):
        assert (connections_max() or 0) >= 206
    assert own_system.stop() == 0


# Commands beside it


def test_migrating_a_running_system_again_changes_nothing(system: System) -> None:
    ended = [_taskflow("migrate", data_dir=system.data_dir) for _ in range(2)]

    assert [(one.returncode, one.stdout) for one in ended] == [(0, "Nothing is pending.\n")] * 2


def test_fewer_connections_than_the_functions_hold_are_told_by_a_migration(
    system: System,
) -> None:
    ended = _taskflow(
        "migrate",
        data_dir=system.data_dir,
        ENVIRONMENT="production",
        DATABASE_URL=EmbeddedPostgres(system.data_dir).url,
        JWT_SECRET="a secret for tests, and for nothing else at all",
    )

    assert ended.returncode == 0
    held = FUNCTIONS_CONNECTIONS_MAX
    assert f"PostgreSQL allows 197 connections, and all functions together may hold {held}" in (
        ended.stderr
    )


@pytest.mark.parametrize("command", [["migrate"], ["admin", "grant", "somebody@example.com"]])
def test_a_command_without_a_running_system_says_so(tmp_path: Path, command: list[str]) -> None:
    ended = _taskflow(*command, data_dir=tmp_path)

    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr
    assert ended.stderr.startswith("PostgreSQL can't be reached")


def test_an_appointed_administrator_has_the_role_from_the_next_log_in(system: System) -> None:
    before = a_new_user(system)

    granted = _taskflow("admin", "grant", before.email.upper(), data_dir=system.data_dir)
    after = signed_in(system, "login", before.email)

    assert (granted.returncode, granted.stderr) == (0, "")
    assert before.email in granted.stdout.lower()
    assert _permissions(before, system) == (["user"], 403)
    assert _permissions(after, system) == (["user", "admin"], 200)


def test_appointing_an_unknown_email_is_refused_with_a_sentence(system: System) -> None:
    ended = _taskflow("admin", "grant", "nobody@example.com", data_dir=system.data_dir)

    assert ended.returncode != 0
    assert ended.stderr == "There is no account with the email nobody@example.com.\n"


@pytest.mark.parametrize("arguments", [[], ["down"], ["admin"], ["admin", "grant"]])
def test_a_wrong_command_prints_its_usage(tmp_path: Path, arguments: list[str]) -> None:
    ended = _taskflow(*arguments, data_dir=tmp_path)

    assert ended.returncode == 2
    assert "usage: taskflow" in ended.stderr


# Parts that are killed


def test_the_processes_that_deliver_give_way_to_requests_and_to_what_is_due(system: System) -> None:
    by_role = {
        find.__name__: wait_for(find, system)
        for find in (api_workers, crons_workers, consumers_workers, delivery)
    }
    own = os.nice(0)

    def check() -> None:
        assert {role: {one.nice() for one in found} for role, found in by_role.items()} == {
            "api_workers": {own},
            "crons_workers": {own},
            "consumers_workers": {own + NICENESS},
            "delivery": {own + NICENESS},
        }

    eventually(check)


def test_a_worker_that_is_killed_is_replaced_and_clients_go_on(system: System) -> None:
    user = a_new_user(system)
    with ResumingClient(system, user) as client, RemoteApi(system, user) as remote:
        remote.create("before")
        workers = _api_workers(system)

        for worker in workers:
            worker.kill()
            _persistently(remote)

        def check() -> None:
            now = _api_workers(system)
            assert len(now) == len(workers)
            assert not set(now) & set(workers)

        eventually(check)
        remote.create("after")
        assert _titles(remote) == {"before", "after"}
        newest = remote.request("GET", "events").json()["seq"]
        client.wait_for(newest, within_s=RECOVERED_WITHIN_S)
    assert seqs(client.messages) == list(range(1, newest + 1))
    assert client.resyncs == 0


def test_servers_that_are_killed_are_replaced_and_clients_go_on(system: System) -> None:
    user = a_new_user(system)
    with ResumingClient(system, user) as client, RemoteApi(system, user) as remote:
        before = eventually(lambda: _all_servers(system))
        workers = [worker for server in before for worker in server.children()]
        for server in before:
            server.kill()

        def check() -> None:
            assert not set(_all_servers(system)) & set(before)
            assert not any(worker.is_running() for worker in workers)

        eventually(check, within_s=RECOVERED_WITHIN_S)
        recovered_s = _persistently(remote, within_s=STARTED_WITHIN_S)
        sys.stdout.write(f"\nAll servers killed: answered again after {recovered_s:.1f} s\n")
        newest = remote.request("GET", "events").json()["seq"]
        client.wait_for(newest, within_s=RECOVERED_WITHIN_S)
    assert seqs(client.messages) == list(range(1, newest + 1))


def _all_servers(system: System) -> Sequence[psutil.Process]:
    found = _servers(system)
    assert len(found) == 4
    return found


def test_a_killed_postgresql_is_started_again_and_loses_no_acknowledged_write(
    system: System,
) -> None:
    user = a_new_user(system)
    acknowledged: set[str] = set()
    statuses: set[int] = set()
    with ResumingClient(system, user) as client, RemoteApi(system, user) as remote:
        for round_ in range(3):
            _postmaster(system).kill()
            began_s = time.monotonic()
            answered = 0
            while answered < 20:
                assert time.monotonic() - began_s < RECOVERED_WITHIN_S
                title = f"task {round_}-{len(acknowledged)}"
                answer = remote.request("POST", "tasks", {"title": title})
                statuses.add(answer.status_code)
                if answer.status_code == 201:
                    acknowledged.add(title)
                    answered += 1
                else:
                    assert answer.headers["Retry-After"]
            sys.stdout.write(
                f"\nPostgreSQL killed: all well again after {time.monotonic() - began_s:.1f} s\n"
            )

        # A write whose commit was cut off may be there; one that was acknowledged must be.
        assert _titles(remote) >= acknowledged
        assert statuses <= {201, 503}
        newest = remote.request("GET", "events").json()["seq"]
        client.wait_for(newest, within_s=RECOVERED_WITHIN_S)
    assert seqs(client.messages) == list(range(1, newest + 1))


def test_a_key_whose_first_sender_was_killed_is_free_as_soon_as_its_transaction_ends(
    system: System,
) -> None:
    """A5: the worker dies while its transaction, which has claimed the key, waits for a lock."""
    user = a_new_user(system)
    change = {"title": "changed"}
    with RemoteApi(system, user) as remote, database_of(system), ThreadPoolExecutor(2) as pool:
        task = remote.create()
        path = f"tasks/{task['id']}"
        with transaction(A_CAUSE) as holder:
            task_store.lock(holder, user.user_id, UUID(task["id"]))
            with RemoteApi(system, user) as first:
                sent = pool.submit(first.request, "PATCH", path, change, key="a key")
                eventually(lambda: _assert_waiting(1))
                for worker in _api_workers(system):
                    worker.kill()
                with pytest.raises(requests.ConnectionError):
                    sent.result(RECOVERED_WITHIN_S)
            _persistently(remote)
            repeat = pool.submit(remote.request, "PATCH", path, change, key="a key")
            # The dead worker's transaction waits for the lock, and the repeat for its key.
            eventually(lambda: _assert_waiting(2))
        began_s = time.monotonic()

        answer = repeat.result(RECOVERED_WITHIN_S)

        waited_s = time.monotonic() - began_s
        again = remote.request("PATCH", path, change, key="a key")
        log = log_of(user.user_id)
    assert (answer.status_code, answer.json()["version"]) == (200, 2)
    assert again.json() == answer.json()
    assert [event.event_type for event in log if event.aggregate_id == task["id"]] == [
        "task.created",
        "task.updated",
    ]
    assert waited_s < 2


def _assert_waiting(count: int) -> None:
    with transaction(A_CAUSE) as tx:
        waiting = tx.connection.execute(
            text("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")
        )
        assert waiting.scalar_one() == count


# Stopping


def test_a_stopped_system_ends_in_order_and_has_its_data_after_a_restart(
    own_system: System,
) -> None:
    began_s = time.monotonic()
    own_system.start()
    first_s = time.monotonic() - began_s
    user = a_new_user(own_system)
    secrets = [(own_system.data_dir / name).stat() for name in ("jwt-secret", "link-secret")]
    # The connections stay open, as those of a browser do.
    with ResumingClient(own_system, user) as client, RemoteApi(own_system, user) as remote:
        remote.create("kept")
        client.wait_for(2, within_s=10)

        began_s = time.monotonic()
        by_sigterm = own_system.stop(signal.SIGTERM)
        stopped_s = time.monotonic() - began_s
        _nothing_is_left(own_system)

        began_s = time.monotonic()
        own_system.start()
        again_s = time.monotonic() - began_s
        assert _titles(remote) == {"kept"}
        remote.create("kept too")
        client.wait_for(3, within_s=10)

        # As a terminal does on Ctrl-C: everybody in the group is told.
        os.killpg(own_system.process.pid, signal.SIGINT)
        by_ctrl_c = own_system.process.wait(timeout=STOPPED_WITHIN_S)
        _nothing_is_left(own_system)

    sys.stdout.write(
        f"\nReady after {first_s:.1f} s the first time, {again_s:.1f} s again;"
        f" stopped in {stopped_s:.1f} s\n"
    )
    log = own_system.log.read_text()
    assert (by_sigterm, by_ctrl_c) == (0, 0)
    assert stopped_s < STOPPED_AT_ONCE_S
    assert log.count("TaskFlow has stopped.") == 2
    assert "Traceback" not in log
    assert '"level": "error"' not in log
    assert [secret.st_mode & 0o077 for secret in secrets] == [0, 0]
    assert seqs(client.messages) == [1, 2, 3]


def test_a_system_can_be_stopped_while_it_starts(own_system: System) -> None:
    own_system.spawn()
    eventually(lambda: _is_there(own_system.data_dir / "postgres.log"), within_s=30)

    ended = own_system.stop(signal.SIGTERM)

    assert ended == 0
    _nothing_is_left(own_system)
    assert "Traceback" not in own_system.log.read_text()


def test_a_process_that_does_not_stop_is_named_in_the_log(own_system: System) -> None:
    own_system.start()
    [delivering] = wait_for(delivery, own_system)
    delivering.suspend()
    eventually(lambda: _is_suspended(delivering))

    own_system.process.send_signal(signal.SIGTERM)
    eventually(
        lambda: _is_logged(own_system, "still stopping after 4 s: background"),
        within_s=STOPPED_WITHIN_S,
    )
    delivering.resume()

    assert own_system.process.wait(STOPPED_WITHIN_S) == 0


def _is_suspended(process: psutil.Process) -> None:
    assert process.status() == psutil.STATUS_STOPPED


def _is_logged(system: System, what: str) -> None:
    assert what in system.log.read_text()


def _is_there(path: Path) -> None:
    assert path.exists()


def test_a_killed_supervisor_leaves_no_process_behind_and_a_restart_works(
    own_system: System,
) -> None:
    own_system.start()
    user = a_new_user(own_system)
    with ResumingClient(own_system, user) as client:
        client.wait_for(1, within_s=10)
        with RemoteApi(own_system, user) as remote:
            remote.create("kept")
            own_system.process.kill()
            own_system.process.wait()
            began_s = time.monotonic()

            eventually(lambda: _nothing_is_left(own_system), within_s=STOPPED_WITHIN_S)

            sys.stdout.write(
                f"\nAll gone {time.monotonic() - began_s:.1f} s after the supervisor\n"
            )
        own_system.start()
        with RemoteApi(own_system, user) as remote:
            assert _titles(remote) == {"kept"}
        client.wait_for(2, within_s=10)
    assert own_system.stop() == 0


def test_a_postgresql_that_does_not_start_is_tried_again_while_the_rest_goes_on(
    tmp_path: Path,
) -> None:
    system = System(tmp_path / "data")
    system.start()
    try:
        user = a_new_user(system)
        control = system.data_dir / "postgres" / "global" / "pg_control"
        away = control.with_name("away")
        control.rename(away)
        _postmaster(system).kill()

        def tried_again() -> None:
            assert system.log.read_text().count("PostgreSQL did not start") >= 2

        eventually(tried_again, within_s=RECOVERED_WITHIN_S)
        killed = _consumers(system)
        killed.kill()

        def started_again() -> None:
            assert _consumers(system) != killed

        eventually(started_again, within_s=RECOVERED_WITHIN_S)
        away.rename(control)

        with RemoteApi(system, user) as remote:
            _persistently(remote, within_s=STARTED_WITHIN_S)
        assert (system.data_dir / "postgres.log").stat().st_mode & 0o777 == 0o600
    finally:
        assert system.stop() == 0


def test_a_system_whose_postgresql_does_not_start_stops_at_once(tmp_path: Path) -> None:
    system = System(tmp_path / "data")
    system.start()
    (system.data_dir / "postgres" / "global" / "pg_control").unlink()
    _postmaster(system).kill()

    def tried() -> None:
        assert "PostgreSQL did not start" in system.log.read_text()

    eventually(tried, within_s=RECOVERED_WITHIN_S)

    assert system.stop() == 0
    _nothing_is_left(system)


@pytest.mark.parametrize(
    ("held", "sentence"),
    [
        (b" \n", "is blank"),
        (A_SHORT_SECRET.encode(), "32 are needed"),
        (bytes(range(256)), "is not one line of text"),
        (b"\0" * 40, "is not one line of text"),
        (b"a line of thirty-two characters..\nand another", "is not one line of text"),
    ],
)
@pytest.mark.parametrize("file", ["jwt-secret", "link-secret"])
def test_a_spoilt_secret_file_stops_the_start_with_a_sentence(
    file: str, held: bytes, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / file).write_bytes(held)

    ended = _taskflow("up", data_dir=tmp_path, PORT=str(a_free_port()))

    assert ended.returncode != 0
    [said] = ended.stderr.strip().splitlines()
    assert said.startswith(f"{file.upper().replace('-', '_')}: {tmp_path / file}")
    assert sentence in said
    assert A_SHORT_SECRET not in said


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir], ids=["a pipe", "a folder"])
def test_a_secret_that_is_no_file_stops_the_start_with_a_sentence(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / "jwt-secret")

    ended = _taskflow("up", data_dir=tmp_path, PORT=str(a_free_port()))

    assert ended.returncode != 0
    [said] = ended.stderr.strip().splitlines()
    assert said.startswith(f"JWT_SECRET: {tmp_path / 'jwt-secret'}")
