"""What `make check` says of the versions in a lock file, by what pip-audit answers."""

import json
from pathlib import Path

import pytest

from taskflow.domain.text import JsonObject
from tests.support import advisories
from tests.support.advisories import NotAudited, advisories_in

UNHARMED: JsonObject = {"name": "flask", "version": "3.1.3", "vulns": []}
UNKNOWN: JsonObject = {"name": "jinja2", "skip_reason": "not found"}
HARMED: JsonObject = {
    "name": "urllib3",
    "version": "1.0",
    "vulns": [
        {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "fix_versions": ["1.1", "2.0"]},
        {"id": "PYSEC-2026-2", "aliases": [], "fix_versions": []},
    ],
}


def _report(*dependencies: object) -> str:
    return json.dumps({"dependencies": dependencies, "fixes": []})


def test_each_advisory_names_the_version_and_those_that_mend_it() -> None:
    assert list(advisories_in(_report(UNHARMED, HARMED))) == [
        "urllib3 1.0: PYSEC-2026-1, CVE-2026-1, mended in 1.1, 2.0",
        "urllib3 1.0: PYSEC-2026-2, mended in no version",
    ]


def test_nothing_is_said_of_versions_without_an_advisory() -> None:
    assert list(advisories_in(_report(UNHARMED))) == []


def test_a_version_that_the_index_alone_does_not_know_is_named() -> None:
    assert list(advisories_in(_report(UNHARMED, UNKNOWN))) == ["jinja2: not found"]


def test_versions_none_of_which_is_known_are_not_audited() -> None:
    with pytest.raises(NotAudited, match="2 versions"):
        list(advisories_in(_report(UNKNOWN, UNKNOWN)))


def test_a_lock_file_is_not_audited_where_there_is_no_way_to_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"flask==3.1.3 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")

    assert advisories.main(str(lock)) == 0
    assert capsys.readouterr().out == (
        f"{lock} is not audited: the Python Package Index is not to be reached.\n"
    )


def test_a_lock_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text("flask==\n")

    with pytest.raises(SystemExit, match="flask=="):
        advisories.main(str(lock))
