"""The dashboard's files: what a browser is sent of it, and how long that may be kept.

Its page asks for all the rest at addresses that name the version, the hash of all files together:
what lies there never changes, and what one page loads is of one version.
"""

import hashlib
import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from flask import Request

import taskflow
from taskflow.process import resource
from taskflow.serving.conditions import Conditions
from taskflow.serving.files import MEDIA_TYPES, File, FileShown, FileUnchanged, security_policy
from taskflow.serving.problems import NO_SUCH_PATH, Problem

FOLDER = Path(taskflow.__file__).parent / "dashboard"
ASSETS = "/assets/"
INDEX = "index.html"
START = "js/main.js"
AT_THE_ROOT = ("manifest.webmanifest", "service-worker.js")
"""The files that are at the root, for what they say holds below where they are."""

OF_PAGES = {
    **MEDIA_TYPES,
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
"""The media types of what is sent; other files of the folder are not."""

VERSION, FILES, MODULES = "{version}", "{files}", "{modules}"
"""What stands in the files at the root and in the page for the version, and for lists of assets."""

_POLICY = security_policy(
    {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        # The socket of the same host too (CSP 3, 6.7.2.8).
        "connect-src": "'self'",
        "manifest-src": "'self'",
        "worker-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "lit-html taskflow",
    }
)
_AT_ROOT = {"Cache-Control": "no-cache", "Content-Security-Policy": _POLICY}
_PAGE = {
    **_AT_ROOT,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_ASSET = {**_AT_ROOT, "Cache-Control": "public, max-age=31536000, immutable"}

_IMPORT = re.compile(
    r"""(?:^|;)(?:import|export)\b(?! *\()[^;"'()]*["'](\.[^"']+)["']""", re.MULTILINE
)


class PageFileShown(FileShown):
    """The file, compressed for who takes that."""

    OPTIONAL_HEADERS = (
        *FileShown.OPTIONAL_HEADERS,
        "Cross-Origin-Opener-Policy",
        "Permissions-Policy",
    )
    MEDIA_TYPES = tuple(OF_PAGES.values())


class PageFileUnchanged(FileUnchanged):
    """The client already holds the file as it is (RFC 9110, 15.4.5)."""

    OPTIONAL_HEADERS = PageFileShown.OPTIONAL_HEADERS


class Dashboard:
    """The files of the dashboard, by the paths at which they are asked for."""

    def __init__(self, folder: Path) -> None:
        """Read all files in a folder and below it."""
        contents = dict(_contents(folder))
        digest = hashlib.sha256()
        for name, content in sorted(contents.items()):
            digest.update(f"{name} {len(content)} ".encode() + content)
        self.version = digest.hexdigest()[:16]
        self.modules = list(_loaded_by(START, contents))
        at_the_root = {name: contents.pop(name) for name in AT_THE_ROOT}
        page = contents.pop(INDEX)
        self.assets = [self._address(name) for name in sorted(contents)]
        self._page = File.of(self._filled(page), OF_PAGES[".html"], _PAGE)
        self._files = {
            f"/{name}": File.of(self._filled(content), _type_of(name), _AT_ROOT)
            for name, content in at_the_root.items()
        } | {
            self._address(name): File.of(content, _type_of(name), _ASSET)
            for name, content in contents.items()
        }

    def at(self, path: str) -> File:
        """Return what lies at the path of a request: a file, or at all other paths the page.

        Raises Problem for an asset that this version does not have.
        """
        if path in self._files:
            return self._files[path]
        if path.startswith(ASSETS):
            raise Problem(NO_SUCH_PATH, "The dashboard of this version has no such file.")
        return self._page

    def _filled(self, content: bytes) -> bytes:
        """Return a file with what stands for the version and for lists of assets filled in."""
        modules = (
            f'<link rel="modulepreload" href="{self._address(name)}">' for name in self.modules
        )
        filled = content.decode().replace(MODULES, "\n    ".join(modules))
        filled = filled.replace(FILES, '", "'.join(self.assets))
        return filled.replace(VERSION, self.version).encode()

    def _address(self, name: str) -> str:
        return f"{ASSETS}{self.version}/{name}"


@resource()
def dashboard() -> Dashboard:
    """Return the dashboard of this process."""
    return Dashboard(FOLDER)


def page_file_unless_known(
    file: File, request: Request, conditions: Conditions
) -> PageFileShown | PageFileUnchanged:
    """Answer with a file, or 304 where the client holds it already. Raises VersionIsStale."""
    if conditions.client_has_tag(file.tag):
        return PageFileUnchanged(file)
    return PageFileShown(file, compressed=request.accept_encodings.quality("gzip") > 0)


def _contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        if path.suffix in OF_PAGES and not path.name.endswith(".json"):
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _type_of(name: str) -> str:
    return OF_PAGES[Path(name).suffix]


def _loaded_by(name: str, contents: Mapping[str, bytes]) -> Iterator[str]:
    """Yield a module and all that it imports, and those import, each once, the first one first."""
    waiting, seen = [name], {name}
    while waiting:
        module = waiting.pop(0)
        yield module
        for imported in _IMPORT.findall(contents[module].decode()):
            found = posixpath.normpath(posixpath.join(posixpath.dirname(module), imported))
            if found not in seen:
                seen.add(found)
                waiting.append(found)
