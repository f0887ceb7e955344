"""What `deliver-notifications` does, in a process of its own: for tests that kill it."""

import subprocess
import sys
from pathlib import Path

from taskflow import config
from taskflow.eventing import CronRun
from taskflow.eventing.lanes import lanes
from taskflow.eventing.outbound import Delivery
from tests.support.data.accounts import A_CAUSE
from tests.support.paths import ROOT


def begin_sender(log: Path, *, lasts_s: float = 0.0) -> subprocess.Popen[bytes]:
    """Begin to send by the settings of this process, for so long; in one round at the least."""
    environment = config.environment_of(config.settings(), metrics_dir=log.parent)
    del environment["PROMETHEUS_MULTIPROC_DIR"]
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", __name__, str(lasts_s)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


if __name__ == "__main__":
    Delivery(CronRun(float(sys.argv[1])), A_CAUSE, lanes()).send_all()
