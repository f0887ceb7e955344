"""For minutes: requests made from docs/openapi.json, as several users, in all spellings (A12)."""

from pathlib import Path

import pytest

from tests.support.description import run, sign_up, sign_up_administrator
from tests.support.processes.system import System

pytestmark = pytest.mark.soak

SECONDS = 240
"""For each of the runs; half as long for the smaller ones."""


def test_each_user_is_answered_as_the_description_says(own_system: System, tmp_path: Path) -> None:
    own_system.start()
    somebody, another = sign_up(own_system, "somebody"), sign_up(own_system, "another")
    administrator = sign_up_administrator(own_system, "administrator")
    leaving = sign_up(own_system, "leaving")
    everything = ("--checks", "all", "--phases", "examples,coverage,fuzzing,stateful")
    runs = {
        "a user, by the short paths": (
            somebody,
            ("--exclude-path-regex", "user_id", "--exclude-operation-id", "log_out"),
        ),
        "a user, by the paths that name them": (somebody, ("--include-path-regex", "user_id")),
        "an administrator": (administrator, ("--include-tag", "admin")),
        "somebody who logs out": (leaving, ("--include-operation-id", "log_out")),
    }

    unclean: list[str] = []
    for name, (sender, chosen) in runs.items():
        seconds = str(SECONDS if sender is somebody else SECONDS // 2)
        done = run(
            own_system, sender, another, tmp_path, *everything, "--max-time", seconds, *chosen
        )
        print(f"{name}: {done.cases} cases, {'as described' if done.is_clean else 'not so'}")
        if not done.is_clean:
            unclean.append(done.output)

    assert not unclean, "\n".join(unclean)
