"""Whether an advisory is known of a version in a lock file: what `make check` asks pip-audit.

The versions and hashes stand in the file, so nothing is installed or resolved for it. What is known
of them is not: where the Python Package Index has no advisories to give, as where there is no way
to it or a mirror stands in its place, that is said, and nothing is refused.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ANSWERED_WITHIN_S = 120.0
"""Within which pip-audit has asked for all versions, or could not."""

_PIP_AUDIT = Path(sys.executable).with_name("pip-audit")
_NOT_REACHED = "requests.exceptions."
_OPTIONS = ("--disable-pip", "--require-hashes", "--format=json", "--progress-spinner=off")


class NotAudited(Exception):
    """Nothing could be learned of any version."""


def main(lock: str) -> int:
    """Say what is known of a lock file's versions; return 1 where there is an advisory."""
    try:
        found = list(advisories_in(_asked(lock)))
    except NotAudited as why:
        print(f"{lock} is not audited: {why}")
        return 0
    for advisory in found:
        print(advisory)
    return 1 if found else 0


def advisories_in(report: str) -> Iterator[str]:
    """Yield the advisories of a report of pip-audit in JSON, each as a line.

    A version of which nothing could be learned, where of others it could, is a line too. Raises
    NotAudited where nothing could be learned of any.
    """
    dependencies: list[dict[str, Any]] = json.loads(report)["dependencies"]
    unknown = [each for each in dependencies if "skip_reason" in each]
    if len(unknown) == len(dependencies):
        raise NotAudited(f"no advisories are to be had of its {len(unknown)} versions.")
    for each in unknown:
        yield f"{each['name']}: {each['skip_reason']}"
    for each in dependencies:
        for advisory in each.get("vulns", ()):
            names = ", ".join([advisory["id"], *advisory["aliases"]])
            mended = ", ".join(advisory["fix_versions"]) or "no version"
            yield f"{each['name']} {each['version']}: {names}, mended in {mended}"


def _asked(lock: str) -> str:
    command = [str(_PIP_AUDIT), *_OPTIONS, f"--requirement={lock}"]
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=ANSWERED_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise NotAudited("the Python Package Index did not answer.") from None
    if ended.stdout:
        return ended.stdout
    if _NOT_REACHED in ended.stderr:
        raise NotAudited("the Python Package Index is not to be reached.")
    raise SystemExit(ended.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
