"""A scheduler in a process of its own, on simulated time: run as `python -m …`, and killed at will.

It reads its time from a file, which the process that started it updates.
"""

import struct
import sys
import time
from datetime import UTC, datetime
from mmap import ACCESS_READ, mmap
from pathlib import Path

from taskflow import clock
from taskflow.eventing import CronRun
from tests.support.delivery.subscribers import assert_taken, tick

TIME = struct.Struct("!d")
LOOK_S = 0.002


def main(clock_file: Path) -> None:
    """Run the schedule until this process is killed."""
    with clock_file.open("rb") as opened, mmap(opened.fileno(), 0, access=ACCESS_READ) as shared:
        clock.now = lambda: datetime.fromtimestamp(TIME.unpack(shared[: TIME.size])[0], UTC)
        # Simulated minutes pass in real milliseconds: nobody waits for them.
        CronRun.rest = _rest_a_little
        while True:
            assert_taken(tick("run-schedule"))


def _rest_a_little(self: CronRun, seconds: float) -> None:
    del self, seconds
    time.sleep(LOOK_S)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
