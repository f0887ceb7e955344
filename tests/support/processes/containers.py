"""Containers as a cluster runs them: the root file system read-only, no capabilities, any user."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

import psutil

from taskflow import config
from tests.support.paths import ROOT
from tests.support.polling import eventually

BUILDERS = ("docker", "podman", "buildah")
ENDED_WITHIN_S = 30

NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation=private")
MOUNTS = """
set -eu
mount --bind "$ROOT" "$ROOT"
mount -o remount,ro,bind "$ROOT"
mount --rbind /dev "$ROOT/dev"
mount -t proc proc "$ROOT/proc"
mount -t tmpfs -o mode=1777 tmpfs "$ROOT/tmp"
for folder in $VOLUMES; do mount -t tmpfs -o "mode=700,uid=$USER_ID" tmpfs "$ROOT$folder"; done
exec chroot --userspec="$USER_ID:$USER_ID" --groups= "$ROOT" /usr/bin/env -i -C "$FOLDER" "$@"
"""
"""What a container's runtime does, for buildah, which runs containers only to build on them."""


class _Config(TypedDict, total=False):
    """What an image says of its containers, in the words of the OCI."""

    Env: list[str]
    Cmd: list[str]
    Volumes: Mapping[str, object] | None
    WorkingDir: str


def builder() -> str:
    """Return the builder that works here, as `make image` finds it."""
    for name in (config.environment().get("BUILDER"), *BUILDERS):
        if name and shutil.which(name) and _succeeds(name, "info"):
            return name
    raise AssertionError("docker, podman or buildah is needed")


def build(target: str, image: str) -> None:
    """Build a target of the Dockerfile as `make image` does, and load it nowhere."""
    own = {"TARGET": target, "IMAGE": image, "KUBECONFIG": os.devnull}
    environment = {**config.environment(), **own}
    subprocess.run([ROOT / "knative" / "image.sh"], env=environment, check=True)


class Container:
    """A process of an image, on the network of this machine."""

    def __init__(self, image: str, *command: str, log: Path, user: int, **variables: str) -> None:
        """Start the command, or what the image itself starts, as this user."""
        self.log = log
        self._image, self._user, self._variables = image, user, variables
        self._builder = builder()
        self._made = ""
        start = self._with_namespaces if self._builder == "buildah" else self._with_a_runtime
        with log.open("w") as output:
            self.process = start(command, output.fileno())

    def end(self) -> int:
        """Tell its first process to end; return its exit status."""
        self._first().send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Return the exit status of what ends by itself."""
        return self.process.wait(ENDED_WITHIN_S)

    def remove(self) -> None:
        """Kill it if it runs, and leave nothing of it."""
        if self.process.poll() is None:
            self._first().kill()
            self.process.wait(ENDED_WITHIN_S)
        if self._made:
            subprocess.run(["buildah", "rm", self._made], check=True, capture_output=True)

    def _with_a_runtime(self, command: tuple[str, ...], output: int) -> subprocess.Popen[bytes]:
        how = ["--rm", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--network=host"]
        user = [f"--user={self._user}:{self._user}"]
        given = [f"--env={name}={value}" for name, value in self._variables.items()]
        line = [self._builder, "run", *how, *user, *given, self._image, *command]
        return subprocess.Popen(line, stdout=output, stderr=output)

    def _with_namespaces(self, command: tuple[str, ...], output: int) -> subprocess.Popen[bytes]:
        inspected = json.loads(_output("inspect", "--type=image", self._image))
        said: _Config = inspected["OCIv1"]["config"]
        self._made = _output("from", self._image)
        own = {
            "ROOT": _output("mount", self._made),
            "FOLDER": said.get("WorkingDir", "/"),
            "USER_ID": str(self._user),
            "VOLUMES": " ".join(said.get("Volumes") or {}),
        }
        given = [f"{name}={value}" for name, value in self._variables.items()]
        inside = [*said.get("Env", []), *given, *(command or said.get("Cmd", []))]
        line = [*NAMESPACES, "sh", "-c", MOUNTS, "sh", *inside]
        environment = {**config.environment(), **own}
        return subprocess.Popen(line, env=environment, stdout=output, stderr=output)

    def _first(self) -> psutil.Process:
        """Return the container's process 1, or who hands signals on to it."""
        process = psutil.Process(self.process.pid)
        if self._builder != "buildah":
            return process

        def child() -> psutil.Process:
            children = process.children()
            assert children
            return children[0]

        return eventually(child)


def _output(*command: str) -> str:
    return subprocess.check_output(["buildah", *command], text=True).strip()


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
