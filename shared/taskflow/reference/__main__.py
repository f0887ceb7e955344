"""Write the reference, or check it: `python -m taskflow.reference [--check] FOLDER`.

The folder is that of `functions/` and `docs/`.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from taskflow import config, generated
from taskflow.config import Settings
from taskflow.domain.text import JsonObject
from taskflow.reference import asyncapi, events, openapi
from taskflow.server.loading import discover
from taskflow.serving.endpoint import Endpoint

DOCS = Path("docs")


def documents(root: Path) -> Mapping[Path, str]:
    """Return the text of every document that is written, by its path below `root`."""
    config.settings.set(Settings(environment="local"))
    found = [function.endpoint for function in discover(root / "functions")]
    endpoints = [endpoint for endpoint in found if isinstance(endpoint, Endpoint)]
    socket = next(endpoint for endpoint in endpoints if endpoint.is_socket)
    return {
        DOCS / "events.md": events.page(),
        DOCS / "openapi.json": _as_text(openapi.document(endpoints)),
        DOCS / "asyncapi.json": _as_text(asyncapi.document(socket)),
    }


def _as_text(document: JsonObject) -> str:
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    generated.main("reference", __doc__, documents, target="docs")
