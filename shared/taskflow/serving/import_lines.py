"""The lines of an export, read as an import takes them: each by itself, and with its number."""

from dataclasses import dataclass, field

from taskflow.domain.content import Content
from taskflow.domain.errors import FieldError
from taskflow.domain.exports import (
    IMPORTED,
    ImportedAccount,
    ImportedHeader,
    ImportedTask,
    ImportedTrailer,
)
from taskflow.domain.text import JsonObject, compact_json
from taskflow.serving.body import validated
from taskflow.serving.json_lines import JsonLines, invalid_lines
from taskflow.serving.problems import ERRORS_MAX, Problem

_SHOWN: tuple[JsonObject, ...] = (
    {"type": "header", "format": "taskflow-export", "version": 1, "user_id": "ada", "seq": 2},
    {
        "type": "task",
        "id": "019ad3f0-8c00-7000-8000-000000000001",
        "title": "Buy milk",
        "description": None,
        "status": "pending",
        "priority": "medium",
        "tags": ["home"],
        "metadata": {},
        "due_date": None,
        "completed_at": None,
        "created_at": "2026-11-30T09:00:00.000000Z",
        "deleted_at": None,
        "recurring_task_id": None,
        "occurrence_at": None,
        "series": None,
        "reminders": [],
    },
    {"type": "trailer", "tasks": 1},
)


class ExportLines(JsonLines):
    """The lines of an export, or of a part of one behind its header."""

    EXAMPLE = "".join(f"{compact_json(line)}\n" for line in _SHOWN)


@dataclass(slots=True)
class Part:
    """A part of an export, with the number of the line of each task."""

    header: ImportedHeader
    account: ImportedAccount | None = None
    tasks: list[ImportedTask] = field(default_factory=list[ImportedTask])
    lines: list[int] = field(default_factory=list[int])
    passed_over: int = 0
    trailer: tuple[int, ImportedTrailer] | None = None


def read_part(lines: ExportLines) -> Part:
    """Read and check all lines by themselves. Raises Problem, naming each that is wrong."""
    reader = _Reader()
    for number, line in enumerate(lines):
        if len(reader.errors) > ERRORS_MAX or not reader.read(number, line):
            break
    if reader.part is None and not reader.errors:
        reader.errors.append(FieldError("", "there is no header"))
    if reader.errors or reader.part is None:
        raise invalid_lines(reader.errors)
    return reader.part


class _Reader:
    """Reads one line after the other, and gathers what is wrong with them."""

    def __init__(self) -> None:
        self.part: Part | None = None
        self.errors: list[FieldError] = []

    def read(self, number: int, line: JsonObject) -> bool:
        """Read a line; say whether the next one can be understood."""
        kind = line.get("type")
        if not isinstance(kind, str) or kind not in IMPORTED:
            self._refuse(number, "/type", f"must be one of {', '.join(IMPORTED)}")
            return True
        if (self.part is None) != (kind == "header"):
            self._refuse(number, "", "the header comes first, and once")
            return False
        if self.part is not None and self.part.trailer is not None:
            self._refuse(number, "", "comes after the trailer")
            return False
        model = IMPORTED[kind]
        read = None if model is None else self._validated(model, number, line)
        if isinstance(read, ImportedHeader):
            self.part = Part(read)
        elif self.part is not None:
            self._add(self.part, number, read, is_read=model is not None)
        return self.part is not None

    def _add(self, part: Part, number: int, read: Content | None, *, is_read: bool) -> None:
        match read:
            case ImportedTask():
                for each in read.field_errors():
                    self._refuse(number, each.pointer, each.detail)
                part.tasks.append(read)
                part.lines.append(number)
            case ImportedAccount():
                part.account = read
            case ImportedTrailer():
                part.trailer = (number, read)
            case _:
                part.passed_over += not is_read

    def _validated(self, model: type[Content], number: int, line: JsonObject) -> Content | None:
        try:
            return validated(model, line)
        except Problem as problem:
            for each in problem.errors:
                self._refuse(number, each.pointer, each.detail)
            return None

    def _refuse(self, number: int, pointer: str, detail: str) -> None:
        self.errors.append(FieldError(f"/{number}{pointer}", detail))
