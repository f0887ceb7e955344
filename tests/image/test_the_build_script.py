"""`make image`: which builder it takes, and which cluster it loads the image into."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT

SCRIPT = ROOT / "knative" / "image.sh"
NEEDED = ("dirname", "mktemp", "rm", "sh")


class Machine:
    """A PATH with these programs alone, which say what they were called with."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._calls = folder / "calls"
        for name in NEEDED:
            (folder / name).symlink_to(shutil.which(name) or name)

    def has(self, name: str, script: str = "") -> None:
        """Install a program, which besides does as `script` says."""
        program = self._folder / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >> {self._calls}\n{script}\n')
        program.chmod(0o755)

    def run(self, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        environment = {"PATH": str(self._folder), **variables}
        return subprocess.run(
            [SCRIPT], env=environment, capture_output=True, text=True, check=False
        )

    @property
    def calls(self) -> list[str]:
        """What was called, less the questions whether a builder works."""
        lines = self._calls.read_text().splitlines() if self._calls.exists() else []
        return [line for line in lines if not line.endswith(" info")]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_script_can_be_run() -> None:
    assert os.access(SCRIPT, os.X_OK)


def test_a_machine_without_a_builder_is_told_what_is_missing(machine: Machine) -> None:
    ended = machine.run()

    assert ended.returncode == 1
    assert ended.stderr.startswith("An image is built by docker, podman or buildah, and none")


def test_a_chosen_builder_that_does_not_work_is_not_replaced(machine: Machine) -> None:
    machine.has("docker")

    ended = machine.run(BUILDER="podman")

    assert (ended.returncode, machine.calls) == (1, [])
    assert ended.stderr == "BUILDER: podman does not work here.\n"


def test_a_docker_without_its_daemon_is_passed_over(machine: Machine) -> None:
    machine.has("docker", "exit 1")
    machine.has("podman")

    assert machine.run().returncode == 0
    assert machine.calls == [
        "podman build --target functions --tag dev.local/taskflow:dev --layers ."
    ]


def test_the_builder_the_base_and_the_name_can_be_chosen(machine: Machine) -> None:
    machine.has("docker")
    machine.has("buildah")

    ended = machine.run(BUILDER="buildah", BASE="localhost/base", IMAGE="example.com/a:1")

    assert ended.returncode == 0
    build = "buildah build --target functions --tag example.com/a:1"
    assert machine.calls == [f"{build} --build-arg BASE=localhost/base --layers ."]


def test_a_builder_that_fails_ends_it(machine: Machine) -> None:
    machine.has("docker", '[ "$1" = info ]')
    machine.has("kubectl", "echo kind-here")

    assert machine.run().returncode == 1
    assert len(machine.calls) == 1


def test_the_image_is_loaded_into_the_kind_of_the_context(machine: Machine) -> None:
    machine.has("docker")
    machine.has("kubectl", "echo kind-here")
    machine.has("kind")

    ended = machine.run()

    assert ended.returncode == 0, ended.stderr
    archive = machine.calls[2].split()[3]
    assert machine.calls[2:] == [
        f"docker save --output {archive} dev.local/taskflow:dev",
        f"kind load image-archive {archive} --name here",
    ]
    assert not Path(archive).parent.exists()


def test_the_image_is_loaded_into_the_minikube_of_the_context(machine: Machine) -> None:
    machine.has("buildah")
    machine.has("kubectl", "echo here")
    machine.has("minikube")

    ended = machine.run()

    assert ended.returncode == 0, ended.stderr
    archive = machine.calls[-1].split()[3]
    name = "dev.local/taskflow:dev"
    assert machine.calls[3:] == [
        f"buildah push --quiet {name} docker-archive:{archive}:{name}",
        f"minikube image load {archive} --profile here",
    ]


def test_an_image_for_another_cluster_is_loaded_nowhere(machine: Machine) -> None:
    machine.has("docker")
    machine.has("kubectl", "echo production")
    machine.has("minikube", "exit 1")

    ended = machine.run()

    assert ended.returncode == 0
    assert "production is neither Minikube nor kind" in ended.stdout
    assert machine.calls[-1] == "minikube status --profile production"


def test_the_image_of_the_whole_system_goes_to_no_cluster(machine: Machine) -> None:
    machine.has("docker")
    machine.has("kubectl", "echo kind-here")

    assert machine.run(TARGET="system").returncode == 0
    assert machine.calls == ["docker build --target system --tag dev.local/taskflow-system:dev ."]
