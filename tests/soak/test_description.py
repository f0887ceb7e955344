"""For minutes: requests made from docs/openapi.json, as several users, in all spellings (A12)."""

from pathlib import Path

import pytest

from tests.support.description import run, sign_up, sign_up_administrator
from tests.support.processes.system import System

pytestmark = pytest.mark.soak

SECONDS = 240
"""For each of the runs; half as long for the smaller ones."""

EXCLUDED = tuple(
    part
    for operation in ("log_out", "end_session", "delete_account", "import_account")
    for part in ("--exclude-operation-id", operation)
)
EXCLUDED_OF_USER = tuple(
    part
    for operation in ("end_session_of_user", "delete_account_of_user", "import_account_of_user")
    for part in ("--exclude-operation-id", operation)
)
"""What ends a session or an account, and what takes lines of a text that no schema says."""

ENDING = tuple(
    part
    for operation in ("log_out", "end_session")
    for part in ("--include-operation-id", operation)
)


def test_each_user_is_answered_as_the_description_says(own_system: System, tmp_path: Path) -> None:
    own_system.start()
    somebody, another = sign_up(own_system, "somebody"), sign_up(own_system, "another")
    administrator = sign_up_administrator(own_system, "administrator")
    leaving = sign_up(own_system, "leaving")
    everything, single = "examples,coverage,fuzzing,stateful", "examples,coverage,fuzzing"
    runs = {
        "a user, by the short paths": (
            somebody,
            everything,
            ("--exclude-path-regex", "user_id", *EXCLUDED),
        ),
        "a user, by the paths that name them": (
            somebody,
            everything,
            ("--include-path-regex", "user_id", *EXCLUDED_OF_USER),
        ),
        "an administrator": (administrator, everything, ("--include-tag", "admin")),
        # What ends a session has one of its own, and no links.
        "somebody who logs out": (leaving, single, ENDING),
    }

    unclean: list[str] = []
    for name, (sender, phases, chosen) in runs.items():
        seconds = str(SECONDS if sender is somebody else SECONDS // 2)
        bounds = ("--checks", "all", "--phases", phases, "--max-time", seconds)
        done = run(own_system, sender, another, tmp_path, *bounds, *chosen)
        print(f"{name}: {done.cases} cases, {'as described' if done.is_clean else 'not so'}")
        if not done.is_clean:
            unclean.append(done.output)

    assert not unclean, "\n".join(unclean)
