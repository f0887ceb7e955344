"""JSON Lines: a body, or an answer, of a JSON object in each line."""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Self

from flask import Request

from taskflow.domain.errors import FieldError
from taskflow.domain.text import JsonObject, compact_json
from taskflow.process import resource
from taskflow.serving import turns
from taskflow.serving.answers import Answer
from taskflow.serving.body import parse_json
from taskflow.serving.problems import (
    INVALID_CONTENT,
    OTHER_MEDIA_TYPE,
    UNAVAILABLE,
    Problem,
)
from taskflow.storage import connections_of_one_user

MEDIA_TYPE = "application/jsonl"
MEDIA_TYPES = (MEDIA_TYPE, "application/x-ndjson")

LINES_MAX = 5_000
"""How many lines a body may have; none that is taken is so short."""

YIELD_EVERY = 10
BUSY_RETRY_S = 5


class JsonLines:
    """The lines of a body, each a JSON object; blank ones do not count.

    A subclass says what such lines are, and shows a body.
    """

    EXAMPLE: ClassVar[str] = ""

    def __init__(self, raw: bytes) -> None:
        """Split a body. Raises Problem 422 for more than LINES_MAX lines."""
        self._lines = [line for line in raw.split(b"\n") if line.strip()]
        if len(self._lines) > LINES_MAX:
            detail = f"are {len(self._lines)}; a part has at most {LINES_MAX}"
            raise invalid_lines([FieldError("", f"the lines {detail}")])

    @classmethod
    def of(cls, request: Request, raw: bytes) -> Self:
        """Return the lines of a request's body. Raises Problem 415 and 422."""
        encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
        if request.mimetype not in MEDIA_TYPES or encoding != "identity":
            detail = f"Send the body as Content-Type: {MEDIA_TYPE}, without a Content-Encoding."
            headers = {"Accept": ", ".join(MEDIA_TYPES)}
            raise Problem(OTHER_MEDIA_TYPE, detail, headers=headers)
        return cls(raw)

    def __iter__(self) -> Iterator[JsonObject]:
        """Read the lines one by one. Raises Problem 400 and 422, naming the line."""
        for number, line in enumerate(self._lines):
            if number % YIELD_EVERY == 0:
                turns.give_way()
            try:
                read = parse_json(line)
            except Problem as problem:
                detail = f"Line {number + 1}: {problem.detail}"
                raise Problem(problem.kind, detail) from None
            if not isinstance(read, dict):
                raise invalid_lines([FieldError(f"/{number}", "must be a JSON object")])
            yield read


def invalid_lines(errors: Sequence[FieldError]) -> Problem:
    """Return the problem of lines that are not valid; a pointer begins with a line's number."""
    return Problem(INVALID_CONTENT, "Some of the lines are not valid.", errors=errors)


class Streams:
    """How many answers are being streamed, each of which holds a connection to the database."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._users: set[str] = set()

    def take(self, user_id: str) -> Callable[[], None]:
        """Begin a stream of a user, and return what ends it, however often it is called.

        Raises Problem 503 for a second one, or where all are taken.
        """
        with self._lock:
            if user_id in self._users or len(self._users) >= connections_of_one_user():
                raise Problem(
                    UNAVAILABLE,
                    "An export is under way already; try again when it has ended.",
                    headers={"Retry-After": str(BUSY_RETRY_S)},
                )
            self._users.add(user_id)
        taken = [user_id]

        def end() -> None:
            with self._lock:
                while taken:
                    self._users.discard(taken.pop())

        return end


@resource()
def streams() -> Streams:
    """Return the streams of this process."""
    return Streams()


class LinesStreamed(Answer[bytes]):
    """The lines, as they are read; what is cut off lacks the last one."""

    HEADERS = ("Cache-Control", "Content-Disposition")
    MEDIA_TYPES = (MEDIA_TYPE,)

    def __init__(self, user_id: str, pages: Iterable[Sequence[object]], *, file_name: str) -> None:
        """Stream pages of a user's lines, each written in a turn of theirs.

        Raises Problem 503 where the user, or others, have streams enough.
        """
        end = streams().take(user_id)
        super().__init__(
            _written(user_id, pages, end), self.STATUS, content_type=f"{MEDIA_TYPE}; charset=utf-8"
        )
        # Also where nobody has begun to read it.
        self.call_on_close(end)
        self.headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
        self.headers["Cache-Control"] = "no-store"


def _written(
    user_id: str, pages: Iterable[Sequence[object]], end: Callable[[], None]
) -> Generator[str]:
    """Write pages as text; a page is read and written in a turn, which no client's wait is."""
    reading = iter(pages)
    try:
        while True:
            with _turn_of(user_id):
                page = next(reading, None)
                text = "" if page is None else "".join(f"{_line(each)}\n" for each in page)
            if page is None:
                return
            yield text
    finally:
        try:
            close: Any = getattr(reading, "close", None)
            if close is not None:
                close()
        finally:
            end()


def _line(written: object) -> str:
    return written if isinstance(written, str) else compact_json(written)


@contextmanager
def _turn_of(user_id: str) -> Generator[None]:
    with turns.turn_of(user_id) as turn:
        turn.take()
        yield
