"""The dashboard's files as they are served: whose they are, how long they are kept (A4)."""

import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from taskflow.serving.dashboard_files import FOLDER, Dashboard, dashboard
from taskflow.serving.endpoint import Endpoint
from tests.support.database.connection import NOWHERE, database_at
from tests.support.functions.client import Api, all_functions
from tests.support.functions.problems import assert_refused
from tests.support.paths import ROOT

PLACES = (
    "/",
    "/upcoming",
    "/all",
    "/completed",
    "/recurring",
    "/tags",
    "/tags/home",
    "/search",
    "/tasks/019ad3f0-8c00-7000-8000-000000000001",
    "/inbox",
    "/statistics",
    "/settings",
    "/administration",
    "/log-in",
    "/register",
)
AT_THE_ROOT = ("/manifest.webmanifest", "/service-worker.js")
VENDOR = FOLDER / "vendor"


def _asset(name: str) -> str:
    return f"/assets/{dashboard().version}/{name}"


KINDS = ("css/tokens.css", "icons/icon.svg", "js/views/all.js", "vendor/lit-html.js")
each_file = pytest.mark.parametrize(
    "path", ["/", *AT_THE_ROOT, *map(_asset, KINDS)], ids=["page", *AT_THE_ROOT, *KINDS]
)


def _shown(path: str, **headers: str) -> TestResponse:
    answer = Api().get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize("path", PLACES)
def test_every_place_is_the_same_page_whatever_its_query(path: str) -> None:
    page = _shown("/")

    shown = _shown(f"{path}?tag=a%2Fb&utm_source=elsewhere")

    assert shown.mimetype == "text/html"
    assert shown.data == page.data


def test_every_place_of_the_page_is_one_of_the_function() -> None:
    found = [each.endpoint for each in all_functions() if each.name == "serve-dashboard"]
    [endpoint] = [each for each in found if isinstance(each, Endpoint)]
    declared = {route.template for route in endpoint.routes}
    in_page = set(re.findall(r'\bpath: "([^"]+)"', (FOLDER / "js" / "places.js").read_text()))

    assert {"/", "/log-in"} <= in_page <= declared


def test_the_page_loads_its_own_files_alone_and_runs_nothing_inline() -> None:
    page = _shown("/")

    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in page.headers["Permissions-Policy"]
    assert not re.search(r"<script>|<style| style=| on\w+=|https?:|\{\w+\}", page.text)
    loaded = set(re.findall(r'(?:src|href)="(/assets/[^"]+)"', page.text))
    assert loaded <= set(dashboard().assets)


def test_the_page_names_every_module_that_it_begins_with() -> None:
    page = _shown("/")

    named = set(re.findall(r'rel="modulepreload" href="/assets/[^/]+/([^"]+)"', page.text))
    for name in named:
        text = (FOLDER / name).read_text()
        for imported in re.findall(r'(?:^|;)import\b[^;"(]*"([^"]+)"', text, re.MULTILINE):
            found = (FOLDER / name).parent.joinpath(imported).resolve().relative_to(FOLDER)
            assert str(found) in named, name
    assert {"js/main.js", "vendor/lit-html.js", "vendor/directive.js"} <= named


def test_the_first_load_is_small() -> None:
    page = _shown("/", **{"Accept-Encoding": "gzip"})
    loaded = set(re.findall(r'(?:src|href)="(/assets/[^"]+)"', gzip.decompress(page.data).decode()))

    sizes = [len(_shown(path, **{"Accept-Encoding": "gzip"}).data) for path in loaded]

    assert sum(sizes) + len(page.data) <= 100_000


@each_file
def test_a_file_is_compressed_for_who_takes_that(path: str) -> None:
    plain, compressed = _shown(path), _shown(path, **{"Accept-Encoding": "br, gzip"})

    assert "Content-Encoding" not in plain.headers
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(compressed.data) == plain.data
    assert "Accept-Encoding" in compressed.headers["Vary"]
    assert plain.headers["ETag"] == compressed.headers["ETag"]


