"""The reference as it is served: the documents, and the page that shows them (A4, A12)."""

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from taskflow.serving.files import MEDIA_TYPES
from tests.support.database.connection import NOWHERE, database_at
from tests.support.functions.client import Api
from tests.support.functions.problems import assert_refused
from tests.support.paths import ROOT

VIEWER = ROOT / "docs" / "viewer"
PATHS = {
    "/openapi.json": ROOT / "docs" / "openapi.json",
    "/asyncapi.json": ROOT / "docs" / "asyncapi.json",
    "/docs": VIEWER / "index.html",
    "/docs/start.js": VIEWER / "start.js",
    "/docs/swagger-ui-bundle.js": VIEWER / "swagger-ui-bundle.js.gz",
    "/docs/swagger-ui.css": VIEWER / "swagger-ui.css.gz",
}

each_path = pytest.mark.parametrize("path", PATHS)


def _content(path: str) -> bytes:
    kept = PATHS[path].read_bytes()
    return gzip.decompress(kept) if PATHS[path].suffix == ".gz" else kept


def _shown(path: str, **headers: str) -> TestResponse:
    answer = Api().get(path, headers=headers)
    assert answer.status_code == 200
    return answer


@each_path
def test_a_file_is_shown_to_anybody_as_it_is(path: str) -> None:
    answer = _shown(path)

    assert answer.data == _content(path)
    assert answer.mimetype == MEDIA_TYPES[Path(PATHS[path].name.removesuffix(".gz")).suffix]
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@each_path
def test_a_file_is_compressed_for_who_takes_that(path: str) -> None:
    answer = _shown(path, **{"Accept-Encoding": "br, gzip"})

    assert answer.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert gzip.decompress(answer.data) == _content(path)
    assert len(answer.data) < len(_content(path)) or len(_content(path)) < 1000
    refused = _shown(path, **{"Accept-Encoding": "gzip;q=0, identity"})
    assert "Content-Encoding" not in refused.headers


@each_path
def test_a_file_that_the_client_holds_is_not_sent_again(path: str) -> None:
    held = _shown(path)

    answer = Api().get(path, headers={"If-None-Match": held.headers["ETag"]})
    other = _shown(path, **{"If-None-Match": '"another"'})

    assert (answer.status_code, answer.data) == (304, b"")
    for name in ("ETag", "Cache-Control", "Vary"):
        assert answer.headers[name] == held.headers[name] == other.headers[name]
    assert_refused(Api().get(path, headers={"If-Match": '"another"'}), 412, "version-is-stale")


def test_the_page_may_load_nothing_from_elsewhere_and_run_nothing_of_its_own() -> None:
    answer = _shown("/docs")

    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.search(r"<script>|<style| style=| on\w+=|https?:", answer.text)
    loaded = re.findall(r'(?:src|href)="(/docs/[^"]+)"', answer.text)
    assert set(loaded) == {path for path in PATHS if path.startswith("/docs/")}


def test_what_is_served_needs_no_database() -> None:
    with database_at(NOWHERE):
        for path in PATHS:
            assert _shown(path).data == _content(path)


def test_a_file_beside_those_that_are_shown_is_not() -> None:
    for path in (
        "/docs/package.json",
        "/docs/../openapi.json",
        "/docs/%2e%2e/limits.md",
        "/events.md",
    ):
        assert_refused(Api().get(path), 404, "no-such-path")


def test_the_viewer_is_what_its_package_holds() -> None:
    lines = (VIEWER / "SHA256SUMS").read_text().splitlines()
    sums = {name: found for found, name in (line.split() for line in lines)}

    assert sums == {
        name: hashlib.sha256(gzip.decompress((VIEWER / f"{name}.gz").read_bytes())).hexdigest()
        for name in ("swagger-ui-bundle.js", "swagger-ui.css")
    }
    lock = json.loads((VIEWER / "package-lock.json").read_text())
    package = lock["packages"]["node_modules/swagger-ui-dist"]
    named = json.loads((VIEWER / "package.json").read_text())["dependencies"]
    assert named == {"swagger-ui-dist": package["version"]}
    assert package["integrity"].startswith("sha512-")
    assert package["license"] == "Apache-2.0"
    assert "Apache License" in (VIEWER / "LICENSE").read_text()
