"""Finding the functions: each folder with a `main.py` becomes an app of functions-framework."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from flask import Flask
from functions_framework import create_app  # pyright: ignore[reportUnknownVariableType]

from taskflow.config import InvalidSetting
from taskflow.eventing.frame import Subscriber
from taskflow.serving.endpoint import Endpoint
from taskflow.serving.frame import EXTENSION, Frame

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


@dataclass(frozen=True, slots=True)
class Function:
    """A function, ready to be called: its name, its app, and the endpoint that it declares.

    `serve` is the app, past Flask and functions-framework where they only take time.
    """

    name: str
    app: Flask
    endpoint: Endpoint | Subscriber
    serve: "WSGIApplication"


def discover(folder: Path) -> list[Function]:
    """Load every function below `folder`, by name. Raises InvalidSetting where there is none."""
    found = [load(source) for source in sorted(folder.glob("*/main.py"))]
    if not found:
        message = f"FUNCTIONS_DIR: there are no functions in {folder}"
        raise InvalidSetting(message)
    return found


def load(source: Path) -> Function:
    """Load one function as the cluster does; its target is named after its folder."""
    target = source.parent.name.replace("-", "_")
    return _function(create_app(target=target, source=str(source), signature_type="http"))


def load_target() -> Function:
    """Load the function that FUNCTION_TARGET and FUNCTION_SOURCE name, as functions-framework does.

    Raises functions_framework's MissingSourceException and its other errors.
    """
    return _function(create_app(signature_type="http"))


def _function(made: object) -> Function:
    app = cast("Flask", made)
    served: Frame | Subscriber = app.extensions[EXTENSION]
    if isinstance(served, Subscriber):
        return Function(served.name, app, served, served.serve)
    endpoint = served.endpoint
    return Function(endpoint.name, app, endpoint, app if endpoint.is_socket else served.serve)
