"""The manifests: as the declarations say, and checked by `make check` (D3)."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from taskflow import config
from taskflow.manifests.__main__ import FUNCTIONS, GENERATED, TOPIC_REPLACEMENTS, manifests
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def written() -> Mapping[Path, str]:
    settings = config.settings()
    try:
        return manifests(ROOT)
    finally:
        config.settings.set(settings)


def test_every_manifest_in_the_repository_is_what_the_declarations_say(
    written: Mapping[Path, str],
) -> None:
    there = {path.relative_to(ROOT) for path in (ROOT / GENERATED).iterdir()}

    assert there | {TOPIC_REPLACEMENTS} | {
        FUNCTIONS / one.name / "func.yaml" for one in _folders()
    } == set(written)
    for path, text in written.items():
        assert (ROOT / path).read_text() == text, f"{path}: `make manifests` writes it anew"


def test_a_changed_manifest_fails_the_check_and_is_written_anew(tmp_path: Path) -> None:
    shutil.copytree(ROOT / FUNCTIONS / "get-settings", tmp_path / FUNCTIONS / "get-settings")
    shutil.copytree(ROOT / FUNCTIONS / "sync-tasks", tmp_path / FUNCTIONS / "sync-tasks")
    changed = tmp_path / FUNCTIONS / "get-settings" / "func.yaml"
    was = changed.read_text()
    _run(tmp_path)
    changed.write_text(was.replace("max: 3", "max: 4"))

    checked = _run(tmp_path, "--check")
    written = _run(tmp_path)

    assert checked.returncode == 1
    assert checked.stderr.strip().endswith("anew: functions/get-settings/func.yaml")
    assert written.returncode == 0, written.stderr
    assert changed.read_text() == was
    assert _run(tmp_path, "--check").returncode == 0


def _folders() -> list[Path]:
    return [path for path in (ROOT / FUNCTIONS).iterdir() if path.is_dir()]


def _run(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "taskflow.manifests", *options, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
