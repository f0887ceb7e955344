"""A client in Python, made from docs/openapi.json by openapi-python-client."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

from tests.support.paths import ROOT

PACKAGE = "generated_taskflow_client"

_CONFIG = f"""\
package_name_override: {PACKAGE}
# It would be formatted, for who reads it.
post_hooks: []
# It knows no lines of JSON: to it they are bytes.
content_type_overrides:
  application/jsonl: application/octet-stream
  application/x-ndjson: application/octet-stream
"""


def generate(folder: Path) -> None:
    """Make the client as a package in a folder; an AssertionError says what it could not read."""
    config = folder / "client.yaml"
    config.write_text(_CONFIG)
    what = ("--path", ROOT / "docs" / "openapi.json", "--config", config, "--meta", "none")
    made = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", "generate", *what, "--fail-on-warning"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr


def module(name: str) -> ModuleType:
    """Return a module of the client, by its name within the package."""
    return import_module(f"{PACKAGE}.{name}")
