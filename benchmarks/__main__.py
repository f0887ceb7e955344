"""`make bench`: run the benchmarks, or only those named, one after the other."""

import os
import platform
import subprocess
import sys
from functools import partial
from multiprocessing import get_context

from benchmarks import (
    cluster_cold_start,
    cold_start,
    consume,
    create_task,
    dashboard,
    due,
    idle,
    list_tasks,
    many_sockets,
    many_tasks,
    socket_latency,
)
from taskflow.standalone.postgres import BINARIES

BENCHMARKS = {
    "create_task": create_task.main,
    "list_tasks": list_tasks.main,
    "many_tasks": many_tasks.main,
    "due": due.main,
    "consume": consume.main,
    "consume_kafka": partial(consume.main, kafka=True),
    "socket_latency": socket_latency.main,
    "socket_latency_kafka": partial(socket_latency.main, kafka=True),
    "many_sockets": many_sockets.main,
    "dashboard": dashboard.main,
    "cold_start": cold_start.main,
    "idle": idle.main,
}

ON_A_CLUSTER = {"cluster_cold_start": cluster_cold_start.main}
"""Only by name: they ask what is deployed to the cluster of KUBECONFIG."""


def main() -> None:
    """Say on which machine, then run each in a process, and with a database, of its own."""
    postgres = subprocess.check_output([BINARIES / "postgres", "--version"], text=True).strip()
    print(
        f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f} before; "
        f"Python {platform.python_version()}, {postgres}"
    )
    for name in sys.argv[1:] or BENCHMARKS:
        print(flush=True)
        process = get_context("spawn").Process(target={**BENCHMARKS, **ON_A_CLUSTER}[name])
        process.start()
        process.join()
        if process.exitcode:
            sys.exit(1)


if __name__ == "__main__":
    main()
