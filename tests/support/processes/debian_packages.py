"""Programs that the tests start beside Python's: root on Debian gets them installed."""

import os
import shutil
import subprocess
from collections.abc import Sequence

from taskflow import config


class CannotProvide(Exception):
    """A program is not there; the message says what to install, or what the installer said."""


def install(packages: Sequence[str], *, purpose: str, needed: str) -> None:
    """Install Debian packages; `needed` says what is needed to who can't have them installed.

    Raises CannotProvide.
    """
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise CannotProvide(needed)
    print(f"Installing {' and '.join(packages)} for {purpose} (once)", flush=True)
    run("apt-get", "update", "-qq", needed=needed)
    run("apt-get", "install", "-qq", "--yes", "--no-install-recommends", *packages, needed=needed)


def run(*command: str, needed: str) -> None:
    """Run an installer in silence. Raises CannotProvide, with what it said after `needed`."""
    ran = subprocess.run(
        command,
        env={**config.environment(), "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ran.returncode != 0:
        message = f"{needed}\n{command[0]} said:\n{ran.stdout}"
        raise CannotProvide(message)
