"""The child processes of one system: where they meet, when they begin, and how they end."""

import ctypes
import hashlib
import os
import shutil
import signal
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

CONSUMERS_SOCKET, CRONS_SOCKET = "consumers.sock", "crons.sock"
"""Where the consumers and the cron functions listen, in the folder in which the processes meet; no
one else gets there."""

COMMITS_FOLDER = "commits"
METRICS_FOLDER = "metrics"
GO = "go\n"
NICENESS = 5
"""Of a process that gives way: a third of the CPU time of one that does not, if both want all."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class PostgresDidNotStart(Exception):
    """PostgreSQL did not start; the message is the end of its log."""


class FolderIsNotOurs(Exception):
    """Somebody else holds the folder in which our processes would meet."""


def make_meeting_folder(data_dir: Path) -> Path:
    """Make the empty folder in which the processes of the system on `data_dir` meet.

    It has a name of its own, short enough for the path of a socket. Raises FolderIsNotOurs.
    """
    name = hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"taskflow-run-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    about = folder.lstat()
    if about.st_uid != os.geteuid() or stat.S_IMODE(about.st_mode) != 0o700:  # noqa: PLR2004 - as made
        message = f"{folder} belongs to somebody else; remove it, or set TMPDIR."
        raise FolderIsNotOurs(message)
    (folder / COMMITS_FOLDER).mkdir()
    (folder / METRICS_FOLDER).mkdir()
    return folder


def end_with_parent(with_signal: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent ends; Linux only, else nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(with_signal))


def give_way() -> None:
    """Have the kernel prefer the other processes while there is not CPU time enough for all.

    Somebody looks at a clock for the answer to a request and for a reminder. What events bring
    about, and what is published, may come a moment later.
    """
    os.nice(NICENESS)


def wait_for_go() -> None:
    """Wait for the supervisor's word that the database is ready; end if it ends."""
    if sys.stdin.readline() != GO:
        raise SystemExit
    # It may have ended before `end_with_parent` was there to be told: then this is the end.
    os.set_blocking(sys.stdin.fileno(), False)
    with suppress(BlockingIOError):
        if not os.read(sys.stdin.fileno(), 1):
            raise SystemExit
