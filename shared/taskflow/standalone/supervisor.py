"""`make up`: PostgreSQL, the migrations and the server, started and stopped as one system."""

import contextlib
import fcntl
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING

from taskflow import clock, config, logs
from taskflow.config import SECRET_MIN_CHARS, InvalidSetting, Settings
from taskflow.kafka.client import BrokerUnavailable
from taskflow.kafka.replay import KafkaStoppedAnswering
from taskflow.kafka.topics import TopicsDiffer
from taskflow.standalone.processes import (
    GO,
    METRICS_FOLDER,
    FolderIsNotOurs,
    PostgresDidNotStart,
    make_meeting_folder,
)
from taskflow.storage import DatabaseUnavailable, LockTimeout, connections_max
from taskflow.storage.migrations import runner
from taskflow.storage.migrations.autocommit import NeedsDirectConnection
from taskflow.storage.migrations.phases import SchemaIsNewer
from taskflow.storage.migrations.runner import MigrationOutOfPhase

if TYPE_CHECKING:
    from taskflow.standalone.postgres import EmbeddedPostgres

READY_WITHIN_S = 30
STOPPED_WITHIN_S, STOPS_SLOWLY_S = 20, 4
"""How long our processes may take to stop before they are killed, and how long before it is said
which of them do."""

LOOK_S = 0.05
LOOK_AGAIN_S = 0.25
"""How often to look, while the system runs, whether a part has ended."""

RESTART_PAUSE_S, RESTART_PAUSE_MAX_S = 0.5, 30.0
"""The pause before a part that has ended is started again: doubled each time, up to the second."""

RUNS_WELL_S = 60.0
"""After a run of this length the pause is the first one again."""

PROCESSES_MAX = 4

CRONS_POOL_SIZE_MAX = 5
"""Connections of the process that serves the cron functions: one for a run of each, and one for a
second run of the schedule."""

CONNECTIONS_MIN, CONNECTIONS_TO_SPARE = 200, 20
"""How many connections the embedded PostgreSQL takes at least, and beyond those of our processes:
for commands beside them, and what PostgreSQL reserves."""

_SECRET_BYTES = 48

_log = logging.getLogger(__name__)


class DidNotStart(Exception):
    """The system did not start; the message says why."""


PROBLEMS = (
    DidNotStart,
    FolderIsNotOurs,
    PostgresDidNotStart,
    DatabaseUnavailable,
    LockTimeout,
    MigrationOutOfPhase,
    SchemaIsNewer,
    NeedsDirectConnection,
    BrokerUnavailable,
    TopicsDiffer,
    KafkaStoppedAnswering,
)
"""The errors that keep a command from running, besides an invalid setting."""


def reach(settings: Settings) -> Settings:
    """Return the settings with the URL of the database, the embedded one's where none is set.

    Raises InvalidSetting.
    """
    url = settings.database_url or _embedded(settings).url
    return settings.model_copy(update={"database_url": url})


def up(settings: Settings) -> None:
    """Run the whole system until SIGINT or SIGTERM, then stop it in order.

    Raises DidNotStart, InvalidSetting, PostgresDidNotStart.
    """
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stopping.set())
    with _only_one(settings.taskflow_data_dir):
        _check_port(settings)
        postgres = None
        if settings.database_url is None:
            fitting = max(CONNECTIONS_MIN, connections_of(settings) + CONNECTIONS_TO_SPARE)
            postgres = _embedded(settings, max_connections=str(fitting))
        system = _System(_settled(settings, postgres), postgres)
        try:
            system.start(stopping)
            if not stopping.is_set():
                print(_banner(system.settings, own_database=postgres is not None), flush=True)  # noqa: T201 - for the one at the terminal
            while not stopping.wait(timeout=LOOK_AGAIN_S):
                system.restart_what_has_ended()
        finally:
            system.stop()
    print("TaskFlow has stopped.", flush=True)  # noqa: T201 - as above


