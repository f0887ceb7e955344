"""The processes of a running system, by what they do."""

import contextlib
from collections.abc import Callable, Sequence

import psutil

from tests.support.polling import eventually
from tests.support.processes.system import System

Find = Callable[[System], Sequence[psutil.Process]]

FOUND_WITHIN_S = 60


def api_master(system: System) -> Sequence[psutil.Process]:
    """Return gunicorn's first process of the API."""
    return _children(system, "taskflow.standalone.web", "api")


def api_workers(system: System) -> Sequence[psutil.Process]:
    """Return the processes that serve the API."""
    return [worker for master in api_master(system) for worker in _children_of(master)]


def consumers_workers(system: System) -> Sequence[psutil.Process]:
    """Return the processes that serve the consumers."""
    masters = _children(system, "taskflow.standalone.web", "consumers")
    return [worker for master in masters for worker in _children_of(master)]


def crons_workers(system: System) -> Sequence[psutil.Process]:
    """Return the process that serves the cron functions."""
    masters = _children(system, "taskflow.standalone.web", "crons")
    return [worker for master in masters for worker in _children_of(master)]


def delivery(system: System) -> Sequence[psutil.Process]:
    """Return the process that delivers events to the consumers."""
    return _children(system, "taskflow.standalone.background")


def postgresql(system: System) -> Sequence[psutil.Process]:
    """Return PostgreSQL's first process."""
    supervisor = psutil.Process(system.process.pid)
    return [child for child in _children_of(supervisor) if _name(child) == "postgres"]


def wait_for(find: Find, system: System, *, count: int = 1) -> Sequence[psutil.Process]:
    """Return the processes of a role once there are as many as there should be."""

    def check() -> Sequence[psutil.Process]:
        found = find(system)
        assert len(found) >= count
        return found

    return eventually(check, within_s=FOUND_WITHIN_S)


def _children(system: System, *words: str) -> Sequence[psutil.Process]:
    supervisor = psutil.Process(system.process.pid)
    return [child for child in _children_of(supervisor) if set(words) <= set(_words(child))]


def _children_of(parent: psutil.Process) -> Sequence[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return [child for child in parent.children() if child.status() != psutil.STATUS_ZOMBIE]
    return []


def _words(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def _name(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return process.name()
    return ""
