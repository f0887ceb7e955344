"""Which consumers there are, as their function folders declare them."""

import ast
import importlib.util
from collections.abc import Mapping
from contextvars import Context
from functools import cache
from pathlib import Path
from types import MappingProxyType

from taskflow import clock, config
from taskflow.config import InvalidSetting
from taskflow.domain.events import Cause
from taskflow.eventing.consumer import Consumer, event_function
from taskflow.eventing.frame import declaration_in
from taskflow.storage import consumer_store, run
from taskflow.storage.consumer_store import Start


def declared() -> Mapping[str, Consumer]:
    """Return the consumers below FUNCTIONS_DIR, by name. Raises InvalidSetting where none is."""
    return _declared_in(config.settings().functions_dir)


def start_all(cause: Cause) -> Mapping[str, Start]:
    """Record where each consumer begins, unless that is recorded; return it by consumer."""
    return {
        name: run(
            lambda tx, one=one: consumer_store.start(tx, one.name, one.starts, now=clock.now()),
            cause,
        )
        for name, one in declared().items()
    }


@cache
def _declared_in(folder: Path) -> Mapping[str, Consumer]:
    # Only the modules of consumers are run: those of all functions take ten times as long.
    sources = [path for path in sorted(folder.glob("*/main.py")) if _is_consumer(path)]
    if not sources:
        message = f"FUNCTIONS_DIR: there are no consumers in {folder}"
        raise InvalidSetting(message)
    # Outside the app that asks, or each would be taken for its endpoint.
    return MappingProxyType({path.parent.name: Context().run(_load, path) for path in sources})


def _is_consumer(source: Path) -> bool:
    entry_point = _entry_point(source)
    return any(
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Name)
        and decorator.func.id == event_function.__name__
        for node in ast.parse(source.read_bytes()).body
        if isinstance(node, ast.FunctionDef) and node.name == entry_point
        for decorator in node.decorator_list
    )


def _load(source: Path) -> Consumer:
    entry_point = _entry_point(source)
    spec = importlib.util.spec_from_file_location(entry_point, source)
    assert spec is not None  # noqa: S101 - the path ends in .py
    assert spec.loader is not None  # noqa: S101 - as above
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    declaration = declaration_in(getattr(module, entry_point))
    assert isinstance(declaration, Consumer)  # noqa: S101 - so says its decorator
    return declaration


def _entry_point(source: Path) -> str:
    return source.parent.name.replace("-", "_")