class _Restart:
    """When a part that has ended is started again: later each time, until one run lasts."""

    def __init__(self, first_pause_s: float) -> None:
        self._first_pause_s = self._pause_s = first_pause_s
        self._began_s = clock.monotonic_s()
        self._due_s: float | None = None

    def is_due(self) -> bool:
        """Say whether the part, which has ended, is to be started now; once for each start."""
        now_s = clock.monotonic_s()
        if self._due_s is None:
            if now_s - self._began_s > RUNS_WELL_S:
                self._pause_s = self._first_pause_s
            self._due_s = now_s + self._pause_s
            self._pause_s = min(max(2 * self._pause_s, RESTART_PAUSE_S), RESTART_PAUSE_MAX_S)
        if now_s < self._due_s:
            return False
        self._due_s, self._began_s = None, now_s
        return True


class _Database:
    """The embedded PostgreSQL, which is started again without waiting for it."""

    def __init__(self, postgres: "EmbeddedPostgres") -> None:
        self._postgres = postgres
        # PostgreSQL ends with the thread that started it, so that one stays.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="postgres")
        self._restart = _Restart(first_pause_s=0)
        self._starting: Future[None] | None = None

    def start(self) -> None:
        """Start PostgreSQL, and wait until it takes connections. Raises PostgresDidNotStart."""
        self._thread.submit(self._postgres.start).result()

    def restart_if_ended(self) -> None:
        """Begin to start PostgreSQL again if it has ended and the pause is over; do not wait."""
        if self._starting is not None:
            if not self._starting.done():
                return
            failed = self._starting.exception()
            if failed is not None:
                reason = str(failed).strip().splitlines()[-1:]
                _log.error("PostgreSQL did not start, and is tried again: %s", *reason or [failed])
            self._starting = None
        if self._postgres.process.poll() is not None and self._restart.is_due():
            _log.error("PostgreSQL has ended; starting it again")
            self._starting = self._thread.submit(self._postgres.start)

    def stop(self) -> None:
        """Stop PostgreSQL, also while it starts."""
        while self._starting is not None and not self._starting.done():
            self._postgres.stop()
            wait([self._starting], timeout=LOOK_S)
        self._postgres.stop()
        self._thread.shutdown()


class _Child:
    """A process of ours that is started again when it ends."""

    def __init__(self, settings: Settings, folder: Path, module: str, *role: str) -> None:
        self.name = " ".join([module.rpartition(".")[2], *role])
        self._command = [sys.executable, "-m", module, *role, str(folder)]
        self._environment = config.environment_of(settings, metrics_dir=folder / METRICS_FOLDER)
        self._restart = _Restart(first_pause_s=RESTART_PAUSE_S)
        self.process = self._spawn()

    def _spawn(self) -> subprocess.Popen[str]:
        # A terminal sends Ctrl-C to every process of the group, and only an orderly stop loses
        # nothing: it is for the supervisor alone. A child inherits that it is blocked.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return subprocess.Popen(  # noqa: S603 - our own program
                self._command, stdin=subprocess.PIPE, text=True, env=self._environment
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def begin(self) -> None:
        """Have the process begin its work: the database is ready."""
        assert self.process.stdin is not None  # noqa: S101 - it was spawned with a pipe
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(GO)
            self.process.stdin.flush()

    def restart_if_ended(self) -> None:
        """Start the process again if it has ended and the pause is over."""
        if self.process.poll() is None or not self._restart.is_due():
            return
        _log.error("%s has ended; starting it again", self.name)
        try:
            self.process = self._spawn()
        except OSError as error:
            _log.error("%s can't be started (%s)", self.name, error.strerror)
        else:
            self.begin()


