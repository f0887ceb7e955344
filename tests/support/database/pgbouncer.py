"""A PgBouncer of the tests' own in front of the PostgreSQL of the run, in transaction mode."""

# pg8000 has no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import functools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pg8000
from sqlalchemy import make_url

from taskflow.standalone.postgres import EmbeddedPostgres
from taskflow.standalone.processes import end_with_parent
from tests.support.network import certificates
from tests.support.network.ports import a_free_port
from tests.support.processes.debian_packages import CannotProvide, install

NEEDED = (
    "The tests start a PgBouncer, 1.18 or newer: install it (on Debian and Ubuntu: apt-get install"
    " pgbouncer)"
)
# Debian has it where only root looks for programs.
PLACES = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin"  # noqa: TID251 - where to look
STARTED_WITHIN_S = 10.0
STOPPED_WITHIN_S = 10.0
POLL_S = 0.01
USER = "postgres"
PASSWORD = "a password for tests"


class PgBouncerDidNotStart(Exception):
    """PgBouncer did not start; the message is its log."""


def provide() -> str:
    """Return the path of the program; root on Debian gets it installed. Raises CannotProvide."""
    if found := shutil.which("pgbouncer", path=PLACES):
        return found
    install(["pgbouncer"], purpose="the tests' pooler", needed=NEEDED)
    if found := shutil.which("pgbouncer", path=PLACES):
        return found
    raise CannotProvide(NEEDED)


class PgBouncer:
    """A PgBouncer that shares at most `connections` for each database; it keeps its port.

    Whatever a client asks for as it starts, beyond what PgBouncer knows, is refused. With `secured`
    it asks for `PASSWORD` (SCRAM-SHA-256) and TLS.
    """

    def __init__(
        self, folder: Path, server: EmbeddedPostgres, *, connections: int, secured: bool
    ) -> None:
        """Write its settings to a folder that it can read."""
        self._folder = folder
        self._secured = secured
        self._port = a_free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket = Path(str(make_url(server.url).query["unix_sock"]))
        # PostgreSQL lets in who runs it, and PgBouncer refuses to be root, as PostgreSQL does.
        self._runs_as = self._socket.parent.stat()
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": self._port,
            "unix_socket_dir": "",
            "pool_mode": "transaction",
            "default_pool_size": connections,
            "max_client_conn": 1_000,
            "query_wait_timeout": 5,
            "server_login_retry": 1,
            "auth_type": "scram-sha-256" if secured else "trust",
            "auth_file": self._write("users", f'"{USER}" "{PASSWORD}"\n'),
            "admin_users": USER,
            **(self._tls() if secured else {}),
        }
        lines = [f"{name} = {value}\n" for name, value in settings.items()]
        where = f"* = host={self._socket.parent} port={self._socket.suffix.removeprefix('.')}"
        self._ini = self._write(
            "pgbouncer.ini", f"[databases]\n{where}\n\n[pgbouncer]\n{''.join(lines)}"
        )

    @property
    def ca_file(self) -> Path:
        """The certificate that clients over TLS have to trust."""
        return self._folder / "certificate.pem"

    def url(self, of: str) -> str:
        """Return the URL by which to reach the database of another URL through this pooler."""
        target = make_url(of).set(
            username=USER,
            password=PASSWORD,
            host="localhost" if self._secured else "127.0.0.1",
            port=self._port,
            # As Neon's own URLs have it.
            query={"sslmode": "require", "channel_binding": "require"} if self._secured else {},
        )
        return target.render_as_string(hide_password=False)

    def start(self) -> None:
        """Start it; return when it takes connections. Raises CannotProvide, PgBouncerDidNotStart.

        On Linux it ends with the thread that calls this.
        """
        log = self._folder / "log"
        with log.open("ab") as written:
            self._process = subprocess.Popen(
                [provide(), "--quiet", str(self._ini)],
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
                cwd=self._folder,
                process_group=0,
                preexec_fn=functools.partial(end_with_parent, signal.SIGKILL),  # noqa: PLW1509 - one call into a loaded library
                user=self._runs_as.st_uid if os.geteuid() == 0 else None,
            )
        deadline_s = time.monotonic() + STARTED_WITHIN_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self.stop()
                raise PgBouncerDidNotStart(log.read_text())
            time.sleep(POLL_S)

    def stop(self) -> None:
        """End it at once, with all connections; harmless when it is down already."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(STOPPED_WITHIN_S)
            self._process = None

    def pause(self) -> None:
        """Have it stand still, with all connections open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def command(self, command: str) -> list[dict[str, object]]:
        """Run a command of its console, such as `RECONNECT`; return the rows by their columns."""
        console = pg8000.Connection(
            USER, host="127.0.0.1", port=self._port, database="pgbouncer", password=PASSWORD
        )
        try:
            result = console.execute_simple(command)
            names = [column["name"] for column in result.columns or ()]
            return [dict(zip(names, row, strict=True)) for row in result.rows or ()]
        finally:
            console.close()

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), STARTED_WITHIN_S).close()
        except OSError:
            return False
        return True

    def _tls(self) -> dict[str, object]:
        key = self._write("key.pem", "")
        certificates.write(self.ca_file, key)
        return {
            "client_tls_sslmode": "require",
            "client_tls_key_file": key,
            "client_tls_cert_file": self.ca_file,
        }

    def _write(self, name: str, text: str) -> Path:
        path = self._folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        if os.geteuid() == 0:
            os.chown(path, self._runs_as.st_uid, self._runs_as.st_gid)
        return path


@contextmanager
def a_pooler(
    server: EmbeddedPostgres, *, connections: int = 10, secured: bool = False
) -> Generator[PgBouncer]:
    """Start a pooler for the length of the block."""
    # Not in the folder of the run, which is closed to all but who runs it.
    with tempfile.TemporaryDirectory(prefix="taskflow-pgbouncer-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        pooler = PgBouncer(folder, server, connections=connections, secured=secured)
        pooler.start()
        try:
            yield pooler
        finally:
            pooler.stop()


if __name__ == "__main__":
    try:
        provide()
    except CannotProvide as error:
        raise SystemExit(str(error)) from None
