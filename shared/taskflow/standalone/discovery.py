"""Finding the functions: each folder with a `main.py` becomes an app of functions-framework."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from flask import Flask
from functions_framework import create_app  # pyright: ignore[reportUnknownVariableType]

from taskflow.config import WrongSetting
from taskflow.eventing.frame import Subscriber
from taskflow.serving.frame import EXTENSION, Endpoint


@dataclass(frozen=True, slots=True)
class Function:
    """A function, ready to be called: its name, its app, and the endpoint that it declares."""

    name: str
    app: Flask
    endpoint: Endpoint | Subscriber


def discover(folder: Path) -> list[Function]:
    """Load every function below `folder`, by name. Raises WrongSetting where there is none."""
    found = [load(source) for source in sorted(folder.glob("*/main.py"))]
    if not found:
        message = f"FUNCTIONS_DIR: there are no functions in {folder}"
        raise WrongSetting(message)
    return found


def load(source: Path) -> Function:
    """Load one function as the cluster does; its target is named after its folder."""
    name = source.parent.name
    made = create_app(target=name.replace("-", "_"), source=str(source), signature_type="http")
    app = cast("Flask", made)
    return Function(name, app, app.extensions[EXTENSION])