@each_file
def test_a_file_that_the_client_holds_is_not_sent_again(path: str) -> None:
    held = _shown(path)

    answer = Api().get(path, headers={"If-None-Match": held.headers["ETag"]})

    assert (answer.status_code, answer.data) == (304, b"")
    for name in ("ETag", "Cache-Control", "Vary", "Content-Security-Policy"):
        assert answer.headers[name] == held.headers[name]
    assert_refused(Api().get(path, headers={"If-Match": '"another"'}), 412, "version-is-stale")


@each_file
def test_head_says_what_get_would(path: str) -> None:
    get, head = _shown(path), Api().request("HEAD", path)

    assert (head.status_code, head.data) == (200, b"")
    for name in ("Content-Type", "Content-Length", "ETag", "Cache-Control"):
        assert head.headers[name] == get.headers[name]


@each_file
def test_what_has_the_version_in_its_address_is_kept_for_good(path: str) -> None:
    kept = _shown(path).headers["Cache-Control"]

    if f"/{dashboard().version}/" in path:
        assert kept == "public, max-age=31536000, immutable"
    else:
        assert kept == "no-cache"


def test_a_file_of_another_version_is_not_there() -> None:
    for path in (
        "/assets/0123456789abcdef/js/main.js",
        f"/assets/{dashboard().version}/js/nothing.js",
        f"/assets/{dashboard().version}/vendor/LICENSE",
        f"/assets/{dashboard().version}/js/../index.html",
        f"/assets/{dashboard().version}/js/%2e%2e%2f%2e%2e%2fpy.typed",
        f"/assets/{dashboard().version}/..%2f/py.typed",
    ):
        assert_refused(Api().get(path), 404, "no-such-path")


def test_another_file_makes_another_version(tmp_path: Path) -> None:
    for name in ("js", "icons"):
        (tmp_path / name).mkdir()
    (tmp_path / "index.html").write_text("{version} {modules}")
    (tmp_path / "manifest.webmanifest").write_text("{}")
    (tmp_path / "service-worker.js").write_text('["{files}"]')
    (tmp_path / "js" / "main.js").write_text('import "./other.js";')
    (tmp_path / "js" / "other.js").write_text("")
    before = Dashboard(tmp_path)

    (tmp_path / "js" / "other.js").write_text("1;")
    after = Dashboard(tmp_path)

    assert before.version != after.version
    assert before.modules == ["js/main.js", "js/other.js"]
    worker = gzip.decompress(after.at("/service-worker.js").compressed).decode()
    assert json.loads(worker) == after.assets
    assert before.at("/").tag != after.at("/").tag


def test_what_is_served_needs_no_database() -> None:
    with database_at(NOWHERE):
        for path in ("/", *AT_THE_ROOT, dashboard().assets[0]):
            _shown(path)


def test_the_manifest_names_icons_that_are_there() -> None:
    manifest = json.loads(_shown("/manifest.webmanifest").data)

    assert manifest["start_url"] == manifest["scope"] == "/"
    for shown in manifest["icons"]:
        assert _shown(shown["src"]).mimetype == shown["type"]


def test_the_library_is_what_its_package_holds() -> None:
    lines = (VENDOR / "SHA256SUMS").read_text().splitlines()
    sums = {name: found for found, name in (line.split() for line in lines)}

    kept = list(VENDOR.rglob("*.js"))
    assert sums == {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in kept
    }
    lock = json.loads((ROOT / "package-lock.json").read_text())
    package = lock["packages"]["node_modules/lit-html"]
    named = json.loads((ROOT / "package.json").read_text())["devDependencies"]
    assert named["lit-html"] == package["version"]
    assert package["integrity"].startswith("sha512-")
    assert package["license"] == "BSD-3-Clause"
    assert "BSD 3-Clause" in (VENDOR / "LICENSE").read_text()
    for each in lock["packages"].values():
        assert "resolved" not in each
