"""What kustomizations build."""

import functools
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]


@functools.cache
def built(folder: Path) -> list[Document]:
    """Return what a kustomization builds, with the kubectl of the virtual environment."""
    kubectl = shutil.which("kubectl", path=str(Path(sys.executable).parent))
    assert kubectl, "make .venv/dev.stamp installs it"
    text = subprocess.run(
        [kubectl, "kustomize", str(folder)], check=True, capture_output=True, text=True
    ).stdout
    return list(yaml.load_all(text, yaml.CSafeLoader))