class _System:
    def __init__(self, settings: Settings, postgres: "EmbeddedPostgres | None") -> None:
        self.settings = settings
        self._database = None if postgres is None else _Database(postgres)
        self._children: list[_Child] = []

    def start(self, stopping: threading.Event) -> None:
        config.settings.set(self.settings)
        logs.configure(self.settings.log_level)
        folder = make_meeting_folder(self.settings.taskflow_data_dir)
        # It loads the functions while the database starts.
        server = "taskflow.standalone.web"
        api = _Child(self.settings, folder, server, "api")
        self._children = [api]
        if self._database is not None:
            self._database.start()
        _check_connections(self.settings)
        runner.apply()
        api.begin()
        deadline_s = clock.monotonic_s() + READY_WITHIN_S
        while not self._is_ready():
            if api.process.poll() is not None:
                message = "The server ended while it was starting; its reason stands above."
                raise DidNotStart(message)
            if clock.monotonic_s() > deadline_s:
                message = f"The server was not ready within {READY_WITHIN_S} s."
                raise DidNotStart(message)
            if stopping.wait(timeout=LOOK_S):
                return
        # Whoever waits at the terminal waits for the API alone.
        background = "taskflow.standalone.background"
        crons = self.settings.model_copy(
            update={"database_pool_size": _crons_pool_size(self.settings)}
        )
        for settings, module, *role in (
            (crons, server, "crons"),
            (self.settings, server, "consumers"),
            (self.settings, background),
        ):
            child = _Child(settings, folder, module, *role)
            self._children.append(child)
            child.begin()

    def restart_what_has_ended(self) -> None:
        if self._database is not None:
            self._database.restart_if_ended()
        for child in self._children:
            child.restart_if_ended()

    def stop(self) -> None:
        for child in self._children:
            child.process.terminate()
        began_s = clock.monotonic_s()
        is_said = False
        while running := [child for child in self._children if child.process.poll() is None]:
            waited_s = clock.monotonic_s() - began_s
            names = ", ".join(child.name for child in running)
            if waited_s > STOPPED_WITHIN_S:
                _log.error("killed after %d s, for it did not stop: %s", STOPPED_WITHIN_S, names)
                for child in running:
                    child.process.kill()
                    child.process.wait()
            elif waited_s > STOPS_SLOWLY_S and not is_said:
                _log.warning("still stopping after %d s: %s", STOPS_SLOWLY_S, names)
                is_said = True
            time.sleep(LOOK_S)
        if self._database is not None:
            self._database.stop()

    def _is_ready(self) -> bool:
        url = f"http://{_reachable(self.settings)}/health"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return True
        except (urllib.error.URLError, OSError):
            return False


def _embedded(settings: Settings, **options: str) -> "EmbeddedPostgres":
    """Return the PostgreSQL that is installed with us. Raises InvalidSetting where none is."""
    try:
        from taskflow.standalone.postgres import EmbeddedPostgres  # noqa: PLC0415 - may be missing
    except ModuleNotFoundError:
        message = "DATABASE_URL is needed: no PostgreSQL is installed with this TaskFlow"
        raise InvalidSetting(message) from None
    return EmbeddedPostgres(settings.taskflow_data_dir, options=options)


@contextlib.contextmanager
def _only_one(data_dir: Path) -> Generator[None]:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / "lock").open("w")
    except OSError as error:
        message = f"TASKFLOW_DATA_DIR: {data_dir} can't be used ({error.strerror})."
        raise DidNotStart(message) from None
    with lock as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = (
                f"TaskFlow already runs on {data_dir}; TASKFLOW_DATA_DIR names another folder."
            )
            raise DidNotStart(message) from None
        yield


