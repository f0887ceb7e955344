"""Files as they are: the documents of the API, and the pages that run in a browser."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from flask import Request
from werkzeug.http import quote_etag

from taskflow import config
from taskflow.process import resource
from taskflow.serving.answers import JSON_TYPE, Answer
from taskflow.serving.conditions import Conditions

MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": JSON_TYPE,
}
COMPRESSED = ".gz"

PAGE, PAGE_FOLDER = "/docs", "viewer"
"""Where the page is that shows the documents, and where its files are below DOCS_DIR."""


def security_policy(loaded_from: Mapping[str, str]) -> str:
    """Write a Content-Security-Policy: by each directive, from where a page may load."""
    return "; ".join(f"{what} {whence}" for what, whence in loaded_from.items())


_HEADERS = {
    "Cache-Control": "public, max-age=300",
    "Content-Security-Policy": security_policy(
        {
            "default-src": "'none'",
            "script-src": "'self'",
            "style-src": "'self'",
            # The viewer's icons are in its own files.
            "img-src": "'self' data:",
            "connect-src": "'self'",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
        }
    ),
}


@dataclass(frozen=True, slots=True)
class File:
    """A file to be served: its content, compressed, its media type, its entity tag, its headers."""

    compressed: bytes
    media_type: str
    tag: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, content: bytes, media_type: str, headers: Mapping[str, str]) -> "File":
        """Make a file of its content."""
        tag = hashlib.sha256(content).hexdigest()[:32]
        return cls(gzip.compress(content, mtime=0), media_type, tag, headers)

    @classmethod
    def read(cls, path: Path) -> "File":
        """Read a file, or the one beside it that holds its content compressed."""
        kept = path.with_name(path.name + COMPRESSED)
        content = (kept if kept.exists() else path).read_bytes()
        compressed = content if kept.exists() else gzip.compress(content, mtime=0)
        tag = hashlib.sha256(content).hexdigest()[:32]
        return cls(compressed, MEDIA_TYPES[path.suffix], tag, _HEADERS)


class FileShown(Answer[bytes]):
    """The file, compressed for who takes that."""

    HEADERS = ("Cache-Control", "Content-Security-Policy", "ETag")
    OPTIONAL_HEADERS = ("Content-Encoding",)
    MEDIA_TYPES = tuple(MEDIA_TYPES.values())

    def __init__(self, file: File, *, compressed: bool) -> None:
        """Write the content."""
        content = file.compressed if compressed else gzip.decompress(file.compressed)
        super().__init__(content, self.STATUS, content_type=file.media_type)
        if compressed:
            self.headers["Content-Encoding"] = "gzip"
        _describe(self, file)


class FileUnchanged(Answer[None]):
    """The client already holds the file as it is (RFC 9110, 15.4.5)."""

    STATUS = HTTPStatus.NOT_MODIFIED
    HEADERS = FileShown.HEADERS

    def __init__(self, file: File) -> None:
        """Name the version."""
        super().__init__(status=self.STATUS)
        del self.headers["Content-Type"]
        _describe(self, file)


class Reference:
    """The files of the reference, by their paths, each read when it is asked for."""

    def __init__(self, folder: Path) -> None:
        """Serve the documents in a folder, and the page in one below it."""
        self._folder = folder
        self._read: dict[Path, File] = {}

    def at(self, path: str) -> File:
        """Return the file at the path of a request. Raises OSError where there is none."""
        wanted = self._folder / self._relative(path.rstrip("/"))
        if wanted not in self._read:
            self._read[wanted] = File.read(wanted)
        return self._read[wanted]

    @staticmethod
    def _relative(path: str) -> Path:
        if path == PAGE:
            return Path(PAGE_FOLDER, "index.html")
        if path.startswith(f"{PAGE}/"):
            return Path(PAGE_FOLDER, Path(path).name)
        return Path(Path(path).name)


@resource()
def reference() -> Reference:
    """Return the reference of this process."""
    return Reference(config.settings().docs_dir)


def file_unless_known(
    file: File, request: Request, conditions: Conditions
) -> FileShown | FileUnchanged:
    """Answer with a file, or 304 where the client holds it already. Raises VersionIsStale."""
    if conditions.client_has_tag(file.tag):
        return FileUnchanged(file)
    return FileShown(file, compressed=request.accept_encodings.quality("gzip") > 0)


def _describe(answer: Answer[bytes] | Answer[None], file: File) -> None:
    # Weak, for both encodings have it (RFC 9110, 8.8.1).
    answer.headers["ETag"] = quote_etag(file.tag, weak=True)
    answer.headers.update(file.headers)
    answer.vary.add("Accept-Encoding")
