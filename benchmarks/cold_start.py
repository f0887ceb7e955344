"""The cold start of each function, beside one of functions-framework's that only says hello."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import median

import psutil
import requests

from benchmarks.figures import show
from benchmarks.rig import SECRET
from taskflow import config
from tests.support.network.ports import a_free_port
from tests.support.paths import ROOT
from tests.support.polling import eventually

RUNS = 3
STARTED_WITHIN_S = 30
HELLO = 'def hello(request):\n    return "hello"\n'


def main() -> None:
    """Start each in turn, several times over, and print the medians."""
    with tempfile.TemporaryDirectory() as folder:
        hello = Path(folder) / "hello" / "main.py"
        hello.parent.mkdir()
        hello.write_text(HELLO)
        sources = sorted((ROOT / "functions").glob("*/main.py"))
        # An image has its modules compiled; here the first runs do that, and no median is theirs.
        compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"{folder}/compiled"}
        environment = {
            **config.environment(),
            **compiled,
            "JWT_SECRET": SECRET,
            "LOG_LEVEL": "warning",
        }
        modules = ["functions_framework", *["taskflow.server.function" for _ in sources]]
        served = list(zip(modules, [hello, *sources], strict=True))
        runs = [[_start(*one, environment) for one in served] for _ in range(RUNS)]
    medians = [tuple(map(median, zip(*starts, strict=True))) for starts in zip(*runs, strict=True)]
    rows = [
        (source.parent.name, f"{ms:.0f}", f"{cpu_ms:.0f}", cpu_ms / medians[0][1], f"{mb:.0f}")
        for (_, source), (ms, cpu_ms, mb) in zip(served, medians, strict=True)
    ]
    show(
        f"Cold start, from a process's start to its first answer: medians of {RUNS}",
        [("", "ms", "ms of CPU", "÷ hello", "MB"), *rows],
    )


def _start(module: str, source: Path, environment: Mapping[str, str]) -> tuple[float, float, float]:
    """Start a function as its pod does.

    Return the ms until it answers, those of CPU among them, and its MB then.
    """
    port = a_free_port()
    own = {
        "PORT": str(port),
        "FUNCTION_SOURCE": str(source),
        "FUNCTION_TARGET": source.parent.name.replace("-", "_"),
    }
    command = [sys.executable, "-m", module]
    started_s = time.perf_counter()
    server = psutil.Popen(command, env={**environment, **own}, stdout=subprocess.DEVNULL)
    try:
        eventually(partial(_check_it_answers, port), within_s=STARTED_WITHIN_S)
        took_ms = (time.perf_counter() - started_s) * 1000
        processes = (server, *server.children())
        return took_ms, sum(map(_cpu_ms, processes)), sum(map(_used_mb, processes))
    finally:
        # An orderly stop takes as long as the start, and there is nothing to put in order.
        for process in (server, *server.children()):
            process.kill()
        server.wait(STARTED_WITHIN_S)


def _check_it_answers(port: int) -> None:
    try:
        requests.get(f"http://127.0.0.1:{port}/health/liveness", timeout=10).raise_for_status()
    except requests.ConnectionError as error:
        raise AssertionError from error


def _cpu_ms(process: psutil.Process) -> float:
    times = process.cpu_times()
    return (times.user + times.system) * 1000


def _used_mb(process: psutil.Process) -> float:
    memory = process.memory_full_info()
    # Pages that a fork shares count once; only Linux tells.
    return getattr(memory, "pss", memory.rss) / 1e6