def _check_port(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            message = f"PORT: {settings.host}:{settings.port} can't be had ({error.strerror})."
            raise DidNotStart(message) from None


def _workers(settings: Settings) -> int:
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return settings.web_concurrency or min(cores, PROCESSES_MAX)


def connections_of(settings: Settings) -> int:
    """Return how many connections all processes hold at most; the supervisor holds one."""
    return _pools(settings) * settings.database_pool_size + _crons_pool_size(settings) + 1


def _pools(settings: Settings) -> int:
    """Return how many processes have a pool of the full size: two servers' workers, one more."""
    return 2 * _workers(settings) + 1


def _crons_pool_size(settings: Settings) -> int:
    return min(CRONS_POOL_SIZE_MAX, settings.database_pool_size)


def _check_connections(settings: Settings) -> None:
    needed, allowed = connections_of(settings), connections_max()
    if allowed is not None and needed > allowed:
        message = (
            f"DATABASE_POOL_SIZE: {_pools(settings)} processes with "
            f"{settings.database_pool_size} connections each, for a WEB_CONCURRENCY of "
            f"{_workers(settings)}, and {_crons_pool_size(settings) + 1} more are {needed}; "
            f"PostgreSQL allows {allowed} "
            "(max_connections less what it reserves, or the limit of the role or the database)."
        )
        raise DidNotStart(message)


def _settled(settings: Settings, postgres: "EmbeddedPostgres | None") -> Settings:
    settings.require_issuer()
    settings.require_email()
    settings.require_web_push()
    data_dir = settings.taskflow_data_dir
    secret = settings.jwt_secret
    if secret is None and settings.auth == "builtin":
        secret = _own_secret(data_dir, "JWT_SECRET", lost="everyone logs in again")
    link_secret, public_url = settings.link_secret, settings.public_url
    if settings.environment != "production":
        public_url = public_url or f"http://{_reachable(settings)}"
        link_secret = link_secret or _own_secret(
            data_dir, "LINK_SECRET", lost="links in mails are good no more"
        )
    return settings.model_copy(
        update={
            "database_url": settings.database_url or (postgres.url if postgres else None),
            "jwt_secret": secret,
            "link_secret": link_secret,
            "public_url": public_url,
            # Processes notify each other of commits, unless others write to the same database.
            "feed_poll_ms": 0 if postgres is not None else settings.feed_poll_ms,
            # The process that delivers is notified of every commit, and publishes for all.
            "publish_after_commit": False,
            "web_concurrency": _workers(settings),
        }
    )


def _own_secret(data_dir: Path, name: str, *, lost: str) -> str:
    path = data_dir / name.lower().replace("_", "-")
    if not path.exists():
        # Whole or not at all: a start that is killed here must not leave half a secret.
        unfinished = path.with_suffix(".new")
        unfinished.touch(mode=0o600)
        unfinished.write_text(secrets.token_urlsafe(_SECRET_BYTES))
        unfinished.rename(path)
    secret = config.secret_in(path, name=name)
    if len(secret) < SECRET_MIN_CHARS:
        message = (
            f"{name}: {path} holds {len(secret)} characters, and {SECRET_MIN_CHARS} are "
            f"needed; remove it, and a new one is made: {lost}"
        )
        raise InvalidSetting(message)
    return secret


def _reachable(settings: Settings) -> str:
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - compared, not bound
    return f"{host}:{settings.port}"


def _banner(settings: Settings, *, own_database: bool) -> str:
    address = _reachable(settings)
    data = settings.taskflow_data_dir.resolve()
    return f"""
TaskFlow is up.

  REST API    http://{address}/api
  WebSocket   ws://{address}/ws
  Health      http://{address}/health
  Data        {data / "postgres" if own_database else "the database of DATABASE_URL"}

{_how_to_sign_in(settings, address)}

Ctrl-C stops it; the data stay.
"""


def _how_to_sign_in(settings: Settings, address: str) -> str:
    if settings.auth == "external":
        return "Send an access token of your issuer as `Authorization: Bearer …`."
    return f"""\
Open an account, and keep its access_token for `Authorization: Bearer …`:

  curl -s http://{address}/api/auth/register -H 'Content-Type: application/json' \\
       -d '{{"email": "you@example.com", "password": "a long password"}}'"""
